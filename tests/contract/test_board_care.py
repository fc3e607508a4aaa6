"""A board that was put back, or that something else wrote to: claims end, numbers go on, and what is wrong is found."""

from __future__ import annotations

import pytest

import holdfast
from holdfast import board, holds
from holdfast.board import Claimed, Status
from holdfast.board.probes import probes
from holdfast.errors import Stale
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
