"""A look at somebody's database, live or left behind: no file made, no writer kept out, no trace.

For a process of its own, like ``taking``: the header is read by bytes, and the close of
such a descriptor would cancel the locks of everything else in the process. One that root
may start calls ``taking.leave_owners`` before.

How it is opened depends on what lies beside it (``ways_in``).

Each statement is a read transaction of its own, and ends within ``READ_MS``. Corrupt
is only what SQLite calls so twice, on two connections, in files nobody wrote meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

import apsw

from holdfast.errors import Busy
from holdfast.sql import quoted
from holdfast.sqlite import settings, taken, taking, unread, ways_in
from holdfast.sqlite.unread import How, Unread, UnreadError
from holdfast.sqlite.watchdog import Watchdog

__all__ = ["READ_MS", "How", "Inspection", "Row", "Unread", "UnreadError", "Value"]

Value = int | float | str | bytes | None
Row = dict[str, Value]

READ_MS = 250
"""The longest a read transaction may be."""

_ENDED_MS = 150  # when the watchdog bites: on a busy machine an interrupt was heard 35 ms later
_PROBLEMS_MAX = 20
_READS_MAX = 4


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

    @property
    def is_alone(self) -> bool:
        """Whether nobody can be kept waiting by a read: nobody has it open, and no lock is taken."""
        return self._lockless

    def is_over(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic_ns() >= self._deadline_ns()

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
        name, first, self._lockless = ways_in.find(self.path, index_is_useless=self._index_is_useless)
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
