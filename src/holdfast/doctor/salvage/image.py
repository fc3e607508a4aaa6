"""A database file and its write-ahead log, read as bytes: which page is where, as of the last commit in the log.

For copies only. To open the files of a live database by hand, and to close
them, takes away the locks of whoever has it open in this process.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
from collections.abc import Iterator
from types import TracebackType

from holdfast.doctor.salvage.pages import HEADER_BYTES, FileHeader, file_header, guessed_header

_WAL_HEADER = 32
_FRAME_HEADER = 24
_PIECE_BYTES = 65_536
_PIECES_MAX = 256
_MAGIC = {0x377F0682: "<", 0x377F0683: ">"}


class Image:
    """The pages of one database. ``header`` is that of page 1, or ``guessed`` from the other pages."""

    def __init__(self, path: str) -> None:
        """Open the copy at ``path``, with its ``-wal`` when it has one. Raises ``OSError``."""
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            self._extents = list(_extents(file.fileno(), size))
            self._data = _mapped(file.fileno(), size)
        self.bytes = size
        self._log: dict[int, int] = {}  # where in the log a page is
        self._log_data: mmap.mmap | bytes = b""
        self.log_frames = 0
        """Frames of the log that belong to a commit; what lies behind them was never acknowledged."""
        header = file_header(self._data[:HEADER_BYTES])
        self.guessed = header is None
        self._read_log(f"{path}-wal", header)
        if at := self._log.get(1):
            header = file_header(self._log_data[at : at + HEADER_BYTES]) or header
            self.guessed = header is None
        self.header: FileHeader = header or guessed_header(self._pieces(), size)
        self.pages = max([size // self.header.page_bytes, *self._log])

    def page(self, number: int) -> bytes | None:
        """Return the bytes of a page, or None when the file ends before it."""
        size = self.header.page_bytes
        if at := self._log.get(number):
            return self._log_data[at : at + size]
        end = number * size
        return self._data[end - size : end] if number > 0 and end <= self.bytes else None

    def written(self) -> Iterator[range]:
        """Yield the pages that can hold anything: what was never written, in a sparse file, is passed over."""
        size = self.header.page_bytes
        for begin, end in self._extents:
            yield range(begin // size + 1, min(-(-end // size), self.bytes // size) + 1)
        yield from (range(number, number + 1) for number in sorted(self._log) if number > self.bytes // size)

    def close(self) -> None:
        """Give the memory back."""
        for each in (self._data, self._log_data):
            if isinstance(each, mmap.mmap):
                each.close()

    def __enter__(self) -> Image:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_log(self, path: str, header: FileHeader | None) -> None:
        """Take over what was committed to the log: sqlite.org/fileformat2.html#the_write_ahead_log."""
        try:
            with open(path, "rb") as file:
                self._log_data = log = _mapped(file.fileno(), os.fstat(file.fileno()).st_size)
        except FileNotFoundError:
            return
        head = log[:_WAL_HEADER]
        if len(head) < _WAL_HEADER:
            return
        magic, _, page_bytes = struct.unpack_from(">III", head)
        order = _MAGIC.get(magic)
        if order is None or (header is not None and page_bytes != header.page_bytes):
            return
        sums = _checksum(order, head[:24], (0, 0))
        if sums != struct.unpack_from(">II", head, 24):
            return
        pending: dict[int, int] = {}
        step = _FRAME_HEADER + page_bytes
        for frames, at in enumerate(range(_WAL_HEADER, len(log) - step + 1, step), 1):
            frame = log[at : at + step]
            number, commit = struct.unpack_from(">II", frame)
            sums = _checksum(order, frame[24:], _checksum(order, frame[:8], sums))
            if frame[8:16] != head[16:24] or sums != struct.unpack_from(">II", frame, 16) or not number:
                return
            pending[number] = at + _FRAME_HEADER
            if commit:
                self._log |= pending
                self.log_frames = frames
                pending.clear()

    def _pieces(self) -> Iterator[tuple[int, bytes]]:
        """Yield some parts of the file that were written, each with where it begins."""
        left = _PIECES_MAX
        for begin, end in self._extents:
            for at in range(begin - begin % _PIECE_BYTES, end, _PIECE_BYTES)[:left]:
                left -= 1
                yield at, self._data[at : at + _PIECE_BYTES]


def _mapped(fd: int, size: int) -> mmap.mmap | bytes:
    return mmap.mmap(fd, 0, access=mmap.ACCESS_READ) if size else b""


def _extents(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield from where to where a file was written. A file system that does not know says: all of it."""
    end = 0
    while end < size:
        try:
            begin = os.lseek(fd, end, os.SEEK_DATA)
            end = os.lseek(fd, begin, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole comes after
                return
            begin, end = end, size
        yield begin, end


def _checksum(order: str, data: bytes, sums: tuple[int, int]) -> tuple[int, int]:
    first, second = sums
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for even, odd in zip(words, words, strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
