"""How far one segment was read that is still being written, and the frame that is open there."""

from __future__ import annotations

from contextlib import suppress

from holdfast.logs import format, frames
from holdfast.logs.frames import DamagedError, Frame
from holdfast.logs.reading import Segment, SegmentFile

_READ_BYTES = 64 * 1024
_LINES = 500
_LINE_BYTES_MAX = 1 << 20  # ours have 16 KiB and a little; what does not end is somebody else's, and may grow for ever
_NO_RECORD = b"\0"  # what a line begins with whose beginning was given up: so its end is no record
_SKIP_BYTES_MAX = 8 << 20  # an index of a segment of 500 MB; what claims to be longer is damage


class Cursor:
    """The place in one segment up to which its lines were told."""

    def __init__(self, offset: int = 0) -> None:
        self.lines = 0
        """How many were told, or were there before."""
        self._offset = offset
        self._frame: Frame | None = None
        self._text = b""  # whole lines that are still to be told
        self._rest = b""  # a line without its end
        self._packed = b""  # less than a header
        self._skip = 0  # bytes of a summary that are still to come

    @classmethod
    def at_the_end(cls, segment: Segment) -> Cursor:
        """Return a cursor behind all that ``segment`` says so far. Costs a walk of its summaries, or its index."""
        cursor = cls(segment.size)
        file = SegmentFile(segment)
        with suppress(FileNotFoundError):
            stretches = file.stretches()
            if not segment.packed:
                cursor._offset = file.last_line_end()
                cursor.lines = sum(file.text(stretch).count(b"\n") for stretch in stretches)
                return cursor
            last = next(stretches, None)
            if last is None:
                return cursor
            if last.summary is None:
                # Behind the last summary lies the open frame: decoded again, so that what follows can be.
                cursor._offset = last.begin
            else:
                cursor.lines = last.summary.count
            cursor.lines += sum(each.summary.count for each in stretches if each.summary is not None)
            while cursor.is_behind(segment):
                cursor.advance(segment)
        return cursor

    def is_behind(self, segment: Segment) -> bool:
        """Whether there is more to tell of what ``segment`` said by when it was listed."""
        return bool(self._text) or self._offset < segment.size

    def advance(self, segment: Segment) -> bytes:
        """Return up to 500 lines more, reading up to 64 KiB. Raises ``FileNotFoundError``, ``OSError``."""
        if not self._text:
            data = SegmentFile(segment).piece(self._offset, min(segment.size, self._offset + _READ_BYTES))
            # Without any it was cut, by whoever deletes it: there is nothing more to come.
            self._offset = self._offset + len(data) if data else segment.size
            text = self._rest + (self._unpacked(data) if segment.packed else data)
            whole = text.rfind(b"\n") + 1
            self._text, self._rest = text[:whole], text[whole:]
            if len(self._rest) > _LINE_BYTES_MAX:
                self._rest = _NO_RECORD
        end = 0
        for _ in range(_LINES):
            newline = self._text.find(b"\n", end)
            if newline < 0:
                break
            end = newline + 1
            self.lines += 1
        text, self._text = self._text[:end], self._text[end:]
        return text

    def left(self) -> bytes:
        """Return the lines that were read and are still to be told."""
        text, self._text = self._text, b""
        self.lines += text.count(b"\n")
        return text

    def _unpacked(self, data: bytes) -> bytes:
        data = self._packed + data
        self._packed = b""
        texts = []
        while data:
            if self._skip:
                self._skip, data = max(self._skip - len(data), 0), data[self._skip :]
            elif self._frame is not None:
                try:
                    texts.append(self._frame.decode(data))
                except DamagedError:
                    # What was cut off must not run into the next line, and the next frame is looked for.
                    texts.append(b"\n")
                    self._frame, data = None, data[1:]
                    continue
                data = self._frame.rest
                if self._frame.ended:
                    self._frame = None
            elif len(data) < format.SKIPPABLE_HEADER_BYTES:
                self._packed, data = data, b""
            elif data.startswith(format.FRAME_MAGIC):
                self._frame = Frame()
            elif data.startswith(format.SUMMARY_MAGIC) and (length := _skippable(data)) <= _SKIP_BYTES_MAX:
                self._skip = length
            else:
                data = data[frames.next_frame(data, 1) :]
        return b"".join(texts)


def _skippable(data: bytes) -> int:
    return format.SKIPPABLE_HEADER_BYTES + int.from_bytes(data[4:8], "little")
