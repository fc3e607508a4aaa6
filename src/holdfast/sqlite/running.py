"""One statement of somebody else's, run on one connection and fetched whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import apsw

from holdfast.sqlite import exceptions
from holdfast.sqlite.texts import Text
from holdfast.sqlite.transactions import Reading, Writing

Description = tuple[tuple[Any, ...], ...]
Params = Sequence[Any] | Mapping[str, Any]


@dataclass(slots=True)
class Answer:
    """Every row, the columns, and how many rows were changed: -1 for a statement that is not of those that change."""

    rows: list[tuple[Any, ...]]
    description: Description | None = None
    changed: int = -1

    @classmethod
    def of(cls, name: str, rows: list[tuple[Any, ...]]) -> Answer:
        """Return an answer of one column; without rows it is that of a statement that gives none."""
        return cls(rows, (column(name),) if rows else None)


def column(name: str) -> tuple[Any, ...]:
    """Return the description of a column that has no declared type (PEP 249)."""
    return (name, None, None, None, None, None, None)


class Run:
    """A statement with its values; with ``many``, ``params`` are the values of many. May be run again."""

    __slots__ = ("_changed", "_has_columns", "_many", "_params", "ran", "text")

    def __init__(self, text: Text, params: Params | Iterable[Params], *, many: bool = False) -> None:
        self.text = text
        self._params: Any = params
        self._many = many
        self.ran = False
        """Whether SQLite understood the statement and had its values, and so began."""
        self._changed = 0
        self._has_columns = False

    def on(self, tx: Reading, last_rowid: int) -> Answer:
        """Run on the connection of ``tx``. ``last_rowid`` is what ``last_insert_rowid()`` is to be there.

        Raises one of ours for what SQLite says, ``ProgrammingError`` and
        ``OverflowError`` for values that cannot be bound.
        """
        text, connection = self.text, tx.bare()
        if isinstance(tx, Writing) or text.asks_rowid:
            # The connection is shared: the last id it knows may be another's.
            connection.set_last_insert_rowid(last_rowid)
        self.ran, self._changed, self._has_columns = False, 0, False
        columns = None
        cursor = connection.cursor()
        cursor.exec_trace = self._begins
        try:
            if self._many:
                for _ in cursor.executemany(text.sql, self._params):
                    pass
                rows = []
            else:
                cursor.execute(text.sql, self._params)
                columns = self._columns(cursor)
                rows = cursor.fetchall()
        except (apsw.BindingsError, KeyError, TypeError, OverflowError, UnicodeError) as error:
            raise exceptions.of_binding(error) from error
        except apsw.Error as error:
            raise tx.failed(connection, error, "statement") from error
        finally:
            cursor.close(True)
        changed = -1
        if text.changing:
            changed = self._changed + (connection.changes() if self.ran else 0)
        return Answer(rows, columns, changed)

    def _begins(self, cursor: apsw.Cursor, _sql: str, _values: object) -> bool:
        # Called when the statement is understood and its values are bound, before it runs.
        if self.ran:
            self._changed += cursor.connection.changes()
        else:
            self.ran = True
            self._has_columns = bool(cursor.get_description())
        return True

    def _columns(self, cursor: apsw.Cursor) -> Description | None:
        if not self._has_columns:
            return None
        with suppress(apsw.ExecutionCompleteError):
            return cursor.description
        # Done already, without a row, and then it no longer tells. Its first step prepared it
        # again if the schema had changed: only now are its columns those of today.
        found: list[Description] = []

        def look_only(again: apsw.Cursor, _sql: str, _values: object) -> bool:
            found.append(again.description)
            return False

        cursor.exec_trace = look_only
        with suppress(apsw.ExecTraceAbort):
            cursor.execute(self.text.sql, self._params)
        return found[0]
