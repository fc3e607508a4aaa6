"""What people do to tasks: block, unblock, schedule, cancel, put away. Each function joins the caller's transaction."""

from __future__ import annotations

from typing import Any

from holdfast.board import gates, linking, moves, rules
from holdfast.board.ending import done, request_changes, under_fence
from holdfast.board.gates import is_open
from holdfast.board.model import BlockKind, Outcome, Status, Task
from holdfast.board.moves import Verb
from holdfast.board.rows import said
from holdfast.board.transition import at, become, end_run, locked, released
from holdfast.engine import Write
from holdfast.errors import Refused


def block(
    tx: Write, task_id: int, reason: str, *, kind: BlockKind | str = BlockKind.NEEDS_INPUT, fence: int | None = None
) -> Task:
    """Say that the task cannot go on, and return it. While it runs, with the ``fence`` of its claim.

    Blocked for ``dependency`` it waits for its gates, for ``children`` until
    they are over; it is up again at once when there are none. Any other block
    ends when somebody unblocks it. Blocked for the same kind again right after
    that, it goes to triage: a loop that nobody looked at. Raises ``Stale``, and
    ``Refused`` when it would wait for a child that waits for it.
    """
    why = rules.block_kind(kind)
    seen = locked(tx, task_id)
    is_worked_on = fence is not None or seen.status == Status.RUNNING
    if is_worked_on:
        under_fence(tx, seen, fence)
    moves.check(task_id, seen.status, Verb.BLOCK)
    if why == BlockKind.CHILDREN:
        linking.check_children(tx, task_id)
    changes: dict[str, Any] = {}
    if is_worked_on:
        end_run(tx, seen, Outcome.BLOCKED, summary=said(reason))
        changes = released(seen)
    times = rules.recurrences(seen, why)
    changes |= {"block_kind": why, "block_reason": said(reason), "block_recurrences": times}
    payload = {"kind": str(why), "reason": said(reason, 400), "times": times}
    tx.hint()
    if rules.is_loop(why, times):
        return become(
            tx,
            seen,
            Verb.BLOCK,
            "block_loop",
            payload=payload,
            **{**changes, "status": Status.TRIAGE, "block_recurrences": 0},
        )
    place = gates.Place(Status.BLOCKED, why)
    if why == BlockKind.DEPENDENCY:
        place = gates.place("work", seen.gates_open, seen.gates_vetoed)
    elif why == BlockKind.CHILDREN:
        place = gates.settle(Status.BLOCKED, why, seen.stage, seen.gates_open, seen.gates_vetoed, seen.children_open)
    changes["stage"] = "work" if why == BlockKind.DEPENDENCY else seen.stage
    return become(tx, seen, Verb.BLOCK, "blocked", payload=payload, **{**changes, **at(place)})


def unblock(tx: Write, task_id: int, note: str = "") -> Task:
    """Let a blocked task go on, with a new budget of failures, and return it."""
    seen = locked(tx, task_id)
    moves.check(task_id, seen.status, Verb.UNBLOCK)
    if seen.block_kind == BlockKind.VETO:
        raise Refused(
            f"task {task_id} is vetoed: {seen.block_reason}",
            remedy="`reopen` that parent, or `unlink` it, or link it with the gate `ended` or `none`.",
        )
    tx.hint()
    place = gates.place(seen.stage, seen.gates_open, seen.gates_vetoed)
    payload = {"note": said(note, 400), "status": str(place.status)} if note else {"status": str(place.status)}
    return become(tx, seen, Verb.UNBLOCK, "unblocked", payload=payload, failures=0, **at(place))


def schedule(tx: Write, task_id: int, due_ms: int) -> Task:
    """Have the task not done before ``due_ms``, in ms since the epoch, and return it."""
    rules.check_number("due_ms", due_ms, least=0)
    seen = locked(tx, task_id)
    moves.check(task_id, seen.status, Verb.SCHEDULE)
    tx.hint()
    return become(
        tx, seen, Verb.SCHEDULE, "scheduled", payload={"due_ms": due_ms}, status=Status.SCHEDULED, due_ms=due_ms
    )


def triage(tx: Write, task_id: int, why: str = "") -> Task:
    """Put a task where somebody must look at it first, and return it."""
    seen = locked(tx, task_id)
    moves.check(task_id, seen.status, Verb.TRIAGE)
    return become(
        tx, seen, Verb.TRIAGE, "triaged", payload={"why": said(why, 400)} if why else None, status=Status.TRIAGE
    )


def specify(tx: Write, task_id: int) -> Task:
    """Let a task in triage be done, and return it: it is ready, unless its gates hold it back."""
    seen = locked(tx, task_id)
    moves.check(task_id, seen.status, Verb.SPECIFY)
    tx.hint()
    place = gates.place("work", seen.gates_open, seen.gates_vetoed)
    return become(tx, seen, Verb.SPECIFY, "specified", stage="work", **at(place))


def cancel(tx: Write, task_id: int, why: str = "cancelled") -> Task:
    """Have the task not done, and return it. Its worker learns so with its next word, which is ``Stale``."""
    seen = linking.hold(tx, task_id)
    moves.check(task_id, seen.status, Verb.CANCEL)
    changes: dict[str, Any] = {}
    if seen.status == Status.RUNNING:
        end_run(tx, seen, Outcome.CANCELLED, failure=said(why))
        changes = released(seen)
    after = become(
        tx,
        seen,
        Verb.CANCEL,
        "cancelled",
        payload={"why": said(why, 400)},
        status=Status.CANCELLED,
        ended_ms=tx.now_ms,
        failure=said(why),
        block_kind=None,
        block_reason=None,
        block_recurrences=0,
        **changes,
    )
    tx.hint()
    linking.spread(tx, seen, after)
    return after


def reopen(tx: Write, task_id: int, why: str = "") -> Task:
    """Have a task that is done or cancelled done again, and return it. Children that have not begun wait again."""
    seen = linking.hold(tx, task_id)
    moves.check(task_id, seen.status, Verb.REOPEN)
    linking.check_parents(tx, task_id)
    tx.hint()
    place = gates.place("work", seen.gates_open, seen.gates_vetoed)
    after = become(
        tx,
        seen,
        Verb.REOPEN,
        "reopened",
        payload={"why": said(why, 400)} if why else None,
        words=True,
        stage="work",
        ended_ms=None,
        verdict=None,
        failures=0,
        failure=None,
        **at(place),
    )
    linking.spread(tx, seen, after)
    return after


def archive(tx: Write, task_id: int) -> Task:
    """Put a task away, and return it. To those that wait for it, it is what it was."""
    seen = linking.hold(tx, task_id)
    moves.check(task_id, seen.status, Verb.ARCHIVE)
    after = become(tx, seen, Verb.ARCHIVE, "archived", status=Status.ARCHIVED, archived_from=seen.status)
    linking.spread(tx, seen, after)
    return after


def restore(tx: Write, task_id: int) -> Task:
    """Take a task up again as it was, and return it; its gates may have changed meanwhile."""
    seen = linking.hold(tx, task_id)
    moves.check(task_id, seen.status, Verb.RESTORE)
    assert seen.archived_from is not None  # a CHECK of its table
    if is_open(seen.archived_from):
        linking.check_parents(tx, task_id)
    place = gates.settle(
        seen.archived_from, seen.block_kind, seen.stage, seen.gates_open, seen.gates_vetoed, seen.children_open
    )
    tx.hint()
    after = become(
        tx,
        seen,
        Verb.RESTORE,
        "restored",
        payload={"status": str(place.status)},
        archived_from=None,
        **(at(place) if place != (seen.archived_from, seen.block_kind) else {"status": place.status}),
    )
    linking.spread(tx, seen, after)
    return after


def reclaim(tx: Write, task_id: int, why: str = "") -> Task:
    """Take a task from whoever is at it, and return it, up again. What that worker says later is ``Stale``."""
    seen = locked(tx, task_id)
    moves.check(task_id, seen.status, Verb.RECLAIM)
    end_run(tx, seen, Outcome.RECLAIMED, failure=said(why) if why else None)
    tx.hint()
    place = gates.place(seen.stage, seen.gates_open, seen.gates_vetoed)
    return become(
        tx,
        seen,
        Verb.RECLAIM,
        "reclaimed",
        payload={"why": said(why, 400)} if why else None,
        **released(seen),
        **at(place),
    )


def move(tx: Write, task_id: int, status: Status | str, *, why: str = "") -> Task:
    """Put a task into the column ``status`` as a person does, by the verb that leads there; return the task.

    ``ready`` and ``todo`` are one place to a person: its gates decide. Raises
    ``Refused`` when no verb leads there, and for ``running``: claim it.
    """
    seen = locked(tx, task_id)
    if status in (Status.READY, Status.TODO):
        return _up(tx, seen, why)
    if status == Status.DONE:
        return done(tx, task_id, summary=why)
    if status == Status.CANCELLED:
        return cancel(tx, task_id, why or "cancelled")
    if status == Status.BLOCKED:
        return block(tx, task_id, why or "by hand")
    if status == Status.TRIAGE:
        return triage(tx, task_id, why)
    if status == Status.ARCHIVED:
        return archive(tx, task_id)
    raise Refused(
        f"task {task_id} is not moved to {status!r} by hand",
        remedy="`claim` makes it running, `review` hands it in, `schedule` gives it a time.",
    )


def _up(tx: Write, seen: Task, why: str) -> Task:
    match seen.status:
        case Status.TRIAGE:
            return specify(tx, seen.task_id)
        case Status.BLOCKED:
            return unblock(tx, seen.task_id, why)
        case Status.REVIEW:
            return request_changes(tx, seen.task_id, why)
        case Status.DONE | Status.CANCELLED:
            return reopen(tx, seen.task_id, why)
        case Status.ARCHIVED:
            return restore(tx, seen.task_id)
        case Status.RUNNING:
            return reclaim(tx, seen.task_id, why)
        case Status.SCHEDULED:
            place = gates.place(seen.stage, seen.gates_open, seen.gates_vetoed)
            tx.hint()
            return become(tx, seen, Verb.SETTLE, "promoted", payload={"status": str(place.status)}, **at(place))
        case _:  # its gates decided already
            if seen.status == Status.TODO:
                raise Refused(
                    f"task {seen.task_id} waits for {seen.gates_open} parents",
                    remedy="`unlink` them, or link them with the gate `none`.",
                )
            return seen
