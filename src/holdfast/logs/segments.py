"""Writing the log: one process, one segment at a time, nothing shared but the directory.

A batch is packed into the open zstd frame, flushed, and written with one call;
after about 256 KiB of lines the frame ends and its summary follows. Whatever the
disk does, the caller gets an answer and no exception: what could not be written
is counted and said.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import sys
import time
from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec

from holdfast import folders
from holdfast.errors import Busy
from holdfast.logs import format, index, retention
from holdfast.logs.caps import FRAME_TEXT_BYTES, PIECE_TEXT_BYTES, Caps, Kept
from holdfast.logs.ids import HybridClock, take_slot
from holdfast.logs.model import Record

_LEVEL = 3  # zstd's own default
_RETRY_NS = 250_000_000  # after trouble: not every batch is to ask the disk again
_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE (fallocate(2))
_encode = msgspec.json.Encoder().encode


class SegmentWriter:
    """One writer of a log. Not for several threads at once. Nothing is opened before the first record."""

    def __init__(self, directory: str | os.PathLike[str], caps: Caps | None = None, *, compress: bool = True) -> None:
        self.directory = os.fspath(directory)
        self.caps = caps or Caps()
        self._compress = compress
        self._ids: HybridClock | None = None
        self._slot_fd = -1
        self._fd = -1
        self._number = 0
        self._size = self._reserved = 0
        self._summaries: list[bytes] = []
        self._index_room = 0
        self._frame: Any = None
        self._begin()
        self._retry_ns = 0
        self._why = ""

    def append(self, records: Sequence[Record]) -> Kept:
        """Write a batch, flushed: it survives the end of this process. Never raises for the disk.

        Records get their ids here; ``pid`` where it is 0. 50 ms at most, when others make room. ``Kept`` says what
        was dropped, and why.
        """
        if time.monotonic_ns() < self._retry_ns:
            return Kept(0, len(records), self._why)
        written = 0
        try:
            self._prepare()
            for piece, text in _pieces(self._numbered(records)):
                self._write(piece, text)
                written += len(piece)
        except retention.NoRoomError as error:
            return self._trouble(written, records, str(error))
        except Busy as error:
            return self._trouble(written, records, str(error), 0)  # who makes room is soon done
        except OSError as error:
            self._let_go()
            return self._trouble(written, records, f"{self.directory}: {error.strerror or error}")
        self._why = ""
        return Kept(written)

    def seal(self) -> None:
        """End the segment, on the disk; the next record begins another. Never raises for the disk."""
        if self._fd < 0:
            return
        try:
            self._end_frame()
            self._put_index()
            os.ftruncate(self._fd, self._size)  # gives back what was reserved
            os.fsync(self._fd)
        except OSError:
            pass  # it is a segment that ends where it ends
        self._let_go()

    def close(self) -> None:
        """Seal, and give up the slot."""
        self.seal()
        if self._slot_fd >= 0:
            os.close(self._slot_fd)
            self._slot_fd = -1
        self._ids = None

    def abandon_in_child(self) -> None:
        """In a forked child: leave the segment to the parent; the next record begins one of the child's own."""
        for fd in (self._fd, self._slot_fd):
            if fd >= 0:
                os.close(fd)  # its locks are the parent's, who has them open
        self._fd = self._slot_fd = -1
        self._ids = None
        self._begin()

    def _trouble(self, written: int, records: Sequence[Record], why: str, pause_ns: int = _RETRY_NS) -> Kept:
        self._why = why
        self._retry_ns = time.monotonic_ns() + pause_ns
        return Kept(written, len(records) - written, why)

    def _numbered(self, records: Sequence[Record]) -> Sequence[Record]:
        assert self._ids is not None
        pid = os.getpid()
        for record in records:
            record.id = self._ids.next()
            record.pid = record.pid or pid
        return records

    # --- the segment -----------------------------------------------------------------

    def _prepare(self) -> None:
        if self._fd >= 0 and not self._is_there():
            self._let_go()  # somebody took the directory away
        if self._ids is None:
            folders.make(self.directory)
            slot, self._slot_fd = take_slot(self.directory)
            self._ids = HybridClock(slot)
        elif not os.path.isdir(self.directory):
            folders.make(self.directory)

    def _is_there(self) -> bool:
        try:
            there = os.stat(self._path)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == self._identity

    def _open(self) -> None:
        suffix = ".zst" if self._compress else ""
        boot = _boot_id()
        while True:
            self._number += 1
            self._path = os.path.join(self.directory, f"{boot}-{os.getpid()}-{self._number}.jsonl{suffix}")
            try:
                self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
                break
            except FileExistsError:
                continue  # a pid that came again
        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        made = os.fstat(self._fd)
        self._identity = (made.st_dev, made.st_ino)
        self._size = self._reserved = 0
        self._summaries = []
        self._index_room = 0
        self._begin()

    def _reserve(self, wanted: int) -> None:
        """Have room for ``wanted`` more bytes in this segment, or in a new one."""
        if self._fd >= 0 and self._size + wanted > self.caps.segment_bytes:
            self.seal()
        if self._fd >= 0 and self._size + wanted <= self._reserved:
            return
        step = max(self.caps.step_bytes, wanted)
        with retention.locked(self.directory):
            retention.make_room(self.directory, step, self.caps)
            if self._fd < 0:
                self._open()
            _allocate(self._fd, self._reserved, step)
            self._reserved += step
            if self.caps.bytes_per_day is not None:
                retention.note_reserved(self.directory, step)

    def _let_go(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._begin()

    # --- the frame -------------------------------------------------------------------

    def _begin(self) -> None:
        self._frame = None
        self._records: list[Record] = []
        self._text_bytes = 0
        self._frame_bytes = 0

    def _write(self, piece: Sequence[Record], text: bytes) -> None:
        # What does not pack grows by less than this (zstd's ZSTD_compressBound); summary and index are to fit, too.
        self._reserve(len(text) + (len(text) >> 8) + 1024 + _SUMMARY_ROOM + self._index_room)
        if not self._compress:
            self._put(text)
            return
        if self._frame is None:
            self._frame = _compressor()
        self._frame_bytes += self._put(self._frame.compress(text, self._frame.FLUSH_BLOCK))
        self._records += piece
        self._text_bytes += len(text)
        if self._text_bytes >= FRAME_TEXT_BYTES:
            self._end_frame()

    def _end_frame(self) -> None:
        if self._frame is None:
            return
        end = self._frame.flush(self._frame.FLUSH_FRAME)
        summary = format.summarize(self._records, self._frame_bytes + len(end), self._text_bytes)
        if self._size + len(end) + len(summary) > self._reserved:
            summary = b""  # a frame is whole without
        self._put(end + summary)
        self._summaries.append(summary)
        self._index_room += len(summary) // 2
        self._begin()

    def _put_index(self) -> None:
        found = index.pack(self._summaries, self._size) if all(self._summaries) else b""
        if found and self._size + len(found) <= self._reserved:  # a segment is whole without
            self._put(found)

    def _put(self, data: bytes) -> int:
        written = os.write(self._fd, data)
        if written < len(data):
            # Half a batch is worth nothing, and the frame cannot go on from there.
            os.ftruncate(self._fd, self._size)
            raise OSError(28, "the disk took only a part")
        self._size += written
        return written


_SUMMARY_ROOM = 24 * 1024


def _pieces(records: Sequence[Record]) -> Sequence[tuple[list[Record], bytes]]:
    pieces: list[tuple[list[Record], bytes]] = []
    piece: list[Record] = []
    lines: list[bytes] = []
    length = 0
    for record in records:
        line = _encode(record)
        if lines and length + len(line) + 1 > PIECE_TEXT_BYTES:
            pieces.append((piece, b"\n".join(lines) + b"\n"))
            piece, lines, length = [], [], 0
        piece.append(record)
        lines.append(line)
        length += len(line) + 1
    if lines:
        pieces.append((piece, b"\n".join(lines) + b"\n"))
    return pieces


def _compressor() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    parameter = zstd.CompressionParameter
    options = {int(parameter.compression_level): _LEVEL, int(parameter.checksum_flag): 1}
    return zstd.ZstdCompressor(options=options)


def _allocate(fd: int, offset: int, length: int) -> None:
    """Reserve blocks behind the end of the file. Where that cannot be (some file systems), what is written counts."""
    fallocate = _fallocate()
    if fallocate is None:
        return
    if fallocate(fd, _KEEP_SIZE, offset, length):
        number = ctypes.get_errno()
        if number not in (38, 95):  # ENOSYS, EOPNOTSUPP
            raise OSError(number, os.strerror(number))


@cache
def _fallocate() -> Any:
    try:
        found = ctypes.CDLL(None, use_errno=True).fallocate
    except (OSError, AttributeError):
        return None
    found.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return found


@cache
def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip().replace("-", "")[:12]
    except OSError:
        return "0"
