"""Records found: in the order they came in, from however many segments, most of which are never decoded.

Each segment is walked from its end, summary by summary. Frames that cannot hold
an answer are skipped, the others are decoded in the order of their ids, and
when there are enough answers the rest is left alone.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from holdfast.errors import Refused
from holdfast.logs import hiding, reading
from holdfast.logs.finding import finder
from holdfast.logs.format import Summary
from holdfast.logs.matching import LogQuery, is_below, matcher, wanted_levels
from holdfast.logs.model import Record
from holdfast.logs.reading import Segment, SegmentFile, Stretch

_Frame = tuple[int, int, SegmentFile, Stretch]


def query(directory: str | os.PathLike[str], asked: LogQuery | None = None) -> list[Record]:
    """Return the records that ``asked`` (None: all) wants, the oldest id first unless it says otherwise.

    Creates and changes nothing; a directory that is not there has no records.
    A full store of 64 MiB takes up to 0.3 s when summaries can rule frames out
    (level, time, thread, target, id), and as long as decoding takes when they
    cannot. Raises ``Refused`` when ``directory`` is a file, and ``OSError``.
    """
    return list(iterate(directory, asked))


def iterate(directory: str | os.PathLike[str], asked: LogQuery | None = None) -> Iterator[Record]:
    """Yield what ``query`` returns, one by one: few are in memory at a time."""
    folder = os.fspath(directory)
    yield from among(segments_of(folder), asked or LogQuery(), hiding.shows(folder))


def max_id(directory: str | os.PathLike[str], asked: LogQuery | None = None) -> int:
    """Return the largest id of all that ``asked`` wants, whatever its limit and order; 0 when there is none."""
    newest = dataclasses.replace(asked or LogQuery(), newest_first=True, limit=1)
    return next((record.id for record in iterate(directory, newest)), 0)


def segments_of(folder: str) -> list[Segment]:
    """Return the segments there are. Raises ``Refused`` when ``folder`` is a file, and ``OSError``."""
    try:
        return reading.listing(folder)
    except NotADirectoryError:
        raise Refused(f"{folder} is not a directory, so there is no log in it") from None


def among(segments: Sequence[Segment], asked: LogQuery, shown: hiding.Shown) -> Iterator[Record]:
    """Yield those records of ``segments``, as far as they reached when they were listed, that ``asked`` wants."""
    if asked.limit == 0:
        return
    look = Look(asked, shown)
    sign = -1 if asked.newest_first else 1
    waiting: list[tuple[int, int, Record]] = []  # found, but something before it may still come
    numbers = itertools.count()

    def add(text: bytes, plain: bool) -> None:
        for record in look.answers(text, plain=plain):
            heapq.heappush(waiting, (sign * record.id, next(numbers), record))

    def frames_of(segment: Segment) -> Iterator[_Frame]:
        """Yield what has to be decoded, from the end on; add the answers of what does not say which ids it has."""
        file = SegmentFile(segment)
        with suppress(FileNotFoundError):
            for stretch in file.stretches():
                if stretch.summary is not None:
                    first_id, last_id = stretch.summary.first_id, stretch.summary.last_id
                    wanted = look.may_answer(stretch.summary)
                else:
                    first_id, last_id = (0, 0) if segment.packed else reading.ends(file.text(stretch))
                    wanted = True
                if not last_id:
                    add(file.text(stretch), plain=False)
                elif asked.after_id is not None and last_id <= asked.after_id:
                    return  # ids ascend within a segment
                elif wanted:
                    yield -last_id if asked.newest_first else first_id, next(numbers), file, stretch

    walks = map(frames_of, segments)
    # From the newest on, no segment is walked further than the answers reach.
    frames = heapq.merge(*walks) if asked.newest_first else sorted(itertools.chain.from_iterable(walks))
    given = 0
    for first, _, file, stretch in frames:
        while waiting and waiting[0][0] < first:
            yield heapq.heappop(waiting)[2]
            given += 1
            if given == asked.limit:
                return
        with suppress(FileNotFoundError):
            add(file.text(stretch), stretch.summary is not None and stretch.summary.plain)
    while waiting and given != asked.limit:
        yield heapq.heappop(waiting)[2]
        given += 1


class Look:
    """The tests of one query, made once."""

    def __init__(self, asked: LogQuery, shown: hiding.Shown) -> None:
        self._asked = asked
        self._shown = shown
        self._levels = wanted_levels(asked)
        self._threads = frozenset(asked.thread_ids)
        self._other_targets: set[str] = set()
        self._lines = finder(asked)
        self._matches: Callable[[Record], bool] = matcher(asked)

    def answers(self, text: bytes, *, plain: bool = False) -> Iterator[Record]:
        """Yield the records in these lines that are wanted and not hidden. ``plain``: as in their summary."""
        for line in self._lines(text, plain):
            record = reading.record_of(line)
            if record is not None and self._matches(record) and self._shown.record(record):
                yield record

    def may_answer(self, summary: Summary) -> bool:
        """Return False when no record of this frame can be wanted."""
        asked = self._asked
        return (
            (asked.from_us is None or summary.last_ts >= asked.from_us)
            and (asked.to_us is None or summary.first_ts <= asked.to_us)
            and (asked.after_id is None or summary.last_id > asked.after_id)
            and (self._levels is None or any(level in self._levels for level in summary.levels))
            and self._may_have_thread(summary)
            and self._may_have_target(summary)
            and self._shown.frame(summary)
        )

    def _may_have_thread(self, summary: Summary) -> bool:
        if not self._threads and not self._asked.include_threadless:
            return True
        if self._asked.include_threadless and summary.threadless:
            return True
        return bool(self._threads) and (summary.more_threads or not self._threads.isdisjoint(summary.threads))

    def _may_have_target(self, summary: Summary) -> bool:
        if not self._asked.targets or summary.more_targets:
            return True
        # Frames name the same few again and again: each is compared once.
        new = set(summary.targets) - self._other_targets
        self._other_targets.update(target for target in new if not is_below(target, self._asked.targets))
        return not self._other_targets.issuperset(summary.targets)
