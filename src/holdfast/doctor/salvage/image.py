"""A database file and its write-ahead log, read as bytes: which page is where, as of the last commit in the log.

For copies only. To open the files of a live database by hand, and to close
them, takes away the locks of whoever has it open in this process.
"""

from __future__ import annotations

import mmap
import os
import struct
from types import TracebackType

from holdfast.doctor.salvage.pages import FileHeader, file_header, guessed_header

_WAL_HEADER = 32
_FRAME_HEADER = 24
_MAGIC = {0x377F0682: "<", 0x377F0683: ">"}


class Image:
    """The pages of one database. ``header`` is that of page 1, or ``guessed`` from the other pages."""

    def __init__(self, path: str) -> None:
        """Open the copy at ``path``, with its ``-wal`` when it has one. Raises ``OSError``."""
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            self._data: mmap.mmap | bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
        self.bytes = size
        self._log: dict[int, bytes] = {}
        self.log_frames = 0
        """Frames of the log that belong to a commit; what lies behind them was never acknowledged."""
        header = file_header(self._data[:100])
        self.guessed = header is None
        self._read_log(f"{path}-wal", header)
        if 1 in self._log:
            header = file_header(self._log[1]) or header
            self.guessed = header is None
        self.header: FileHeader = header or guessed_header(self._data)
        self.pages = max([size // self.header.page_bytes, *self._log])

    def page(self, number: int) -> bytes | None:
        """Return the bytes of a page, or None when the file ends before it."""
        if found := self._log.get(number):
            return found
        size = self.header.page_bytes
        end = number * size
        return self._data[end - size : end] if number > 0 and end <= self.bytes else None

    def close(self) -> None:
        """Give the memory back."""
        if isinstance(self._data, mmap.mmap):
            self._data.close()

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
                head = file.read(_WAL_HEADER)
                if len(head) < _WAL_HEADER:
                    return
                magic, _, page_bytes = struct.unpack_from(">III", head)
                order = _MAGIC.get(magic)
                if order is None or (header is not None and page_bytes != header.page_bytes):
                    return
                sums = _checksum(order, head[:24], (0, 0))
                if sums != struct.unpack_from(">II", head, 24):
                    return
                pending: dict[int, bytes] = {}
                frames = 0
                while len(frame := file.read(_FRAME_HEADER + page_bytes)) == _FRAME_HEADER + page_bytes:
                    number, commit = struct.unpack_from(">II", frame)
                    sums = _checksum(order, frame[24:], _checksum(order, frame[:8], sums))
                    if frame[8:16] != head[16:24] or sums != struct.unpack_from(">II", frame, 16) or not number:
                        return
                    frames += 1
                    pending[number] = frame[24:]
                    if commit:
                        self._log |= pending
                        self.log_frames = frames
                        pending.clear()
        except FileNotFoundError:
            return


def _checksum(order: str, data: bytes, sums: tuple[int, int]) -> tuple[int, int]:
    first, second = sums
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for even, odd in zip(words, words, strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
