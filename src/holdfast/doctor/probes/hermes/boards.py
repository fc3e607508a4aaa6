"""One board of Hermes as its probes see it: what tables it has, what they hold, and how a finding is made of that."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from holdfast import sql
from holdfast.doctor.model import Confidence, Database, Finding, Json, Status
from holdfast.doctor.probes.wording import sentence
from holdfast.engine import Row
from holdfast.sql import Statement
from holdfast.sqlite.inspecting import Inspection, Value

SQL = sql.load("holdfast.doctor.probes.hermes")


class Board:
    """A board that is open for looking. What an old version has not is not asked for: see ``has``."""

    SHOWN = 5
    """How many of a kind a sentence names."""
    LISTED = 1_000
    """How many of a kind are counted; more say nothing new."""

    def __init__(self, database: Database, inspection: Inspection) -> None:
        self.path = database.path
        self._inspection = inspection
        self._columns: dict[str, set[str]] = defaultdict(set)
        for row in inspection.rows(SQL["columns"].sqlite):
            self._columns[str(row["table_name"])].add(str(row["column_name"]))

    def has(self, table: str, *columns: str) -> bool:
        """Return True when the table has all of these."""
        return self._columns.get(table, set()) >= set(columns) and table in self._columns

    def ask(self, statement: Statement, **params: Value) -> Sequence[Row]:
        """Return every row, all of one moment. Raises ``UnreadError``."""
        return self._inspection.rows(statement.sqlite, params)

    @classmethod
    def first(cls, found: Iterable[str]) -> list[Json]:
        """Return the first of these, for ``details``."""
        return list(found)[: 4 * cls.SHOWN]

    def finding(
        self,
        id: str,
        *,
        measured: str,
        expected: str,
        cause: str,
        remedy: str,
        confidence: Confidence = Confidence.CERTAIN,
        repair: str | None = None,
        **details: Any,
    ) -> Finding:
        """Return a finding about this board. None of them loses anything by waiting: all are warnings."""
        return Finding(
            id=id,
            status=Status.WARN,
            path=self.path,
            measured=sentence(measured),
            expected=sentence(expected),
            confidence=confidence,
            cause=cause,
            remedy=remedy,
            repair=repair,
            details=details,
        )
