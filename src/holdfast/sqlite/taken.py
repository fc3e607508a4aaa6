"""One moment of another program's live database, in a copy of ours (``taking``), and its rows as they are.

For a process of its own. What is damaged is read as far as it can be, from both
ends of each table; a text that is no UTF-8 is read with its bytes written out.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

import apsw

from holdfast.errors import Damaged, HoldfastError, Refused
from holdfast.sql import quoted
from holdfast.sqlite import codes, fork, settings, taking

Value = int | float | str | bytes | None
Row = dict[str, Value]

_PAGE = 500
_PROBLEMS_MAX = 20


class Taken:
    """The copy. ``problems``: what SQLite finds wrong with it; ``lost``: where the reading of a table ended early."""

    def __init__(self, connection: apsw.Connection, path: str) -> None:
        self._connection = connection
        self._path = path
        self.problems: list[str] = []
        self.lost: dict[str, str] = {}
        self.mended: list[tuple[str, int, str]] = []
        """Texts that are no UTF-8, with their bytes written out: table, row, column. For the reader to drain."""

    def tables(self) -> list[str]:
        """Return the names of the tables; views and virtual tables are somebody's code, and are left out."""
        found = self._all("SELECT name FROM pragma_table_list WHERE type = 'table' AND schema = 'main' ORDER BY name")
        return [str(name) for (name,) in found if not str(name).startswith("sqlite_")]

    def columns(self, table: str) -> list[str]:
        """Return the columns of a table; empty when there is no such table."""
        return [str(name) for (name,) in self._all("SELECT name FROM pragma_table_info(?)", (table,))]

    def count(self, table: str) -> int:
        """Return how many rows a table has."""
        return int(str(self._all(f"SELECT count(*) FROM {quoted(table)} NOT INDEXED")[0][0]))

    def index(self, table: str, column: str) -> None:
        """Have ``rows(table, column=…)`` cost its answers alone."""
        self._all(f"CREATE INDEX {quoted(f'taken {table} {column}')} ON {quoted(table)} ({quoted(column)})")

    def rows(self, table: str, columns: Sequence[str], **where: Value) -> list[Row]:
        """Return the rows that have these values, in the order of the table."""
        conditions = " AND ".join(f"{quoted(name)} IS ?" for name in where) or "1"
        return self._read(table, columns, f"WHERE {conditions} ORDER BY rowid", tuple(where.values()))

    def pages(self, table: str, columns: Sequence[str]) -> Iterator[list[Row]]:
        """Yield all rows, in the order of the table, some at a time. Each has its ``rowid``."""
        last = None
        names = ["rowid", *columns]
        while True:
            after = "" if last is None else "WHERE rowid > ?"
            ends = f"{after} ORDER BY rowid LIMIT {_PAGE}"
            page = self._read(table, names, ends, () if last is None else (last,))
            if page:
                yield page
            if len(page) < _PAGE:
                return
            last = page[-1]["rowid"]

    def strangers(self, table: str, columns: Sequence[str], column: str, of: str, key: str) -> Iterator[list[Row]]:
        """Yield the rows whose ``column`` names no ``key`` of the table ``of``."""
        which = f"WHERE {quoted(column)} IS NULL OR {quoted(column)} NOT IN (SELECT {quoted(key)} FROM {quoted(of)}"
        rows = self._read(table, ["rowid", *columns], f"{which} WHERE {quoted(key)} IS NOT NULL) ORDER BY rowid", ())
        for begin in range(0, len(rows), _PAGE):
            yield rows[begin : begin + _PAGE]

    def _read(self, table: str, columns: Sequence[str], ends: str, values: tuple[Value, ...]) -> list[Row]:
        names = [name if name == "rowid" else quoted(name) for name in columns]
        text = f"SELECT {', '.join(names)} FROM {quoted(table)} {ends}"
        try:
            return [dict(zip(columns, row, strict=True)) for row in self._all(text, values)]
        except UnicodeDecodeError:
            return self._read_carefully(table, columns, names, ends, values)

    def _read_carefully(
        self, table: str, columns: Sequence[str], names: list[str], ends: str, values: tuple[Value, ...]
    ) -> list[Row]:
        kept = ", ".join(f"iif(typeof({name}) = 'text', CAST({name} AS BLOB), {name})" for name in names)
        kinds = ", ".join(f"typeof({name}) = 'text'" for name in names)
        found = []
        for row in self._all(f"SELECT rowid, {kinds}, {kept} FROM {quoted(table)} {ends}", values):
            rowid, are_texts, stored = row[0], row[1 : 1 + len(names)], row[1 + len(names) :]
            made: Row = {}
            for name, is_text, value in zip(columns, are_texts, stored, strict=True):
                made[name] = value
                if is_text and isinstance(value, bytes):
                    made[name] = value.decode(errors="backslashreplace")
                    if "\\x" in str(made[name]) and not _is_utf8(value):
                        self.mended.append((table, int(str(rowid)), name))
            found.append(made)
        return found

    def _all(self, text: str, values: tuple[Value, ...] = ()) -> list[tuple[apsw.SQLiteValue, ...]]:
        try:
            return self._connection.execute(text, values).fetchall()
        except apsw.Error as error:
            raise codes.translate(error, f"reading a copy of {self._path}", self._connection.system_errno) from error


@contextmanager
def taken(path: str) -> Iterator[Taken]:
    """Take ``path`` and yield the copy, which is gone afterwards, also when this process is killed.

    Needs as much room as the file in ``$TMPDIR``. Raises ``Refused`` (no such
    file; no plain file), ``Damaged`` (no database: nothing can be read), ``Full``, ``Busy``, ``Unsupported``.
    """
    settings.check_version()
    if fork.opened:
        raise Refused("this process has databases open: what is taken is opened by bytes, and cancels their locks")
    path = os.path.realpath(path)
    taking.check_file(path)
    with ExitStack() as stack:
        folder = tempfile.mkdtemp(prefix="holdfast-")
        stack.callback(taking.remove, folder)
        copy = os.path.join(folder, "copy.db")
        taking.check_room(path, folder)
        try:
            taking.take(path, copy)
            connection = _own(copy, stack)
        except apsw.Error as error:
            raise codes.translate(error, path) from error
        found = Taken(connection, path)
        found.problems = _problems(connection)
        if found.problems:
            found = _salvaged(found, os.path.join(folder, "salvaged.db"), stack)
        taking.remove(folder)  # open files stay while they are open; names need not
        yield found


def _own(copy: str, stack: ExitStack) -> apsw.Connection:
    """Open the copy for good: what a log or a journal beside it says is done, and no file is needed any more."""
    connection = settings.connect(copy, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE, settings.Patience())
    stack.callback(connection.close)
    settings.run_all(connection, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = OFF;")
    with suppress(apsw.CorruptError):  # then it is found again, and told, by the check
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        settings.run_all(connection, "PRAGMA journal_mode = DELETE; PRAGMA journal_mode = MEMORY;")
    return connection


def _problems(connection: apsw.Connection) -> list[str]:
    try:
        found = [str(row[0]) for row in connection.execute(f"PRAGMA integrity_check({_PROBLEMS_MAX})")]
    except apsw.Error as error:
        return [str(error)]
    # NOT NULL, CHECK and the like are about what is in the rows, which are read as they are.
    return [each for each in found if each != "ok" and not is_about_a_value(each)]


def is_about_a_value(problem: str) -> bool:
    """Return True for what a check says of a value in a row, not of the file."""
    return problem.startswith(("NULL value in", "NUMERIC value in", "TEXT value in", "non-unique", "CHECK constraint"))


def _salvaged(damaged: Taken, copy: str, stack: ExitStack) -> Taken:
    """Return a sound database with all rows that can be read."""
    try:
        tables = damaged.tables()
        columns = {table: damaged.columns(table) for table in tables}
    except HoldfastError as error:
        raise Damaged(
            f"{damaged._path} is damaged where it says which tables it has; nothing can be read: {damaged.problems[0]}",
            remedy=taking.THEIRS,
        ) from error
    found = Taken(_own(copy, stack), damaged._path)
    found.problems = damaged.problems
    for table in tables:
        names = ", ".join(map(quoted, columns[table]))
        found._all(f"CREATE TABLE {quoted(table)} ({names})")
        ended = _copy_rows(damaged, found, table, columns[table], "")
        if ended is not None:
            before = found.count(table)
            _copy_rows(damaged, found, table, columns[table], " DESC")
            after = found.count(table) - before
            found.lost[table] = f"{before} rows from its beginning and {after} from its end could be read: {ended}"
    return found


def _copy_rows(source: Taken, target: Taken, table: str, columns: Sequence[str], order: str) -> str | None:
    """Copy what can be read in this order; return what ended it early."""
    names = ", ".join(map(quoted, columns))
    target._all("BEGIN")
    try:
        # Bytes of texts, decoded by whoever reads the copy: a row that is no UTF-8 must not end the table.
        texts = ", ".join(f"typeof({quoted(name)}) = 'text'" for name in columns)
        blobs = ", ".join(
            f"iif(typeof({quoted(name)}) = 'text', CAST({quoted(name)} AS BLOB), {quoted(name)})" for name in columns
        )
        text = f"SELECT rowid, {texts}, {blobs} FROM {quoted(table)} NOT INDEXED ORDER BY rowid{order}"
        as_text = f"INSERT OR IGNORE INTO {quoted(table)} (rowid, {names}) VALUES (?"
        for row in source._connection.execute(text):
            are_texts, values = row[1 : 1 + len(columns)], row[1 + len(columns) :]
            marks = "".join(", CAST(? AS TEXT)" if is_text else ", ?" for is_text in are_texts)
            target._connection.execute(f"{as_text}{marks})", (row[0], *values))
    except apsw.Error as error:
        return str(error)
    finally:
        target._all("COMMIT")
    return None


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
