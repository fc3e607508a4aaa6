"""The write-ahead log, kept bounded: admission before a write, a janitor behind it.

Autocheckpoint keeps it at 16 MiB as long as readers are short. The janitor
truncates what long readers left. A stopped process defeats both, so a write is
refused at the hard limit: only the holder of the write lock can make the log
grow, and that is who asks.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress
from errno import ENOSPC
from typing import TYPE_CHECKING

import apsw

from holdfast import origin
from holdfast.errors import Full, Unsupported
from holdfast.sqlite import codes
from holdfast.sqlite.locks import pinners
from holdfast.sqlite.settings import MIB, jitter_s

if TYPE_CHECKING:  # core imports us
    from holdfast.sqlite.core import Core

_TRUNCATE_WAIT_MS = 50  # above the readers' budget of 10 ms: a reader that keeps to it cannot defeat us
_EXCLUSIVE_WAIT_MS = 1_000
_FREE_PAGES_KEPT = 256  # 1 MiB: what the next writes will want anyway
_VACUUM_STEP_MAX_NS = 20_000_000
_VACUUM_FIRST_PAGES = 64  # p50 0.8 ms, p99 22 ms
_WATCH_EVERY_STEPS = 2_000  # virtual machine steps, about 100 rows inserted


class Wal:
    """The log of one core's database."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._ceiling = sys.maxsize

    def size(self) -> int:
        """Return the bytes of the -wal file; 0 when there is none."""
        try:
            return os.stat(f"{self._core.path}-wal").st_size
        except FileNotFoundError:
            return 0

    def truncate(self) -> bool:
        """Copy the log into the database and empty it; return False when that cannot be now.

        Somebody still reads from it, or the disk is full. Raises ``Unsupported``
        when the disk fails: then all of it is still in the log.

        For the holder of baton and seat, with no transaction open.
        """
        core = self._core
        if core.writer is None:
            return True  # closed for a fork, and not wanted since: the close emptied it
        self.unbound()
        now_ns = time.monotonic_ns()
        deadline_ns = now_ns + _TRUNCATE_WAIT_MS * 1_000_000
        if core.log_in_doubt:
            core.trust_log(now_ns, deadline_ns)
        core.patience.deadline_ns = 0
        try:
            while not (emptied := self._try_truncate(core.writer)) and time.monotonic_ns() < deadline_ns:
                time.sleep(jitter_s())
            return emptied
        except apsw.FullError:
            return False  # on a full disk the log is all there is room for; it is whole, and is read
        except apsw.Error as error:
            core.doubt_log()
            raise codes.translate(error, core.path, core.writer.system_errno) from error
        finally:
            core.shm.free_write()

    def _try_truncate(self, writer: apsw.Connection) -> bool:
        # TRUNCATE alone would copy, and wait for readers, with the write lock in hand that a careless
        # close cancels; what a neighbour commits in that time would be emptied away. So the copying
        # and the waiting are done while writers are kept out in a way that lasts.
        shm = self._core.shm
        with suppress(apsw.BusyError, apsw.LockedError):
            if shm.keep_writers_out():
                frames, copied = writer.wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_PASSIVE)
                if frames == copied and not shm.is_log_read():
                    self._cut(writer)
                    return True
        return False

    def _cut(self, writer: apsw.Connection) -> None:
        # All of the log is in the database. While it is emptied, the write lock is held twice, as in a write.
        shm = self._core.shm
        try:
            if not shm.shut_door():
                raise apsw.BusyError("another has the lock of a reader")
            before = shm.before()
            writer.set_busy_handler(lambda _calls: self._go_on(before))
            shm.free_write()
            writer.wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_TRUNCATE)
        finally:
            shm.open_door()
            writer.set_busy_handler(self._core.patience)

    def _go_on(self, before: bytes) -> bool:
        # SQLite has its write lock: unless somebody wrote since `before`, make it last, and let SQLite empty the log.
        shm = self._core.shm
        if not shm.is_written_here() or not shm.hold_write(before):
            return False
        shm.open_door()
        return True

    def write_again(self) -> None:
        """Write the bytes of the log over themselves, and force them to the disk. For the holder of the write lock.

        SQLite has no locks on the -wal, only on the database and the -shm: a
        descriptor of our own cancels nobody's. Raises ``Full`` or ``Unsupported``.
        """
        path = f"{self._core.path}-wal"
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                offset = 0
                while piece := os.pread(fd, MIB, offset):
                    offset += os.pwrite(fd, piece, offset)
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            kind = Full if error.errno == ENOSPC else Unsupported
            raise kind(f"{path} had a failed sync, and cannot be written again: {error.strerror}") from error

    def has_room(self, wal_bytes: int, reserve: bool) -> bool:
        """Whether a write may begin at this size."""
        limits = self._core.limits
        return wal_bytes < limits.wal_hard_bytes + (limits.wal_reserve_bytes if reserve else 0)

    def full(self, wal_bytes: int) -> Full:
        """Return the error for a log at its limit, naming who keeps it there."""
        core = self._core
        limit = core.limits.wal_hard_bytes
        who = [str(pinner) for pinner in pinners(core.path) if pinner.pid not in (os.getpid(), -1)]
        why = f"pinned by {'; '.join(who)}" if who else "and nobody seems to pin it"
        return Full(
            f"the write-ahead log of {core.path} has {wal_bytes} bytes, its limit is {limit}, {why}",
            remedy="End or resume the processes named; their open reads keep the log from being emptied.",
        )

    def watch(self, connection: apsw.Connection) -> None:
        """Bound what one transaction adds: past its limit SQLite interrupts it and rolls it back."""
        connection.set_progress_handler(self._outgrown, _WATCH_EVERY_STEPS)

    def allow(self, reserve: bool) -> None:
        """Set the ceiling of the transaction that begins now. Half the reserve is for who may have it."""
        limits = self._core.limits
        self._ceiling = limits.wal_hard_bytes + limits.wal_reserve_bytes // (1 if reserve else 2)

    def unbound(self) -> None:
        """Bound nothing: what is not a body (a ROLLBACK, a checkpoint) must not be interrupted."""
        self._ceiling = sys.maxsize

    def _outgrown(self) -> bool:
        return self.size() > self._ceiling


class Janitor:
    """A thread that empties the log and returns free pages. Woken by the writer, never by a clock."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._wake = threading.Event()
        self._idle = threading.Condition()
        self._ending = False
        self.runs = 0
        self.errors = 0
        self.last_error = ""
        self._thread = threading.Thread(target=self._work, name="holdfast-janitor", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Ask for a run. Costs nothing when one is already asked for."""
        self._wake.set()

    def end(self) -> None:
        """End the thread, after the step it is in."""
        self._ending = True
        self._wake.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def wait_for_run(self, number: int, timeout: float) -> bool:
        """Return whether ``number`` runs were done within ``timeout`` seconds."""
        with self._idle:
            return self._idle.wait_for(lambda: self.runs >= number, timeout)

    def _work(self) -> None:
        with origin.internal("checkpointer"):
            while True:
                self._wake.wait()
                self._wake.clear()
                if self._ending:
                    return
                try:
                    self._run()
                except Exception as error:  # the boundary of a thread: counted, and work goes on
                    self.errors += 1
                    self.last_error = f"{type(error).__name__}: {error}"
                with self._idle:
                    self.runs += 1
                    self._idle.notify_all()

    def _run(self) -> None:
        core = self._core
        if core.wal.size() > core.limits.wal_soft_bytes:
            begun_ns = time.monotonic_ns()
            with core.baton.exclusive(begun_ns, begun_ns + _EXCLUSIVE_WAIT_MS * 1_000_000):
                core.wal.truncate()
        pages = _VACUUM_FIRST_PAGES
        while not self._ending and pages:
            pages = self._return_pages(pages)

    def _return_pages(self, pages: int) -> int:
        # One step, with the baton passed between steps; returns the size of the next.
        core = self._core
        begun_ns = time.monotonic_ns()
        with core.baton.exclusive(begun_ns, begun_ns + _EXCLUSIVE_WAIT_MS * 1_000_000):
            if core.writer is None or core.files.damaged or not core.wal.has_room(core.wal.size(), reserve=False):
                return 0
            free = int(core.writer.pragma("freelist_count"))
            if free <= _FREE_PAGES_KEPT:
                return 0
            stepped_ns = time.monotonic_ns()
            core.vacuum(min(pages, free - _FREE_PAGES_KEPT), begun_ns, begun_ns + _EXCLUSIVE_WAIT_MS * 1_000_000)
            took_ns = time.monotonic_ns() - stepped_ns
        if took_ns > _VACUUM_STEP_MAX_NS // 2:
            return max(8, pages // 2)
        return min(pages * 2, 1024) if took_ns < _VACUUM_STEP_MAX_NS // 8 else pages
