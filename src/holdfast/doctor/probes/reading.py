"""A database that is being inspected, as a ``Read``: what the probes and stores of other rooms are given.

All that is asked of one ``Reading`` is of one moment, and must be asked within it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from holdfast import sql
from holdfast.clock import Anchor, boot_id, wall_ms
from holdfast.doctor.homes.look import SqlLook
from holdfast.doctor.model import Database
from holdfast.engine import Row
from holdfast.sql import Statement, statement
from holdfast.sqlite.inspecting import Inspection

_SCHEMA = sql.load("holdfast.schema")
_HAS_ANCHORS = statement("SELECT 1 AS yes FROM sqlite_schema WHERE name = 'clock_anchors'", "has_anchors")


class Reading:
    """See the module. Raises ``UnreadError``, also when the moment is over."""

    def __init__(self, inspection: Inspection) -> None:
        self._inspection = inspection
        anchored = self.row(_SCHEMA["get_anchor"], boot_id=boot_id()) if self.row(_HAS_ANCHORS) else None
        # Asked for after the first statement: what others wrote before this moment, they wrote at an earlier time.
        self.now_ms = wall_ms() if anchored is None else Anchor(**anchored).now_ms()

    @property
    def user_version(self) -> int:
        """How many migrations the file counts."""
        return self._inspection.number("PRAGMA user_version")

    def row(self, statement: Statement, /, **params: object) -> Row | None:
        """See ``Read.row``."""
        return next(iter(self.rows(statement, **params)), None)

    def rows(self, statement: Statement, /, **params: Any) -> list[Row]:
        """See ``Read.rows``."""
        return list(self._inspection.rows(statement.sqlite, params))

    def tuples(self, statement: Statement, /, **params: Any) -> list[tuple[Any, ...]]:
        """See ``Read.tuples``. No two columns may have one name."""
        return [tuple(row.values()) for row in self._inspection.rows(statement.sqlite, params)]


@contextmanager
def reading(look: SqlLook, database: Database) -> Iterator[Reading | None]:
    """Look at one moment of a database; None when it cannot be opened, which the probes of every database say.

    Raises ``UnreadError`` when the moment would last too long, or the file cannot be read after all.
    """
    inspection = look.open(database)
    if inspection is None:
        yield None
        return
    with inspection.moment():
        yield Reading(inspection)
