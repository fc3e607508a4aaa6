"""Records as they are written, by whichever process, into whichever segment: none lost, none twice.

Each segment has a cursor of its own, so a record that is flushed late is told
late, and never passed over because a younger one was there before it. Between
two looks nothing is held open, and nobody who writes is ever waited for or held up.
"""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from holdfast.errors import Refused
from holdfast.logs import format, hiding, reading
from holdfast.logs.matching import LogQuery
from holdfast.logs.model import Record
from holdfast.logs.query import Look, among, segments_of
from holdfast.logs.reading import Segment, SegmentFile

SOONEST_S = 0.02
LATEST_S = 0.25
_ROUND_BYTES = 1 << 20  # of one segment in one round: what a reader that slept for an hour holds in memory


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
    and every 0.25 s when none do. Setting ``stop`` ends it within that time, after
    what was written by then; ``follow=False`` ends it before waiting. What is
    there is told in the order of ids, what comes in the order of each look.

    Raises ``Refused`` when ``directory`` is a file or newest first is asked for, and ``OSError``.
    """
    asked = asked or LogQuery()
    if asked.newest_first:
        raise Refused("a tail tells records as they come, so the newest cannot be first", remedy="Use query.")
    return _told(os.fspath(directory), asked, follow, stop or threading.Event())


def _told(folder: str, asked: LogQuery, follow: bool, stop: threading.Event) -> Iterator[Record]:
    segments = segments_of(folder)
    shown = hiding.shows(folder)
    if asked.limit is None:
        yield from among(segments, asked, shown)
    else:
        yield from reversed(list(among(segments, dataclasses.replace(asked, newest_first=True), shown)))
    if not follow:
        return
    cursors = {(segment.path, segment.inode): _at_the_end(segment) for segment in segments}
    pause_s = SOONEST_S
    while True:
        stopped = stop.wait(pause_s)
        look = Look(asked, hiding.shows(folder))
        found, more = _round(folder, cursors, look)
        yield from found
        if stopped and not more:
            return
        pause_s = 0 if more else SOONEST_S if found else min(pause_s * 1.5, LATEST_S)


def _round(folder: str, cursors: dict[tuple[str, int], _Cursor], look: Look) -> tuple[list[Record], bool]:
    """Return what came since the last round, and whether there is more to read at once."""
    found: list[Record] = []
    more = False
    there = {(segment.path, segment.inode): segment for segment in segments_of(folder)}
    for gone in cursors.keys() - there.keys():
        del cursors[gone]
    for key, segment in there.items():
        cursor = cursors.setdefault(key, _Cursor(0))
        if segment.size > cursor.offset:
            with suppress(FileNotFoundError):
                found += look.answers(cursor.advance(segment))
                more = more or cursor.offset < segment.size
    return sorted(found, key=lambda record: record.id), more


def _at_the_end(segment: Segment) -> _Cursor:
    """Return a cursor behind all that ``segment`` says so far."""
    cursor = _Cursor(segment.size)
    file = SegmentFile(segment)
    with suppress(FileNotFoundError):
        if not segment.packed:
            cursor.offset = file.last_line_end()
        elif (last := next(file.stretches(), None)) is not None:
            # Behind the last summary lies the open frame: decoded again, so that what follows can be.
            cursor.offset = last.begin if last.summary is None else last.end
    with suppress(FileNotFoundError):
        while cursor.offset < segment.size:
            cursor.advance(segment)
    return cursor


class _Cursor:
    """How far one segment was read, and the frame that is open there."""

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self._frame: Any = None
        self._rest = b""  # a line without its end
        self._packed = b""  # less than a header
        self._skip = 0  # bytes of a summary that are still to come

    def advance(self, segment: Segment) -> bytes:
        """Read on, up to 1 MiB; return the lines that became whole."""
        data = SegmentFile(segment).piece(self.offset, min(segment.size, self.offset + _ROUND_BYTES))
        if not data:  # cut by whoever deletes it: there is nothing more to come
            self.offset = segment.size
            return b""
        self.offset += len(data)
        text = self._rest + (self._unpacked(data) if segment.packed else data)
        whole = text.rfind(b"\n") + 1
        self._rest = text[whole:]
        return text[:whole]

    def _unpacked(self, data: bytes) -> bytes:
        new, broken = reading.zstd()
        data = self._packed + data
        self._packed = b""
        texts = []
        while data:
            if self._skip:
                self._skip, data = max(self._skip - len(data), 0), data[self._skip :]
            elif self._frame is not None:
                try:
                    texts.append(self._frame.decompress(data))
                except broken:
                    # Damaged: what was cut off must not run into the next line, and the next frame is looked for.
                    texts.append(b"\n")
                    self._frame, data = None, data[1:]
                    continue
                data = self._frame.unused_data
                if self._frame.eof:
                    self._frame = None
            elif len(data) < format.SKIPPABLE_HEADER_BYTES:
                self._packed, data = data, b""
            elif data.startswith(format.FRAME_MAGIC):
                self._frame = new()
            elif data.startswith(format.SUMMARY_MAGIC):
                self._skip = format.SKIPPABLE_HEADER_BYTES + int.from_bytes(data[4:8], "little")
            else:
                data = data[reading.next_frame(data, 1) :]
        return b"".join(texts)
