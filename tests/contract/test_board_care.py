"""A board that was put back, or that something else wrote to: claims end, numbers go on, and what is wrong is found."""

from __future__ import annotations

import pytest

import holdfast
from engines import open_engine
from holdfast import board, holds, schema
from holdfast.board import Claimed, Status
from holdfast.board.probes import probes
from holdfast.errors import Refused, Stale
from rows import statement


def test_a_claim_from_before_a_restore_is_refused_and_its_fence_never_comes_again(state_dir, tmp_path):
    copy = tmp_path / "copy.db"
    with holdfast.open([], state_dir=state_dir, search=False) as state:
        task = state.board.create("t").task.task_id
        in_the_copy = state.board.claim(task)
        state.backup(copy)
        state.board.release(task, fence=in_the_copy.fence)
        after_it = state.board.claim(task)
    holdfast.restore(copy, state_dir=state_dir)
    with holdfast.open([], state_dir=state_dir, search=False) as state:
        for old in (in_the_copy, after_it):
            with pytest.raises(Stale):
                state.board.done(task, fence=old.fence)
        again = state.board.claim(task)
        assert isinstance(again, Claimed)
        assert again.fence > after_it.fence > in_the_copy.fence
        assert state.board.done(task, fence=again.fence).failures == 0


def test_events_go_on_beyond_those_of_a_database_that_was_put_back(engine):
    with engine.write() as tx:
        task = board.create(tx, "t").task.task_id
        tx.run(statement("UPDATE task_events SET event_id = 4611686018427387904"))  # as another server may have given
        board.end_all(tx)
    with engine.write() as tx:
        board.tell(tx, task, "said")
    with engine.read() as tx:
        assert [event.kind for event in board.events(tx)] == ["created", "said"]


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        ("UPDATE tasks SET gates_open = 7 WHERE status = 'todo'", "task-counts"),
        ("DELETE FROM task_links", "task-counts"),
        ("UPDATE tasks SET status = 'ready' WHERE status = 'todo'", "task-place"),
        ("UPDATE tasks SET expires_ms = expires_ms + 5 WHERE status = 'todo'", "task-hold"),
        ("UPDATE task_runs SET ended_ms = 5, outcome = 'crashed'", "task-run"),
        ("DELETE FROM tasks WHERE status = 'todo'", "task-link"),
        ("UPDATE tasks SET fence = 5 WHERE status = 'running'", "task-fence"),
        ("UPDATE tasks SET seq_events = seq_events + 1 WHERE status = 'todo'", "task-events"),
        ("INSERT INTO board_requests VALUES (1, 'r', 99, 'any')", "task-request"),
        ("INSERT INTO task_links SELECT child_id, parent_id, 'none' FROM task_links", "task-circle"),
        ("UPDATE tasks SET owner = '{' WHERE status = 'running'", "task-owner"),
    ],
)
def test_what_something_else_wrote_is_found(engine, damage, code):
    with engine.write() as tx:
        parent = board.create(tx, "parent").task.task_id
        board.create(tx, "child", parents=[parent])
        board.claim(tx, parent, holds.me())
    with pytest.raises(Undone), engine.write() as tx:
        assert probes(tx) == []
        tx.run(statement(damage))
        assert code in {finding.code for finding in probes(tx)}
        raise Undone


class Undone(Exception):
    """What was damaged is put back."""


def test_who_takes_all_but_some_lanes_gets_the_next_of_the_others(engine):
    with engine.write() as tx:
        for assignee, priority in (("ann", 3), ("bob", 2), ("", 1), ("ann", 0)):
            board.create(tx, f"t {assignee}", assignee=assignee, priority=priority)

        def taken(*without):
            found = board.claim_next(tx, "default", holds.me(), without=without)
            return found.task.title if isinstance(found, Claimed) else None

        assert taken("ann") == "t bob"
        assert taken("ann", "") is None
        assert taken("ann") == "t ", "nobody's is a lane, too"
        assert [taken("bob"), taken("bob"), taken()] == ["t ann", "t ann", None]


def test_counts_that_something_else_wrote_are_counted_again(engine):
    with engine.write() as tx:
        parent = board.create(tx, "parent").task.task_id
        child = board.create(tx, "child", parents=[parent]).task.task_id
        tx.run(statement("UPDATE tasks SET gates_open = 0, children_open = 5, status = 'ready'"))
        board.recount(tx, parent)
        assert board.recount(tx, child).status == Status.TODO
        assert probes(tx) == []


def test_a_lane_is_found_by_who_takes_only_some(engine):
    with engine.write() as tx:
        for assignee, tenant, priority in (("ann", "x", 1), ("ann", "y", 2), ("bob", "x", 3), ("", "", 4)):
            board.create(tx, f"t {assignee}{tenant}", assignee=assignee, tenant=tenant, priority=priority)

        def titles(**words):
            found = []
            while isinstance(claim := board.claim_next(tx, "default", holds.me(), **words), Claimed):
                found.append(claim.task.title)
            return found

        assert titles(assignees=["ann"], tenants=["x"]) == ["t annx"]
        assert titles(assignees=["ann", ""]) == ["t ", "t anny"]
        assert titles() == ["t bobx"]


def test_no_task_waits_for_a_child_that_waits_for_it(engine):
    def refused(call, *args, **words):
        with pytest.raises(Refused), engine.write() as tx:
            call(tx, *args, **words)

    with engine.write() as tx:
        parent, other = (board.create(tx, title).task.task_id for title in ("parent", "other"))
        child = board.create(tx, "child", parents=[parent]).task.task_id
        claim = board.claim(tx, parent, holds.me())
        assert isinstance(claim, Claimed)
    refused(board.block, parent, "their work", kind="children", fence=claim.fence)
    with engine.write() as tx:
        assert board.confirm(tx, parent, claim.fence).status == Status.RUNNING, "and nothing changed"
        board.link(tx, parent, child, "none")
        assert board.block(tx, parent, "their work", kind="children", fence=claim.fence).status == Status.BLOCKED
    refused(board.create, "another", parents=[parent])
    refused(board.link, parent, child)
    refused(board.link, parent, other, "ended")
    with engine.write() as tx:
        board.done(tx, other)
        board.link(tx, parent, other)  # what is over waits for nothing
    refused(board.reopen, other)
    with engine.write() as tx:
        board.archive(tx, parent)
    refused(board.link, parent, child)
    with engine.write() as tx:
        board.restore(tx, parent)
        assert board.done(tx, child).status == Status.DONE
        assert board.get(tx, parent).status == Status.READY


def test_two_that_wait_for_each_other_are_found(engine):
    with engine.write() as tx:
        parent = board.create(tx, "parent").task.task_id
        child = board.create(tx, "child", parents=[(parent, "none")]).task.task_id
        board.block(tx, parent, "their work", kind="children")
        tx.run(statement("UPDATE task_links SET gate = 'done'"))
        assert [found.code for found in probes(tx)] == ["task-counts", "task-circle"]
        tx.run(statement("UPDATE task_links SET gate = 'none'"))
        assert board.done(tx, child).status == Status.DONE


def test_what_was_counted_past_the_triggers_is_found_and_counted_again(tmp_path):
    with open_engine(str(tmp_path / "state.db")) as engine:
        schema.migrate(engine)
        with engine.write() as tx:
            first, second = (board.create(tx, title).task.task_id for title in ("first", "second"))
            board.block(tx, first, "a person", kind="needs_input")
            board.move_to(tx, second, board.create_board(tx, "other").slug)
            assert probes(tx) == []
            tx.run(statement("UPDATE board_counts SET tasks = tasks + 1 WHERE kind = 'needs_input'"))
            (found,) = probes(tx)
            assert (found.code, found.measured) == ("board-counts", "2 tasks that are blocked needs_input")
            board.recount_boards(tx)
            assert probes(tx) == []
            assert board.stats(tx, "default").blocked == {"needs_input": 1}
            assert (board.stats(tx, "default").counts["ready"], board.stats(tx, "other").counts["ready"]) == (0, 1)
