"""What became of each record: numbers that threads, signal handlers and forks cannot make wrong."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
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
"""Reason (or target), then level, then how many."""
DroppedOf = dict[str, Dropped]
"""Target, then reason, then level, then how many."""

TARGETS_MAX = 32
"""So many loggers are counted by name, those that dropped first."""
_TARGET_CHARS = 128
OTHERS = "…"
"""Stands for all other loggers."""


class Count:
    """A number that threads and signal handlers may add one to, and none is lost."""

    __slots__ = ("_count", "add")

    def __init__(self) -> None:
        self._count = itertools.count()
        self.add = self._count.__next__

    def __int__(self) -> int:
        # Reading must not take a number, and only its text tells it without: "count(12)".
        return int(repr(self._count)[6:-1])


Row = Mapping[str, Sequence[Count]]
"""By reason, then by rank."""


def _row() -> Row:
    return MappingProxyType({reason: tuple(Count() for _ in LEVELS) for reason in REASONS})


class Drops:
    """How many records were dropped, by target, reason and rank."""

    def __init__(self) -> None:
        self.others = _row()
        self._rows: dict[str, Row] = {}

    def row(self, target: object) -> Row:
        """Return where the drops of this target are counted; whoever drops adds one there, and nowhere else."""
        if type(target) is not str or len(target) > _TARGET_CHARS:
            return self.others
        row = self._rows.get(target)
        if row is None:
            if len(self._rows) >= TARGETS_MAX:
                return self.others
            row = self._rows.setdefault(target, _row())
        return row

    def so_far(self) -> DroppedOf:
        """Return what was dropped so far; what is nothing is left out."""
        rows = [*self._rows.copy().items(), (OTHERS, self.others)]
        so_far: DroppedOf = {}
        for target, row in rows:
            levels = {
                reason: {level: n for level, count in zip(LEVELS, row[reason], strict=True) if (n := int(count))}
                for reason in REASONS
            }
            if any(levels.values()):
                so_far[target] = {reason: some for reason, some in levels.items() if some}
        return so_far


def fresh(now: DroppedOf, told: DroppedOf) -> DroppedOf:
    """Return what of ``now`` was not told yet."""
    left: DroppedOf = {}
    for target, reasons in now.items():
        for reason, levels in reasons.items():
            was = told.get(target, {}).get(reason, {})
            more = {level: n - was.get(level, 0) for level, n in levels.items() if n > was.get(level, 0)}
            if more:
                left.setdefault(target, {})[reason] = more
    return left


def by_reason(dropped: DroppedOf) -> Dropped:
    """Return the sums over all targets."""
    return _summed((reason, levels) for reasons in dropped.values() for reason, levels in reasons.items())


def by_target(dropped: DroppedOf) -> Dropped:
    """Return the sums over all reasons."""
    return _summed((target, levels) for target, reasons in dropped.items() for levels in reasons.values())


def _summed(parts: Iterable[tuple[str, dict[str, int]]]) -> Dropped:
    sums: Dropped = {}
    for key, levels in parts:
        for level, n in levels.items():
            here = sums.setdefault(key, {})
            here[level] = here.get(level, 0) + n
    return sums


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
    """By reason, then level."""
    dropped_by_target: Dropped
    """The same by logger, then level: the first 32 by name, all others as "…"."""
    own: int
    """Records of holdfast's own writer, watcher or checkpointer: never stored."""
    waiting_slots: int
    errors: tuple[str, ...]
    """The last 16 distinct reasons why the disk or a cap took nothing, in memory only."""
