"""What happened to tasks: written with each change, kept within bounds, and followed without missing any."""

from __future__ import annotations

from typing import Any

from holdfast.board import catalogue
from holdfast.board.model import Event, Task
from holdfast.board.rows import SQL, dumped, event
from holdfast.engine import Read, Write
from holdfast.errors import Refused

EVENTS_MAX = 1_000
"""Of each task the last so many are kept."""


def tell(tx: Write, task_id: int, kind: str, payload: Any = None) -> int:
    """Write that something was said of a task that leaves it where it is; return the event's ``seq``.

    Raises ``Refused`` when there is no such task. Two statements.
    """
    row = tx.row(SQL["count_event"], task_id=task_id, now_ms=tx.now_ms)
    if row is None:
        raise Refused(f"there is no task {task_id}", remedy="`holdfast board list` shows those there are.")
    _insert(tx, row["board_id"], task_id, row["seq_events"], row["run_id"], kind, payload)
    return int(row["seq_events"])


def insert_event(tx: Write, task: Task, kind: str, payload: Any = None) -> None:
    """Write the event that ``task`` has counted already."""
    _insert(tx, task.board_id, task.task_id, task.seq_events, task.run_id, kind, payload)


def history(tx: Read, task_id: int, *, limit: int = 50) -> list[Event]:
    """Return the last events of a task, oldest first, also those of this transaction. To be shown."""
    return [event(row) for row in reversed(tx.rows(SQL["last_events"], task_id=task_id, limit=limit))]


def recent(tx: Read, board: str, *, limit: int = 50) -> list[Event]:
    """Return the last events of a board, oldest first: ``events`` goes on after the last of them."""
    rows = tx.rows(SQL["recent_events"], board_id=catalogue.there(tx, board).board_id, limit=limit)
    return [event(row) for row in reversed(rows)]


def events(
    tx: Read, *, board: str | None = None, task: int | None = None, after: int = 0, limit: int = EVENTS_MAX
) -> list[Event]:
    """Return what happened after the event ``after``, in order: of one board, of one task, or of all.

    Whoever goes on from the last ``event_id`` it got misses none that is
    still kept. On PostgreSQL an event is told once every transaction that
    began to write before its own has ended, so those of this transaction are
    not told in it: ``history`` shows them.
    """
    if task is not None:
        rows = tx.rows(SQL["events_of_task"], task_id=task, after=after, limit=limit)
    elif board is not None:
        rows = tx.rows(SQL["events_of_board"], board_id=catalogue.there(tx, board).board_id, after=after, limit=limit)
    else:
        rows = tx.rows(SQL["events_of_all"], after=after, limit=limit)
    return [event(row) for row in rows]


def _insert(tx: Write, board_id: int, task_id: int, seq: int, run_id: int | None, kind: str, payload: Any) -> None:
    tx.run(
        SQL["insert_event"],
        board_id=board_id,
        task_id=task_id,
        seq=seq,
        run_id=run_id,
        kind=kind,
        payload=dumped(payload, "payload"),
        now_ms=tx.now_ms,
    )
    if seq > EVENTS_MAX:
        tx.run(SQL["drop_old_events"], task_id=task_id, seq=seq - EVENTS_MAX)
