"""A new database file, filled with tables and rows that come from elsewhere: what a salvage writes.

Nobody else knows of the file while it grows, so its journal is in memory, and it
waits for the disk once, at the end. Rows are refused one by one, never in silence;
or they come many at a time from pages that are ``shown`` to SQLite, all of them or none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import apsw

from holdfast.errors import HoldfastError, Refused
from holdfast.sqlite import codes
from holdfast.sqlite.shown import NAME, Shown

READABLE = "holdfast_readable"
_SETTINGS = """
    PRAGMA page_size = {page_bytes};
    PRAGMA encoding = '{encoding}';
    PRAGMA auto_vacuum = {auto_vacuum};
    PRAGMA journal_mode = MEMORY;
    PRAGMA synchronous = OFF;
    PRAGMA foreign_keys = OFF;
    PRAGMA ignore_check_constraints = ON;
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA cache_size = -32768;
"""


@dataclass(frozen=True, slots=True)
class Column:
    """A column as SQLite understands it. ``key`` is its place in the primary key, from 1; 0: not in it."""

    name: str
    declared: str
    not_null: bool
    key: int
    generated: bool
    stored: bool
    default: str | None = None
    """In SQL. A row that is older than the column has it."""


class Filling:
    """The file at ``path``, which must not exist. Leaving without ``finish`` removes it."""

    def __init__(self, path: str, *, page_bytes: int = 4_096, encoding: str = "UTF-8", auto_vacuum: int = 0) -> None:
        if os.path.lexists(path):
            raise Refused(f"{path} is there already", remedy="Name a file that does not exist.")
        self.path = path
        self._finished = False
        self._shown: Shown | None = None
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
        self._connection = apsw.Connection(os.path.abspath(path), flags)
        self._connection.execute(
            _SETTINGS.format(page_bytes=page_bytes, encoding=encoding, auto_vacuum=auto_vacuum)
        ).fetchall()
        self._connection.execute("BEGIN")

    def __enter__(self) -> Filling:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._close(force=True)
        if not self._finished:
            for each in (self.path, f"{self.path}-journal"):
                if os.path.lexists(each):
                    os.unlink(each)

    def create(self, sql: str) -> str | None:
        """Execute a CREATE statement; return None, or why SQLite does not take it."""
        return self._tell(sql, ())

    def put(self, sql: str, values: Sequence[Any] = ()) -> str | None:
        """Execute one statement; return None, or why it changed nothing."""
        return self._tell(sql, values)

    def put_schema(self, kind: str, name: str, table: str, sql: str) -> None:
        """Name something in the schema that has no pages of its own, without making it: a virtual table."""
        self._connection.execute("PRAGMA writable_schema = ON").fetchall()
        self._connection.execute(
            "INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql) VALUES (?, ?, ?, 0, ?)",
            (kind, name, table, sql),
        )
        self._connection.execute("PRAGMA writable_schema = OFF").fetchall()

    def columns(self, table: str) -> list[Column]:
        """Return the columns of a table, in order."""
        rows = self._connection.execute(
            "SELECT name, type, \"notnull\", pk, hidden, dflt_value FROM pragma_table_xinfo(?, 'main') ORDER BY cid",
            (table,),
        ).fetchall()
        return [
            Column(
                str(name),
                str(kind),
                bool(must),
                int(str(key)),
                hidden in (2, 3),
                hidden != 2,
                None if default is None else str(default),
            )
            for name, kind, must, key, hidden, default in rows
        ]

    def is_without_rowid(self, table: str) -> bool:
        """Return True when the rows of a table lie in an index."""
        found = self._connection.execute("SELECT wr FROM pragma_table_list(?) WHERE schema = 'main'", (table,))
        return bool(next(iter(found), (0,))[0])

    def has_key_index(self, table: str) -> bool:
        """Return True when the primary key of a table is an index beside it: then no column of it is the rowid."""
        found = self._connection.execute("SELECT 1 FROM pragma_index_list(?, 'main') WHERE origin = 'pk'", (table,))
        return next(iter(found), None) is not None

    def show(self, page_bytes: int, pages: int, read: Callable[[int], bytes]) -> None:
        """Let ``copy`` read from a database whose pages ``read`` returns, by number. Before any row is put in."""
        self._connection.execute("COMMIT")
        # What it is called with was made a str for it; SQLite itself takes any bytes for a text.
        self._connection.create_scalar_function(READABLE, lambda *_: 1, deterministic=True)
        self._shown = Shown(self._connection, page_bytes, pages, read)
        self._connection.execute("BEGIN")

    def copy(self, table: str, sql: str, rows: int) -> bool:
        """Execute an INSERT from the ``table`` that is shown; return False, and change nothing, unless all went well.

        That is: SQLite finds the table sound (pages, cells, overflow chains,
        rowids in order), the target takes each row, there are ``rows``, and what
        ``sql`` calls ``READABLE`` with are texts that can be read, or no texts.
        """
        run = self._connection.execute
        try:
            run("COMMIT")  # what is shown may change only where no transaction is open
            if run(f"PRAGMA {NAME}.quick_check({table})").fetchall() != [("ok",)]:
                return False
            run("BEGIN")
            run(sql)
            if self._connection.changes() != rows:
                return False
            run("COMMIT")
            return True
        except (apsw.CorruptError, apsw.NotADBError, apsw.ConstraintError, apsw.MismatchError, apsw.TooBigError):
            return False
        except UnicodeDecodeError:
            return False
        except apsw.Error as error:
            raise self._ours(error) from error
        finally:
            with suppress(apsw.Error):
                if self._connection.in_transaction:
                    run("ROLLBACK")
                run("BEGIN")

    def insert(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> list[tuple[int, str]]:
        """Insert rows; return which were refused, by their place, and why. One that is refused costs two tries."""
        try:
            with self._connection:
                self._connection.executemany(sql, rows)
            return []
        except (apsw.ConstraintError, apsw.MismatchError, apsw.TooBigError):
            refused = []
            for place, each in enumerate(rows):
                if (why := self._tell(sql, each)) is not None:
                    refused.append((place, why))
            return refused
        except apsw.Error as error:
            raise self._ours(error) from error

    def finish(self, user_version: int = 0, application_id: int = 0) -> list[str]:
        """Commit, wait for the disk, and return what ``integrity_check`` has to say; [] when all is well."""
        try:
            self._connection.execute("COMMIT; PRAGMA main.synchronous = FULL").fetchall()
            # This commit waits for the disk: for its own page, and for all others of the file.
            numbers = f"PRAGMA main.user_version = {user_version}; PRAGMA main.application_id = {application_id}"
            self._connection.execute(f"BEGIN IMMEDIATE; {numbers}; COMMIT").fetchall()
            said = [str(row[0]) for row in self._connection.execute("PRAGMA main.integrity_check(20)")]
        except apsw.Error as error:
            raise self._ours(error) from error
        self._close()
        self._finished = True
        return [] if said == ["ok"] else said

    def _close(self, force: bool = False) -> None:
        self._connection.close(force)
        if self._shown is not None:
            self._shown.close()

    def _ours(self, error: apsw.Error) -> HoldfastError:
        return codes.translate(error, self.path, self._connection.system_errno)

    def _tell(self, sql: str, values: Sequence[Any]) -> str | None:
        try:
            self._connection.execute(sql, tuple(values)).fetchall()
        except (apsw.FullError, apsw.IOError) as error:
            raise self._ours(error) from error
        except (apsw.Error, ValueError) as error:
            return str(error)
        return None
