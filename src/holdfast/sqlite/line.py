"""First come, first served: a few things that are lent out, and the queue of threads waiting for one.

Knows threads and deadlines; not what is lent. A lock of the standard library
does neither: it serves in any order, and cannot say whether anybody waits.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class _Place(Generic[T]):
    """One waiting thread. The gate opens when its item has been put into its hands."""

    __slots__ = ("gate", "item", "thread")

    def __init__(self, thread: int) -> None:
        self.thread = thread
        self.gate = threading.Lock()
        self.gate.acquire()
        self.item: T | None = None


class Line(Generic[T]):
    """Items to lend, and who waits for them.

    ``unwanted`` is called with an item that was handed to a thread just as an
    exception (Ctrl-C) ended its wait; by default the item goes to the next.

    Python runs signal handlers after a call of C, at the start of a function and
    in a loop, never between two assignments: so what moves an item is written without calls.
    """

    def __init__(self, items: Iterable[T], unwanted: Callable[[T], None] | None = None) -> None:
        self._lock = threading.Lock()
        self._free = list(items)
        self._queue: deque[_Place[T]] = deque()
        self._unwanted = unwanted or self.put
        self.holder = 0
        """With one item: the thread that has it. 0 on the shelf; changes in the same moment as the item moves."""

    @property
    def wanted(self) -> bool:
        """Whether anybody waits. True a moment ago, and perhaps no longer."""
        return bool(self._queue)

    def take(self, deadline_ns: int) -> T | None:
        """Return an item, or None when ``time.monotonic_ns()`` has passed ``deadline_ns`` without one."""
        me = threading.get_ident()
        item: T | None = None
        place: _Place[T] | None = None
        try:
            with self._lock:
                if self._free:
                    item = self._free[-1]
                    del self._free[-1]
                    self.holder = me
                else:
                    place = _Place(me)
                    self._queue.append(place)
            if place is not None:
                place.gate.acquire(timeout=max(0, deadline_ns - time.monotonic_ns()) / 1e9)
                item = self._leave(place)
        except BaseException:
            if place is not None:
                item = self._leave(place)
            if item is not None:
                self._unwanted(item)
            raise
        return item

    def pass_on(self, item: T) -> bool:
        """Put ``item`` into the hands of the thread that waited longest; return False if nobody waits."""
        with self._lock:
            if not self._queue:
                return False
            self._serve(item)
            return True

    def put(self, item: T) -> None:
        """Give ``item`` back, to the next in line or to the shelf."""
        with self._lock:
            if self._queue:
                self._serve(item)
            else:
                self._free += [item]
                self.holder = 0

    def _serve(self, item: T) -> None:
        place = self._queue[0]
        place.item = item
        self.holder = place.thread
        del self._queue[0]
        place.gate.release()

    def _leave(self, place: _Place[T]) -> T | None:
        # An item handed over in the same moment as the deadline counts: it is ours now.
        with self._lock:
            if place.item is None and place in self._queue:
                self._queue.remove(place)
            return place.item
