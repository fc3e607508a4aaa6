"""One segment, read from its end: which frames it has, what their summaries say, and the lines inside.

Opens for reading, with ``pread``; maps nothing, writes nothing. Bytes that are
torn or damaged cost the lines in them and no others.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from holdfast.logs import format, frames, index
from holdfast.logs.format import Summary
from holdfast.logs.model import Record

CHUNK_BYTES = 256 * 1024
"""Read at once, backwards. A cold disk is asked in long strides, and a summary is mostly there already."""
BLOCK_BYTES = 256 * 1024
_INDEX_BYTES = 64 * 1024  # read first: mostly all of the index
_LOST_BYTES_MAX = 64 << 20  # without a frame or a line that can be found, more is no segment of ours
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a pipe of that name must not hang us

_decode = msgspec.json.Decoder(Record).decode


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment as a look at the directory found it. What was written since is not part of it."""

    path: str
    inode: int
    size: int

    @property
    def packed(self) -> bool:
        """Whether its lines are in zstd frames."""
        return self.path.endswith(".zst")


@dataclass(frozen=True, slots=True)
class Stretch:
    """The bytes from ``begin`` to ``end``: a frame with its summary; without one, what is open, torn or plain."""

    begin: int
    end: int
    text_end: int
    summary: Summary | None


class SegmentFile:
    """A segment to read from. Open only while bytes are read, so that however many there are, few descriptors are.

    What reads raises ``FileNotFoundError`` when the segment is gone or another is in its place, and ``OSError``.
    """

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self._chunk = b""
        self._chunk_begin = 0

    def at(self, begin: int, end: int) -> bytes:
        """Return these bytes; fewer when the file was cut meanwhile."""
        if begin < self._chunk_begin or end > self._chunk_begin + len(self._chunk):
            self._chunk_begin = max(0, min(begin, end - CHUNK_BYTES))
            self._chunk = self.piece(self._chunk_begin, end)
        return self._chunk[begin - self._chunk_begin : end - self._chunk_begin]

    def piece(self, begin: int, end: int) -> bytes:
        """Return these bytes and read no others; fewer when the file was cut meanwhile."""
        fd = os.open(self.segment.path, _OPEN)
        try:
            there = os.fstat(fd)
            if not stat.S_ISREG(there.st_mode) or there.st_ino != self.segment.inode:
                raise FileNotFoundError(2, os.strerror(2), self.segment.path)
            return _pread(fd, begin, end)
        finally:
            os.close(fd)

    def last_line_end(self) -> int:
        """Return where the last whole line of a plain segment ends; its end when there is none for 64 MiB."""
        end = self.segment.size
        lowest = max(0, end - _LOST_BYTES_MAX)
        while end > lowest:
            begin = max(lowest, end - BLOCK_BYTES)
            newline = self.at(begin, end).rfind(b"\n")
            if newline >= 0:
                return begin + newline + 1
            end = begin
        return self.segment.size if lowest else 0

    def stretches(self) -> Iterator[Stretch]:
        """Yield what the segment consists of, from its end to its beginning."""
        return self._frames() if self.segment.packed else self._blocks()

    def text(self, stretch: Stretch) -> bytes:
        """Return the lines in ``stretch``, as far as they can be read; a frame whose checksum is wrong has none."""
        begin, end = stretch.begin - self._chunk_begin, stretch.text_end - self._chunk_begin
        if begin >= 0 and end <= len(self._chunk):
            data = self._chunk[begin:end]
        else:
            data = self.piece(stretch.begin, stretch.text_end)
        if not self.segment.packed:
            return data
        if stretch.summary is None:
            return frames.salvage(data)
        return frames.whole(data, stretch.summary.text_bytes)

    def _frames(self) -> Iterator[Stretch]:
        end = self.segment.size
        self._chunk_begin = max(0, end - _INDEX_BYTES)
        self._chunk = self.piece(self._chunk_begin, end)
        while end > 0:
            indexed = self._index_before(end)
            if indexed is not None:
                end, lines = indexed
                for stretch in _stretches_of(lines, end):
                    yield stretch
                    end = stretch.begin
                continue
            found = self._summary_before(end)
            if found is None:
                begin = self._last_summary_before(end)
                if end - begin > _LOST_BYTES_MAX:
                    return
                yield Stretch(begin, end, end, None)
            else:
                begin, text_end, summary = found
                yield Stretch(begin, end, text_end, summary)
            end = begin

    def _index_before(self, end: int) -> tuple[int, list[bytes]] | None:
        """Return where the index begins that ends at ``end``, and the summaries in it; None when there is none."""
        length = index.length(self.at(max(0, end - format.TRAILER_BYTES), end))
        if length is None or length > end:
            return None
        lines = index.lines(self.at(end - length, end), end - length)
        return None if lines is None else (end - length, lines)

    def _summary_before(self, end: int) -> tuple[int, int, Summary] | None:
        """Return where the frame begins whose summary ends at ``end``, where it ends, and the summary."""
        length = format.skippable_length(self.at(max(0, end - format.TRAILER_BYTES), end))
        if length is None or length > end:
            return None
        summary = format.summary_of(format.skippable_content(self.at(end - length, end)))
        if summary is None or summary.frame_bytes > end - length:
            return None
        return end - length - summary.frame_bytes, end - length, summary

    def _last_summary_before(self, end: int) -> int:
        """Return where the last summary before ``end`` ends, 0 when there is none."""
        lowest = max(0, end - _LOST_BYTES_MAX)
        overlap = len(format.TRAILER_MAGIC) - 1
        high = end - 1
        while high > lowest:
            low = max(lowest, high - CHUNK_BYTES)
            data = self.at(low, min(high + overlap, end - 1))
            at = data.rfind(format.TRAILER_MAGIC)
            while at >= 0:
                ends = low + at + len(format.TRAILER_MAGIC)
                if self._summary_before(ends) is not None:
                    return ends
                data = data[: at + overlap]
                at = data.rfind(format.TRAILER_MAGIC)
            high = low
        return 0

    def _blocks(self) -> Iterator[Stretch]:
        end = self.segment.size
        while end > 0:
            begin = max(0, end - BLOCK_BYTES)
            upto = end - 1
            while begin > 0:
                newline = self.at(begin, upto).find(b"\n")
                if newline >= 0:
                    begin += newline + 1
                    break
                if end - begin >= _LOST_BYTES_MAX:
                    return
                begin, upto = max(0, begin - BLOCK_BYTES), begin  # one line longer than a block
            yield Stretch(begin, end, end, None)
            end = begin


def _stretches_of(lines: list[bytes], end: int) -> Iterator[Stretch]:
    """Yield the frames of which these are the summaries, the last of which ends at ``end``, from there backwards."""
    for line in reversed(lines):
        summary = format.summary_of(line)
        text_end = end - format.AROUND_BYTES - len(line)
        if summary is None or summary.frame_bytes > text_end:
            return
        yield Stretch(text_end - summary.frame_bytes, end, text_end, summary)
        end = text_end - summary.frame_bytes


def listing(directory: str) -> list[Segment]:
    """Return the segments in ``directory``, by name; none when there is no such directory. Raises ``OSError``."""
    found = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if format.is_segment(entry.name) and entry.is_file(follow_symlinks=False):
                    seen = entry.stat(follow_symlinks=False)
                    found.append(Segment(entry.path, seen.st_ino, seen.st_size))
    except FileNotFoundError:
        return []
    return sorted(found, key=lambda segment: segment.path)


def records(text: bytes) -> Iterator[Record]:
    """Yield the records in these lines. What is no record is passed over."""
    for line in text.split(b"\n"):
        record = record_of(line) if line else None
        if record is not None:
            yield record


def record_of(line: bytes) -> Record | None:
    """Return the record that ``line`` is; None for a torn one and for what is none."""
    try:
        return _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def ends(text: bytes) -> tuple[int, int]:
    """Return the ids of the first and of the last of these lines; 0 and 0 when one of them is no record."""
    first, last = record_of(text.partition(b"\n")[0]), record_of(text.rstrip(b"\n").rpartition(b"\n")[2])
    return (0, 0) if first is None or last is None else (first.id, last.id)


def _pread(fd: int, begin: int, end: int) -> bytes:
    pieces = []
    while begin < end:
        piece = os.pread(fd, end - begin, begin)
        if not piece:
            break
        pieces.append(piece)
        begin += len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
