"""What a log took and what it lost, told for all its writers together: ``account.json`` in its directory.

Written under the lock of the directory, when room is reserved or given back, so
it costs a record nothing. A writer that was killed leaves what it had reserved
counted as written; one that cannot write tells its refusals when it can again.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from holdfast.logs.caps import Pruned

FILE = "account.json"
_HOUR_S = 3_600
_ERROR_MAX = 1_000
_THREADS_MAX = 64
_THREAD_ID_MAX = 256
NOBODY = ""
"""Among threads: the records of none."""


class Gone(Struct):
    """What went by one rule, since the log began."""

    segments: int = 0
    bytes: int = 0
    records: int = 0


class Account(Struct):
    """The numbers of one log."""

    hours: dict[int, int] = {}
    """Bytes written, by hour since the epoch: of the last day."""
    pruned: dict[str, Gone] = {}
    """What was written and went, by the rule it went by."""
    refused: dict[str, int] = {}
    """Records that writers could not keep, by the rule; what they told since."""
    last_error: str = ""
    last_error_us: int = 0
    threads: dict[str, int] = {}
    """Bytes written of late, by thread: of those who wrote most."""
    ended: dict[str, int] = {}
    """Records in the segments that were closed in an orderly way, by name; of those that are still there."""
    apart: str = NOBODY
    """The thread whose records are in segments of their own, or nobody."""

    def took(self, count: int, now_s: float) -> None:
        """Count bytes that are reserved; fewer than 0 are given back."""
        hour = int(now_s // _HOUR_S)
        self.hours = {each: had for each, had in self.hours.items() if hour - 24 < each <= hour}
        self.hours[hour] = self.hours.get(hour, 0) + count

    def lost(self, gone: Iterable[Pruned]) -> None:
        """Count segments that went."""
        for each in gone:
            self.ended.pop(each.name, None)
            sum_of = self.pruned.setdefault(each.rule, Gone())
            sum_of.segments += 1
            sum_of.bytes += each.bytes
            sum_of.records += each.records

    def only(self, names: Iterable[str]) -> None:
        """Forget the segments that somebody else took away."""
        self.ended = {name: self.ended[name] for name in names if name in self.ended}

    def weigh(self, share: float | None, segment_bytes: int) -> None:
        """Decide whose records are set apart: those of a thread with more than ``share`` of what was written of late.

        It is over when it has less than half as much. Late is the last one or two ``segment_bytes``.
        """
        total = sum(self.threads.values())
        if share is None or total == 0:
            self.apart = NOBODY
            return
        above = [thread for thread, had in self.threads.items() if thread != NOBODY and had > share * total]
        if above and total >= segment_bytes:
            self.apart = above[0]
        elif self.threads.get(self.apart, 0) <= share / 2 * total:
            self.apart = NOBODY
        if total > 2 * segment_bytes:
            self.threads = {thread: had // 2 for thread, had in self.threads.items() if had > 1}
        self.threads = largest(self.threads)

    def bytes_24h(self, now_s: float) -> int:
        """Return the bytes written in the last 24 hours, whole hours of them."""
        hour = int(now_s // _HOUR_S)
        return max(0, sum(had for each, had in self.hours.items() if hour - 24 < each <= hour))

    def bytes_today(self, now_s: float) -> int:
        """Return the bytes written today (UTC)."""
        first = int(now_s // 86_400) * 24
        return max(0, sum(had for each, had in self.hours.items() if each >= first))


class Pending:
    """What one writer has to tell the account when it next has the lock."""

    def __init__(self) -> None:
        self.apart = NOBODY
        """Whose records are to be set apart, as the account said last."""
        self.clear()

    def clear(self) -> None:
        """Forget it: it was told, and the account is on the disk."""
        self.said: dict[str, int] = {}
        """Bytes of lines, by thread."""
        self._packed_bytes = self._unused_bytes = 0
        self._ended: dict[str, int] = {}
        self._refused: Counter[str] = Counter()
        self._error = ""
        self._error_us = 0

    def __bool__(self) -> bool:
        return bool(self.said or self._unused_bytes or self._ended or self._refused)

    def wrote(self, packed_bytes: int) -> None:
        """Remember what lines became on the disk; forget who said little when there are many."""
        self._packed_bytes += packed_bytes
        if len(self.said) > 2 * _THREADS_MAX:
            self.said = largest(self.said)

    def unused(self, count: int) -> None:
        """Remember bytes that were reserved in vain."""
        self._unused_bytes += count

    def ended(self, name: str, count: int) -> None:
        """Remember how many records a segment has that is closed."""
        self._ended[name] = count

    def refused(self, count: int, rule: str, error: str, error_us: int) -> None:
        """Remember records that were not taken, and why."""
        self._refused[rule] += count
        self._error, self._error_us = error, error_us

    def tell(self, books: Account, now_s: float) -> None:
        """Put it all into the account."""
        text_bytes = sum(self.said.values())
        for thread, said in self.said.items():
            name = thread[:_THREAD_ID_MAX]
            books.threads[name] = books.threads.get(name, 0) + said * self._packed_bytes // text_bytes
        books.ended.update(self._ended)
        if self._unused_bytes:
            books.took(-self._unused_bytes, now_s)
        for rule, count in self._refused.items():
            books.refused[rule] = books.refused.get(rule, 0) + count
        if self._error_us > books.last_error_us:
            books.last_error, books.last_error_us = self._error[:_ERROR_MAX], self._error_us


def largest(threads: dict[str, int]) -> dict[str, int]:
    """Return those who have most; whoever has more than a sixty-fourth is among them."""
    if len(threads) <= _THREADS_MAX:
        return threads
    return dict(sorted(threads.items(), key=lambda item: item[1], reverse=True)[:_THREADS_MAX])


def read(directory: str) -> Account:
    """Return the account; an empty one when there is none or it cannot be understood."""
    try:
        with open(os.path.join(directory, FILE), "rb") as file:
            return msgspec.json.decode(file.read(), type=Account)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return Account()
