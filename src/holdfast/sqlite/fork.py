"""Fork without taking SQLite along.

SQLite keeps, per process, which locks it holds; a child inherits that memory but
not the locks, and cannot be told. So before a fork every idle file is closed
(1 ms), and both processes open it again when they next need it. A file that is in
a transaction, and does not leave it within two seconds, cannot be closed: its
connections are leaked in the child, never used or closed there, and the child is
refused with a sentence. ``subprocess`` does not come here: it execs.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import ExitStack
from typing import Protocol

from holdfast.errors import HoldfastError, Unsupported

_WAIT_NS = 2_000_000_000


class Forkable(Protocol):
    """A file this process has open."""

    def park(self, begun_ns: int, deadline_ns: int) -> ExitStack:
        """Close every connection; nobody can open one until the stack is closed. Raises ``HoldfastError``."""
        ...

    def begin_in_child(self, *, parked: bool) -> None:
        """Leave the parent's things alone and make locks and threads anew."""
        ...


opened: set[Forkable] = set()
"""What must be closed before a fork."""

registering = threading.RLock()
"""Held while a file is added, opened for the first time, or taken away."""

_parked: dict[Forkable, ExitStack] = {}
_forking = False
"""Whether ``_before`` ran: this module may be imported while another thread is forking."""


leaked: list[object] = []
"""What a forked child inherited in use. Closing a descriptor of the file would cancel the child's locks."""


def stranded(path: str) -> Unsupported:
    """Return the error for a child forked in the middle of a transaction."""
    return Unsupported(
        f"this process was forked while {path} was in a transaction, and SQLite cannot be used on it here",
        remedy="Fork outside of transactions, or start the child with spawn or exec.",
    )


def _before() -> None:
    global _forking
    registering.acquire()
    _forking = True
    begun_ns = time.monotonic_ns()
    for file in opened:
        try:
            _parked[file] = file.park(begun_ns, begun_ns + _WAIT_NS)
        except HoldfastError:
            continue  # the child will be told


def _after_in_parent() -> None:
    if not _forking:
        return
    while _parked:
        _parked.popitem()[1].close()
    _end()


def _after_in_child() -> None:
    if not _forking:
        return
    for file in opened:
        file.begin_in_child(parked=file in _parked)
    _parked.clear()
    # The forking thread is the child's only thread, and still the lock's owner.
    _end()


def _end() -> None:
    global _forking
    _forking = False
    registering.release()


os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
