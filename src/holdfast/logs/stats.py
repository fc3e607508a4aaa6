"""What a log holds, counted from its summaries; only what has none is decoded."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

from holdfast.logs import hiding, reading
from holdfast.logs.query import segments_of
from holdfast.logs.reading import SegmentFile


@dataclass(frozen=True, slots=True, kw_only=True)
class LogStats:
    """A log directory at one moment."""

    directory: str
    segments: int
    bytes: int
    """On the disk, all segments together."""
    text_bytes: int
    """The same, as lines of JSON."""
    records: int
    levels: dict[str, int] = field(default_factory=dict)
    """Records by level."""
    dropped: dict[str, int] = field(default_factory=dict)
    """By level, what writers told they could not keep."""
    hidden: int = 0
    """Records that ``delete_before`` hides; their bytes go with their segment. Counted nowhere else here."""
    oldest_us: int | None = None
    newest_us: int | None = None
    unread_bytes: int = 0
    """In frames whose checksum is wrong."""


def stats(directory: str | os.PathLike[str]) -> LogStats:
    """Count what is there. Reads the summaries, and decodes what has none: 64 MiB take about 0.1 s.

    Creates and changes nothing; a directory that is not there is empty.
    Raises ``Refused`` when ``directory`` is a file, and ``OSError``.
    """
    folder = os.fspath(directory)
    segments = segments_of(folder)
    shown = hiding.shows(folder)
    levels: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    times: list[int] = []
    text_bytes = hidden = unread = 0
    for segment in segments:
        file = SegmentFile(segment)
        with suppress(FileNotFoundError):
            for stretch in file.stretches():
                summary = stretch.summary
                if summary is not None and shown.all_of(summary):
                    levels.update(summary.levels)
                    dropped.update(summary.dropped)
                    times += (summary.first_ts, summary.last_ts)
                    text_bytes += summary.text_bytes
                    continue
                text = file.text(stretch)
                if summary is not None and not text:
                    unread += stretch.end - stretch.begin
                text_bytes += len(text)
                for record in reading.records(text):
                    if not shown.record(record):
                        hidden += 1
                        continue
                    levels[record.level] += 1
                    dropped.update(record.dropped or {})
                    times.append(record.ts)
    return LogStats(
        directory=folder,
        segments=len(segments),
        bytes=sum(segment.size for segment in segments),
        text_bytes=text_bytes,
        records=levels.total(),
        levels=dict(levels),
        dropped=dict(dropped),
        hidden=hidden,
        oldest_us=min(times, default=None),
        newest_us=max(times, default=None),
        unread_bytes=unread,
    )
