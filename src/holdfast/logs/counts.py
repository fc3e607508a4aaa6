"""What became of each record: numbers that threads, signal handlers and forks cannot make wrong."""

from __future__ import annotations

import itertools
from types import MappingProxyType

from msgspec import Struct

from holdfast.logs.records import LEVELS

QUEUE_FULL = "queue full"
RATE = "rate limit"
FILE_EVENT = "event of a file of ours"
RECURSION = "logged while being logged"
UNREADABLE = "could not be read"
DISK = "not taken by the disk or a cap"
REASONS = (QUEUE_FULL, RATE, FILE_EVENT, RECURSION, UNREADABLE, DISK)

Dropped = dict[str, dict[str, int]]
"""Reason, then level, then how many."""


class Count:
    """A number that threads and signal handlers may add one to, and none is lost."""

    __slots__ = ("_count", "add")

    def __init__(self) -> None:
        self._count = itertools.count()
        self.add = self._count.__next__

    def __int__(self) -> int:
        # Reading must not take a number, and only its text tells it without: "count(12)".
        return int(repr(self._count)[6:-1])


class Drops:
    """How many records were dropped, by reason and rank."""

    def __init__(self) -> None:
        self.of = MappingProxyType({reason: tuple(Count() for _ in LEVELS) for reason in REASONS})

    def total(self) -> Dropped:
        """Return what was dropped so far; levels and reasons with nothing are left out."""
        return less(
            {
                reason: {level: int(count) for level, count in zip(LEVELS, row, strict=True)}
                for reason, row in self.of.items()
            },
            {},
        )


def less(all_of: Dropped, some: Dropped) -> Dropped:
    """Return ``all_of`` without ``some``; levels and reasons with nothing are left out."""
    left = {
        reason: {level: more for level, n in levels.items() if (more := n - some.get(reason, {}).get(level, 0))}
        for reason, levels in all_of.items()
    }
    return {reason: levels for reason, levels in left.items() if levels}


class HandlerStats(Struct, frozen=True, kw_only=True):
    """What became of the records a handler was given, since it was made or the process forked.

    Once flushed, ``given == written + repeats + all of dropped``.
    """

    given: int
    """Records at or above the level, without those of holdfast itself."""
    written: int
    """Lines in the segment; records that tell of drops are not among them."""
    repeats: int
    """Records that are in the ``repeats`` of a line."""
    dropped: Dropped
    own: int
    """Records of holdfast's own writer, watcher or checkpointer: never stored."""
    waiting_slots: int
    errors: tuple[str, ...]
    """The last 16 distinct reasons why the disk or a cap took nothing, in memory only."""
