"""One change of one task: the move is looked up in the table, the row is compared and set, and an event tells of it."""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from holdfast.board import gates, moves
from holdfast.board.model import BlockKind, Outcome, Status, Task
from holdfast.board.moves import Verb
from holdfast.board.rows import SQL, dumped, task
from holdfast.board.telling import insert_event
from holdfast.engine import Read, Write
from holdfast.errors import Busy, Refused
from holdfast.holds import owner as owners

BY_ID: Final = SQL["select_task"].fill(which=SQL["which_id"])
_LOCKED = SQL["select_task"].fill(which=SQL["which_id_locked"])
_PUT = SQL["put_task"].fill(more="")
_PUT_WORDS = SQL["put_task"].fill(more=SQL["with_words"])


def get(tx: Read, task_id: int) -> Task | None:
    """Return the task, or None when there is none."""
    row = tx.row(BY_ID, task_id=task_id)
    return None if row is None else task(row)


def locked(tx: Write, task_id: int) -> Task:
    """Return the task; nobody else changes it before this transaction ends. Raises ``Refused`` when there is none."""
    row = tx.row(_LOCKED, task_id=task_id)
    if row is None:
        raise missing(task_id)
    return task(row)


def missing(task_id: object) -> Refused:
    """Return what to raise for a task that is not there."""
    return Refused(f"there is no task {task_id}", remedy="`holdfast board list` shows those there are.")


def become(
    tx: Write,
    seen: Task,
    verb: Verb,
    event: str,
    *,
    payload: Any = None,
    words: bool = False,
    **changes: Any,
) -> Task:
    """Change ``seen`` as ``verb`` does, tell of it, and return the task as it is then.

    ``words``: what was said at its end changes, too. Two statements.
    """
    after = replace(seen, **changes, seq_events=seen.seq_events + 1, changed_ms=tx.now_ms)
    if after.status not in moves.targets(seen.status, verb):
        moves.check(seen.task_id, seen.status, verb)
        raise AssertionError(f"{verb} made {after.status} of {seen.status}: the table of moves says otherwise")
    if after.status in (Status.READY, Status.REVIEW) and seen.status != after.status:
        after = replace(after, ready_ms=tx.now_ms)
    params: dict[str, object] = {
        "status": after.status,
        "archived_from": after.archived_from,
        "stage": after.stage,
        "ready_ms": after.ready_ms,
        "due_ms": after.due_ms,
        "started_ms": after.started_ms,
        "ended_ms": after.ended_ms,
        "block_kind": after.block_kind,
        "block_reason": after.block_reason,
        "block_recurrences": after.block_recurrences,
        "failures": after.failures,
        "failure": after.failure,
        "attempts": after.attempts,
        "run_id": after.run_id,
        "seq_events": after.seq_events,
        "owner": "" if after.owner is None else owners.dump(after.owner),
        "fence": after.fence,
        "taken_ms": after.taken_ms,
        "renewed_ms": after.renewed_ms,
        "expires_ms": after.expires_ms,
        "note": after.note,
        "changed_ms": after.changed_ms,
        "task_id": seen.task_id,
        "seen_status": seen.status,
        "seen_fence": seen.fence,
        "seen_seq": seen.seq_events,
    }
    if words:
        params["verdict"], params["summary"] = after.verdict, after.summary
        params["result"], params["metadata"] = dumped(after.result, "result"), dumped(after.metadata, "metadata")
    if tx.run(_PUT_WORDS if words else _PUT, **params) != 1:
        raise Busy(f"task {seen.task_id} changed while it was looked at")  # its row is ours since then: never
    insert_event(tx, after, event, payload)
    return after


def end_run(
    tx: Write,
    seen: Task,
    outcome: Outcome,
    *,
    summary: str | None = None,
    metadata: str | None = None,
    failure: str | None = None,
    exit_code: int | None = None,
) -> None:
    """Close the run at hand. ``metadata`` is JSON text."""
    tx.run(
        SQL["end_run"],
        run_id=seen.run_id,
        outcome=outcome,
        summary=summary,
        metadata=metadata,
        failure=failure,
        exit_code=exit_code,
        now_ms=tx.now_ms,
    )


def released(seen: Task) -> dict[str, Any]:
    """Return the changes that end the hold on ``seen``: expiry and renewal are the same moment."""
    return {"expires_ms": seen.renewed_ms}


def up(tx: Write, seen: Task) -> dict[str, Any]:
    """Return the changes that put ``seen`` where nothing but its gates holds it back."""
    if seen.status == Status.RUNNING or seen.gates_open or seen.gates_vetoed:
        tx.hint()
    return at(gates.place(seen.stage, seen.gates_open, seen.gates_vetoed))


def at(place: gates.Place, reason: str = "one of its parents did not end as it was to") -> dict[str, Any]:
    """Return the changes that put a task at ``place``. What it was blocked for before is remembered elsewhere."""
    if place.status == Status.BLOCKED and place.block_kind == BlockKind.VETO:
        return {"status": place.status, "block_kind": place.block_kind, "block_reason": reason, "block_recurrences": 0}
    return {"status": place.status}
