"""The public handle on one schema of a PostgreSQL database: what ``sqlite.Store`` is for a file.

with Store.open("postgresql://db.internal/agents?schema=team") as store:
    with store.write() as tx:
        tx.run(statement, id=1)
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, TypeVar

from holdfast.clock import Clock
from holdfast.engine import Engine, Read
from holdfast.errors import Refused
from holdfast.postgres import address
from holdfast.postgres.beginning import begin, roll_back
from holdfast.postgres.committing import Committing
from holdfast.postgres.connections import Connection, Connections
from holdfast.postgres.listening import Listening
from holdfast.postgres.settings import Limits
from holdfast.postgres.transactions import Reading, Writing
from holdfast.submit import Pool, Submitted
from holdfast.waking import Changes

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """What a store measured. Nothing is asked of the server."""

    connections_made: int
    groups: int
    """COMMITs of writes."""
    transactions: int
    """Writes in them: as many, each has its own."""
    commits_asked: int
    """COMMITs whose answer was lost, so that the server was asked what became of them."""


class Store:
    """A handle on one schema. Threads may share it. Make one with ``Store.open`` or ``Store.peek``."""

    kind: Literal["sqlite", "postgres"] = "postgres"

    def __init__(self, where: address.Address, clock: Clock | None, limits: Limits, *, read_only: bool) -> None:
        self._address = where
        self._limits = limits
        self._connections = Connections(where, limits.connections)
        self._committing = Committing(self._connections, where, limits)
        self._listening = Listening(self._connections, where, limits)
        self._pool = Pool()
        self._closed = False
        self._begin_in_process()
        self.path = where.shown
        """Where the database is, for people: without the password."""
        self.clock = clock
        """Read once per transaction; None: the server's. May be replaced at any time."""
        self.read_only = read_only

    @property
    def url(self) -> str:
        """What opens this schema again in another process, with the password: for no eye and no log."""
        return self._address.whole

    def _begin_in_process(self) -> None:
        self._pid = os.getpid()
        self.reading: dict[int, ReadScope] = {}
        self.writing: set[int] = set()

    @classmethod
    def open(
        cls, url: str, *, clock: Clock | None = None, schema: str | None = None, limits: Limits | None = None
    ) -> Store:
        """Open the schema that ``url`` names (``?schema=``, or ``schema``). Connects when it is first used.

        Raises ``Refused`` for a URL that is none. The schema is made by
        ``schema.migrate``.
        """
        return cls(address.parse(url, schema), clock, limits or Limits(), read_only=False)

    @classmethod
    def peek(cls, url: str, *, clock: Clock | None = None, schema: str | None = None) -> Store:
        """Open for reading only; a standby will do."""
        return cls(address.parse(url, schema), clock, Limits(), read_only=True)

    def read(self, *, wait_ms: int | None = None) -> ReadScope:
        """Begin a read; inside a read of this thread, join it. One round trip, and one to end it."""
        self._check()
        return ReadScope(self, self._limits.read_wait_ms if wait_ms is None else wait_ms)

    def write(self, *, wait_ms: int = 5_000, reserve: bool = False) -> WriteScope:
        """Begin a write in this thread; leaving commits it. Others write at the same time.

        Never retries what was begun. ``wait_ms`` is how long a connection is
        waited for (also from a server that is down), and then each row that
        somebody else is changing. After an error of a statement nothing more
        is taken, and nothing is kept. ``reserve`` has no meaning here.

        Raises ``Busy`` (also: rolled back by the server, to be tried again),
        ``Full``, ``Refused`` inside another write of this thread or on a
        ``peek``, ``Unsupported`` on a standby, and ``OutcomeUnknown`` when the
        answer to COMMIT was lost and the server cannot be asked for it.
        """
        self._check()
        self._check_writable()
        return WriteScope(self, wait_ms)

    def submit(self, fn: Callable[[Writing], T], *, wait_ms: int = 5_000, reserve: bool = False) -> Submitted[T]:
        """Run ``fn(tx)`` in a write on another thread; ``.result(timeout)`` or ``await`` it. One hop.

        Repeated while it is ``Busy`` (never ``Full``), until ``wait_ms``; so
        ``fn`` must have no effect but through ``tx``. A COMMIT whose answer was
        lost is asked for first, and repeated only when it certainly failed.
        """
        self._check()
        self._check_writable()
        return self._pool.write(lambda left_ms: self.write(wait_ms=left_ms, reserve=reserve), fn, wait_ms)

    def submit_read(self, fn: Callable[[Read], T]) -> Submitted[T]:
        """Run ``fn(tx)`` in a read on another thread, again while it is ``Busy``; wait for it or ``await`` it."""
        self._check()
        return self._pool.write(lambda left_ms: self.read(wait_ms=left_ms), fn, self._limits.read_wait_ms)

    def changes(self) -> Changes:
        """Return a waiter for the writes that asked for it (``tx.hint()``). See ``waking.Changes``.

        One more connection, that listens; behind a pooler, and on a standby, it hears nothing.
        """
        self._check()
        return self._listening.changes()

    def status(self) -> StoreStatus:
        """Return what was measured."""
        return StoreStatus(self._connections.made, self._committing.kept, self._committing.kept, self._committing.asked)

    def close(self) -> None:
        """Wait for what was submitted, and close the connections. Closing twice is fine."""
        if self._closed:
            return
        self._pool.close()
        self._listening.end()
        self._connections.close()
        self._closed = True

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def begin_reading(self, wait_ms: int) -> tuple[Reading, Connection]:
        """Begin a read on a connection of its own."""
        connection, server_ms = begin(self._connections, self._address, self._limits, "read", wait_ms)
        return Reading(connection, self._now_ms(connection, server_ms)), connection

    def begin_writing(self, wait_ms: int) -> tuple[Writing, Connection]:
        """Begin a write on a connection of its own."""
        connection, server_ms = begin(self._connections, self._address, self._limits, "write", wait_ms)
        return Writing(connection, self._now_ms(connection, server_ms), server_ms, self._address.schema), connection

    def end(self, tx: Reading, connection: Connection, *, keep: bool) -> None:
        """End a transaction; in a forked child, only what is ours of it."""
        tx.end()
        if self._pid != os.getpid():
            return
        if keep and isinstance(tx, Writing):
            self._committing.commit(tx, connection)
            if tx.hinted:
                self._listening.hint()
        else:
            roll_back(self._connections, connection)

    def _now_ms(self, connection: Connection, server_ms: int) -> int:
        if self.clock is None:
            return server_ms
        try:
            return self.clock()
        except BaseException:
            roll_back(self._connections, connection)
            raise

    def _check(self) -> None:
        if self._closed:
            raise Refused(f"{self.path}: this store is closed")
        if self._pid != os.getpid():  # nothing of the parent's goes on here
            self._begin_in_process()

    def _check_writable(self) -> None:
        if self.read_only:
            raise Refused(f"{self.path} was opened with peek: it is for reading only")


class ReadScope:
    """``with store.read() as tx``: begins or joins, and always ends."""

    __slots__ = ("_begun", "_joined", "_store", "_wait_ms")

    def __init__(self, store: Store, wait_ms: int) -> None:
        self._store = store
        self._wait_ms = wait_ms
        self._begun: tuple[Reading, Connection] | None = None
        self._joined: ReadScope | None = None

    def __enter__(self) -> Reading:
        me = threading.get_ident()
        outer = self._store.reading.get(me)
        if outer is not None and outer._begun is not None:
            self._joined = outer
            tx, _ = outer._begun
            tx.depth += 1
            return tx
        self._joined = self
        self._begun = self._store.begin_reading(self._wait_ms)
        self._store.reading[me] = self
        return self._begun[0]

    def __exit__(self, *_exc: object) -> None:
        scope = self._joined
        assert scope is not None
        assert scope._begun is not None
        tx, connection = scope._begun
        tx.depth -= 1
        if tx.depth == 0:
            # The last to leave ends it, which need not be the one who began: two coroutines of one thread may overlap.
            self._store.reading.pop(threading.get_ident(), None)
            self._store.end(tx, connection, keep=False)


class WriteScope:
    """``with store.write() as tx``: commits on leaving, rolls back on an exception."""

    __slots__ = ("_begun", "_store", "_wait_ms")

    def __init__(self, store: Store, wait_ms: int) -> None:
        self._store = store
        self._wait_ms = wait_ms
        self._begun: tuple[Writing, Connection] | None = None

    def __enter__(self) -> Writing:
        me = threading.get_ident()
        if me in self._store.writing:
            raise Refused("a write inside a write of the same thread: pass its transaction on instead")
        self._begun = self._store.begin_writing(self._wait_ms)
        self._store.writing.add(me)
        return self._begun[0]

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        assert self._begun is not None
        tx, connection = self._begun
        self._store.writing.discard(threading.get_ident())
        self._store.end(tx, connection, keep=kind is None)


def _as_engine(store: Store) -> Engine:
    # Never called: the type checker reads here that a store is an engine.
    return store
