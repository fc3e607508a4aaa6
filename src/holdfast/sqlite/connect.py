"""``connect``: the shape of ``sqlite3.connect`` for code that exists, backed by the one store of the process.

    from holdfast import sqlite as sqlite3

    with sqlite3.connect("notes.db") as conn:  # leaving commits, and closes
        conn.execute("INSERT INTO notes (text) VALUES (?)", ("hello",))

A connection is a handle, not a descriptor: opening and closing one per tick
costs microseconds, and one that nobody closes leaks nothing. ``docs/connect.md``
has the differences from the standard library, one by one.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Literal

from holdfast.errors import HoldfastError
from holdfast.sqlite import exceptions, linger
from holdfast.sqlite.exceptions import NotSupportedError, OperationalError, ProgrammingError
from holdfast.sqlite.running import Answer, Description, Params
from holdfast.sqlite.session import Session
from holdfast.sqlite.settings import Durability, Limits

IsolationLevel = Literal["", "DEFERRED", "IMMEDIATE", "EXCLUSIVE"] | None
RowFactory = Callable[["Cursor", tuple[Any, ...]], Any]


def connect(
    path: str | bytes | os.PathLike[str],
    timeout: float = 5.0,
    detect_types: int = 0,
    isolation_level: IsolationLevel = "",
    check_same_thread: bool = True,
    *,
    cached_statements: int = 128,
    uri: bool = False,
    durability: Durability | None = None,
    limits: Limits | None = None,
) -> Connection:
    """Open a database file of any program, and create it when missing (0600). 15 us when it is open already.

    ``timeout`` in seconds is how long a write waits for another. With
    ``isolation_level`` None every statement is a transaction by itself. A file
    with a rollback journal becomes one with a write-ahead log. ``durability``
    and ``limits`` are those of ``Store.open``; without them the file is opened
    as it is open already, or ``full``. ``check_same_thread`` and
    ``cached_statements`` are accepted and change nothing.

    Raises ``OperationalError`` or ``DatabaseError`` when the file cannot be
    opened, ``NotSupportedError`` for ``:memory:``, ``uri`` and ``detect_types``.
    """
    del check_same_thread, cached_statements
    name = os.fsdecode(path)
    if name in ("", ":memory:") or uri:
        what = "a URI" if uri else f"{name!r}"
        raise NotSupportedError(
            f"{what} cannot be shared: holdfast.sqlite.connect takes the path of a file",
            remedy="For a database in memory use apsw or sqlite3; to look without writing, holdfast.sqlite.Store.peek.",
        )
    if detect_types:
        raise NotSupportedError("detect_types is refused: values come as SQLite has them; convert them yourself")
    implicit = _is_implicit(isolation_level)
    if not os.path.isdir(os.path.dirname(os.path.abspath(name))):
        raise OperationalError(f"unable to open database file: {name} lies in no directory")
    try:
        core = linger.take(name, durability, limits, None)
    except HoldfastError as error:
        raise exceptions.from_ours(error) from error
    return Connection(Session(core, int(timeout * 1000), implicit), isolation_level)


class Connection:
    """A handle on the file, with a transaction of its own, made by ``connect``. Threads may share it."""

    def __init__(self, session: Session, isolation_level: IsolationLevel) -> None:
        self._session = session
        self._isolation_level = isolation_level
        self.row_factory: RowFactory | None = None
        """Called with the cursor and the tuple of each row; ``Row`` is one. For cursors made from now on."""
        # Dropped without close: what it has is given back, by the thread in linger.py.
        self._dropped = weakref.finalize(self, linger.later, session.end)
        self._dropped.atexit = False  # session.py ends those that are left

    def execute(self, sql: str, parameters: Params = (), /) -> Cursor:
        """Run one statement in a new cursor. Raises ``Error`` and its kin."""
        return self.cursor().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Params], /) -> Cursor:
        """Run one INSERT, UPDATE, DELETE or REPLACE for each of ``parameters``; in autocommit all or none."""
        return self.cursor().executemany(sql, parameters)

    def executescript(self, script: str, /) -> Cursor:
        """Commit, then run each statement of the script by itself."""
        return self.cursor().executescript(script)

    def cursor(self) -> Cursor:
        """Return a new cursor. It holds rows, never the file."""
        if self._session.closed:
            raise ProgrammingError("Cannot operate on a closed database.")
        return Cursor(self)

    def commit(self) -> None:
        """Make the open transaction durable; without one, do nothing. What cannot be committed is rolled back."""
        self._session.commit()

    def rollback(self) -> None:
        """Take the open transaction back; without one, do nothing."""
        self._session.roll_back()

    def close(self) -> None:
        """Take back what was not committed, and give up the handle. Twice is fine."""
        self._dropped.detach()
        self._session.end()

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open: others that write are waiting for it."""
        return self._session.in_transaction

    @property
    def total_changes(self) -> int:
        """How many rows this connection changed since it was opened, those of triggers included."""
        return self._session.total_changes

    @property
    def isolation_level(self) -> IsolationLevel:
        """None for autocommit; every other level begins with IMMEDIATE. Setting None commits."""
        return self._isolation_level

    @isolation_level.setter
    def isolation_level(self, level: IsolationLevel) -> None:
        implicit = _is_implicit(level)
        if not implicit:
            self.commit()
        self._session.implicit = implicit
        self._isolation_level = level

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.commit()
        finally:
            self.close()


class Cursor:
    """The answer to a statement, fetched whole when it was run. Iterate over it, or fetch."""

    arraysize = 1

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.row_factory = connection.row_factory
        self.description: Description | None = None
        """The columns of the last statement, ``(name, declared type, None, ...)``; None when it gives no rows."""
        self.rowcount = -1
        """Rows that INSERT, UPDATE, DELETE or REPLACE changed; -1 after others."""
        self.lastrowid: int | None = None
        self._rows: Iterator[tuple[Any, ...]] = iter(())
        self._closed = False

    def execute(self, sql: str, parameters: Params = (), /) -> Cursor:
        """Run one statement and fetch all its rows. Raises ``Error`` and its kin."""
        self._take(self._session().execute(sql, parameters))
        self.lastrowid = self._session().last_rowid
        return self

    def executemany(self, sql: str, parameters: Iterable[Params], /) -> Cursor:
        """See ``Connection.executemany``."""
        self._take(self._session().execute_many(sql, parameters))
        return self

    def executescript(self, script: str, /) -> Cursor:
        """See ``Connection.executescript``."""
        self._session().execute_script(script)
        return self

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        return next(self, None)

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """Return the next ``size`` rows, or as many as are left."""
        wanted = self.arraysize if size is None else size
        return [row for _, row in zip(range(wanted), self, strict=False)]

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""
        return list(self)

    def close(self) -> None:
        """Forget the rows. Nothing of the file is held by a cursor."""
        self._closed = True
        self._rows = iter(())

    def setinputsizes(self, sizes: object, /) -> None:
        """Do nothing (PEP 249)."""

    def setoutputsize(self, size: object, column: object = None, /) -> None:
        """Do nothing (PEP 249)."""

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self._session()
        values = next(self._rows)
        return values if self.row_factory is None else self.row_factory(self, values)

    def _session(self) -> Session:
        if self._closed:
            raise ProgrammingError("Cannot operate on a closed cursor.")
        session = self.connection._session
        if session.closed:
            raise ProgrammingError("Cannot operate on a closed database.")
        return session

    def _take(self, answer: Answer) -> None:
        self.description = answer.description
        self.rowcount = answer.changed
        self._rows = iter(answer.rows)


def _is_implicit(level: IsolationLevel) -> bool:
    if level is not None and level.upper() not in ("", "DEFERRED", "IMMEDIATE", "EXCLUSIVE"):
        raise ValueError("isolation_level string must be '', 'DEFERRED', 'IMMEDIATE', or 'EXCLUSIVE'")
    return level is not None
