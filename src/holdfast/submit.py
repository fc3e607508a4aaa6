"""Work handed to another thread: the door for asyncio, one hop per unit of work."""

from __future__ import annotations

import contextvars
import os
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from holdfast.errors import Busy, Full

if TYPE_CHECKING:  # 10 ms of imports, wanted only by those who submit
    from concurrent.futures import Future, ThreadPoolExecutor

T = TypeVar("T")
Tx = TypeVar("Tx")

_THREADS = 8  # enough for a group; each waits, none computes


def _jitter_s() -> float:
    # 0.1 to 0.8 ms. The low digits of the clock are random enough to part two waiters.
    return (100 + (time.monotonic_ns() >> 5) % 700) / 1e6


class Submitted(Generic[T]):
    """Work on its way. Wait with ``result()``, or ``await`` it in any running event loop."""

    def __init__(self, future: Future[T]) -> None:
        self._future = future

    def result(self, timeout: float | None = None) -> T:
        """Return what ``fn`` returned or raise what it raised; ``TimeoutError`` after ``timeout`` seconds."""
        return self._future.result(timeout)

    def __await__(self) -> Generator[Any, None, T]:
        import asyncio

        # Cancelling the awaiter withdraws work that has not begun. Work that has
        # begun ends as it would have: a transaction is never cut in two.
        return asyncio.wrap_future(self._future).__await__()


class Pool:
    """The threads of one handle; none until something is submitted, new ones after a fork.

    ``importing`` is entered around the import of what registers handlers for a fork.
    """

    def __init__(self, importing: AbstractContextManager[object] | None = None) -> None:
        self._importing = importing or nullcontext()
        self._executor: ThreadPoolExecutor | None = None
        self._pid = 0

    def write(
        self, begin: Callable[[int], AbstractContextManager[Tx]], fn: Callable[[Tx], T], wait_ms: int
    ) -> Submitted[T]:
        """Run ``fn`` in the transaction that ``begin(wait_ms)`` begins, again while it is ``Busy``."""
        deadline_ns = time.monotonic_ns() + wait_ms * 1_000_000

        def work() -> T:
            while True:
                left_ms = max(0, (deadline_ns - time.monotonic_ns()) // 1_000_000)
                try:
                    with begin(left_ms) as tx:
                        return fn(tx)
                except Full:
                    raise  # room does not come by asking again
                except Busy:
                    if time.monotonic_ns() >= deadline_ns:
                        raise
                time.sleep(_jitter_s())

        return self._submitted(work)

    def read(self, begin: Callable[[], AbstractContextManager[Tx]], fn: Callable[[Tx], T]) -> Submitted[T]:
        """Run ``fn`` in a read."""

        def work() -> T:
            with begin() as tx:
                return fn(tx)

        return self._submitted(work)

    def close(self) -> None:
        """Wait for what was submitted, and end the threads."""
        if self._executor is not None and self._pid == os.getpid():
            self._executor.shutdown(wait=True)
            self._executor = None

    def _submitted(self, work: Callable[[], T]) -> Submitted[T]:
        # In the caller's context: what our indexer submits is the indexer's work (``origin.part``).
        return Submitted(self._threads().submit(contextvars.copy_context().run, work))

    def _threads(self) -> ThreadPoolExecutor:
        if self._executor is None or self._pid != os.getpid():
            with self._importing:
                from concurrent.futures import ThreadPoolExecutor

            self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="holdfast-submit")
            self._pid = os.getpid()
        return self._executor
