"""A call that raises has changed nothing, at whichever statement it failed; and what grows has a bound."""

from __future__ import annotations

import hashlib

import pytest

from holdfast import board, holds
from holdfast.board import BlockKind, Idle, Status
from holdfast.errors import Refused, Stale
from rows import statement

ME, LEASE_MS = holds.me("whole"), 1_000
TABLES = ("boards", "tasks", "task_links", "task_runs", "task_events", "board_requests", "board_caps")


class Broken(Exception):
    """The machine failed."""


class Breaking:
    """A transaction whose nth statement fails."""

    def __init__(self, tx, nth):
        self._tx, self.now_ms, self.left, self.hint = tx, tx.now_ms, nth, tx.hint

    def __getattr__(self, name):
        def do(*args, **params):
            self.left -= 1
            if self.left == 0:
                raise Broken
            return getattr(self._tx, name)(*args, **params)

        return do


def digest(engine):
    with engine.read() as tx:
        rows = [sorted(map(repr, tx.tuples(statement(f"SELECT * FROM {table}")))) for table in TABLES]
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def write(engine, verb, *args, **words):
    with engine.write() as tx:
        return getattr(board, verb)(tx, *args, **words)


def make(engine, **words):
    return write(engine, "create", "t", **words).task.task_id


def claim(engine, task):
    return write(engine, "claim", task, ME, lease_ms=LEASE_MS)


@pytest.mark.parametrize("verb", ["create", "claim", "claim_next", "done", "fail", "block", "cancel", "link", "reopen"])
def test_a_call_that_failed_at_any_statement_has_changed_nothing(engine, verb):
    parent = make(engine)
    child = make(engine, parents=[parent])
    other = make(engine)
    doings = {
        "create": lambda tx: board.create(tx, "t", request="r", parents=[parent]),
        "claim": lambda tx: board.claim(tx, parent, ME),
        "claim_next": lambda tx: board.claim_next(tx, "default", ME),
        "link": lambda tx: board.link(tx, other, child),
        "cancel": lambda tx: board.cancel(tx, parent, "x"),
        "reopen": lambda tx: board.reopen(tx, parent),
        "done": lambda tx: board.done(tx, parent, fence=fence),
        "fail": lambda tx: board.fail(tx, parent, fence=fence, error="x"),
        "block": lambda tx: board.block(tx, parent, "x", fence=fence),
    }
    if verb in ("done", "fail", "block"):
        fence = claim(engine, parent).fence
    if verb == "reopen":
        write(engine, "done", parent)
    before, nth = digest(engine), 0
    while True:
        nth += 1
        try:
            with engine.write() as tx:
                doings[verb](Breaking(tx, nth))
            break
        except Broken:
            assert digest(engine) == before
    assert nth > 3
    assert digest(engine) != before


@pytest.mark.parametrize("end", ["expiry", "reclaim", "cancel", "steal", "put back"])
def test_who_lost_the_claim_changes_nothing(engine, clock, end):
    task = make(engine)
    late = claim(engine, task)
    if end in ("expiry", "steal"):
        clock.advance(LEASE_MS)
    if end == "steal":
        assert isinstance(write(engine, "claim_next", "default", ME), Idle)  # it rests first
        clock.advance(60_000)
        assert write(engine, "claim_next", "default", ME).fence > late.fence
    elif end == "put back":
        write(engine, "end_all")
    elif end != "expiry":
        write(engine, end, task, "why")
    before = digest(engine)
    for verb, words in (
        ("done", {}), ("review", {}), ("release", {}), ("fail", {"error": "x"}), ("block", {"reason": "x"}),
        ("renew", {}), ("confirm", {}), ("hand_over", {"owner": ME}), ("request_changes", {"why": "x"}),
    ):  # fmt: skip
        with pytest.raises(Stale):
            write(engine, verb, task, fence=late.fence, **words)
    assert digest(engine) == before


def test_what_runs_is_not_ended_without_its_fence(engine):
    task = make(engine)
    claim(engine, task)
    for verb, words in (("done", {}), ("block", {"reason": "x"}), ("archive", {}), ("schedule", {"due_ms": 5})):
        with pytest.raises(Refused):
            write(engine, verb, task, **words)


def test_of_each_task_the_last_thousand_events_are_kept(engine):
    task = make(engine)
    with engine.write() as tx:
        for n in range(1_100):
            board.tell(tx, task, "said", {"n": n})
    with engine.read() as tx:
        kept = board.events(tx, task=task, limit=5_000)
    assert [event.seq for event in kept] == list(range(102, 1_102))


def test_what_fails_three_times_in_a_row_is_given_up_until_somebody_unblocks_it(engine, clock):
    task = make(engine)
    for _ in range(3):
        clock.advance(3_600_000)
        claimed = write(engine, "claim_next", "default", ME, lease_ms=LEASE_MS)
        seen = write(engine, "fail", task, fence=claimed.fence, error="boom")
    assert (seen.status, seen.block_kind, seen.failures) == (Status.BLOCKED, BlockKind.FAILURES, 3)
    assert write(engine, "unblock", task).failures == 0


def test_a_rate_limit_is_no_failure(engine, clock):
    task = make(engine)
    claimed = claim(engine, task)
    words = {"error": "429", "outcome": "rate_limited", "counted": False, "retry_in_ms": 300_000}
    seen = write(engine, "fail", task, fence=claimed.fence, **words)
    assert (seen.status, seen.failures, seen.due_ms) == (Status.SCHEDULED, 0, clock.ms + 300_000)


def test_blocked_for_the_same_again_is_a_loop_for_somebody_to_look_at(engine):
    task = make(engine)
    for expected in (Status.BLOCKED, Status.TRIAGE):
        seen = write(engine, "block", task, "which key?", fence=claim(engine, task).fence)
        assert seen.status == expected
        if expected == Status.BLOCKED:
            write(engine, "unblock", task)
    with engine.read() as tx:
        assert board.history(tx, task)[-1].kind == "block_loop"


def test_a_dead_worker_loses_its_task_at_once(engine):
    task = make(engine)
    claim(engine, task)
    with engine.write() as tx:
        assert board.sweep(tx, is_dead=lambda _owner: True).crashed == 1
    with engine.read() as tx:
        assert board.get(tx, task).status == Status.SCHEDULED
        assert board.runs(tx, task)[-1].outcome == "crashed"


def test_a_list_goes_on_where_a_page_ended(engine):
    tasks = [make(engine, priority=n % 3) for n in range(11)]
    for status in (None, "ready"):
        found, after = [], None
        while True:
            with engine.read() as tx:
                page = board.listing(tx, "default", status=status, limit=2, after=after)
            found += [task.task_id for task in page.tasks]
            if (after := page.after) is None:
                break
        order = sorted(tasks, key=lambda task: (-(tasks.index(task) % 3), task)) if status else tasks[::-1]
        assert found == order


def test_a_key_of_open_scope_makes_a_new_task_once_the_old_one_is_over(engine):
    words = {"request": "nightly", "request_scope": "open"}
    first = make(engine, **words)
    assert make(engine, **words) == first
    write(engine, "done", first)
    second = make(engine, **words)
    assert second != first
    assert make(engine, **words) == second


def test_a_board_put_away_gives_nothing_until_it_is_taken_up_again(engine):
    write(engine, "create_board", "b")
    make(engine, board="b")
    write(engine, "archive_board", "b")
    assert write(engine, "claim_next", "b", ME) == Idle(None)
    with pytest.raises(Refused):
        make(engine, board="b")
    write(engine, "restore_board", "b")
    claimed = write(engine, "claim_next", "b", ME)
    with pytest.raises(Refused):
        write(engine, "archive_board", "b")
    write(engine, "release", claimed.task.task_id, fence=claimed.fence)
