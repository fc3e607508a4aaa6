"""Bytes of a growing file, cut into whole lines. Pure: no files.

A line is whole when its newline is there. What follows the last newline may
be half a write: it is kept back, and never yielded.
"""

from __future__ import annotations

from collections.abc import Iterator

LINE_BYTES_MAX = 64 * 1024 * 1024
"""Longer lines are passed over in constant memory and counted. Codex writes inline images of 10 to 20 MiB."""

_TAIL_BYTES_KEPT = 64 * 1024  # of a tail that is too long to be a line: enough to say what it looks like


class Cutter:
    """Takes a stream in pieces of any size and gives back blocks of whole lines.

    ``offset`` is where the next line begins, in bytes from the start of the
    file. ``too_long`` lists ``(offset, bytes)`` of lines that were passed over.
    Where the stream is cut into pieces never changes what comes out.
    """

    def __init__(self, offset: int = 0, line_bytes_max: int = LINE_BYTES_MAX) -> None:
        self.offset = offset
        self.too_long: list[tuple[int, int]] = []
        self._max = line_bytes_max
        self._pieces: list[bytes] = []
        self._tail_bytes = 0

    @property
    def tail_bytes(self) -> int:
        """How many bytes follow the last newline."""
        return self._tail_bytes

    def tail(self) -> bytes:
        """Return what follows the last newline; of one that is too long to be a line, the beginning."""
        return b"".join(self._pieces)

    def feed(self, piece: bytes) -> bytes:
        """Return every line that ``piece`` completes, as one block that ends in a newline, or nothing."""
        end = piece.rfind(b"\n") + 1
        if not end:
            self._keep(piece)
            return b""
        begin = self.offset
        if self._tail_bytes > self._max:  # the line that is being passed over ends here
            first = piece.index(b"\n") + 1
            length = self._tail_bytes + first - 1
            self.too_long.append((begin, length))
            begin += length + 1
            block = piece[first:end]
        elif self._pieces:
            self._pieces.append(piece[:end])
            block = b"".join(self._pieces)
        else:
            block = piece[:end] if end < len(piece) else piece
        self.offset = begin + len(block)
        self._pieces.clear()
        self._tail_bytes = 0
        if end < len(piece):
            self._keep(piece[end:])
        return block if len(block) <= self._max else self._without_long_lines(block, begin)

    def _keep(self, piece: bytes) -> None:
        passing_over = self._tail_bytes > self._max
        self._tail_bytes += len(piece)
        if passing_over:
            return
        self._pieces.append(piece)
        if self._tail_bytes > self._max:
            head = bytearray()
            for each in self._pieces:
                head += each[: _TAIL_BYTES_KEPT - len(head)]
            self._pieces = [bytes(head)]

    def _without_long_lines(self, block: bytes, begin: int) -> bytes:
        kept = []
        for line, end in split(block, begin):
            if len(line) > self._max:
                self.too_long.append((end - len(line) - 1, len(line)))
            else:
                kept.append(line)
        return b"".join(line + b"\n" for line in kept)


def split(block: bytes, begin: int = 0) -> Iterator[tuple[bytes, int]]:
    """Yield ``(line, end)`` for each line of ``block`` (whole lines, as ``Cutter.feed`` returns them).

    The line comes without its newline; ``end`` is the offset just behind it,
    where the next line begins, when ``block`` itself lies at ``begin``.
    """
    end = begin
    start = 0
    while start < len(block):
        stop = block.index(b"\n", start)
        end += stop + 1 - start
        yield block[start:stop], end
        start = stop + 1
