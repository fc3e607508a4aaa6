"""Identical consecutive lines become one line and a count. Pure: the times are those of the lines.

The first is written at once. Those that follow within two seconds are counted, and a
copy of the line tells how many: when another line comes, when whoever has them
asks, and every 1, then 2, 4, up to 60 s while it goes on. The time within which a
line counts as the same grows along, so a line that each write causes anew is
written seven times in the first minute and then once in each.

Lines written + their repeats is the number of lines logged.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from holdfast.logs.model import Record

_TELL_US_MIN = 1_000_000
_TELL_US_MAX = 60_000_000


class Repeats:
    """The line written last, and how often it came again."""

    def __init__(self) -> None:
        self._line: Record | None = None
        self._more = 0
        self._last_us = self._told_us = 0
        self._tell_us = _TELL_US_MIN

    def feed(self, line: Record) -> Iterator[Record]:
        """Yield what is to be written now that ``line`` came."""
        if self._line is None or not self._soon(line.ts) or not _same(self._line, line):
            yield from self.tell(line.ts)
            self._line, self._last_us, self._told_us, self._tell_us = line, line.ts, line.ts, _TELL_US_MIN
            yield line
            return
        self._more += 1
        self._last_us = line.ts
        if line.ts - self._told_us >= self._tell_us:
            yield from self.tell(line.ts)

    def _soon(self, ts: int) -> bool:
        # A little longer than `tell_in_s`: what a telling causes counts as the same line, too.
        return 0 <= ts - self._last_us <= self._tell_us + _TELL_US_MIN

    def tell_in_s(self) -> float | None:
        """Return how long a count may wait to be told; None when none does."""
        return self._tell_us / 1e6 if self._more else None

    def tell(self, now_us: int) -> Iterator[Record]:
        """Yield the count that was not told yet, if there is one."""
        if self._line is not None and self._more:
            yield msgspec.structs.replace(self._line, ts=self._last_us, repeats=self._more - 1 or None)
            self._more = 0
            self._told_us = now_us
            self._tell_us = min(self._tell_us * 2, _TELL_US_MAX)


def _same(one: Record, other: Record) -> bool:
    return (
        one.message == other.message
        and one.level == other.level
        and one.target == other.target
        and one.thread_id == other.thread_id
        and one.trace_id == other.trace_id
        and one.exception == other.exception
        and one.fields == other.fields
    )
