"""A thread that ends a statement which is at work for too long.

SQLite asks a progress handler between its instructions, and some of them read a
whole table (``count(*)``). An interrupt from another thread ends those, too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import apsw

_AGAIN_S = 0.005  # an interrupt that comes before the statement runs is lost


class Watchdog:
    """Watches one connection, from a thread of its own that ends with ``close``."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._changed = threading.Condition()
        self._until_ns: int | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._watch, name="holdfast-watchdog", daemon=True)
        self._thread.start()

    @contextmanager
    def watching(self, until_ns: int) -> Iterator[None]:
        """Have what runs inside end at ``until_ns`` (``time.monotonic_ns``) with ``apsw.InterruptError``."""
        with self._changed:
            self._until_ns = until_ns
            self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._until_ns = None

    def close(self) -> None:
        """End the thread. Afterwards the connection may be closed."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _watch(self) -> None:
        with self._changed:
            while not self._closed:
                if self._until_ns is None:
                    self._changed.wait()
                    continue
                left_ns = self._until_ns - time.monotonic_ns()
                if left_ns > 0:
                    self._changed.wait(left_ns / 1e9)
                    continue
                self._connection.interrupt()
                self._changed.wait(_AGAIN_S)
