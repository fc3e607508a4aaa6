"""A database file and its write-ahead log, read as bytes: which page is where, as of the last commit in the log.

For copies only. To open the files of a live database by hand, and to close
them, takes away the locks of whoever has it open in this process. Nothing is
mapped into memory: of a disk that fails, that would end the process.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack, suppress
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
        with ExitStack() as stack:
            self._fd = _opened(path, stack)
            self._log: dict[int, int] = {}  # where in the log a page is
            self._log_fd = -1
            self.unread: set[int] = set()
            """Pages that the disk did not give."""
            self._look(path, stack)
            self._stack = stack.pop_all()

    def _look(self, path: str, stack: ExitStack) -> None:
        self.bytes = size = os.fstat(self._fd).st_size
        self._extents = list(_extents(self._fd, size))
        self.log_frames = 0
        """Frames of the log that belong to a commit; what lies behind them was never acknowledged."""
        header = file_header(_read(self._fd, HEADER_BYTES, 0))
        self.guessed = header is None
        with suppress(FileNotFoundError):
            self._log_fd = _opened(f"{path}-wal", stack)
            self._read_log(header)
        if at := self._log.get(1):
            header = file_header(_read(self._log_fd, HEADER_BYTES, at)) or header
            self.guessed = header is None
        self.header: FileHeader = header or guessed_header(self._pieces(), size)
        self.pages = max([size // self.header.page_bytes, *self._log])

    def page(self, number: int) -> bytes | None:
        """Return the bytes of a page; None when the file ends before it, or it cannot be read."""
        size = self.header.page_bytes
        try:
            if at := self._log.get(number):
                data = os.pread(self._log_fd, size, at)
            elif 0 < number <= self.bytes // size:
                data = os.pread(self._fd, size, (number - 1) * size)
            else:
                return None
        except OSError:
            data = b""
        if len(data) < size:
            self.unread.add(number)
            return None
        return data

    def written(self) -> Iterator[range]:
        """Yield the pages that can hold anything: what was never written, in a sparse file, is passed over."""
        size = self.header.page_bytes
        for begin, end in self._extents:
            yield range(begin // size + 1, min(-(-end // size), self.bytes // size) + 1)
        yield from (range(number, number + 1) for number in sorted(self._log) if number > self.bytes // size)

    def close(self) -> None:
        """Give the descriptors back."""
        self._stack.close()

    def __enter__(self) -> Image:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_log(self, header: FileHeader | None) -> None:
        """Take over what was committed to the log: sqlite.org/fileformat2.html#the_write_ahead_log."""
        head = _read(self._log_fd, _WAL_HEADER, 0)
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
        step, size = _FRAME_HEADER + page_bytes, os.fstat(self._log_fd).st_size
        for frames, at in enumerate(range(_WAL_HEADER, size - step + 1, step), 1):
            frame = _read(self._log_fd, step, at)
            if len(frame) < step:
                return
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
                yield at, _read(self._fd, _PIECE_BYTES, at)


def _opened(path: str, stack: ExitStack) -> int:
    return stack.enter_context(open(path, "rb", buffering=0)).fileno()


def _read(fd: int, size: int, at: int) -> bytes:
    """Return so many bytes; fewer at the end of the file, or where the disk fails."""
    try:
        return os.pread(fd, size, at)
    except OSError:
        return b""


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
