"""The writer's seat: one kernel lock beside the database, taken around each write and each checkpoint.

``flock(2)`` on ``<path>.seat``. It belongs to the open file description, so no
careless close elsewhere in the process cancels it, and it goes when the last
process that has it dies: a seat file left behind is simply free. It is a
courtesy among our own processes; SQLite's own locks remain what is correct.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time

from holdfast.errors import Busy
from holdfast.sqlite import codes
from holdfast.sqlite.locks import seat_holder
from holdfast.sqlite.settings import jitter_s

# struct flock on 64-bit Linux: type, whence, start, len, pid. Byte 1 of the seat
# file is the bell: who waits holds it shared, and who keeps taking looks at it.
_BELL = "hhqqi4x"
_RING = struct.pack(_BELL, fcntl.F_RDLCK, os.SEEK_SET, 1, 1, 0)
_HUSH = struct.pack(_BELL, fcntl.F_UNLCK, os.SEEK_SET, 1, 1, 0)
_LISTEN = struct.pack(_BELL, fcntl.F_WRLCK, os.SEEK_SET, 1, 1, 0)
_SETLK = getattr(fcntl, "F_OFD_SETLK", None)
_GETLK = getattr(fcntl, "F_OFD_GETLK", None)

_YIELD_S = 0.001  # longer than any waiter sleeps between two tries (``jitter_s``)


class Seat:
    """The seat of one database, as one process sees it. Only who holds the baton uses it."""

    def __init__(self, path: str, tenure_ms: float) -> None:
        self._path = path
        self._tenure_ns = int(tenure_ms * 1e6)
        self._fd = -1
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
            # A taker that never sleeps beats every waiter that does, for seconds on end.
            self._since_ns = now_ns
            if self._is_rung():
                time.sleep(_YIELD_S)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._wait(begun_ns, deadline_ns)
        self.taken_ns = time.monotonic_ns()

    def release(self) -> None:
        """Leave the seat. One flock call."""
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        self._left_ns = time.monotonic_ns()
        self.taken_ns = 0

    def close(self) -> None:
        """Close the descriptor. A forked child may: only LOCK_UN frees the parent's seat."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self.taken_ns = 0

    def _open(self) -> None:
        # The mode counts only when the file is new. O_CLOEXEC: a program we start must not sit here.
        try:
            self._fd = os.open(f"{self._path}.seat", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise codes.from_system(error, f"{self._path}.seat cannot be opened") from error

    def _wait(self, begun_ns: int, deadline_ns: int) -> None:
        self.waits += 1
        if _SETLK is not None:
            fcntl.fcntl(self._fd, _SETLK, _RING)
        try:
            while True:
                if (now_ns := time.monotonic_ns()) >= deadline_ns:
                    raise self._busy((now_ns - begun_ns) // 1_000_000)
                time.sleep(min(jitter_s(), (deadline_ns - now_ns) / 1e9))
                try:
                    fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                self._since_ns = time.monotonic_ns()
                return
        finally:
            if _SETLK is not None:
                fcntl.fcntl(self._fd, _SETLK, _HUSH)

    def _is_rung(self) -> bool:
        if _GETLK is None:
            return False
        answer = fcntl.fcntl(self._fd, _GETLK, _LISTEN)
        return bool(struct.unpack(_BELL, answer)[0] != fcntl.F_UNLCK)

    def _busy(self, waited_ms: int) -> Busy:
        holder = seat_holder(self._path)
        return Busy(
            f"waited {waited_ms} ms for the writer's seat of {self._path}, "
            + (f"held by {holder}" if holder else "and its holder left just now")
        )
