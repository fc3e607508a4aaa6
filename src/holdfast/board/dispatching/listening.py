"""Hear that a worker ended, without a look at each of them every now and then: one thread for all."""

from __future__ import annotations

import selectors
import threading
from collections.abc import Callable
from contextlib import suppress

from holdfast.origin import internal
from holdfast.waking import Bell


class Ends:
    """Calls ``wake`` when something that is listened to becomes readable, once for each. One descriptor, and a bell."""

    def __init__(self, wake: Callable[[], object]) -> None:
        self._wake = wake
        self._selector = selectors.DefaultSelector()
        self._bell = Bell()
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="holdfast-board-ends", daemon=True)
        self._thread.start()

    def add(self, fd: int) -> None:
        """Listen to ``fd``; -1 is nothing to listen to."""
        if fd >= 0:
            with self._lock:
                self._selector.register(fd, selectors.EVENT_READ)

    def remove(self, fd: int) -> None:
        """Listen no more. Before the descriptor is closed."""
        with self._lock, suppress(KeyError, ValueError):  # it was heard; it was nothing to listen to
            self._selector.unregister(fd)

    def close(self) -> None:
        """End the thread, and wait for it."""
        self._closed = True
        self._bell.ring()
        self._thread.join()
        self._selector.close()
        self._bell.close()

    def _run(self) -> None:
        with internal("dispatcher"):
            while not self._closed:
                # The selector is one descriptor that is readable when any of those in it is: epoll(7).
                if not self._bell.wait(None, also=self._selector.fileno()):
                    continue
                with self._lock:
                    for key, _ in self._selector.select(0):
                        self._selector.unregister(key.fd)
                self._wake()
