"""A transaction's locks in the -shm, held a second time where no careless close can cancel them.

An ``open(db + "-shm").close()`` anywhere in the process cancels SQLite's own
locks there, in the middle of whatever they protect. A neighbour then commits
inside our write transaction, or empties the log under a read, and the database
is malformed within seconds. So each transaction takes its lock once more as an
open file description lock, on SQLite's own descriptor, as ``guard.py`` does.

* A read pins its read mark (sqlite.org/walformat.html, "WAL locks"): 2 calls.
* A write: SQLite has byte 120 exclusively, and an exclusive lock leaves no room
  for a second one, not even of the same process. So SQLite's lock is turned into a
  shared one, atomically, and a shared one of ours is put beside it: either keeps
  every other writer out, a second SQLite library of this process included.

Both take a moment in which a lock may be cancelled before it is held twice. What
the -shm says before and after tells whether anybody came in; then it is tried again.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

_WRITE, _READ_FIRST, _MARKS = 120, 123, 5
_LOCK = "hhqqi4x"  # struct flock on 64-bit Linux
_SIZE = 136
_HEADER = 48  # and a copy of it; then how far checkpoints came, and the read marks
_FRAMES, _SALT, _BACKFILLED, _MARKS_AT, _ATTEMPTED = 16, slice(32, 40), 96, 100, 128


def _packed(kind: int, first: int, size: int = 1) -> bytes:
    return struct.pack(_LOCK, kind, os.SEEK_SET, first, size, 0)


_SHARE_WRITE = _packed(fcntl.F_RDLCK, _WRITE)
_FREE_WRITE = _packed(fcntl.F_UNLCK, _WRITE)
_ASK_WRITE = _packed(fcntl.F_WRLCK, _WRITE)
_ASK_READS = _packed(fcntl.F_WRLCK, _READ_FIRST + 1, _MARKS - 1)  # mark 0 is of those who read no log
_PIN = [_packed(fcntl.F_RDLCK, _READ_FIRST + mark) for mark in range(_MARKS)]
_UNPIN = [_packed(fcntl.F_UNLCK, _READ_FIRST + mark) for mark in range(_MARKS)]
_FREE_ALL = _packed(fcntl.F_UNLCK, _WRITE, 8)
_FREE = struct.pack("h", fcntl.F_UNLCK)
_DOOR, _OPEN_DOOR = _PIN[1], _UNPIN[1]


class Pinned(Protocol):
    """Whose read it is: ``mark`` is what it pinned, None when nothing."""

    mark: int | None


class Shm:
    """The -shm of one core, read and locked through the descriptor SQLite has on it.

    ``find`` takes the guard and returns that descriptor. Before the first
    connection, and where there are no OFD locks, every answer is "held".
    """

    def __init__(self, find: Callable[[], int]) -> None:
        self._find = find
        self._fd = -1
        self._file = (0, 0)
        self._lock = threading.Lock()
        self._pins = [0] * _MARKS

    def attach(self) -> None:
        """Take the guard and find the descriptor, after a connection was opened."""
        fd = self._find()
        if self._fd < 0 and fd >= 0:
            self._fd = fd
            self._file = _file(fd)

    def detach(self) -> None:
        """Forget the descriptor, before the last connection is closed."""
        self._fd = -1
        self._pins = [0] * _MARKS

    def before(self) -> bytes:
        """Return what the -shm says now, for ``hold_write`` or ``pin`` to compare. 1 us; opens nothing."""
        if self._fd >= 0 and _file(self._fd) != self._file:
            # It was a neighbour's own SQLite's, or somebody closed what is not theirs.
            self.detach()
            self.attach()
        return self._look()

    def head(self) -> bytes:
        """Return what is different after every commit of anybody; b"" when that cannot be told from here. 1 us.

        Whether the descriptor is still SQLite's is not asked, so nothing but a hint may hang on it.
        """
        try:
            return os.pread(self._fd, _HEADER, 0) if self._fd >= 0 else b""
        except OSError:
            return b""

    def _look(self) -> bytes:
        return os.pread(self._fd, _SIZE, 0) if self._fd >= 0 else b""

    def is_written_here(self) -> bool:
        """Whether this process has the write lock already: through a connection that is not ours."""
        if self._fd < 0:
            return False
        answer = fcntl.fcntl(self._fd, fcntl.F_OFD_GETLK, _ASK_WRITE)
        return answer[:2] != _FREE and struct.unpack(_LOCK, answer)[4] == os.getpid()

    def is_log_read(self) -> bool:
        """Whether any process has a read open that still needs the log."""
        if self._fd < 0:
            return False
        return fcntl.fcntl(self._fd, fcntl.F_OFD_GETLK, _ASK_READS)[:2] != _FREE

    def hold_write(self, before: bytes) -> bool:
        """Hold the write lock SQLite just got; False if somebody came in since ``before``: roll back."""
        if self._fd < 0:
            return True
        try:
            fcntl.fcntl(self._fd, fcntl.F_SETLK, _SHARE_WRITE)
            fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, _SHARE_WRITE)
            if self._look()[:_HEADER] == before[:_HEADER]:
                return True
        except OSError:  # somebody is in, or closed the descriptor, which is not theirs
            return False
        self.free_write()
        return False

    def shut_door(self) -> bool:
        """Let SQLite's checkpoint meet a reader, so that it asks its busy handler with the write lock in hand.

        There ``hold_write`` makes that lock last, and ``open_door`` lets it go on.
        """
        return self._fd < 0 or self._set(_DOOR)

    def open_door(self) -> None:
        """End what ``shut_door`` began, unless a read of ours holds the same mark."""
        with self._lock:
            if self._fd >= 0 and not self._pins[1]:
                self._set(_OPEN_DOOR)

    def _set(self, lock: bytes) -> bool:
        try:
            fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, lock)
        except OSError:  # held by another, or closed by somebody whose it is not
            return False
        return True

    def keep_writers_out(self) -> bool:
        """Keep every writer out, ours too, until ``free_write``; False when one is in."""
        return self._fd < 0 or self._set(_SHARE_WRITE)

    def free_write(self) -> None:
        """Let others write, once SQLite's transaction is over. Freeing twice is harmless."""
        if self._fd >= 0:
            self._set(_FREE_WRITE)

    def pin(self, before: bytes, pinned: Pinned) -> bool:
        """Keep the snapshot just taken from being overwritten; False if it may have been since ``before``.

        ``pinned`` is told the mark. Readers of one process share a descriptor, so pins are counted.
        """
        if self._fd < 0:
            return True
        is_held = False
        try:
            with self._lock, suppress(OSError):  # held by another, or closed by somebody whose it is not
                now = self._look()
                frames = _number(before, _FRAMES)
                mark = _mark(now, frames)
                if mark is None:
                    return False
                is_first = not self._pins[mark]
                self._pins[mark] += 1
                pinned.mark = mark
                if is_first:
                    fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, _PIN[mark])
                then = self._look()
                # The same log, nothing copied that is newer than the snapshot, and the mark where it was.
                is_held = (
                    then[_SALT] == before[_SALT] and _number(then, _ATTEMPTED) <= frames and _mark(then, frames) == mark
                )
        finally:
            if not is_held:
                self.unpin(pinned)
        return is_held

    def unpin(self, pinned: Pinned) -> None:
        """End what ``pin`` began. Twice is harmless."""
        with self._lock, suppress(OSError):  # closed by somebody else, and the lock with it
            mark = pinned.mark
            if mark is None:
                return
            # No call between these two: see ``line.py``.
            pinned.mark = None
            self._pins[mark] -= self._pins[mark] > 0
            if self._fd >= 0 and not self._pins[mark]:
                fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, _UNPIN[mark])

    def leave_to_parent(self) -> None:
        """In a forked child: our descriptor is the parent's too, and would keep its locks when it dies.

        Its mapping alone would. So they are undone for both: the parent keeps SQLite's, and holds the
        next ones twice again.
        """
        if self._fd >= 0:
            self._set(_FREE_ALL)
        self._fd = -1


def _file(fd: int) -> tuple[int, int]:
    try:
        stat = os.fstat(fd)
    except OSError:
        return -1, -1
    return stat.st_dev, stat.st_ino


def _number(seen: bytes, at: int) -> int:
    return int.from_bytes(seen[at : at + 4], sys.byteorder)


def _mark(seen: bytes, frames: int) -> int | None:
    # Mark 0 is of readers that need nothing from the log; another says how far its readers see.
    if _number(seen, _BACKFILLED) == frames:
        return 0
    marks = [(_number(seen, _MARKS_AT + 4 * mark), mark) for mark in range(1, _MARKS)]
    return max((pair for pair in marks if pair[0] <= frames), default=(0, None))[1]
