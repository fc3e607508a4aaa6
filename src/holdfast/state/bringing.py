"""What no rollout and no snapshot tells, brought from a damaged ``state.db``: jobs, memories and boards.

As far as it can be read: row by row, table by table. What cannot be read costs nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from holdfast import jobs
from holdfast.clock import wall_ms
from holdfast.engine import Read, Write
from holdfast.errors import HoldfastError
from holdfast.holds.owner import host
from holdfast.memory import store as memories
from holdfast.sqlite import Store
from holdfast.state.moved import SQL
from holdfast.state.moving_rows import Columns, pages, quoted

TABLES = (
    "jobs", "job_requests", "job_caps", "job_files", "thread_memories", "memory_scopes", "memory_generations",
    "boards", "tasks", "task_links", "task_runs", "task_comments", "task_attachments", "task_attachment_parts",
    "task_events", "board_requests", "board_caps", "board_imports",
)  # fmt: skip

Row: TypeAlias = dict[str, Any]


def keep_numbers(old_db: str, new: Store, paths: Sequence[str]) -> None:
    """Give these homes the numbers they had: jobs and memories are filed under them. Before anything is indexed."""
    try:
        with Store.peek(old_db, clock=wall_ms) as old, old.read() as tx:
            rows = tx.rows(SQL["homes_of"], host=host())
    except (HoldfastError, FileNotFoundError):
        return
    with new.write() as there:
        for row in rows:
            if row["path"] in paths:
                there.run(SQL["put_home_as"], host=host(), **row)


def bring(old_db: str, new: Store) -> tuple[dict[str, int], tuple[str, ...]]:
    """Copy these tables; return how many rows of each came, and of which not all did.

    Memories of threads that are in no home any more stay where they are: in
    the old file. Claims end, as their workers know another database.
    """
    from holdfast import board  # which no state needs to be opened

    brought: dict[str, int] = {}
    cut = []
    try:
        with Store.peek(old_db, clock=wall_ms) as old:
            for table in TABLES:
                brought[table], whole = _table(old, new, table)
                if not whole:
                    cut.append(table)
    except (HoldfastError, FileNotFoundError):
        cut = [table for table in TABLES if table not in brought or table in cut]
    with new.write() as tx:
        jobs.end_all(tx)
        board.end_all(tx)
    return {table: rows for table, rows in brought.items() if rows}, tuple(cut)


def _table(old: Store, new: Store, table: str) -> tuple[int, bool]:
    came = seen = 0
    try:
        with new.read() as there:
            known = _columns(there, table)[0]
        with old.read() as tx:
            names, key = _columns(tx, table)
            names = tuple(name for name in names if name in known)
            if not names:
                return 0, True  # older than this table
            for page in pages(tx, table, (names, key)):
                seen += len(page)
                came += _put(new, table, [dict(zip(names, row, strict=True)) for row in page])
    except HoldfastError:
        return came, False
    return came, came == seen


def _columns(tx: Read, table: str) -> Columns:
    """Return the columns of a table and those of its primary key, in order; none when there is no such table."""
    found = [row for row in tx.rows(SQL["columns_kept"]) if row["table_name"] == table]
    key = sorted((row["key"], row["column_name"]) for row in found if row["key"])
    return tuple(row["column_name"] for row in found), tuple(name for _, name in key)


def _put(new: Store, table: str, rows: Sequence[Row]) -> int:
    try:
        with new.write() as tx:
            return _put_some(tx, table, rows)
    except HoldfastError:
        if len(rows) == 1:
            return 0  # no row that the new database would take
    return sum(_put(new, table, [row]) for row in rows)


def _put_some(tx: Write, table: str, rows: Sequence[Row]) -> int:
    if table == "thread_memories":
        rows = [row for row in rows if memories.has_thread(tx, row["home_id"], row["thread_id"])]
    if table == "boards":
        tx.run_many(SQL["drop_board_as_made"], [{"slug": row["slug"]} for row in rows])
    if rows:
        names = tuple(rows[0])
        values = ", ".join(f":{name}" for name in names)
        tx.run_many(SQL["move_put"].fill(rows=table, columns=quoted(names), values=values), rows)
    return len(rows)
