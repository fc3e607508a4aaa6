"""SIGTERM and SIGINT end a worker once its jobs at hand are done. Knows no jobs."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def draining(stop: Callable[[], None]) -> Iterator[None]:
    """Have the first SIGTERM or SIGINT call ``stop``, and a second one do what it always did. Main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def first(_number: int, _frame: object) -> None:
        give_back()
        stop()

    def give_back() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, first)
    try:
        yield
    finally:
        give_back()
