"""What there is to do, and what became of it. Looks only."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from holdfast.board import catalogue
from holdfast.board.gates import gate
from holdfast.board.model import BlockKind, Link, Page, Run, Stats, Status
from holdfast.board.rows import SQL, run, task
from holdfast.board.rules import NUMBER_MAX
from holdfast.columns import loaded
from holdfast.engine import Read
from holdfast.errors import Refused

LIMIT_MAX = 1_000
_LISTED = SQL["select_task"].fill(which=SQL["which_listed"])
_IN_ORDER = {
    after: SQL["select_task"].fill(which=SQL["which_listed_in_order"].fill(after=SQL[after]))
    for after in ("after_in_priority", "after_priority")
}


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    status: Status | None
    priority: int
    ready_ms: int
    task_id: int


def listing(
    tx: Read,
    board: str,
    *,
    status: Status | str | None = None,
    assignee: str | None = None,
    tenant: str | None = None,
    limit: int = 50,
    after: str | None = None,
) -> Page:
    """Return tasks of a board, some at a time; give ``after`` of a page to get the next one.

    With a ``status`` in the order in which they are claimed, else the newest
    first, without those put away. A page costs as much on the last as on the
    first; with a filter it may pass over many that are not asked for.
    """
    if not 0 < limit <= LIMIT_MAX:
        raise Refused(f"a page has 1 to {LIMIT_MAX} tasks, not {limit}")
    wanted = None if status is None else status_of(status)
    where = catalogue.there(tx, board)
    cursor = _Cursor(wanted, NUMBER_MAX + 1, 0, NUMBER_MAX) if after is None else _decoded(after, wanted)
    words: dict[str, Any] = {"board_id": where.board_id, "assignee": assignee, "tenant": tenant}
    if wanted is None:
        rows = tx.rows(_LISTED, **words, below=cursor.task_id, limit=limit + 1)
    else:
        words["status"], at = wanted, {"ready_ms": cursor.ready_ms, "task_id": cursor.task_id}
        rows = []
        if after is not None:
            same = _IN_ORDER["after_in_priority"]
            rows = tx.rows(same, **words, **at, priority=cursor.priority, limit=limit + 1)
        if len(rows) <= limit:
            later = _IN_ORDER["after_priority"]
            rows = rows + tx.rows(later, **words, priority=cursor.priority, limit=limit + 1 - len(rows))
    tasks = tuple(task(row) for row in rows[:limit])
    if len(rows) <= limit:
        return Page(tasks, None)
    last = tasks[-1]
    return Page(tasks, _encoded(_Cursor(wanted, last.priority, last.ready_ms, last.task_id)))


def runs(tx: Read, task_id: int) -> list[Run]:
    """Return the attempts at a task, oldest first."""
    return [run(row) for row in tx.rows(SQL["list_runs"], task_id=task_id)]


def links(tx: Read, task_id: int) -> list[Link]:
    """Return what a task waits for, and what waits for it: each with the other end."""
    return [_link(row, task_id) for row in tx.rows(SQL["neighbours"], task_id=task_id)]


def stats(tx: Read, board: str) -> Stats:
    """Return how a board stands. On SQLite the same few rows for any board; PostgreSQL counts its tasks."""
    where = catalogue.there(tx, board)
    counts = dict.fromkeys(Status, 0)
    blocked: dict[BlockKind, int] = {}
    for row in tx.rows(SQL["count_tasks"], board_id=where.board_id):
        counts[Status(row["status"])] += row["tasks"]
        if row["kind"] and row["tasks"]:
            blocked[BlockKind(row["kind"])] = row["tasks"]
    change = tx.row(SQL["next_change"], board_id=where.board_id) or {}
    longest = tx.row(SQL["waiting_longest"], board_id=where.board_id) or {"ready_ms": None}
    return Stats(
        board=where,
        counts=counts,
        blocked=blocked,
        running=catalogue.count_running(tx, where.board_id),
        caps=catalogue.caps(tx, where.board_id),
        ready_since_ms=longest["ready_ms"],
        until_ms=min((at for at in change.values() if at is not None), default=None),
    )


def status_of(text: Status | str) -> Status:
    """Return the status of this name. Raises ``Refused`` for another."""
    try:
        return Status(text)
    except ValueError:
        raise Refused(f"a status is one of {', '.join(Status)}, not {text!r}") from None


def _link(row: Any, task_id: int) -> Link:
    status, came_from = Status(row["status"]), row["archived_from"]
    status = status if came_from is None else Status(came_from)
    return Link(
        parent_id=row["parent_id"],
        child_id=row["child_id"],
        gate=row["gate"],
        title=row["title"],
        status=status,
        verdict=row["verdict"],
        summary=row["summary"],
        metadata=loaded(row["metadata"]),
        ended_ms=row["ended_ms"],
        state=gate(row["gate"], status, row["verdict"]).value if row["child_id"] == task_id else None,
    )


def _encoded(cursor: _Cursor) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def _decoded(text: str, wanted: Status | None) -> _Cursor:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.json.decode(raw, type=_Cursor)
    except (ValueError, msgspec.DecodeError):
        raise Refused(f"{text[:40]!r} is no cursor", remedy="Pass `after` of the page before, unchanged.") from None
    if cursor.status != wanted:
        raise Refused("this cursor belongs to a list of another status", remedy="Start again without a cursor.")
    return cursor
