"""Which rows a move takes along, and how they are read: by name, by primary key, the same words on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from holdfast.engine import Read
from holdfast.errors import Unsupported
from holdfast.state.canonical import Value
from holdfast.state.moved import SQL

# In this order a row comes after those it refers to.
TABLES = (
    "labels", "homes", "files", "threads", "thread_edges", "tool_lists", "thread_tools", "said_waiting", "holds",
    "jobs", "job_requests", "job_caps", "job_files", "thread_memories", "memory_scopes", "memory_generations",
    "backfill_notes", "boards", "tasks", "task_links", "task_runs", "task_comments", "task_attachments",
    "task_attachment_parts", "task_events", "board_requests", "board_caps", "board_imports",
    "counters",
)  # fmt: skip
LOCAL = ("clock_anchors", "migrations", "readers", "header", "commits", "moves", "board_counts")
"""What a database knows of itself, or counts. Of `counters`, the epoch, the server and its name are its own, too."""

_OWN = {"counters": "name NOT IN ('epoch', 'timeline', 'system', 'state_id', 'events_base')"}
_AS_MADE = {"boards": "NOT (slug = 'default' AND changed_ms = 0)"}
"""Rows that a migration put there, and nobody changed since: an empty state has them."""
_PAGE = 1000

Columns: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]
"""All columns of a table by name, and those of its primary key in order."""


def columns_of(tx: Read, path: str) -> dict[str, Columns]:
    """Return the columns of every table that is moved. Raises ``Unsupported`` for a table that nobody told us of."""
    names: dict[str, list[str]] = {}
    keys: dict[str, list[tuple[int, str]]] = {}
    for row in tx.rows(SQL["columns_kept"]):
        names.setdefault(row["table_name"], []).append(row["column_name"])
        if row["key"]:
            keys.setdefault(row["table_name"], []).append((row["key"], row["column_name"]))
    if unknown := names.keys() - set(TABLES) - set(LOCAL):
        raise Unsupported(f"{path} has tables that no move knows: {', '.join(sorted(unknown))}")
    return {table: (tuple(names[table]), tuple(name for _, name in sorted(keys[table]))) for table in TABLES}


def pages(tx: Read, table: str, columns: Columns) -> Iterator[list[tuple[Value, ...]]]:
    """Yield every row that is moved, in the order of the primary key, some at a time."""
    names, key = columns
    at = [names.index(name) for name in key]
    first = SQL["move_page"].fill(columns=quoted(names), rows=table, key=quoted(key), after=own(table))
    marks = ", ".join(f":{name}" for name in key)
    after = f"({quoted(key)}) > ({marks}) AND {own(table)}"
    later = SQL["move_page"].fill(columns=quoted(names), rows=table, key=quoted(key), after=after)
    page = tx.tuples(first, page=_PAGE)
    while page:
        yield page
        last = {name: page[-1][place] for name, place in zip(key, at, strict=True)}
        page = tx.tuples(later, page=_PAGE, **last) if len(page) == _PAGE else []


def count(tx: Read, table: str) -> int:
    """Return how many rows of ``table`` somebody put there, that a move would take along."""
    row = tx.row(SQL["move_count"].fill(rows=table, which=_AS_MADE.get(table, own(table))))
    return int(row["found"]) if row else 0


def own(table: str) -> str:
    """Return which rows of ``table`` are moved, in SQL."""
    return _OWN.get(table, "1 = 1")


def quoted(names: tuple[str, ...]) -> str:
    """Return the names of columns as both engines read them; some are words of SQL."""
    return ", ".join(f'"{name}"' for name in names)
