"""Tell whoever waits that a database changed, so that it looks again: one thread per store, while anybody waits.

Knows threads, coroutines and forks. How a change is noticed is the engine's to say (``Waiting.watch``).
A change that is never told is harmless: whoever waits looks by itself every now and then.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from holdfast.origin import internal

_RETRY_S = 1.0  # after the thread failed

# asyncio, socket and select are 20 ms of imports, wanted only by those who wait.


class Bell:
    """Wakes the one thread that waits at it. Two descriptors."""

    def __init__(self) -> None:
        import select
        import socket

        self._rope, self._clapper = socket.socketpair()
        self._rope.setblocking(False)
        self._clapper.setblocking(False)
        self._event = select.POLLIN
        self._poll = select.poll()
        self._poll.register(self._clapper, self._event)

    def ring(self) -> None:
        """Wake the thread, or have it not sleep next time. Never waits, never raises."""
        with suppress(OSError):  # full: it will wake; closed: it has ended
            self._rope.send(b"\0")

    def wait(self, timeout_s: float | None, also: int = -1) -> bool:
        """Return True when there is something to read from the descriptor ``also``; False: rung, or ``timeout_s``."""
        if also >= 0:
            self._poll.register(also, self._event)
        try:
            found = self._poll.poll(None if timeout_s is None else max(0, timeout_s) * 1_000)
        finally:
            if also >= 0:
                self._poll.unregister(also)
        others = [fd for fd, _ in found if fd != also]
        if others:
            with suppress(BlockingIOError):
                while self._clapper.recv(4096):
                    pass
        return len(others) < len(found)

    def close(self) -> None:
        """Give the descriptors back."""
        self._rope.close()
        self._clapper.close()


class Changes:
    """What one waiter was told of and has not looked at yet: ``engine.changes()``. Threads do not share one."""

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self._told = False
        self._end_wait: Callable[[], object] | None = None

    @property
    def hears(self) -> bool:
        """Whether changes made by other processes are noticed. When not, look as often as you must know."""
        return self._waiting.hears

    def wait(self, timeout_s: float) -> bool:
        """Return True as soon as something may have changed since the last call returned; False after ``timeout_s``."""
        self._waiting.enter(self)
        gate = threading.Lock()
        gate.acquire()
        self._end_wait = gate.release
        if not self._told:
            gate.acquire(timeout=min(max(0, timeout_s), threading.TIMEOUT_MAX))
        return self._answer()

    async def wait_async(self, timeout_s: float) -> bool:
        """Do as ``wait``, without a thread of the loop's."""
        import asyncio

        self._waiting.enter(self)
        gate = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._end_wait = lambda: loop.call_soon_threadsafe(gate.set)
        try:
            if not self._told:
                async with asyncio.timeout(timeout_s):
                    await gate.wait()
        except TimeoutError:
            pass
        return self._answer()

    def wake(self) -> None:
        """End the wait, or the next one. From any thread, or a signal handler: takes no lock."""
        self._told = True
        if end_wait := self._end_wait:
            with suppress(RuntimeError):  # it was woken already, or its loop is closed
                end_wait()

    def close(self) -> None:
        """Wait no more. The thread ends with the last who waited."""
        self._waiting.leave(self)

    def __enter__(self) -> Changes:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self) -> bool:
        self._end_wait = None
        if self._told:  # what comes between these two lines is seen by whoever looks after this
            self._told = False
            return True
        return False


class Waiting:
    """The waiters of one store, and the thread that watches for them. An engine says how, in ``watch``."""

    def __init__(self) -> None:
        self._ended = False
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._all: set[Changes] = set()
        self._thread: threading.Thread | None = None
        self._before: threading.Thread | None = None
        """The thread before that, which may still be putting away what it had."""
        self._bell: Bell | None = None
        self.hears = False
        """Whether a change made by any process is noticed soon."""

    # --- for the store -----------------------------------------------------------

    def changes(self) -> Changes:
        """Return a new waiter, to which everything from now on is a change."""
        changes = Changes(self)
        self.enter(changes)
        return changes

    def enter(self, changes: Changes) -> None:
        """Have ``changes`` told from now on. Costs a lock; the first one starts the thread."""
        self.after_fork()
        with self._lock:
            if self._ended or (changes in self._all and self._thread is not None):
                return
            self._all.add(changes)
            self.wake_thread()

    def leave(self, changes: Changes) -> None:
        """Tell ``changes`` no more."""
        self.after_fork()
        with self._lock:
            self._all.discard(changes)
            if not self._all and self._bell is not None:
                self._bell.ring()

    def end(self) -> None:
        """End the thread, and wait for it; whoever waits wakes, and hears no more."""
        self.after_fork()
        with self._lock:
            self._ended = True
            threads = self._before, self._thread
            if self._bell is not None:
                self._bell.ring()
        for thread in threads:
            if thread is not None and thread is not threading.current_thread():
                thread.join()
        self.tell()

    # --- for the engine ------------------------------------------------------------

    def watch(self, bell: Bell) -> None:
        """Call ``tell`` at every change, until ``is_over``; wait at ``bell`` only. On the thread."""
        raise NotImplementedError

    def has_more(self) -> bool:
        """Return True when the thread is wanted though nobody waits. Called with the lock."""
        return False

    def is_over(self) -> bool:
        """Return True when the thread is wanted no more. It must then return: the next waiter starts another."""
        with self._lock:
            if self.is_anybody_waiting or self.has_more():
                return False
            self._before, self._thread = self._thread, None
            return True

    @property
    def is_anybody_waiting(self) -> bool:
        """Whether there is anybody to tell."""
        return bool(self._all) and not self._ended

    def tell(self) -> None:
        """Wake all who wait."""
        for each in tuple(self._all):
            each.wake()

    def wake_thread(self) -> None:
        """Start the thread, or have it look at once. Called with the lock."""
        if self._thread is not None:
            assert self._bell is not None  # it came with the thread
            self._bell.ring()
            return
        self._bell = Bell()
        given = (self._bell, self._before)
        self._thread = threading.Thread(target=self._main, args=given, name="holdfast-changes", daemon=True)
        self._thread.start()

    def after_fork(self) -> None:
        """In a forked child: begin anew. Neither thread nor locks came along."""
        if self._pid != os.getpid():
            self._begin()

    def _main(self, bell: Bell, before: threading.Thread | None) -> None:
        if before is not None:
            before.join()
        me = threading.current_thread()
        with internal("changes"):
            while self._thread is me:
                try:
                    self.watch(bell)
                except Exception:
                    # Nobody waits for this thread, so nobody could be told. Whoever waits for changes looks by itself.
                    self.hears = False
                    self.tell()
                    bell.wait(_RETRY_S)
            self.hears = False
            with self._lock:
                bell.close()
