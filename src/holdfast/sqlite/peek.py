"""Looking at a database without leaving a trace: no file made, nothing migrated or written.

With a -wal beside it, the file is in use or was left by a killed process: it is
read through the WAL like any other. SQLite then needs the -shm, and makes it
from the WAL if it is missing; where the directory cannot be written either,
that is ``Unsupported``, and the way out is to copy the three files.

Without a -wal the database is whole in one file, and is read as ``immutable``,
which makes no sidecars and takes no locks. Should a writer come meanwhile, the
read ends with ``Busy``, and the next one goes through the WAL.
"""

from __future__ import annotations

import os
from contextlib import ExitStack

import apsw

from holdfast.clock import Clock
from holdfast.errors import Busy, Unsupported
from holdfast.sqlite import codes, creation, fork, locks, settings
from holdfast.sqlite.reads import Reader, Readers
from holdfast.sqlite.settings import Limits
from holdfast.sqlite.transactions import Reading

_Stamp = tuple[int, int, int, int]


class Peek:
    """A file open for reading only. Not shared between handles: it is cheap."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.limits = Limits()
        self.commits = self.members = 0
        self.janitor = None
        self._stranded = False
        self._make()
        with fork.registering:
            fork.opened.add(self)
        try:
            reader = self.readers.take()
            try:
                self._connect(reader)
            finally:
                self.readers.put(reader)
        except BaseException:
            self.close()
            raise

    def _make(self) -> None:
        self.stamps: dict[Reader, _Stamp] = {}
        self.readers: Readers = _PeekReaders(self)

    def free_pages(self) -> tuple[int, int]:
        """Return how many pages are free, and the bytes of a page."""
        reader = self.readers.take()
        try:
            connection = reader.connection or self._connect(reader)
            return settings.pragma_int(connection, "freelist_count"), settings.pragma_int(connection, "page_size")
        finally:
            self.readers.put(reader)

    def seat_holder(self) -> locks.Holder | None:
        """Return who holds the writer's seat."""
        return locks.seat_holder(self.path)

    def close(self) -> None:
        """Close the connections. Raises ``Busy`` when a read of this process does not end."""
        with fork.registering, self.park(0, settings.deadline(self.limits.read_wait_ms)):
            fork.opened.discard(self)

    def park(self, begun_ns: int, deadline_ns: int) -> ExitStack:
        """See ``fork.Forkable``."""
        del begun_ns
        hold = self.readers.hold_all(deadline_ns)
        self.stamps.clear()
        return hold

    def begin_in_child(self, *, parked: bool) -> None:
        """See ``fork.Forkable``."""
        self._stranded = self._stranded or not parked
        self.readers.leave_to_parent(parked=parked)
        self._make()

    def _connect(self, reader: Reader) -> apsw.Connection:
        if self._stranded:
            raise fork.stranded(self.path)
        immutable = not creation.in_use(self.path)
        before = _stamp(self.path)
        if os.stat(self.path).st_size == 0:
            creation.check_empty(self.path)
        reader.patience.deadline_ns = settings.deadline(self.limits.read_wait_ms)
        name = creation.uri(self.path, immutable=immutable)
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        try:
            connection = settings.connect(name, flags, reader.patience)
            try:
                settings.for_reading(connection)
                settings.fold_lower(connection)
                connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
            except BaseException:
                connection.close()
                raise
        except apsw.CantOpenError as error:
            if codes.is_out_of_descriptors():
                raise codes.translate(error, self.path) from error
            raise Unsupported(
                f"{self.path} has a write-ahead log, and its directory cannot be written: {error}",
                remedy="Copy the file with its -wal to a directory of yours, and look at the copy.",
            ) from error
        except apsw.Error as error:
            raise codes.translate(error, self.path) from error
        if immutable:
            self.stamps[reader] = before
        reader.connection = connection
        return connection


class _PeekReaders(Readers):
    def __init__(self, peek: Peek) -> None:
        super().__init__(peek.path, peek.limits, peek._connect)
        self._stamps = peek.stamps

    def begin(self, reader: Reader, clock: Clock) -> Reading:
        if reader.connection is not None and self._is_outdated(reader):
            self._reopen_next_time(reader)
        return super().begin(reader, clock)

    def end(self, reader: Reader) -> None:
        super().end(reader)
        if self._is_outdated(reader):
            self._reopen_next_time(reader)
            raise Busy(f"{self._path} was written while it was being looked at; what was read may be of two moments")

    def _is_outdated(self, reader: Reader) -> bool:
        stamp = self._stamps.get(reader)
        return stamp is not None and (creation.in_use(self._path) or _stamp(self._path) != stamp)

    def _reopen_next_time(self, reader: Reader) -> None:
        self._stamps.pop(reader, None)
        if reader.connection is not None:
            reader.connection.close()
            reader.connection = None


def _stamp(path: str) -> _Stamp:
    stat = os.stat(path)
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns
