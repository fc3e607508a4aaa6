"""A transaction in hand: what a store function is given to read or to write with.

Knows statements and rows. When a transaction begins, and whether it is kept,
is decided in ``beginning.py``, ``committing.py`` and ``store.py``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from typing import Any

import psycopg

from holdfast.engine import Row
from holdfast.errors import HoldfastError, Refused
from holdfast.postgres import codes
from holdfast.postgres.connections import Connection
from holdfast.sql import Statement

# Besides psycopg's own: KeyError for a parameter without a value, UnicodeError for a lone surrogate.
FAILURES = (psycopg.Error, KeyError, UnicodeError)

_BOUNDARIES = ("BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE", "PREPARE", "SET")
_CHANGES_ROWS = ("INSERT", "UPDATE", "DELETE", "MERGE")
_first_words: dict[str, str] = {}


class Reading:
    """A snapshot: every row seen in one transaction is of the same moment."""

    __slots__ = ("_connection", "_pid", "broken", "depth", "now_ms")

    def __init__(self, connection: Connection, now_ms: int) -> None:
        self._connection: Connection | None = connection
        self._pid = os.getpid()
        self.now_ms = now_ms
        self.depth = 1
        self.broken: HoldfastError | None = None
        """What failed in it. PostgreSQL then takes nothing more in this transaction."""

    def row(self, statement: Statement, /, **params: object) -> Row | None:
        """Return the first row, or None. Raises ``Refused`` for bad SQL or a value that is missing."""
        cursor = self._execute(statement, params)
        names = _names(cursor)
        first = cursor.fetchone() if names else None
        return None if first is None else dict(zip(names, first, strict=True))

    def rows(self, statement: Statement, /, **params: object) -> list[Row]:
        """Return every row; all are fetched before this returns."""
        cursor = self._execute(statement, params)
        names = _names(cursor)
        if not names:
            return []
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def tuples(self, statement: Statement, /, **params: object) -> list[tuple[Any, ...]]:
        """Return every row as a tuple, columns in the statement's order; all are fetched before this returns."""
        cursor = self._execute(statement, params)
        return cursor.fetchall() if _names(cursor) else []

    @property
    def user_version(self) -> int:
        """How many migrations the schema counts: the row of ``header``; 0 when there is none."""
        (table,) = self._simple("SELECT to_regclass('header')", "user_version")[0]
        if table is None:
            return 0
        rows = self._simple("SELECT user_version FROM header", "user_version")
        return int(rows[0][0]) if rows else 0

    def end(self) -> None:
        """Make every later use of this object a ``Refused``."""
        self._connection = None

    def _execute(self, statement: Statement, params: Mapping[str, object]) -> psycopg.Cursor[tuple[Any, ...]]:
        connection = self._ready(statement)
        began_ns = time.monotonic_ns()
        try:
            return connection.execute(statement.postgres, params)
        except FAILURES as error:
            raise self._failed(error, statement.name, began_ns) from error

    def _simple(self, text: str, doing: str) -> list[tuple[Any, ...]]:
        began_ns = time.monotonic_ns()
        try:
            cursor = self._live().execute(text)
            return cursor.fetchall() if cursor.description else []
        except FAILURES as error:
            raise self._failed(error, doing, began_ns) from error

    def _ready(self, statement: Statement) -> Connection:
        if statement.slots:
            raise Refused(f"{statement.name}: the slots {sorted(statement.slots)} are still open; call fill() first")
        if _first_word(statement.postgres) in _BOUNDARIES:
            raise Refused(f"{statement.name}: where a transaction begins and ends is the store's to say")
        return self._live()

    def _live(self) -> Connection:
        if self._connection is None or self._pid != os.getpid():
            raise Refused("this transaction is over: what it returned may be kept, the transaction itself may not")
        if self.broken is not None:
            raise type(self.broken)(f"this transaction was rolled back: {self.broken}", remedy=self.broken.remedy)
        return self._connection

    def _failed(self, error: Exception, doing: str, began_ns: int) -> HoldfastError:
        if isinstance(error, KeyError):
            return Refused(f"{doing}: no value for :{error.args[0]}")
        if isinstance(error, UnicodeError):
            return Refused(f"{doing}: a text with a lone surrogate is no Unicode, and cannot be stored or looked for")
        failure = codes.translate(error, doing, (time.monotonic_ns() - began_ns) // 1_000_000)
        status = None if self._connection is None else self._connection.info.transaction_status
        if status != psycopg.pq.TransactionStatus.INTRANS:
            self.broken = failure
        return failure


class Writing(Reading):
    """A transaction that may write. Others write at the same time; rows they changed are waited for."""

    __slots__ = ("hinted", "schema", "server_ms", "token", "wrote")

    def __init__(self, connection: Connection, now_ms: int, server_ms: int, schema: str) -> None:
        super().__init__(connection, now_ms)
        self.schema = schema
        self.server_ms = server_ms
        self.hinted = False
        """Whether others are to hear of it once it is kept (``listening.py``)."""
        self.token = True
        """Whether its COMMIT leaves a token behind (``committing.py``)."""
        self.wrote = False
        """Whether there is anything to keep: more than SELECT was run."""

    def run(self, statement: Statement, /, **params: object) -> int:
        """Execute, and return how many rows changed (those a trigger changed are not counted)."""
        cursor = self._execute(statement, params)
        changed = (cursor.statusmessage or "").partition(" ")[0] in _CHANGES_ROWS
        return max(cursor.rowcount, 0) if changed else 0

    def run_many(self, statement: Statement, params: Iterable[Mapping[str, object]], /) -> int:
        """Execute once per mapping, in few round trips, and return how many rows changed in all."""
        connection = self._ready(statement)
        began_ns = time.monotonic_ns()
        with connection.cursor() as cursor:
            try:
                cursor.executemany(statement.postgres, params)
            except FAILURES as error:
                raise self._failed(error, statement.name, began_ns) from error
            return max(cursor.rowcount, 0)

    def script(self, text: str) -> None:
        """Run several statements, as a migration does. ``Refused`` if one begins or ends a transaction."""
        self.wrote = True
        self._simple(text, "script")
        connection = self._live()
        if connection.info.transaction_status != psycopg.pq.TransactionStatus.INTRANS:
            self.broken = Refused("script: where a transaction begins and ends is the store's to say")
            raise self.broken

    def hint(self) -> None:
        """Have those who wait for changes look at once, when this is kept."""
        self.hinted = True

    def alone_to_migrate(self) -> None:
        """Wait until nobody else changes the shape of our schema, and make the schema when it is missing.

        The lock ends with the transaction, so it works behind a pooler, too.
        """
        self.token = False  # the table it would go into is what is being made
        self._simple(f"SELECT pg_advisory_xact_lock(hashtextextended('holdfast {self.schema}', 0))", "migrate")
        (there,) = self._simple(f"SELECT to_regnamespace('{self.schema}')", "migrate")[0]
        if there is None:
            self._simple(f"CREATE SCHEMA {self.schema}", "migrate")

    @property
    def user_version(self) -> int:
        """How many migrations the schema counts; setting it is part of the transaction."""
        return super().user_version

    @user_version.setter
    def user_version(self, version: int) -> None:
        self._simple(
            f"INSERT INTO header (one, user_version) VALUES (1, {int(version)})"
            " ON CONFLICT (one) DO UPDATE SET user_version = excluded.user_version",
            "user_version",
        )

    def _ready(self, statement: Statement) -> Connection:
        connection = super()._ready(statement)
        if _first_word(statement.postgres) != "SELECT":
            self.wrote = True
        return connection


def _names(cursor: psycopg.Cursor[Any]) -> list[str]:
    # Of libpq itself: `description` makes an object for each column each time it is looked at, and was a sixth of what
    # a claim and its end cost this process.
    result = cursor.pgresult
    return [] if result is None else [(result.fname(at) or b"").decode() for at in range(result.nfields)]


def _first_word(text: str) -> str:
    word = _first_words.get(text)
    if word is None:
        word = _first_words[text] = (text.split(None, 1) or [""])[0].upper().rstrip(";")
    return word
