"""Rows of the board's tables as values, and back. Reads and writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from holdfast import columns, sql
from holdfast.board.model import BlockKind, Board, Event, Outcome, Run, Status, Task
from holdfast.board.rules import WHY_MAX
from holdfast.errors import Damaged
from holdfast.holds import owner as owners

SQL = sql.load("holdfast.board")

_STATUS = {str(status): status for status in Status}
_BLOCKS: dict[str | None, BlockKind | None] = {None: None, **{str(kind): kind for kind in BlockKind}}
_OUTCOMES: dict[str | None, Outcome | None] = {None: None, **{str(each): each for each in Outcome}}


def task(row: Mapping[str, Any]) -> Task:
    """Return the row as a task. Raises ``Damaged`` when it cannot be read."""
    try:
        words = dict(row)
        words["status"] = _STATUS[words["status"]]
        came_from = words["archived_from"]
        words["archived_from"] = None if came_from is None else _STATUS[came_from]
        words["block_kind"] = _BLOCKS[words["block_kind"]]
        words["owner"] = owners.load(words["owner"]) if words["owner"] else None
        words["result"] = columns.loaded(words["result"])
        words["metadata"] = columns.loaded(words["metadata"])
        return Task(**words)
    except (msgspec.DecodeError, UnicodeError, KeyError) as error:
        raise Damaged(
            f"task {row['task_id']} cannot be read: {error}",
            remedy="Something else wrote this row of the table `tasks`. Mend it when nobody works on it.",
        ) from error


def board(row: Mapping[str, Any]) -> Board:
    """Return the row as a board."""
    return Board(**row)


def run(row: Mapping[str, Any]) -> Run:
    """Return the row as a run. Raises ``Damaged`` when it cannot be read."""
    try:
        words = dict(row)
        words["owner"] = owners.load(words["owner"]) if words["owner"] else None
        words["outcome"] = _OUTCOMES[words["outcome"]]
        words["metadata"] = columns.loaded(words["metadata"])
        return Run(**words)
    except (msgspec.DecodeError, UnicodeError, KeyError) as error:
        raise Damaged(f"run {row['run_id']} of task {row['task_id']} cannot be read: {error}") from error


def event(row: Mapping[str, Any]) -> Event:
    """Return the row as an event."""
    return Event(**{**row, "payload": columns.loaded(row["payload"])})


def dumped(value: Any, what: str) -> str | None:
    """Return ``value`` as JSON text, None for None. Raises ``Refused`` for what is no JSON, or over 64 KiB."""
    return columns.dumped(value, what, remedy="Attach it as a file, or put it into one and its path here.")


def said(words: object, most: int = WHY_MAX) -> str:
    """Return what is remembered of what somebody said: its text, cut at ``most`` characters."""
    return columns.said(words, most)
