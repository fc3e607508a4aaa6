"""A bounded queue of records that no caller ever waits for.

There is no lock. A signal handler, a ``__del__`` or a fork may come between any
two steps of ``put``, and a lock held there would be held for ever. Each step is
one call into C that the interpreter does not interrupt: ``deque.extend``,
``deque.popleft``, ``next`` of an ``itertools.count``.

Entries and bytes are one bound: a record takes a slot for each KiB it began.
"""

from __future__ import annotations

from collections import deque

from holdfast.logs.counts import QUEUE_FULL, Drops
from holdfast.logs.model import Record

SLOTS_MAX = 4096
SLOT_BYTES = 1024
_RANKS = 5  # TRACE, DEBUG, INFO, WARN, ERROR


class Queue:
    """Records by rank: ``put`` from anywhere, ``take`` from one thread.

    Each that has to go is counted in ``drops``.
    """

    def __init__(self, drops: Drops, slots_max: int = SLOTS_MAX) -> None:
        self._drops = drops
        self._slots_max = slots_max
        self._ranks: tuple[deque[Record | None], ...] = tuple(deque() for _ in range(_RANKS))
        self._heads: list[Record | None] = [None] * _RANKS

    def __len__(self) -> int:
        """Return the slots in use."""
        trace, debug, info, warn, error = self._ranks
        return len(trace) + len(debug) + len(info) + len(warn) + len(error)

    def has_room(self, rank: int) -> bool:
        """Return False when it is full of this rank and higher ones: then the record need not even be made."""
        if len(self) < self._slots_max:
            return True
        return any(self._ranks[:rank])

    def put(self, rank: int, record: Record, size_bytes: int) -> int:
        """Add the record and return the slots in use; what is too much goes, of the lowest rank the oldest.

        What this raises it raises before the record is in.
        """
        more = size_bytes // SLOT_BYTES
        if more:
            self._ranks[rank].extend((record, *(None,) * more))
        else:
            self._ranks[rank].append(record)
        used = 0
        try:
            while (used := len(self)) > self._slots_max:
                self._drop_lowest()
        except RecursionError:
            pass  # the host is at the end of its stack: the record is in, and the next one makes room
        return used

    def _drop_lowest(self) -> None:
        for rank, records in enumerate(self._ranks):
            try:
                gone = records.popleft()
            except IndexError:
                continue
            if gone is not None:  # the rest of a record that was larger than a slot
                try:
                    row = self._drops.row(gone.target)
                except RecursionError:
                    row = self._drops.others
                row[QUEUE_FULL][rank].add()
            return

    def take(self, n: int) -> list[Record]:
        """Return up to ``n`` records, the oldest of all ranks first."""
        taken: list[Record] = []
        while len(taken) < n:
            oldest: Record | None = None
            its_rank = 0
            for rank, records in enumerate(self._ranks):
                head = self._heads[rank]
                while head is None:
                    try:
                        head = records.popleft()
                    except IndexError:
                        break
                self._heads[rank] = head
                if head is not None and (oldest is None or head.ts < oldest.ts):
                    oldest, its_rank = head, rank
            if oldest is None:
                break
            self._heads[its_rank] = None
            taken.append(oldest)
        return taken

    def waiting(self) -> bool:
        """Return True when ``take`` would return something."""
        return any(self._heads) or len(self) > 0
