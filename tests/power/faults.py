"""Which input or output is to fail, how, and how often."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

KINDS = ("open", "read", "write", "truncate", "sync", "delete", "rename")


@dataclass(frozen=True, slots=True)
class Fault:
    """``how``: ``eio``, ``full``, or ``short`` (half of a write is done, then there is no room)."""

    kind: str
    how: str = "eio"
    sticky: bool = False
    """Whether all that come after it fail, too."""


FAULTS = tuple(
    Fault(kind, how, sticky)
    for kind, how in (
        ("write", "eio"),
        ("write", "full"),
        ("write", "short"),
        ("sync", "eio"),
        ("truncate", "eio"),
        ("read", "eio"),
        ("open", "eio"),
        ("delete", "eio"),
    )
    for sticky in (False, True)
)


class Faults:
    """Counts what may fail, and says which one does. One for all threads of a test."""

    def __init__(self) -> None:
        self.hits = 0
        self._lock = threading.Lock()
        self._fault: Fault | None = None
        self._nth = 0
        self._seen = 0
        self._of: Callable[[str], bool] = lambda _path: True

    def arm(self, fault: Fault, nth: int, of: Callable[[str], bool] = lambda _path: True) -> None:
        """Let the ``nth`` (from 1) of its kind fail, of the files that ``of`` names."""
        with self._lock:
            self._fault, self._nth, self._seen, self.hits, self._of = fault, nth, 0, 0, of

    def lift(self) -> None:
        """Let everything work again."""
        self._fault = None

    def strike(self, kind: str, path: str) -> str:
        """Return how this operation fails; "" when it does not."""
        if self._fault is None:
            return ""
        with self._lock:
            fault = self._fault
            if fault is None or fault.kind != kind or not self._of(path):
                return ""
            self._seen += 1
            if self._seen == self._nth or (fault.sticky and self._seen > self._nth):
                self.hits += 1
                return fault.how
            return ""
