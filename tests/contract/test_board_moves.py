"""Every cell of the table of moves, through the doors people use; and what changes a task without moving it."""

from __future__ import annotations

import pytest

from holdfast import board, holds
from holdfast.board import Claimed, Status, moves
from holdfast.board.moves import Verb
from holdfast.errors import Refused, Stale
from holdfast.holds import owner as owners

ME = holds.me("test")
FAR_MS = 1 << 41


def ran(tx, task_id):
    """Claim it, and return the fence."""
    claim = board.claim(tx, task_id, ME, lease_ms=60_000)
    assert isinstance(claim, Claimed)
    return claim.fence


def put(tx, status):
    """Return a task that is ``status``, by the ways there are."""
    if status == Status.TODO:
        parent = board.create(tx, "parent").task.task_id
        return board.create(tx, "task", parents=[parent]).task.task_id, None
    made = board.create(tx, "task").task.task_id
    fence = None
    match status:
        case Status.TRIAGE:
            board.triage(tx, made)
        case Status.SCHEDULED:
            board.schedule(tx, made, tx.now_ms + 7_200_000)
        case Status.RUNNING:
            fence = ran(tx, made)
        case Status.BLOCKED:
            board.block(tx, made, "waits")
        case Status.REVIEW:
            board.review(tx, made, fence=ran(tx, made))
        case Status.DONE:
            board.done(tx, made)
        case Status.CANCELLED:
            board.cancel(tx, made, "no")
        case Status.ARCHIVED:
            board.archive(tx, made)
    assert board.get(tx, made).status == status
    return made, fence


DO = {
    Verb.SPECIFY: lambda tx, task, _: board.specify(tx, task),
    Verb.TRIAGE: lambda tx, task, _: board.triage(tx, task),
    Verb.SCHEDULE: lambda tx, task, _: board.schedule(tx, task, FAR_MS),
    Verb.FINISH: lambda tx, task, fence: board.done(tx, task, fence=fence),
    Verb.HAND_IN: lambda tx, task, fence: board.review(tx, task, fence=fence or 1),
    Verb.ASK_CHANGES: lambda tx, task, fence: board.request_changes(tx, task, "more", fence=fence),
    Verb.RELEASE: lambda tx, task, fence: board.release(tx, task, fence=fence or 1),
    Verb.FAIL: lambda tx, task, fence: board.fail(tx, task, fence=fence or 1, error="oh"),
    Verb.RECLAIM: lambda tx, task, _: board.reclaim(tx, task, "mine"),
    Verb.BLOCK: lambda tx, task, fence: board.block(tx, task, "waits", fence=fence),
    Verb.UNBLOCK: lambda tx, task, _: board.unblock(tx, task),
    Verb.CANCEL: lambda tx, task, _: board.cancel(tx, task, "no"),
    Verb.REOPEN: lambda tx, task, _: board.reopen(tx, task),
    Verb.ARCHIVE: lambda tx, task, _: board.archive(tx, task),
    Verb.RESTORE: lambda tx, task, _: board.restore(tx, task),
}
BY_ITSELF = {Verb.SETTLE, Verb.LOSE}
ASKED_FOR = {Verb.CLAIM}  # answers with a value


def test_there_is_a_door_for_every_move():
    assert DO.keys() | BY_ITSELF | ASKED_FOR == set(Verb)


@pytest.mark.parametrize("verb", DO, ids=lambda verb: verb.replace(" ", "-"))
def test_a_verb_is_for_those_it_is_for_and_changes_nothing_of_the_others(engine, verb):
    for status in Status:
        with engine.write() as tx:
            task_id, fence = put(tx, status)
        allowed = moves.targets(status, verb)
        try:
            with engine.write() as tx:
                became = DO[verb](tx, task_id, fence).status
        except (Refused, Stale):
            assert not allowed, f"{verb} of {status}"
            with engine.read() as tx:
                assert board.get(tx, task_id).status == status
        else:
            assert became in allowed, f"{verb} of {status} made {became}"


@pytest.mark.parametrize("status", Status)
def test_only_what_is_ready_or_in_review_is_claimed(engine, status):
    with engine.write() as tx:
        task_id, _ = put(tx, status)
        got = board.claim(tx, task_id, owners.absent("another"), lease_ms=1_000)
    assert isinstance(got, Claimed) == bool(moves.targets(status, Verb.CLAIM))


@pytest.mark.parametrize("seen", Status)
def test_moving_by_name_goes_where_it_says_or_nowhere(engine, seen):
    for wanted in Status:
        with engine.write() as tx:
            task_id, _ = put(tx, seen)
        try:
            with engine.write() as tx:
                became = board.move(tx, task_id, wanted, why="asked").status
        except Refused:
            with engine.read() as tx:
                assert board.get(tx, task_id).status == seen
        else:
            up = {Status.TODO, Status.READY}  # one place: the gates decide
            assert became == wanted or (wanted in up and became in up)


def test_a_task_is_edited_and_what_makes_no_sense_is_refused_whole(engine):
    with engine.write() as tx:
        made = board.create(tx, "a task", priority=1).task.task_id
        board.edit(tx, made, title="another", body="long", priority=7, tenant="t")
        assert board.assign(tx, made, "ann").assignee == "ann"
    for wrong in ({"title": ""}, {"priority": "high"}, {"status": "done"}, {"colour": "red"}):
        with pytest.raises((Refused, TypeError)), engine.write() as tx:
            board.edit(tx, made, body="changed", **wrong)
    with engine.read() as tx:
        seen = board.get(tx, made)
    assert (seen.title, seen.body, seen.priority, seen.tenant) == ("another", "long", 7, "t")


def test_a_task_goes_to_another_board_but_not_its_links_nor_while_it_runs(engine):
    with engine.write() as tx:
        board.create_board(tx, "web")
        alone, parent = (board.create(tx, name).task.task_id for name in ("alone", "parent"))
        child = board.create(tx, "child", parents=[parent]).task.task_id
        other = board.get_board(tx, "web").board_id
        assert board.move_to(tx, alone, "web").board_id == other
        assert isinstance(board.claim_next(tx, "web", ME), Claimed)
    for task_id, why in ((alone, "is being done"), (child, "links"), (parent, "links")):
        with pytest.raises(Refused, match=why), engine.write() as tx:
            board.move_to(tx, task_id, "web" if task_id != alone else "default")


SAID = {
    Status.TRIAGE: "must look at it first",
    Status.TODO: "waits for its parent",
    Status.SCHEDULED: "not to be done for another 2 h",
    Status.READY: "ready to be worked on",
    Status.RUNNING: "is at it",
    Status.BLOCKED: "needs_input",
    Status.REVIEW: "to be reviewed",
    Status.DONE: "reopen",
    Status.CANCELLED: "reopen",
    Status.ARCHIVED: "restore",
}


@pytest.mark.parametrize("status", Status)
def test_a_sentence_says_why_a_task_is_where_it_is(engine, status):
    with engine.write() as tx:
        task_id, _ = put(tx, status)
    with engine.read() as tx:
        said = board.why(tx, task_id)
    assert SAID[status] in said and "\n" not in said


def test_what_a_worker_reads_is_bounded_and_says_what_was_cut(engine):
    with engine.write() as tx:
        parent = board.create(tx, "parent").task.task_id
        board.done(tx, parent, summary="s" * 9_000, verdict="pass")
        made = board.create(tx, "task", body="b" * 60_000, parents=[parent]).task.task_id
        for number in range(40):
            board.comment(tx, made, f"comment {number} " + "c" * 5_000, author="ann")
    with engine.read() as tx:
        told = board.context(tx, made)
    text = told.markdown()
    assert len(text.encode()) < 300_000
    assert len(told.comments) == 30 and "comment 39" in text and "comment 9 " not in text
    assert "b" * 9_000 not in text and "verdict" in text.lower()
