"""A look at somebody's database, live or left behind: no file made, no writer kept out, no trace.

For a process of its own, like ``taking``: the header is read by bytes, and the close of
such a descriptor would cancel the locks of everything else in the process. One that root
may start calls ``taking.leave_owners`` before.

How it is opened depends on what lies beside it:

* an index (``-shm``): somebody has it open, or had. As in ``taking``, with
  ``readonly_shm``, and without a checkpoint at the end;
* a log without an index: nobody has it open. The index is made in our memory, by a
  connection without locks; the files are looked at again after each read;
* neither, in WAL mode: ``immutable``, and looked at again after each read;
* no WAL mode: with the shared lock of any reader.

Each statement is a read transaction of its own, and ends within ``READ_MS``. Corrupt
is only what SQLite calls so twice, on two connections, in files nobody wrote meanwhile.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

import apsw

from holdfast.errors import Busy, Refused
from holdfast.sqlite import creation, settings, taken, taking, unread
from holdfast.sqlite.unread import How, Unread, UnreadError
from holdfast.sqlite.watchdog import Watchdog

__all__ = ["READ_MS", "How", "Inspection", "Row", "Unread", "UnreadError", "Value", "quoted"]

Value = int | float | str | bytes | None
Row = dict[str, Value]

READ_MS = 250
"""The longest a read transaction may be."""

_ENDED_MS = 200  # when the watchdog bites: what is left is for the interrupt to be heard
_PAGE_ROWS = 500
_PAGE_ROWS_MAX = 20_000
_PAGE_MS = 50
_PAUSE_S = 0.002  # between two pages, in which a log can be begun anew
_PROBLEMS_MAX = 20
_READS_MAX = 4
_INDEX_OF_BYTES_MAX = 256 * settings.MIB
"""Of a log whose index we make ourselves: 1 s, and nothing can interrupt it."""
_INDEX_BYTES = 32 * 1024
_WRITE_VERSION = 18  # the byte of the header


class Inspection:
    """A database open to be looked at. Raises ``UnreadError`` and nothing else, from each method.

    ``longest_ms``: the longest read transaction so far.
    """

    def __init__(self, path: str, deadline_ns: Callable[[], int], *, read_ms: int = _ENDED_MS) -> None:
        self.path = path
        self.longest_ms = 0.0
        self._deadline_ns = deadline_ns
        self._read_ms = read_ms
        self._patience = settings.Patience()
        self._index_is_useless = False
        self._moment_ns: int | None = None
        self._running = threading.Lock()
        self._open()

    def rows(self, text: str, values: Sequence[Value] | Mapping[str, Value] = ()) -> list[Row]:
        """Return the rows of one statement, by the names of their columns. One read transaction."""
        return self._settled(lambda: self._run(text, values))

    @contextmanager
    def moment(self) -> Iterator[None]:
        """Have all that is read inside be of one moment: one read transaction, which lasts as long as the block.

        It is ended after ``READ_MS``, whatever the block does by then; a read that comes later raises (slow).
        Where it keeps nothing from anybody (``immutable``, no locks), it may last until the deadline.
        """
        begun_ns = time.monotonic_ns()
        self._moment_ns = self._deadline_ns() if self._lockless else self._until_ns(begun_ns)
        end = threading.Timer((self._moment_ns - begun_ns) / 1e9, self._end_moment, (begun_ns,))
        try:
            self._fetched("BEGIN", ())
            end.start()
            yield
        finally:
            self._moment_ns = None
            end.cancel()
            if end.ident is not None:
                end.join()
            self._end_moment(begun_ns)

    def _end_moment(self, begun_ns: int) -> None:
        with self._running, suppress(apsw.Error):  # nothing was written
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
                self.longest_ms = max(self.longest_ms, (time.monotonic_ns() - begun_ns) / 1e6)

    def value(self, text: str, values: Sequence[Value] | Mapping[str, Value] = ()) -> Value:
        """Return the first column of the first row; None without one."""
        found = self.rows(text, values)
        return next(iter(found[0].values())) if found else None

    def number(self, text: str, values: Sequence[Value] | Mapping[str, Value] = ()) -> int:
        """Return ``value`` where it is a whole number, else 0."""
        found = self.value(text, values)
        return found if isinstance(found, int) else 0

    def tables(self) -> list[str]:
        """Return the names of the tables, those behind a search index too."""
        text = "SELECT name FROM pragma_table_list WHERE type IN ('table', 'shadow') AND schema = 'main' ORDER BY name"
        return [name for row in self.rows(text) if not (name := str(row["name"])).startswith("sqlite_")]

    def columns(self, table: str) -> dict[str, bool]:
        """Return the columns of a table, True for those of its key; empty when there is no such table."""
        found = self.rows("SELECT name, pk FROM pragma_table_info(?)", (table,))
        return {str(row["name"]): bool(row["pk"]) for row in found}

    def pages(
        self, table: str, columns: Sequence[str], where: str = "1", *, most: int | None = None
    ) -> Iterator[list[Row]]:
        """Yield the rows of a table with their ``rowid``, in its order, some at a time: each page is of its own moment.

        How many at a time is found out: as many as 50 ms give. ``most``: rows at all.
        Ends with ``UnreadError`` (slow) at the deadline; what was yielded counts.
        """
        names = ", ".join(("rowid AS rowid", *map(quoted, columns)))
        yield from self._paged(f"SELECT {names} FROM {quoted(table)}", where, most=most)

    def touched(self, table: str, columns: Sequence[str]) -> Iterator[int]:
        """Read every value of a table, as ``pages`` does, and yield how many rows were read each time.

        A page that is damaged raises ``UnreadError`` (corrupt).
        """
        # A cast, since the length of a blob is known without its pages.
        lengths = " + ".join(f"ifnull(length(CAST({quoted(name)} AS TEXT)), 0)" for name in columns) or "0"
        each = f"SELECT rowid AS rowid, {lengths} AS chars FROM {quoted(table)}"
        for page in self._paged(each, "1", summed=True):
            yield _counted(page)

    def _paged(self, each: str, where: str, *, most: int | None = None, summed: bool = False) -> Iterator[list[Row]]:
        after: Value = None
        count, left = _PAGE_ROWS, most
        while left is None or left > 0:
            wanted = count if left is None else min(count, left)
            begin = "" if after is None else "rowid > ? AND "
            text = f"{each} WHERE {begin}({where}) ORDER BY rowid LIMIT {wanted}"
            if summed:
                text = f"SELECT max(rowid) AS rowid, count(*) AS rows, sum(chars) AS chars FROM ({text})"
            begun_ns = time.monotonic_ns()
            try:
                page = self.rows(text, () if after is None else (after,))
            except UnreadError as error:
                if error.unread.how is not How.SLOW or count == 1 or time.monotonic_ns() >= self._deadline_ns():
                    raise
                count = max(1, count // 8)
                continue
            rows = _counted(page) if summed else len(page)
            if rows:
                yield page
            if rows < wanted:
                return
            if not self._lockless:
                time.sleep(_PAUSE_S)
            after = page[-1]["rowid"]
            left = None if left is None else left - rows
            took_ms = (time.monotonic_ns() - begun_ns) / 1e6
            count = min(
                _PAGE_ROWS_MAX, count * 2 if took_ms < _PAGE_MS / 2 else max(1, int(count * _PAGE_MS / took_ms))
            )

    def sample(self, table: str, columns: Sequence[str], *, most: int, places: int = 16) -> list[Row]:
        """Return up to ``most`` rows, from ``places`` places that are evenly spread over the rowids.

        Ends early at the deadline, with what it has.
        """
        low, high = (self.value(f"SELECT {end}(rowid) FROM {quoted(table)}") for end in ("min", "max"))
        if not isinstance(low, int) or not isinstance(high, int):
            return []
        found: dict[Value, Row] = {}
        step = max(1, (high - low + 1) // places)
        names = ", ".join(("rowid AS rowid", *map(quoted, columns)))
        each = max(1, most // places)
        text = f"SELECT {names} FROM {quoted(table)} WHERE rowid >= ? ORDER BY rowid LIMIT {each}"
        for start in range(low, high + 1, step):
            try:
                found.update((row["rowid"], row) for row in self.rows(text, (start,)))
            except UnreadError as error:
                if error.unread.how is How.SLOW and found:
                    break
                raise
        return list(found.values())

    def check(self, table: str) -> list[str]:
        """Return what ``quick_check`` finds wrong with the pages of a table: up to 20 sentences, empty when nothing.

        One read transaction: a table too large for it raises ``UnreadError`` (slow).
        """
        return self._told(f"PRAGMA quick_check({quoted(table)})")

    def check_all(self) -> list[str]:
        """Return what ``integrity_check`` finds wrong: of all trees, of rows beside their indexes, of free pages.

        As ``check``, a file too large for it raises ``UnreadError`` (slow).
        """
        return self._told(f"PRAGMA integrity_check({_PROBLEMS_MAX})")

    def _told(self, text: str) -> list[str]:
        told = [str(next(iter(row.values()))) for row in self.rows(text)][:_PROBLEMS_MAX]
        return [each for each in told if each != "ok" and not taken.is_about_a_value(each)]

    def close(self) -> None:
        """Close it. Nothing is written."""
        self._watchdog.close()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # --- opening ---------------------------------------------------------------

    def _open(self) -> None:
        try:
            self._connect()
        except UnreadError as error:
            if error.unread.how not in (How.CORRUPT, How.UNREADABLE):
                raise
            self._connect()  # what somebody wrote or removed just then is whole, or gone, by now

    def _connect(self) -> None:
        name, first, self._lockless = self._way_in()
        self._stamps = taking.stamps(self.path)
        self._patience.deadline_ns = min(self._deadline_ns(), settings.deadline(READ_MS))
        try:
            if not self._lockless:
                taking.wait_to_read(self.path, self._patience)
            flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
            self._connection = settings.connect(name, flags, self._patience, first=first)
        except Busy as error:
            raise UnreadError(Unread(How.LOCKED, 0, str(error))) from error
        except apsw.Error as error:
            raise UnreadError(unread.of(error)) from error
        self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self._watchdog = Watchdog(self._connection)

    def _way_in(self) -> tuple[str, str, bool]:
        """Return the name to open it by, what is run first, and whether nothing keeps writers from what is read."""
        head = self._head()
        wal_bytes, index_bytes = _size(f"{self.path}-wal"), _size(f"{self.path}-shm")
        if wal_bytes and (index_bytes < _INDEX_BYTES or self._index_is_useless):
            if wal_bytes > _INDEX_OF_BYTES_MAX:
                why = f"its log of {wal_bytes} bytes has no index that can be used, and making one takes too long"
                raise UnreadError(Unread(How.SLOW, 0, why))
            # In exclusive mode the index of a log is in memory, and without the locks of this VFS nobody is kept out.
            return creation.uri(self.path, immutable=False) + "?vfs=unix-none", "PRAGMA locking_mode = EXCLUSIVE", True
        if index_bytes < _INDEX_BYTES and head[_WRITE_VERSION] == taking.WAL_VERSION:
            return creation.uri(self.path, immutable=True), "", True
        return creation.uri(self.path, immutable=False) + "?readonly_shm=1", "", False

    def _head(self) -> bytes:
        """Return the header of what is certainly a database by its first bytes."""
        try:
            found = os.stat(self.path)
            if not stat.S_ISREG(found.st_mode):
                raise UnreadError(Unread(How.UNREADABLE, 0, "it is no plain file"))
            if found.st_size == 0:
                # SQLite removes the log of such a file when it opens it.
                raise UnreadError(Unread(How.UNREADABLE, 0, "it has 0 bytes: no database was made of it"))
            head = taking.header(self.path)
        except (OSError, Refused) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise UnreadError(Unread(How.UNREADABLE, 0, why)) from error
        if not head.startswith(taking.MAGIC) or len(head) <= _WRITE_VERSION:
            raise UnreadError(Unread(How.CORRUPT, apsw.SQLITE_NOTADB, "it does not begin like a SQLite database"))
        return head

    def _reopen(self) -> None:
        self.close()
        self._open()

    # --- reading ---------------------------------------------------------------

    def _settled(self, read: Callable[[], list[Row]]) -> list[Row]:
        """Return what is read from files that nobody writes meanwhile, and believe in damage the second time only."""
        was_corrupt = False
        for _ in range(_READS_MAX):
            try:
                found = read()
                if self._is_still():
                    return found
            except UnreadError as error:
                told = error.unread
                if told.code & 0xFF == apsw.SQLITE_READONLY and not self._lockless and not self._index_is_useless:
                    self._index_is_useless = True  # it would have to be made anew, and not by us
                elif self._is_still():
                    if told.how is not How.CORRUPT or was_corrupt:
                        raise
                    was_corrupt = True
            if self._moment_ns is not None:
                return self._outside(read)
            self._reopen()
        raise UnreadError(Unread(How.LOCKED, 0, "it was written each time it was read"))

    def _outside(self, read: Callable[[], list[Row]]) -> list[Row]:
        """The moment is lost. Raise what a read on another connection says of it, or that somebody was at work."""
        self._moment_ns = None
        self._reopen()
        read()
        raise UnreadError(Unread(How.LOCKED, 0, "it was written while it was read"))

    def _until_ns(self, begun_ns: int) -> int:
        return min(begun_ns + self._read_ms * 1_000_000, self._deadline_ns())

    def _is_still(self) -> bool:
        return not self._lockless or taking.stamps(self.path) == self._stamps

    def _run(self, text: str, values: Sequence[Value] | Mapping[str, Value]) -> list[Row]:
        names, found = self._fetched(text, values)
        if found is None:
            return self._run_carefully(text, values, names)
        return [dict(zip(names, row, strict=True)) for row in found]

    def _run_carefully(self, text: str, values: Sequence[Value] | Mapping[str, Value], names: list[str]) -> list[Row]:
        """Return rows that have texts which are no UTF-8: what is none is written out."""
        parts = [f"iif(typeof({name}) = 'text', CAST({name} AS BLOB), {name})" for name in map(quoted, names)]
        parts += [f"typeof({name}) = 'text'" for name in map(quoted, names)]
        _, found = self._fetched(f"SELECT {', '.join(parts)} FROM ({text})", values)
        assert found is not None  # no text is asked for
        return [
            {
                name: value.decode(errors="backslashreplace") if is_text and isinstance(value, bytes) else value
                for name, value, is_text in zip(names, row, row[len(names) :], strict=False)
            }
            for row in found
        ]

    def _fetched(
        self, text: str, values: Sequence[Value] | Mapping[str, Value]
    ) -> tuple[list[str], list[tuple[Value, ...]] | None]:
        """Return the names of the columns and the rows; None for rows when one has a text that is no UTF-8."""
        begun_ns = time.monotonic_ns()
        until_ns = self._moment_ns or self._until_ns(begun_ns)
        if until_ns <= begun_ns:
            raise UnreadError(Unread(How.SLOW, 0, "the time for it was over"))
        self._patience.deadline_ns = until_ns
        cursor = self._connection.cursor()
        names: list[str] = []
        try:
            with self._running, self._watchdog.watching(until_ns):
                cursor.execute(text, values)
                with suppress(apsw.ExecutionCompleteError):  # no row
                    names = [name for name, _ in cursor.get_description()]
                return names, cursor.fetchall()
        except UnicodeDecodeError:
            return names, None
        except apsw.Error as error:
            told = unread.of(error, self._connection.system_errno)
            if told.how is How.SLOW:
                told = told._replace(why=f"a read of it was not done within {(until_ns - begun_ns) // 1_000_000} ms")
            raise UnreadError(told) from error
        finally:
            cursor.close(force=True)
            if self._moment_ns is None:
                self.longest_ms = max(self.longest_ms, (time.monotonic_ns() - begun_ns) / 1e6)


def quoted(name: str) -> str:
    """Return a name as SQL quotes it."""
    return '"' + name.replace('"', '""') + '"'


def _counted(page: list[Row]) -> int:
    return int(str(page[0]["rows"]))


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
