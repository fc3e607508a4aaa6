"""Work that was promised and may be done a moment later: one thread, one thing after the other."""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections.abc import Callable, Hashable

from holdfast.origin import internal


class Chores:
    """Does what is promised, in order, on a thread that lives only while there is something to do.

    What fails is counted and told by ``last_error``, and never reaches the
    host program. Close it to have everything done at once.
    """

    def __init__(self) -> None:
        self.done = 0
        self.failed = 0
        self.last_error = ""
        self._changed = threading.Condition()
        self._waiting: dict[Hashable, tuple[float, Callable[[], None]]] = {}
        self._thread: threading.Thread | None = None
        self._closed = False
        _all.add(self)

    def promise(self, what: Hashable, work: Callable[[], None], *, in_s: float = 0.0) -> None:
        """Do ``work`` in ``in_s`` seconds, or at ``close``; nothing is promised after that.

        While the same ``what`` still waits, once is enough.
        """
        with self._changed:
            if self._closed or what in self._waiting:
                return
            self._waiting[what] = (time.monotonic() + in_s, work)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="holdfast-chores", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self) -> None:
        """Take nothing more, and return when everything promised was done."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join()

    @property
    def closing(self) -> bool:
        """Whether what is being done now is the last."""
        return self._closed

    def begin_in_child(self) -> None:
        """In a forked child: what was promised is the parent's to do, and its thread stayed there."""
        self._changed = threading.Condition()
        self._waiting = {}
        self._thread = None

    def _run(self) -> None:
        with internal("chores"):
            while (chore := self._next()) is not None:
                what, work = chore
                try:
                    work()
                    self.done += 1
                except Exception as error:
                    # The boundary of this thread: nobody above could do anything with it.
                    self.failed += 1
                    self.last_error = f"{what}: {error}"

    def _next(self) -> tuple[Hashable, Callable[[], None]] | None:
        """Wait for the next chore that is due; None, and the thread ends, when nothing is promised."""
        with self._changed:
            while self._waiting:
                what, (due, work) = min(self._waiting.items(), key=lambda chore: chore[1][0])
                left_s = due - time.monotonic()
                if left_s <= 0 or self._closed:
                    del self._waiting[what]
                    return what, work
                self._changed.wait(left_s)
            self._thread = None
            return None


_all: weakref.WeakSet[Chores] = weakref.WeakSet()


def _in_child() -> None:
    for chores in _all:
        chores.begin_in_child()


def _at_exit() -> None:
    # A program that ends without `close()` has said things all the same.
    for chores in list(_all):
        chores.close()


os.register_at_fork(after_in_child=_in_child)
atexit.register(_at_exit)


class Background:
    """One long piece of work on a thread of its own: ask for its result, or stop it."""

    def __init__(self, name: str, work: Callable[[threading.Event], None]) -> None:
        self.stop = threading.Event()
        self.error: BaseException | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """True until the work ended."""
        return self._thread.is_alive()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end; False when it has not come in time. Raises what the work raised."""
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            return False
        if self.error is not None:
            raise self.error
        return True

    def close(self) -> None:
        """Ask it to stop, and wait for that."""
        self.stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with internal("background"):
                self._work(self.stop)
        except BaseException as error:
            self.error = error  # told to whoever waits
