"""Work that was promised and may be done a moment later: one thread, one thing after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable

from holdfast.origin import internal


class Chores:
    """Does what is promised, in order, on a thread that lives only while there is something to do.

    What fails is counted and told by ``last_error``, and never reaches the
    host program. Close it to wait for what was promised.
    """

    def __init__(self) -> None:
        self.done = 0
        self.failed = 0
        self.last_error = ""
        self._lock = threading.Lock()
        self._waiting: dict[Hashable, Callable[[], None]] = {}
        self._thread: threading.Thread | None = None
        self._closed = False

    def promise(self, what: Hashable, work: Callable[[], None]) -> None:
        """Do ``work`` soon; when the same ``what`` still waits, once is enough. Nothing after ``close``."""
        with self._lock:
            if self._closed or what in self._waiting:
                return
            self._waiting[what] = work
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="holdfast-chores", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Take nothing more, and return when everything promised was done."""
        with self._lock:
            self._closed = True
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        with internal("chores"):
            while True:
                with self._lock:
                    if not self._waiting:
                        self._thread = None
                        return
                    what = next(iter(self._waiting))
                    work = self._waiting.pop(what)
                try:
                    work()
                    self.done += 1
                except Exception as error:
                    # The boundary of this thread: nobody above could do anything with it.
                    self.failed += 1
                    self.last_error = f"{what}: {error}"


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
