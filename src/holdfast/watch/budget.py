"""How many directories the kernel watches for this process: one count for all watchers."""

from __future__ import annotations

import os
import threading

_lock = threading.Lock()
_taken = 0


def take(most: int) -> bool:
    """Count one watch more, unless there are ``most`` already."""
    global _taken
    with _lock:
        if _taken >= most:
            return False
        _taken += 1
        return True


def give(count: int = 1) -> None:
    """Count so many watches less."""
    global _taken
    with _lock:
        _taken -= count


def taken() -> int:
    """Return how many there are."""
    return _taken


def _in_child() -> None:
    global _lock, _taken
    _lock, _taken = threading.Lock(), 0  # the parent's watches are not ours


os.register_at_fork(after_in_child=_in_child)
