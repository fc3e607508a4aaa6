"""What a worker process does: answers what it is told to, until nobody tells it any more.

It is started as ``python -m`` by ``process``, not by ``multiprocessing``, which
would import the host program's ``__main__`` again. It ends with its stdin:
whoever started it may die of anything, the pipe closes.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress

from holdfast.rollouts.workers.frames import Unframer, framed

_STARTED = b""


def serve(answer: Callable[[bytes], Iterable[bytes]]) -> None:
    """Write what ``answer`` makes of each body read, until stdin ends or nobody reads the answers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends us
    _die_with_parent()
    unframer = Unframer()
    with suppress(BrokenPipeError):
        _write(_STARTED)
        while piece := os.read(0, 1 << 16):
            for body in unframer.feed(piece):
                for answers in answer(body):
                    _write(answers)


def _die_with_parent() -> None:
    """Have the kernel tell us at once when our stdin closes, also in the middle of a file of 10 GB."""

    def told(_signal: int, _frame: object) -> None:
        if any(events & select.POLLHUP for _, events in poll.poll(0)):
            os._exit(0)

    poll = select.poll()
    poll.register(0, 0)  # hanging up is always reported
    with suppress(AttributeError, OSError):  # not on every system: then we notice at the next answer
        signal.signal(signal.SIGIO, told)
        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)


def _write(body: bytes) -> None:
    view = memoryview(framed(body))
    while view:
        view = view[os.write(1, view) :]
