"""The pooled readers: a few query-only connections, lent to whoever reads.

A pool, because sixteen threads with a connection each read a page at p99 58 ms,
on a pool of two at 3.5 ms. A read inside a read of the same thread joins it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from itertools import count

import apsw

from holdfast.clock import Clock
from holdfast.errors import Busy, HoldfastError
from holdfast.sqlite import codes, settings
from holdfast.sqlite.fork import leaked
from holdfast.sqlite.line import Line
from holdfast.sqlite.settings import Limits, Patience
from holdfast.sqlite.shm import Shm
from holdfast.sqlite.transactions import Reading

# BEGIN alone takes none: the first statement does.
_TAKE_SNAPSHOT = "SELECT 1 FROM sqlite_schema LIMIT 1"


class Reader:
    """One pooled connection; opened when first needed, and again after a fork."""

    __slots__ = ("connection", "mark", "patience")

    def __init__(self) -> None:
        self.connection: apsw.Connection | None = None
        self.mark: int | None = None
        """What its open read pinned."""
        self.patience = Patience()


class Readers:
    """The pool of one file. ``connect`` makes a connection for a reader; ``shm`` is None for an immutable file."""

    def __init__(
        self, path: str, limits: Limits, connect: Callable[[Reader], apsw.Connection], shm: Shm | None = None
    ) -> None:
        self._shm = shm
        self._path = path
        self._limits = limits
        self._connect = connect
        self._count = limits.readers
        self._line: Line[Reader] = Line(Reader() for _ in range(limits.readers))
        self.active: dict[int, Reading] = {}
        """The open read of each thread that has one."""
        self.overruns = 0
        self.budget_ns = int(limits.read_budget_ms * 1e6)
        self.inherited = False

    def take(self) -> Reader:
        """Return a reader, or raise ``Busy`` when none came free within ``Limits.read_wait_ms``."""
        begun_ns = time.monotonic_ns()
        reader = self._line.take(begun_ns + self._limits.read_wait_ms * 1_000_000)
        if reader is None:
            waited_ms = (time.monotonic_ns() - begun_ns) // 1_000_000
            raise Busy(f"waited {waited_ms} ms for one of the {self._count} readers of {self._path}")
        return reader

    def put(self, reader: Reader) -> None:
        """Give a reader back."""
        self._line.put(reader)

    def connected(self, reader: Reader) -> apsw.Connection:
        """Return the connection of a reader that was taken, opened if it was not."""
        reader.patience.deadline_ns = time.monotonic_ns() + self._limits.read_wait_ms * 1_000_000
        return reader.connection or self._connect(reader)

    def begin(self, reader: Reader, clock: Clock) -> Reading:
        """Begin a read on ``reader`` and make it this thread's."""
        connection = self.connected(reader)
        try:
            self.end(reader)  # Ctrl-C may have come between its BEGIN and whoever was to end it
            self._take_snapshot(reader, connection)
            tx = Reading(connection, clock())
        except apsw.Error as error:
            failure = codes.translate(error, self._path, connection.system_errno)
            with suppress(apsw.Error):
                self.end(reader)
            raise failure from error
        except BaseException:
            self.end(reader)
            raise
        self.active[threading.get_ident()] = tx
        return tx

    def end(self, reader: Reader) -> None:
        """End the read on ``reader``: its snapshot no longer pins the WAL."""
        connection = reader.connection
        if self._shm is not None and reader.mark is not None:
            self._shm.unpin(reader)
        # A read that met an I/O error may have been ended by SQLite already.
        if connection is not None and connection.in_transaction:
            connection.execute("ROLLBACK")

    def _take_snapshot(self, reader: Reader, connection: apsw.Connection) -> None:
        if self._shm is None:
            connection.execute("BEGIN")
            return
        for tries in count(1):
            before = self._shm.before()
            connection.execute("BEGIN")
            connection.execute(_TAKE_SNAPSHOT).fetchall()
            if self._shm.pin(before, reader):
                return
            connection.execute("ROLLBACK")
            # Somebody wrote in these few us: that is over, and no reason to sleep.
            if tries > 3 and not reader.patience(0):
                raise Busy(f"{self._path}: others write so often that no moment of it could be held for reading")

    def version(self) -> object:
        """Return what is another after every commit of anybody, and perhaps between them. For whoever polls.

        Raises as a read does: where the -shm cannot be looked into, it takes one.
        """
        head = self._shm.head() if self._shm is not None else b""
        if head:
            return head
        with ReadScope(self, lambda: 0) as tx:
            connection = tx.bare()
            try:
                return connection, settings.pragma_int(connection, "data_version")  # comparable on one connection only
            except apsw.Error as error:
                raise codes.translate(error, self._path, connection.system_errno) from error

    def hold_all(self, deadline_ns: int) -> ExitStack:
        """Close every connection and keep the pool empty until the returned stack is closed.

        Raises ``Busy``, with all as it was, when a read does not end before the deadline.
        """
        hold = ExitStack()
        mine = threading.get_ident() in self.active
        taken: list[Reader] = []
        for _ in range(self._count):
            reader = None if mine else self._line.take(deadline_ns)
            if reader is None:
                hold.close()
                raise Busy(f"{self._path}: a read of this process has not ended")
            taken.append(reader)
            hold.callback(self._line.put, reader)
        for reader in taken:
            if reader.connection is not None:
                reader.connection.close()
                reader.connection = reader.mark = None
        return hold

    def leave_to_parent(self, *, parked: bool) -> None:
        """In a forked child: make the open reads unusable, and touch nothing else."""
        self.inherited = True
        for tx in self.active.values():
            tx.end()
        if not parked:
            leaked.append(self)


class ReadScope:
    """``with store.read() as tx``: begins or joins, and always ends."""

    __slots__ = ("_begun_ns", "_clock", "_reader", "_readers", "_tx")

    def __init__(self, readers: Readers, clock: Clock) -> None:
        self._readers = readers
        self._clock = clock
        self._reader: Reader | None = None
        self._tx: Reading | None = None
        self._begun_ns = 0

    def __enter__(self) -> Reading:
        readers = self._readers
        tx = readers.active.get(threading.get_ident())
        if tx is not None:
            tx.depth += 1
        else:
            reader = readers.take()
            try:
                self._begun_ns = time.monotonic_ns()
                tx = readers.begin(reader, self._clock)
                tx.release = self._release(reader)
                self._tx = tx
            except BaseException:
                # Ctrl-C, perhaps after it had begun: nobody may join what nobody will end.
                readers.active.pop(threading.get_ident(), None)
                with suppress(HoldfastError, apsw.Error):
                    readers.end(reader)
                readers.put(reader)
                raise
            return tx
        self._tx = tx
        return tx

    def _release(self, reader: Reader) -> Callable[[], None]:
        def release() -> None:
            readers = self._readers
            if readers.inherited:
                return
            try:
                readers.active.pop(threading.get_ident(), None)
                readers.end(reader)
            except BaseException:  # Ctrl-C in the middle of that
                readers.active.pop(threading.get_ident(), None)
                readers.end(reader)
                raise
            finally:
                readers.put(reader)
                if time.monotonic_ns() - self._begun_ns > readers.budget_ns:
                    readers.overruns += 1

        return release

    def __exit__(self, *_exc: object) -> None:
        tx = self._tx
        assert tx is not None
        tx.depth -= 1
        if tx.depth == 0:
            # The last to leave ends it, which need not be the one who began: two
            # coroutines of one thread may overlap.
            tx.release()
            tx.end()
