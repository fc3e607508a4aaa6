"""Rows of another program's live database, touched as a polite neighbour would.

A plain connection for a moment: no seat file, no other journal mode, no upkeep,
nothing that its owner's own connections do not do. A write is IMMEDIATE, looks
whether the rows are what was planned on, and is durable when it returns. The
statements are made here and not named in a file: tables and columns are the
owner's, and come with the rows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import apsw

from holdfast.changes import Blob, Row, Rows, Value
from holdfast.errors import Busy, Damaged, HoldfastError, Stale
from holdfast.sql import quoted
from holdfast.sqlite import codes, creation, settings

WAIT_MS = 5_000
"""As long as the owners we know wait for each other."""

Standing = Literal["before", "after", "changed"]


class Look:
    """One moment of a database."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def columns(self, table: str) -> dict[str, bool]:
        """Return the columns of a table, True for those of its primary key; empty when there is no such table."""
        found = self._connection.execute("SELECT name, pk FROM pragma_table_info(?)", (table,)).fetchall()
        return {str(name): bool(pk) for name, pk in found}

    def required(self, table: str) -> frozenset[str]:
        """Return the columns that every new row must be given: neither NULL nor a default will do."""
        text = 'SELECT name FROM pragma_table_info(?) WHERE "notnull" AND dflt_value IS NULL'
        return frozenset(str(name) for (name,) in self._connection.execute(text, (table,)))

    def largest(self, table: str, column: str) -> int:
        """Return the largest whole number in a column; 0 when there is none, or no such column."""
        if column not in self.columns(table):
            return 0
        found = self._connection.execute(f"SELECT max({quoted(column)}) FROM {quoted(table)}").fetchall()[0][0]
        return found if isinstance(found, int) else 0

    def rows(self, table: str, where: Mapping[str, Value]) -> list[dict[str, Value]]:
        """Return the rows that have these values, by column; with no value given, all."""
        columns = list(self.columns(table))
        if not columns:
            return []
        return _select(self._connection, table, columns, where)


@contextmanager
def looking(path: str) -> Iterator[Look]:
    """Look at a database without a trace: one that nobody uses is read without sidecars or locks.

    Raises ``Damaged``, ``Busy``, ``Unsupported``: also inside.
    """
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    with _connected(path, creation.uri(path, immutable=not creation.in_use(path)), flags) as connection:
        connection.execute("BEGIN")
        yield Look(connection)


def standing(rows: Rows, *, to_change: bool = False) -> Standing:
    """Return how the rows stand: all as before, all as after, or neither.

    With ``to_change`` as one who could write now, which waits for another
    writer, and raises ``Busy`` when it is at work for too long. A row that was
    to be changed and is not there counts as either, and so does a database
    that is not there: its owner makes it anew from the files.
    """
    if not os.path.exists(rows.path):
        return "before"
    if not to_change:
        with looking(rows.path) as look:
            return _standing(look._connection, rows)
    with _connected(rows.path, rows.path, apsw.SQLITE_OPEN_READWRITE) as connection:
        connection.execute("BEGIN IMMEDIATE")
        return _standing(connection, rows)


def turn(rows: Rows, *, back: bool = False) -> None:
    """Have the rows as after, or ``back`` as before, in one transaction. One sync.

    Done already is done. Raises ``Stale`` when they are neither; then, and with
    ``Busy``, nothing was changed. ``OutcomeUnknown``: ask ``standing``.
    """
    if not os.path.exists(rows.path):
        return
    settings.check_version()
    wanted: Standing = "before" if back else "after"
    with _connected(rows.path, rows.path, apsw.SQLITE_OPEN_READWRITE) as connection:
        # A commit that the receipt notes must not be taken back by a power cut.
        settings.run_all(connection, "PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF;")
        connection.execute("BEGIN IMMEDIATE")
        now = _standing(connection, rows)
        if now == wanted:
            return
        if now == "changed":
            raise Stale(f"rows of {rows.path} were changed meanwhile", remedy="Give the command again.")
        for row in rows.rows:
            _set(connection, row, *((row.after, row.before) if back else (row.before, row.after)))
        try:
            connection.execute("COMMIT")
        except apsw.Error as error:
            raise codes.translate_commit(error, rows.path, connection.system_errno) from error


@contextmanager
def _connected(path: str, name: str, flags: int) -> Iterator[apsw.Connection]:
    patience = settings.Patience()
    patience.deadline_ns = settings.deadline(WAIT_MS)
    try:
        connection = settings.connect(name, flags, patience)
    except apsw.Error as error:
        raise _told(codes.translate(error, path)) from error
    try:
        yield connection
    except apsw.Error as error:
        raise _told(codes.translate(error, path, connection.system_errno)) from error
    finally:
        connection.close()  # what was not committed is taken back


def _told(error: HoldfastError) -> HoldfastError:
    """Say what to do about a file that is not ours to mend."""
    if type(error) is Busy:
        error.remedy = "Another program is writing it: try again."
    elif isinstance(error, Damaged):
        error.remedy = "It is another program's: let that mend it. Once it is moved away, the rest can be done."
    return error


def _standing(connection: apsw.Connection, rows: Rows) -> Standing:
    found = [_fits(connection, row) for row in rows.rows]
    if all(before for before, _ in found):
        return "before"
    return "after" if all(after for _, after in found) else "changed"


def _fits(connection: apsw.Connection, row: Row) -> tuple[bool, bool]:
    """Return whether the row is as before, and whether it is as after."""
    columns = list(row.before or row.after or ())
    now = next(iter(_select(connection, row.table, columns, row.key)), None)
    if now is None:
        changes = row.before is not None and row.after is not None
        return changes or row.before is None, changes or row.after is None
    return _alike(now, row.before, row.loose), _alike(now, row.after, row.loose)


def _alike(now: dict[str, Value], then: dict[str, Value] | None, loose: tuple[str, ...]) -> bool:
    return then is not None and all(now[column] == value for column, value in then.items() if column not in loose)


def _select(
    connection: apsw.Connection, table: str, columns: list[str], where: Mapping[str, Value]
) -> list[dict[str, Value]]:
    text = f"SELECT {', '.join(map(quoted, columns))} FROM {quoted(table)} WHERE {_conditions(where)}"
    found = connection.execute(text, _bound(where)).fetchall()
    return [{column: _value(value) for column, value in zip(columns, row, strict=True)} for row in found]


def _set(connection: apsw.Connection, row: Row, old: dict[str, Value] | None, new: dict[str, Value] | None) -> None:
    table = quoted(row.table)
    if new is None:
        connection.execute(f"DELETE FROM {table} WHERE {_conditions(row.key)}", _bound(row.key))
    elif old is None:
        marks = ", ".join("?" * len(new))
        connection.execute(f"INSERT INTO {table} ({', '.join(map(quoted, new))}) VALUES ({marks})", _bound(new))
    else:
        sets = ", ".join(f"{quoted(column)} = ?" for column in new)
        text = f"UPDATE {table} SET {sets} WHERE {_conditions(row.key)}"
        connection.execute(text, _bound(new) + _bound(row.key))


def _conditions(where: Mapping[str, Value]) -> str:
    return " AND ".join(f"{quoted(column)} IS ?" for column in where) or "1"


def _bound(values: Mapping[str, Value]) -> tuple[apsw.SQLiteValue, ...]:
    return tuple(value.data if isinstance(value, Blob) else value for value in values.values())


def _value(value: apsw.SQLiteValue) -> Value:
    return Blob(bytes(value)) if isinstance(value, (bytes, bytearray, memoryview)) else value
