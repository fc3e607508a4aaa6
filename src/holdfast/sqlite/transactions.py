"""A transaction in hand: what a store function is given to read or to write with.

Knows statements and rows. When a transaction begins, and whether it is kept,
is decided elsewhere (``core.py``, ``baton.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import apsw

from holdfast.engine import Row
from holdfast.errors import HoldfastError, Refused
from holdfast.sql import Statement
from holdfast.sqlite import codes, settings

# apsw: KeyError for a parameter without a value, TypeError for a type SQLite has not, OverflowError for an integer of
# more than 64 bits, UnicodeError for a text with a lone surrogate.
_FAILURES = (apsw.Error, KeyError, TypeError, OverflowError, UnicodeError)

# `changes()` keeps its last value when a statement is not one of these.
_CHANGES_ROWS = ("INSERT", "UPDATE", "DELETE", "REPLACE", "WITH")
_BOUNDARIES = ("BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE", "ATTACH", "DETACH")
_BOUNDARY_ACTIONS = (
    apsw.SQLITE_TRANSACTION,
    apsw.SQLITE_SAVEPOINT,
    apsw.SQLITE_ATTACH,
    apsw.SQLITE_DETACH,
)

_first_words: dict[str, str] = {}


class Reading:
    """A snapshot: every row seen in one transaction is of the same moment, that of its first statement."""

    __slots__ = ("_connection", "depth", "now_ms", "release")

    def __init__(self, connection: apsw.Connection, now_ms: int) -> None:
        self._connection: apsw.Connection | None = connection
        self.now_ms = now_ms
        self.depth = 1
        self.release: Callable[[], None] = _nothing

    def row(self, statement: Statement, /, **params: object) -> Row | None:
        """Return the first row, or None. Raises ``Refused`` for bad SQL or a value that is missing."""
        connection = self._ready(statement)
        try:
            cursor = connection.execute(statement.sqlite, params)
            first = cursor.fetchone()
            if first is None:
                return None
            names = [column[0] for column in cursor.get_description()]
            cursor.close()  # the rest is not wanted, and an open cursor pins the WAL
        except _FAILURES as error:
            raise self.failed(connection, error, statement.name) from error
        return dict(zip(names, first, strict=True))

    def rows(self, statement: Statement, /, **params: object) -> list[Row]:
        """Return every row; all are fetched before this returns. 25 rows of 30 columns: 0.1 ms."""
        connection = self._ready(statement)
        try:
            cursor = connection.execute(statement.sqlite, params)
            try:
                # Asked for each time (1 us for 30 columns): names kept by the text of the
                # statement would outlive a column renamed by another process.
                names = [column[0] for column in cursor.get_description()]
            except apsw.ExecutionCompleteError:
                return []
            return [dict(zip(names, row)) for row in cursor]  # noqa: B905 - the widths are SQLite's; strict costs 5 %
        except _FAILURES as error:
            raise self.failed(connection, error, statement.name) from error

    def tuples(self, statement: Statement, /, **params: object) -> list[tuple[Any, ...]]:
        """Return every row as a tuple, columns in the statement's order; all are fetched before this returns."""
        connection = self._ready(statement)
        try:
            return connection.execute(statement.sqlite, params).fetchall()
        except _FAILURES as error:
            raise self.failed(connection, error, statement.name) from error

    @property
    def user_version(self) -> int:
        """The schema number in the file's header."""
        return settings.pragma_int(self._live(), "user_version")

    def end(self) -> None:
        """Make every later use of this object a ``Refused``."""
        self._connection = None

    def bare(self) -> apsw.Connection:
        """Return the connection itself, for the files of this folder that run other people's SQL texts."""
        return self._live()

    def _live(self) -> apsw.Connection:
        if self._connection is None:
            raise Refused("this transaction is over: what it returned may be kept, the transaction itself may not")
        return self._connection

    def _ready(self, statement: Statement) -> apsw.Connection:
        if statement.slots:
            raise Refused(f"{statement.name}: the slots {sorted(statement.slots)} are still open; call fill() first")
        if _first_word(statement.sqlite) in _BOUNDARIES:
            raise Refused(f"{statement.name}: where a transaction begins and ends is the store's to say")
        return self._live()

    def failed(self, connection: apsw.Connection, error: Exception, doing: str) -> HoldfastError:
        """Return what a statement raised as one of ours."""
        if isinstance(error, apsw.Error):
            return codes.translate(error, doing, connection.system_errno)
        if isinstance(error, UnicodeError):
            return Refused(f"{doing}: a text with a lone surrogate is no Unicode, and cannot be stored or looked for")
        missing = f"no value for :{error.args[0]}" if isinstance(error, KeyError) else str(error)
        return Refused(f"{doing}: {missing}")


class Writing(Reading):
    """The one writer's transaction. ``reserve`` says it may use the room above the WAL's hard limit."""

    __slots__ = ("broken", "first", "reserve")

    def __init__(self, connection: apsw.Connection, now_ms: int, *, first: bool, reserve: bool) -> None:
        super().__init__(connection, now_ms)
        self.first = first
        self.reserve = reserve
        self.broken: HoldfastError | None = None
        """Why SQLite rolled the whole group back by itself, once it has."""

    def run(self, statement: Statement, /, **params: object) -> int:
        """Execute, and return how many rows changed (those a trigger changed are not counted)."""
        connection = self._ready(statement)
        try:
            for _ in connection.execute(statement.sqlite, params):
                pass  # rows of a RETURNING that nobody asked for
        except _FAILURES as error:
            raise self.failed(connection, error, statement.name) from error
        return connection.changes() if _first_word(statement.sqlite) in _CHANGES_ROWS else 0

    def run_many(self, statement: Statement, params: Iterable[Mapping[str, object]], /) -> int:
        """Execute once per mapping, and return how many rows changed in all, those of triggers included.

        About 1.2 us per row beside SQLite's own work; a loop of ``run`` costs twice that.
        """
        connection = self._ready(statement)
        before = connection.total_changes()
        try:
            for _ in connection.executemany(statement.sqlite, params):
                pass
        except _FAILURES as error:
            raise self.failed(connection, error, statement.name) from error
        return connection.total_changes() - before

    def script(self, text: str) -> None:
        """Run several statements, as a migration does. ``Refused`` if one begins or ends a transaction."""
        connection = self._live()
        # Only for scripts: setting an authorizer makes SQLite prepare every statement again.
        connection.authorizer = _within_bounds
        try:
            for _ in connection.execute(text):
                pass
        except apsw.Error as error:
            raise self.failed(connection, error, "script") from error
        finally:
            connection.authorizer = None

    def hint(self) -> None:
        """Do nothing: who waits for changes notices every commit (``looking.py``)."""

    def alone_to_migrate(self) -> None:
        """Do nothing: a write of this engine is the only one."""

    @property
    def user_version(self) -> int:
        """The schema number in the file's header; setting it is part of the transaction."""
        return settings.pragma_int(self._live(), "user_version")

    @user_version.setter
    def user_version(self, version: int) -> None:
        connection = self._live()
        try:
            connection.execute(f"PRAGMA user_version = {int(version)}")
        except apsw.Error as error:
            raise self.failed(connection, error, "user_version") from error

    def _live(self) -> apsw.Connection:
        if self.broken is not None:
            # The connection is in autocommit now: anything run here would be kept for good.
            raise type(self.broken)(f"this transaction was rolled back: {self.broken}")
        return super()._live()

    def failed(self, connection: apsw.Connection, error: Exception, doing: str) -> HoldfastError:
        """Return what a statement raised, and note when SQLite ended the transaction with it."""
        failure = super().failed(connection, error, doing)
        if not connection.in_transaction:
            self.broken = failure
        return failure


def _first_word(text: str) -> str:
    word = _first_words.get(text)
    if word is None:
        word = _first_words[text] = (text.split(None, 1) or [""])[0].upper().rstrip(";")
    return word


def _within_bounds(action: int, *_names: Any) -> int:
    return apsw.SQLITE_DENY if action in _BOUNDARY_ACTIONS else apsw.SQLITE_OK


def _nothing() -> None: ...
