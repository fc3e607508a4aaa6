"""The table of a log database, recognised by its columns: nothing in a plan can make another table of it."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.errors import Refused
from holdfast.sqlite import mending

TABLE = "logs"
_COLUMNS = {"id", "ts", "level", "target"}
_MS_FROM = 100_000_000_000
"""A time above this is in ms: in seconds it would lie in the year 5138."""


@dataclass(frozen=True, slots=True)
class LogTable:
    """``rows`` it has, and how its ``ts`` counts: ``unit`` of them are a second."""

    rows: int
    unit: int


def look(path: str) -> LogTable:
    """Return what is in the log table of a database that nobody else has open. Raises ``Refused``, ``Damaged``."""
    columns = {str(name) for (name,) in mending.ask(path, "SELECT name FROM pragma_table_info(?)", (TABLE,))}
    if not columns >= _COLUMNS:
        missing = ", ".join(sorted(_COLUMNS - columns))
        raise Refused(f"{path} has no log table as agents keep it: {TABLE} lacks {missing}")
    ((rows, newest),) = mending.ask(path, f"SELECT count(*), max(ts) FROM {TABLE}")
    assert isinstance(rows, int)
    return LogTable(rows, 1_000 if isinstance(newest, int) and newest > _MS_FROM else 1)
