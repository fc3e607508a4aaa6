"""Records as they are written, by whichever process, into whichever segment: none lost, none twice.

Each segment has a cursor of its own, so a record that is flushed late is told
late, and never passed over because a younger one was there before it. Between
two looks nothing is held open, and nobody who writes is ever waited for or held
up. What a limit let go of before it was read is told as a ``Gap``.
"""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

from holdfast.errors import Refused
from holdfast.logs import gone, hiding
from holdfast.logs.following import Cursor
from holdfast.logs.matching import LogQuery
from holdfast.logs.model import Record
from holdfast.logs.query import Look, among, segments_of
from holdfast.logs.reading import Segment

SOONEST_S = 0.02
LATEST_S = 0.25
_PARTED_MAX = 1_024


class Gap(Record):
    """Told instead of records that went before they were read. Whatever was asked for; its ``id`` is 0."""

    lost: int = 0
    """Records, whether or not they would have fitted."""
    segments: int = 0


def tail(
    directory: str | os.PathLike[str],
    asked: LogQuery | None = None,
    *,
    follow: bool = True,
    stop: threading.Event | None = None,
) -> Iterator[Record]:
    """Yield the last ``asked.limit`` records there are (None: all of them), and then each that is written.

    The directory may come into being later, processes may come and go, segments
    are followed until they are deleted. Looks every 20 ms while records come
    and every 0.25 s when none do, and takes 500 lines of a segment at a time. Setting
    ``stop`` ends it within that time, after what was written by then;
    ``follow=False`` ends it before waiting. What is there is told in the order of
    ids, what comes in the order of each look. Where segments went unread, a ``Gap``
    is told: a record of the logger ``holdfast.logs`` that says how many were lost.

    Raises ``Refused`` when ``directory`` is a file or newest first is asked for, and ``OSError``.
    """
    asked = asked or LogQuery()
    if asked.newest_first:
        raise Refused("a tail tells records as they come, so the newest cannot be first", remedy="Use query.")
    return _told(os.fspath(directory), asked, follow, stop or threading.Event())


def _told(folder: str, asked: LogQuery, follow: bool, stop: threading.Event) -> Iterator[Record]:
    segments = segments_of(folder)
    went = gone.read(folder).count
    shown = hiding.shows(folder)
    following = _Following(folder, asked, segments, went) if follow else None
    if asked.limit is None:
        yield from among(segments, asked, shown)
    else:
        yield from reversed(list(among(segments, dataclasses.replace(asked, newest_first=True), shown)))
    if following is None:
        return
    pause_s = SOONEST_S
    while True:
        stopped = stop.wait(pause_s)
        found, more = following.round()
        yield from found
        if stopped and not more:
            return
        pause_s = 0 if more else SOONEST_S if found else min(pause_s * 1.5, LATEST_S)


class _Following:
    """A cursor for each segment, from the ends of these on."""

    def __init__(self, folder: str, asked: LogQuery, segments: list[Segment], went: int) -> None:
        self._folder = folder
        self._asked = asked
        self._cursors = {(segment.path, segment.inode): Cursor.at_the_end(segment) for segment in segments}
        self._parted: dict[tuple[str, int], int] = {}  # of segments that are gone: lines that were read
        self._went = went

    def round(self) -> tuple[list[Record], bool]:
        """Return what came since the last round, and whether there is more to read at once."""
        look = Look(self._asked, hiding.shows(self._folder))
        found: list[Record] = []
        more = False
        register = gone.read(self._folder)  # first: what it names is then not among those there are
        there = {(segment.path, segment.inode): segment for segment in segments_of(self._folder)}
        for key in self._cursors.keys() - there.keys():
            cursor = self._cursors.pop(key)
            found += look.answers(cursor.left())
            self._parted[key] = cursor.lines
        for key, segment in there.items():
            cursor = self._cursors.setdefault(key, Cursor())
            if cursor.is_behind(segment):
                with suppress(FileNotFoundError):
                    found += look.answers(cursor.advance(segment))
                    more = more or cursor.is_behind(segment)
        found.sort(key=lambda record: record.id)
        return [*self._gaps(register), *found], more

    def _gaps(self, register: gone.Register) -> Iterator[Gap]:
        new, unknown = register.since(self._went)
        self._went = register.count
        lost, segments = 0, unknown
        for each in new:
            key = (os.path.join(self._folder, each.name), each.inode)
            missed = each.records - self._parted.pop(key, 0)
            if missed > 0:
                lost += missed
                segments += 1
        while len(self._parted) > _PARTED_MAX:
            del self._parted[next(iter(self._parted))]
        if segments:
            least = "at least " if unknown else ""
            said = f"{least}{lost} records in {segments} segments went by a limit of the log before they were read here"
            now_us = time.time_ns() // 1_000
            yield Gap(id=0, ts=now_us, level="WARN", target="holdfast.logs", message=said, lost=lost, segments=segments)
