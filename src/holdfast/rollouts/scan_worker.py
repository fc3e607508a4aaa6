"""A process that scans the files it is told to, until nobody tells it any more.

Started as ``python -m holdfast.rollouts.scan_worker`` by ``pool``, not by
``multiprocessing``, which would import the host program's ``__main__`` again.
Reads batches from stdin, answers file by file on stdout, and ends with its stdin:
whoever started it may die of anything, the pipe closes.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
from contextlib import suppress

from holdfast.rollouts.frames import ScanRequest, Unframer, decode_batch, encode, framed
from holdfast.rollouts.reading import Scan, scan

ANSWERS_AT_ONCE = 16
"""Scans per frame: a system call each would cost more than some scans."""


def answer(request: ScanRequest) -> Scan:
    """Return the scan that ``request`` asks for. Never raises."""
    return scan(
        request.path,
        home=request.home,
        zst=request.zst,
        facts=request.facts,
        offset=request.offset,
    )


def main() -> None:
    """Serve until stdin ends, or nobody reads the answers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends us
    _die_with_parent()
    unframer = Unframer()
    with suppress(BrokenPipeError):
        _write(framed(encode([])))  # "started"
        while piece := os.read(0, 1 << 16):
            for body in unframer.feed(piece):
                requests = decode_batch(body).requests
                for n in range(0, len(requests), ANSWERS_AT_ONCE):
                    some = [answer(request) for request in requests[n : n + ANSWERS_AT_ONCE]]
                    _write(framed(encode(some)))


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


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


if __name__ == "__main__":
    main()
