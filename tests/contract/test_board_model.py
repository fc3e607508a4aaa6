"""Whatever is done to a board, in whatever order: it is as a plain model says, and its counters are right."""

from __future__ import annotations

import pytest
from board_model import Card, No, PlainBoard
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from holdfast import board, holds
from holdfast.board import Claimed
from holdfast.board.probes import probes
from holdfast.errors import Refused
from rows import statement

GATES = st.sampled_from(["none", "done", "passed", "failed", "ended"])
KINDS = st.sampled_from(["needs_input", "dependency", "capability", "transient", "children"])
ME = holds.me("model")


def machine(engine, clock):
    """Return a machine that does the same to a board of ``engine`` and to a plain one."""

    class Board(RuleBasedStateMachine):
        tasks = Bundle("tasks")

        @initialize()
        def begin(self):
            self.plain = PlainBoard()
            clock.advance(1_000_000)
            self.plain.now = clock.ms
            self.slug = f"b{clock.ms}"
            with engine.write() as tx:  # what the example before left would be probed at each step
                for table in ("tasks", "task_links", "task_runs", "task_events"):
                    tx.run(statement(f"DELETE FROM {table}"))
            self.both(lambda tx: board.create_board(tx, self.slug), lambda: None)

        def both(self, real, plain):
            """Do it to both; they allow it or refuse it alike."""
            try:
                plain()
            except No:
                try:
                    with engine.write() as tx:
                        real(tx)
                except Refused:
                    return None
                raise AssertionError("the board allowed what the rules forbid") from None
            with engine.write() as tx:
                answer = real(tx)
            self.plain.settle()
            return answer

        def fence(self, task, late):
            return self.plain.cards[task].fence - late

        @rule(target=tasks, above=st.dictionaries(tasks, GATES, max_size=3), later=st.sampled_from([0, 700]),
              status=st.sampled_from([None, None, None, "triage", "blocked"]))  # fmt: skip
        def create(self, above, later, status):
            made = []
            above = {task: "none" if self.plain.waits_for_children(task) else gate for task, gate in above.items()}

            def real(tx):
                due_ms = clock.ms + later if later else None
                words = {"parents": list(above.items()), "due_ms": due_ms, "status": status}
                made.append(board.create(tx, "t", board=self.slug, **words).task.task_id)

            # The number comes from the board, so it goes first here.
            with engine.write() as tx:
                real(tx)
            self.plain.create(made[0], above, clock.ms + later, status or "")
            self.plain.settle()
            return made[0]

        @rule(parent=tasks, child=tasks, gate=GATES)
        def link(self, parent, child, gate):
            self.both(lambda tx: board.link(tx, parent, child, gate), lambda: self.plain.link(parent, child, gate))

        @rule(parent=tasks, child=tasks)
        def unlink(self, parent, child):
            self.both(lambda tx: board.unlink(tx, parent, child), lambda: self.plain.unlink(parent, child))

        @rule(task=tasks)
        def claim(self, task):
            with engine.write() as tx:
                outcome = board.claim(tx, task, ME, lease_ms=1_000, is_dead=lambda _owner: False)
            card = self.plain.cards[task]
            if card.status == "running" and card.lease <= clock.ms:
                self.lost(task, card)
            assert isinstance(outcome, Claimed) == self.plain.may_claim(task)
            if isinstance(outcome, Claimed):
                assert outcome.fence > card.fence
                self.plain.claim(task, outcome.fence)

        @rule()
        def claim_next(self):
            with engine.write() as tx:
                outcome = board.claim_next(tx, self.slug, ME, lease_ms=1_000, is_dead=lambda _owner: False)
            self.swept()
            ready = [task for task in self.plain.cards if self.plain.may_claim(task)]
            assert isinstance(outcome, Claimed) == bool(ready)
            if isinstance(outcome, Claimed):
                assert outcome.task.task_id in ready
                self.plain.claim(outcome.task.task_id, outcome.fence)

        @rule(
            task=tasks, late=st.sampled_from([0, 0, 0, 1]), verdict=st.sampled_from(["", "fail"]), fenced=st.booleans()
        )
        def done(self, task, late, verdict, fenced):
            fence = self.fence(task, late) if fenced else None
            self.both(
                lambda tx: board.done(tx, task, fence=fence, verdict=verdict or None),
                lambda: self.plain.done(task, fence, verdict),
            )

        @rule(task=tasks, late=st.sampled_from([0, 0, 1]), verb=st.sampled_from(["review", "release"]))
        def ended(self, task, late, verb):
            fence = self.fence(task, late)
            self.both(
                lambda tx: getattr(board, verb)(tx, task, fence=fence), lambda: getattr(self.plain, verb)(task, fence)
            )

        @rule(task=tasks, late=st.sampled_from([0, 0, 1]))
        def fail(self, task, late):
            fence = self.fence(task, late)
            self.both(lambda tx: board.fail(tx, task, fence=fence, error="x"), lambda: self.plain.fail(task, fence))
            self.same_rest(task)

        @rule(task=tasks, late=st.sampled_from([0, 0, 1]), kind=KINDS, fenced=st.booleans())
        def block(self, task, late, kind, fenced):
            fence = self.fence(task, late) if fenced else None
            self.both(
                lambda tx: board.block(tx, task, "why", kind=kind, fence=fence),
                lambda: self.plain.block(task, fence, kind),
            )

        @rule(task=tasks, verb=st.sampled_from(["cancel", "reopen", "reclaim", "request_changes"]))
        def said(self, task, verb):
            self.both(lambda tx: getattr(board, verb)(tx, task, "why"), lambda: getattr(self.plain, verb)(task))

        @rule(task=tasks, verb=st.sampled_from(["unblock", "archive", "restore", "triage", "specify"]))
        def moved(self, task, verb):
            self.both(lambda tx: getattr(board, verb)(tx, task), lambda: getattr(self.plain, verb)(task))

        @rule(task=tasks, later=st.sampled_from([-5, 700]))
        def schedule(self, task, later):
            due = clock.ms + later
            self.both(lambda tx: board.schedule(tx, task, due), lambda: self.plain.schedule(task, due))

        @rule(ms=st.sampled_from([1, 600, 2_000]))
        def time_goes_on(self, ms):
            clock.advance(ms)
            self.plain.now = clock.ms

        @rule()
        def sweep(self):
            with engine.write() as tx:
                board.sweep(tx, self.slug, is_dead=lambda _owner: False)
            self.swept()

        def swept(self):
            """The plain board is swept as a claim on the other one did, where anything was to be swept."""
            with engine.read() as tx:
                due = {task: board.get(tx, task).due_ms for task in self.plain.cards}
            self.plain.sweep()
            for task, card in self.plain.cards.items():
                card.due = due[task]
            self.plain.settle()

        def lost(self, task, card: Card):
            card.runs[-1] = "expired"
            self.plain.failed(card)
            self.same_rest(task)

        def same_rest(self, task):
            with engine.read() as tx:
                self.plain.cards[task].due = board.get(tx, task).due_ms

        @invariant()
        def same(self):
            if not hasattr(self, "plain"):
                return
            with engine.read() as tx:
                for task, card in self.plain.cards.items():
                    seen = board.get(tx, task)
                    kind = seen.block_kind if seen.status == "blocked" else ""
                    real = (seen.status, seen.stage, seen.archived_from or "", kind, seen.verdict or "", seen.failures)
                    kind = card.kind if card.status == "blocked" else ""
                    assert real == (card.status, card.stage, card.came_from, kind, card.verdict, card.failures)
                    says = self.plain.parents_say(task)
                    assert (seen.gates_open, seen.gates_vetoed) == (says.count("wait"), says.count("never"))
                    assert [run.outcome or "" for run in board.runs(tx, task)] == card.runs
                assert probes(tx) == []

    return Board


def compare(engine, clock, examples, steps):
    how = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    run_state_machine_as_test(machine(engine, clock), settings=how)


def test_a_board_is_as_a_plain_model_says(engine, clock):
    compare(engine, clock, 12, 30)


@pytest.mark.torture
def test_a_board_is_as_a_plain_model_says_for_long(engine, clock):
    compare(engine, clock, 500, 50)
