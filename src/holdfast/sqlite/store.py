"""The public handle on one SQLite file, and the register that makes handles share.

with Store.open("state.db", clock=wall_ms) as store:
    with store.write() as tx:
        tx.run(statement, id=1)
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, TypeVar

from holdfast.clock import Clock, wall_ms
from holdfast.engine import Engine, Read
from holdfast.errors import Busy, Refused
from holdfast.sqlite import copying, fork, linger, settings
from holdfast.sqlite.core import Core
from holdfast.sqlite.files import size_of
from holdfast.sqlite.locks import Holder, Pinner, pinners
from holdfast.sqlite.looking import Looking
from holdfast.sqlite.peek import Peek
from holdfast.sqlite.reads import ReadScope
from holdfast.sqlite.settings import APPLICATION_ID, Durability, Limits
from holdfast.sqlite.transactions import Writing
from holdfast.submit import Pool, Submitted
from holdfast.waking import Changes

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """What a store measured, and what the kernel says of its file. Sizes in bytes."""

    db_bytes: int
    wal_bytes: int
    free_pages: int
    free_bytes: int
    groups: int
    """COMMITs."""
    transactions: int
    """Writes in them; more than ``groups`` when writes shared a COMMIT."""
    read_overruns: int
    """Reads that took longer than ``Limits.read_budget_ms``."""
    busy_waits: int
    """Times a write found the seat or the write lock taken and slept."""
    janitor_runs: int
    janitor_errors: int
    janitor_error: str
    """The last one, or empty."""
    seat_holder: Holder | None
    pinners: tuple[Pinner, ...]
    """Who keeps the WAL from being reset right now, this process included."""


class WriteScope:
    """``with store.write() as tx``: commits on leaving, rolls back on an exception."""

    __slots__ = ("_baton", "_clock", "_reserve", "_tx", "_wait_ms")

    def __init__(self, core: Core, clock: Clock, wait_ms: int, reserve: bool) -> None:
        self._baton = core.baton
        self._clock = clock
        self._wait_ms = wait_ms
        self._reserve = reserve
        self._tx: Writing | None = None

    def __enter__(self) -> Writing:
        tx = self._tx = self._baton.enter(self._clock, self._wait_ms, self._reserve)
        return tx

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        tx, baton = self._tx, self._baton
        assert tx is not None
        try:
            baton.leave(tx, failed=kind is not None)
        finally:
            if baton.current is tx:  # Ctrl-C before it began to leave
                baton.leave(tx, failed=True)


class Store:
    """A handle on one SQLite file. Threads may share it. Make one with ``Store.open`` or ``Store.peek``."""

    kind: Literal["sqlite", "postgres"] = "sqlite"

    def __init__(self, core: Core | Peek, clock: Clock) -> None:
        self._core = core
        # The import registers fork handlers; in the middle of another thread's fork they
        # would release a lock nobody took. This keeps our part of a fork away from it; a
        # fork that begins during the import is still possible (see the README).
        self._pool = Pool(fork.registering)
        self._looking = Looking(lambda: core.readers)  # not of self: a peek nobody holds is closed at once
        self._closed = False
        self.path = core.path
        self.clock = clock
        """Read once per transaction, after the seat is taken. May be replaced at any time."""

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        clock: Clock = wall_ms,
        durability: Durability = "full",
        limits: Limits | None = None,
        application_id: int | None = APPLICATION_ID,
    ) -> Store:
        """Open, and create when missing: 0.7 ms, 4 ms when the file is new.

        A second open of the same file in this process shares the connections;
        the limits are those of the first, and another durability is ``Refused``.
        ``application_id`` is written into a new file, and told apart in an old
        one; with None the file may be any program's. Raises ``Unsupported``
        (library or filesystem), ``Damaged`` (not a database), ``Refused``
        (another program's, left as it was), ``Busy``.
        """
        return cls(linger.take(path, durability, limits, application_id), clock)

    @classmethod
    def peek(cls, path: str | os.PathLike[str], *, clock: Clock = wall_ms) -> Store:
        """Open for reading only: never creates, migrates or writes. See ``peek.py`` for its limits.

        Raises ``FileNotFoundError`` when there is no such file.
        """
        settings.check_version()
        real = os.path.realpath(path)
        os.stat(real)
        linger.check_filesystem(real)
        core = Peek(real)
        store = cls(core, clock)
        # Only a collection would find one that is dropped, and until then it keeps its descriptors.
        weakref.finalize(store, _drop, core).atexit = False
        return store

    @property
    def read_only(self) -> bool:
        """Whether this handle was made with ``peek``: every write is ``Refused``."""
        return isinstance(self._core, Peek)

    def read(self) -> ReadScope:
        """Begin a read; inside a read of this thread, join it. 4 us. ``Busy`` when no reader comes free."""
        return ReadScope(self._open_core().readers, self.clock)

    def write(self, *, wait_ms: int = 5_000, reserve: bool = False) -> WriteScope:
        """Begin a write in this thread; leaving commits it, alone or with others who wait.

        Never retries. ``reserve`` admits a write that frees something (renew,
        finish, release) above the WAL's limit. The body must not wait for
        another thread's write: the two may share a COMMIT.

        Raises ``Busy`` after ``wait_ms``, ``Full``, ``Damaged``, ``Refused``
        inside another write of this thread or on a ``peek``, and
        ``OutcomeUnknown`` when the COMMIT itself failed.
        """
        core = self._open_core()
        if isinstance(core, Peek):
            raise Refused(f"{self.path} was opened with peek: it is for reading only")
        return WriteScope(core, self.clock, wait_ms, reserve)

    def submit(self, fn: Callable[[Writing], T], *, wait_ms: int = 5_000, reserve: bool = False) -> Submitted[T]:
        """Run ``fn(tx)`` in a write on another thread; ``.result(timeout)`` or ``await`` it. One hop.

        Repeated while it is ``Busy`` (never ``Full``), until ``wait_ms``; so
        ``fn`` must have no effect but through ``tx``. Not repeated after a
        COMMIT whose outcome is unknown.
        """
        core = self._open_core()
        if isinstance(core, Peek):
            raise Refused(f"{self.path} was opened with peek: it is for reading only")
        return self._pool.write(lambda left_ms: self.write(wait_ms=left_ms, reserve=reserve), fn, wait_ms)

    def submit_read(self, fn: Callable[[Read], T]) -> Submitted[T]:
        """Run ``fn(tx)`` in a read on another thread; ``.result(timeout)`` or ``await`` it."""
        self._open_core()
        return self._pool.read(self.read, fn)

    def changes(self) -> Changes:
        """Return a waiter for the commits of every process; each is noticed within 25 ms. See ``waking.Changes``."""
        self._open_core()
        return self._looking.changes()

    def copy_to(self, path: str, *, on_progress: copying.OnProgress | None = None) -> int:
        """Copy the database as it is at one moment into ``path``, a file of 0 bytes; return the bytes written.

        Others write meanwhile. 0.4 s for 200 MB, nothing synced; one of the
        readers is lent to it, and the WAL cannot be reset until it ends.
        ``on_progress(bytes_done, bytes)`` may raise, which ends it; what it
        left of ``path`` is then the caller's to delete.

        Raises ``Full`` before anything is written when ``path`` has too little
        room, ``Busy`` when others let the WAL grow to half of its limit
        meanwhile, ``Damaged``.
        """
        core = self._open_core()
        return copying.copy(core.readers, core.limits, self.path, path, on_progress)

    def status(self) -> StoreStatus:
        """Return what was measured. One short read and some looks at /proc/locks, 0.5 ms."""
        core = self._open_core()
        free_pages, page_bytes = core.free_pages()
        janitor = core.janitor
        return StoreStatus(
            db_bytes=size_of(self.path),
            wal_bytes=size_of(f"{self.path}-wal"),
            free_pages=free_pages,
            free_bytes=free_pages * page_bytes,
            groups=core.commits,
            transactions=core.members,
            read_overruns=core.readers.overruns,
            busy_waits=core.patience.waits + core.seat.waits if isinstance(core, Core) else 0,
            janitor_runs=janitor.runs if janitor else 0,
            janitor_errors=janitor.errors if janitor else 0,
            janitor_error=janitor.last_error if janitor else "",
            seat_holder=core.seat_holder(),
            pinners=tuple(pinners(self.path)),
        )

    def close(self) -> None:
        """Give up this handle; the last one of the process empties the log and closes the file.

        Waits for submitted work and for open transactions; raises ``Busy`` when
        one does not end, and the store stays open. Closing twice is fine.
        """
        if self._closed:
            return
        self._looking.end()
        self._pool.close()
        if isinstance(self._core, Core):
            linger.let_go(self._core)
        else:
            self._core.close()
        self._closed = True

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _open_core(self) -> Core | Peek:
        if self._closed:
            raise Refused(f"{self.path}: this store is closed")
        return self._core


def _as_engine(store: Store) -> Engine:
    # Never called: the type checker reads here that a store is an engine.
    return store


def _drop(peek: Peek) -> None:
    with suppress(Busy):  # a read of it goes on: it is closed with its process
        peek.close()


open_store = Store.open
peek = Store.peek
