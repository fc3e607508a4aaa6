"""What a log holds, counted from its summaries; only what has none is decoded."""

from __future__ import annotations

import os
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

from holdfast.logs import account, hiding, reading
from holdfast.logs.account import Gone
from holdfast.logs.caps import Caps
from holdfast.logs.limits import in_force
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
    taken_bytes: int = 0
    """On the disk, with what is reserved: what the limit on bytes is about."""
    limits: Caps = field(default_factory=Caps)
    """Set for this log, or the usual ones. A writer may have stricter ones of its own."""
    pruned: dict[str, Gone] = field(default_factory=dict)
    """What was written and went, by the rule: ``age``, ``records``, ``bytes``, ``thread_share``, ``free``."""
    refused: dict[str, int] = field(default_factory=dict)
    """Records that were not taken, by the rule, or ``error``, or ``busy``: what writers told when they could again."""
    bytes_24h: int = 0
    """Written in the last 24 hours, by all."""
    apart: str | None = None
    """The thread whose records are in segments of their own: it wrote more than its share of late."""
    last_error: str | None = None
    """Why records were not taken the last time, and when."""
    last_error_us: int | None = None

    @property
    def full(self) -> float:
        """How full the log is: 1.0 at its limit on bytes."""
        return self.taken_bytes / self.limits.bytes if self.limits.bytes else 1.0


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
    books = account.read(folder)
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
        taken_bytes=sum(_blocks(segment.path) for segment in segments),
        limits=in_force(folder),
        pruned=books.pruned,
        refused=books.refused,
        bytes_24h=books.bytes_24h(time.time()),
        apart=books.apart or None,
        last_error=books.last_error or None,
        last_error_us=books.last_error_us or None,
    )


def _blocks(path: str) -> int:
    try:
        return os.stat(path, follow_symlinks=False).st_blocks * 512
    except OSError:
        return 0  # gone since it was listed
