"""What ends a thread's wait on descriptors: written to from any thread, at any point, before and after it is closed."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress

_ONE = (1).to_bytes(8, sys.byteorder)


class Wakeup:
    """On Linux one descriptor (eventfd), elsewhere two (a pipe). ``fd`` is what the thread waits for."""

    def __init__(self) -> None:
        # A number that was closed may be a database's by now: nothing may be written to it. The lock
        # is taken again by the same thread when the garbage collector ends something in between.
        self._lock = threading.RLock()
        self._fds: tuple[int, ...]
        if hasattr(os, "eventfd"):
            self._fds = (os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK),)
        else:
            self._fds = os.pipe()
            for fd in self._fds:
                os.set_blocking(fd, False)
        self.fd = self._fds[0]

    def wake(self) -> None:
        """End the wait, or the next one. Nothing once it is closed."""
        with self._lock:
            if self._fds:
                with suppress(BlockingIOError):  # it is as full of wakes as it can be
                    os.write(self._fds[-1], _ONE)

    def settle(self) -> None:
        """Wait again: the wakes so far are heard."""
        with suppress(BlockingIOError):
            os.read(self.fd, 4096)

    def close(self) -> None:
        """Give the descriptors up. Twice is fine."""
        with self._lock:
            fds, self._fds = self._fds, ()
            for fd in fds:
                os.close(fd)

    def begin_in_child(self) -> None:
        """In a forked child: close the copies. Another thread may have held the lock."""
        self._lock = threading.RLock()
        self.close()
