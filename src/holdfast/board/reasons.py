"""Why a task is where it is: one sentence, which condition holds it there and what changes it. Looks only."""

from __future__ import annotations

from holdfast.board import catalogue
from holdfast.board.looking import links
from holdfast.board.model import BlockKind, Status, Task
from holdfast.board.rows import SQL
from holdfast.board.transition import get, missing
from holdfast.engine import Read
from holdfast.holds import owner as owners
from holdfast.quantities import duration

_BEFORE_MAX = 1_000
_NAMED_MAX = 3


def why(tx: Read, task_id: int) -> str:
    """Return one sentence. Raises ``Refused`` when there is no such task."""
    seen = get(tx, task_id)
    if seen is None:
        raise missing(task_id)
    match seen.status:
        case Status.TRIAGE:
            looped = f" It was blocked again and again ({seen.block_reason})." if seen.block_kind else ""
            return f"Somebody must look at it first: `holdfast board move {task_id} ready`.{looped}"
        case Status.TODO:
            return f"It waits for {_parents(tx, seen, 'open')}."
        case Status.SCHEDULED if seen.failure and seen.failures:
            left = duration(seen.due_ms - tx.now_ms)
            return f"It rests after failure {seen.failures} of {seen.failures_max}, another {left}: {seen.failure}"
        case Status.SCHEDULED:
            return f"It is not to be done for another {duration(seen.due_ms - tx.now_ms)}."
        case Status.READY | Status.REVIEW:
            return _up(tx, seen)
        case Status.RUNNING:
            return _running(tx, seen)
        case Status.BLOCKED:
            return _blocked(tx, seen)
        case Status.DONE:
            return f"It is done{f', verdict {seen.verdict}' if seen.verdict else ''}; `reopen` has it done again."
        case Status.CANCELLED:
            return f"It was cancelled ({seen.failure}); only `reopen` brings it back."
        case Status.ARCHIVED:
            return f"It was put away when it was {seen.archived_from}; `restore` takes it up again."


def _up(tx: Read, seen: Task) -> str:
    board = catalogue.board_by_id(tx, seen.board_id)
    assert board is not None  # boards are never deleted
    if board.archived_ms is not None:
        return f"Its board {board.slug} was put away; nothing runs until it is restored."
    limits = catalogue.caps(tx, seen.board_id)
    running = catalogue.count_running(tx, seen.board_id)
    of_all = sum(running.values())
    if board.running_max is not None and of_all >= board.running_max:
        ends = "the next one that ends makes room" if board.running_max else "nothing runs until the cap is lifted"
        return f"{of_all} tasks of the board run, of at most {board.running_max}; {ends}."
    if (most := limits.get(seen.assignee)) is not None and running.get(seen.assignee, 0) >= most:
        ends = "the next one that ends makes room" if most else "nothing of theirs runs until the cap is lifted"
        whose = f"of {seen.assignee}" if seen.assignee else "of nobody"
        return f"{running.get(seen.assignee, 0)} tasks {whose} run, of at most {most}; {ends}."
    row = tx.row(
        SQL["count_before"],
        board_id=seen.board_id,
        status=seen.status,
        priority=seen.priority,
        ready_ms=seen.ready_ms,
        task_id=seen.task_id,
        limit=_BEFORE_MAX,
    )
    before = row["tasks"] if row else 0
    many = f"{before} or more" if before == _BEFORE_MAX else str(before)
    what = "to be worked on" if seen.status == Status.READY else "to be reviewed"
    return f"It is ready {what}: {many} are to be done before it, {of_all} run; a worker takes it in its turn."


def _running(tx: Read, seen: Task) -> str:
    assert seen.owner is not None  # a probe tells of it
    if seen.expires_ms <= tx.now_ms:
        return "Its worker was silent for too long; the next one that asks ends its claim."
    left = duration(seen.expires_ms - tx.now_ms)
    said = f" It said: {seen.note}." if seen.note else ""
    at_once = ", and at once when that process ends" if seen.owner.pid else ""
    return (
        f"{owners.describe(seen.owner)} is at it, attempt {seen.attempts}; if nothing more is heard of it,"
        f" its claim ends in {left}{at_once}.{said}"
    )


def _blocked(tx: Read, seen: Task) -> str:
    match seen.block_kind:
        case BlockKind.VETO:
            return f"It is vetoed by {_parents(tx, seen, 'veto')}; `reopen` or `unlink` that."
        case BlockKind.CHILDREN:
            return f"It waits for {seen.children_open} of its children to be over ({seen.block_reason})."
        case BlockKind.FAILURES:
            return f"It was given up: {_ended(seen.block_reason)} `unblock` gives it new attempts."
        case _:
            return f"It is blocked ({seen.block_kind}): {_ended(seen.block_reason)} `unblock` lets it go on."


def _parents(tx: Read, seen: Task, state: str) -> str:
    found = [
        f"{link.parent_id} ({link.title[:60]}: {link.status})"
        for link in links(tx, seen.task_id)
        if link.state == state
    ]
    more = f" and {len(found) - _NAMED_MAX} more" if len(found) > _NAMED_MAX else ""
    return f"its parent{'s' if len(found) > 1 else ''} {', '.join(found[:_NAMED_MAX])}{more}"


def _ended(reason: str | None) -> str:
    text = (reason or "").rstrip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
