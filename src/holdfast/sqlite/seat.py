"""The writer's seat: one kernel lock beside the database, taken around each write and each checkpoint.

``flock(2)`` on ``<path>.seat``. It belongs to the open file description, so no
careless close elsewhere in the process cancels it, and it goes when the last
process that has it dies: a seat file left behind is simply free. It is a
courtesy among our own processes; SQLite's own locks remain what is correct.

Who finds it taken waits in the kernel's queue, which costs no CPU and forgets a
waiter that dies or is stopped. flock has no deadline, so a thread of ours stands in that queue.
"""

from __future__ import annotations

import fcntl
import os
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from holdfast.errors import Busy
from holdfast.sqlite import codes
from holdfast.sqlite.locks import seat_holder

# struct flock on 64-bit Linux: type, whence, start, len, pid. Byte 1 of the seat
# file is the bell: who waits holds it shared, and who keeps taking looks at it.
_BELL = "hhqqi4x"
_RING = struct.pack(_BELL, fcntl.F_RDLCK, os.SEEK_SET, 1, 1, 0)
_HUSH = struct.pack(_BELL, fcntl.F_UNLCK, os.SEEK_SET, 1, 1, 0)
_LISTEN = struct.pack(_BELL, fcntl.F_WRLCK, os.SEEK_SET, 1, 1, 0)
_SETLK = getattr(fcntl, "F_OFD_SETLK", None)
_GETLK = getattr(fcntl, "F_OFD_GETLK", None)

_YIELD_S = 0.0002  # in which the first in the queue wakes up


class Seat:
    """The seat of one database, as one process sees it. Only who holds the baton uses it."""

    def __init__(self, path: str, tenure_ms: float) -> None:
        self._path = path
        self._tenure_ns = int(tenure_ms * 1e6)
        self._fd = -1
        self._pid = 0
        self._stand_in: _StandIn | None = None
        self._since_ns = 0
        self._left_ns = 0
        self.taken_ns = 0
        self.waits = 0

    def take(self, begun_ns: int, deadline_ns: int) -> None:
        """Take the seat, or raise ``Busy`` at ``deadline_ns`` with the name of who has it.

        Costs one flock call, 0.5 us, when it is free.
        """
        if self._fd < 0:
            self._open()
        now_ns = time.monotonic_ns()
        if now_ns - self._left_ns > 1_000_000:
            self._since_ns = now_ns
        elif now_ns - self._since_ns > self._tenure_ns:
            # A taker that never sleeps is faster than every waiter that must wake up first.
            self._since_ns = now_ns
            if self._is_rung():
                time.sleep(_YIELD_S)
        if not self._is_free():
            self._wait(begun_ns, deadline_ns)
            self._since_ns = time.monotonic_ns()
        self.taken_ns = time.monotonic_ns()

    def release(self) -> None:
        """Leave the seat. One flock call; harmless when it is not taken."""
        if self._fd < 0:
            return
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        self._left_ns = time.monotonic_ns()
        self.taken_ns = 0

    def close(self) -> None:
        """Close the descriptor. A forked child may: only LOCK_UN frees the parent's seat."""
        if self._fd < 0:
            return
        # In a forked child there is no stand-in, and its locks are as the fork found them.
        stand_in = self._stand_in if self._pid == os.getpid() else None
        if stand_in is None or stand_in.end():
            os.close(self._fd)
        self._fd = -1
        self._stand_in = None
        self.taken_ns = 0

    def _open(self) -> None:
        # The mode counts only when the file is new. O_CLOEXEC: a program we start must not sit here.
        try:
            self._fd = os.open(f"{self._path}.seat", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise codes.from_system(error, f"{self._path}.seat cannot be opened") from error
        self._pid = os.getpid()

    def _is_free(self) -> bool:
        # A stand-in that still stands there may have got the seat this moment, to give it up: it is not ours.
        if self._stand_in is not None and self._stand_in.stands():
            return False
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _wait(self, begun_ns: int, deadline_ns: int) -> None:
        self.waits += 1
        if time.monotonic_ns() >= deadline_ns:
            raise self._busy(begun_ns)
        if self._stand_in is None:
            try:
                self._stand_in = _StandIn(self._fd)
            except RuntimeError as error:  # no more threads, or the interpreter is ending
                raise Busy(f"the writer's seat of {self._path} is taken, and {error} to wait for it") from error
        if _SETLK is not None:
            fcntl.fcntl(self._fd, _SETLK, _RING)
        try:
            if not self._stand_in.wait(deadline_ns):
                raise self._busy(begun_ns)
        finally:
            if _SETLK is not None:
                fcntl.fcntl(self._fd, _SETLK, _HUSH)

    def _is_rung(self) -> bool:
        if _GETLK is None:
            return False
        answer = fcntl.fcntl(self._fd, _GETLK, _LISTEN)
        return bool(struct.unpack(_BELL, answer)[0] != fcntl.F_UNLCK)

    def _busy(self, begun_ns: int) -> Busy:
        waited_ms = (time.monotonic_ns() - begun_ns) // 1_000_000
        holder = seat_holder(self._path)
        return Busy(
            f"waited {waited_ms} ms for the writer's seat of {self._path}, "
            + (f"held by {holder}" if holder else "and its holder left just now")
        )


@contextmanager
def seated(path: str, wait_ms: int) -> Iterator[None]:
    """Hold the seat of a database that this process does not have open. Raises ``Busy``.

    Nobody of ours creates the file, writes to it or checkpoints it meanwhile.
    """
    seat = Seat(os.path.realpath(path), tenure_ms=0)
    begun_ns = time.monotonic_ns()
    try:
        seat.take(begun_ns, begun_ns + wait_ms * 1_000_000)
        yield
    finally:
        seat.close()


class _StandIn:
    """A thread that stands in the kernel's queue for whoever waits, and longer, when that one's patience ends."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()
        self._order = threading.Lock()
        self._order.acquire()
        self._gate: threading.Lock | None = None
        """Of who waits; None when nobody does any more."""
        self._ending = False
        self._standing = False
        threading.Thread(target=self._work, name="holdfast-seat", daemon=True).start()

    def wait(self, deadline_ns: int) -> bool:
        """Return True with the seat taken, False at the deadline without it."""
        gate = threading.Lock()
        gate.acquire()
        try:
            with self._lock:
                self._gate = gate
                if not self._standing:
                    self._standing = True
                    self._order.release()
            if gate.acquire(timeout=max(0, deadline_ns - time.monotonic_ns()) / 1e9):
                return True
            # Handed over in the same moment as the deadline counts: it is ours now.
            return not self._withdraw()
        except BaseException:  # Ctrl-C, perhaps with the seat in our hands
            if not self._withdraw():
                fcntl.flock(self._fd, fcntl.LOCK_UN)
            raise

    def stands(self) -> bool:
        """Whether it is in the queue, or holds the seat and has not yet decided whose it is."""
        with self._lock:
            return self._standing

    def end(self) -> bool:
        """End the thread; return whether the descriptor is the caller's to close, else the thread will."""
        with self._lock:
            self._ending = True
            if self._standing:
                return False
            self._order.release()
            return True

    def _withdraw(self) -> bool:
        with self._lock:
            waited, self._gate = self._gate is not None, None
            return waited

    def _work(self) -> None:
        while True:
            self._order.acquire()
            if not self._standing:
                return  # the end
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            with self._lock:
                self._standing = False
                gate, self._gate = self._gate, None
                if gate is not None:
                    gate.release()
                else:
                    fcntl.flock(self._fd, fcntl.LOCK_UN)
                if self._ending:
                    os.close(self._fd)
                    return
