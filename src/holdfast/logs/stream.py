"""One segment after another, being written: reserve, pack, flush, end. What stands in the lines is no matter here.

Room is asked for before it is needed, and then without waiting for the lock: a
holder of it that lost the processor stops nobody. Only a stream that has used up
what it had waits: 400 ms, or up to a minute while whoever is before it is not stopped.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Any

from holdfast.logs import account, format, index, limits, room
from holdfast.logs.account import Account, Pending
from holdfast.logs.caps import FRAME_TEXT_BYTES, STEP_BYTES_MIN, Caps
from holdfast.logs.model import Record

_LEVEL = 3  # zstd's own default
_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE (fallocate(2))
_SUMMARY_ROOM = 24 * 1024
_FAST_NS, _SLOW_NS = 1_000_000_000, 10_000_000_000
_IMPATIENT_MS = 40
_SYNC_S = 1  # segments that fill faster are left to the kernel: many syncs would hold all writers up at the journal


class Stream:
    """The segments of one writer; with ``alone``, those of one thread, named by it. Nothing is opened before a write.

    ``own`` are the limits the writer was given; ``pending`` is what it has to tell the account.
    """

    def __init__(self, directory: str, own: Caps | None, pending: Pending, *, compress: bool, alone: str = "") -> None:
        self._directory = directory
        self._own = own
        self._pending = pending
        self._compress = compress
        self._alone = alone
        self.caps = own or Caps()
        """In force when room was last reserved."""
        self._writers = 1
        self._fd = -1
        self._number = 0
        self._step = STEP_BYTES_MIN
        self._stepped_ns = 0
        self._is_patient = True
        self._path = ""
        self._identity = (0, 0)
        self._opened_s = 0.0
        self._size = self._reserved = self._ask_below = self._count = self._index_room = 0
        self._summaries: list[bytes] = []
        self._frame: Any = None
        self._records: list[Record] = []
        self._text_bytes = self._frame_bytes = 0

    def write(self, piece: Sequence[Record], text: bytes) -> None:
        """Write these lines, flushed. Raises ``NoRoomError``, ``Busy`` and ``OSError``."""
        # What does not pack grows by less than this (zstd's ZSTD_compressBound); summary and index are to fit, too.
        self._reserve(len(text) + (len(text) >> 8) + 1024 + _SUMMARY_ROOM + self._index_room, len(piece))
        self._count += len(piece)
        before = self._size
        if not self._compress:
            self._put(text)
        else:
            if self._frame is None:
                self._frame = _compressor()
            self._frame_bytes += self._put(self._frame.compress(text, self._frame.FLUSH_BLOCK))
            self._records += piece
            self._text_bytes += len(text)
            if self._text_bytes >= FRAME_TEXT_BYTES:
                self._end_frame()
        self._pending.wrote(self._size - before)

    def seal(self) -> None:
        """End the segment, on the disk; the next record begins another. Never raises for the disk."""
        if self._fd < 0:
            return
        with suppress(OSError):  # it is a segment that ends where it ends
            _close(self._end(), is_sync=True)
        self.let_go()

    def let_go(self) -> None:
        """Leave the segment as a killed process would."""
        if self._fd >= 0:
            self._pending.unused(self._reserved - self._size)
            if self._size == 0 and self.is_there():
                with suppress(OSError):
                    os.unlink(self._path)
            os.close(self._fd)
        self._close()

    def abandon_in_child(self) -> None:
        """In a forked child: leave the segment, and its lock, to the parent."""
        if self._fd >= 0:
            os.close(self._fd)
        self._close()

    def is_there(self) -> bool:
        """Return False when the open segment is no longer at its path: somebody took it, or the directory, away."""
        if self._fd < 0:
            return True
        try:
            there = os.stat(self._path)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == self._identity

    # --- room ------------------------------------------------------------------------

    def _reserve(self, wanted: int, count: int) -> None:
        """Have room for ``wanted`` more bytes in this segment, or in a new one."""
        left = self._reserved - self._size
        has_enough = self._has_enough(count)
        is_over = has_enough or self._is_old()
        if left >= wanted + self._ask_below and not is_over:
            return
        if left >= wanted and not has_enough:
            lock = room.lock_free(self._directory)
            if lock is None:
                return  # the next batch asks again
        else:
            # Long enough for many that begin at once; not each time, when that was not enough.
            was_patient, self._is_patient = self._is_patient, False
            lock = room.lock_in_turn(self._directory) if was_patient else room.lock(self._directory, _IMPATIENT_MS)
            self._is_patient = True
        ended = -1
        is_sync = time.time() - self._opened_s > _SYNC_S
        try:
            with lock:
                self.caps = limits.in_force(self._directory, self._own)
                books = account.read(self._directory)
                step = max(self._next_step(), wanted)
                if self._fd >= 0 and (is_over or self._reserved + step > self._segment_bytes()):
                    ended = self._end()
                self._take_room(step, wanted, books)
        except room.NoRoomError:
            if self._fd < 0 or self._reserved - self._size < wanted:
                raise
            self._ask_below = (left - wanted) // 2  # not at every batch
        finally:
            if ended >= 0:
                _close(ended, is_sync=is_sync)

    def _has_enough(self, count: int) -> bool:
        most = self.caps.segment_records
        return most is not None and self._count > 0 and self._count + count > most

    def _is_old(self) -> bool:
        return self._fd >= 0 and time.time() - self._opened_s > self.caps.segment_age_s

    def _segment_bytes(self) -> int:
        return self.caps.segment_bytes(self._writers)

    def _next_step(self) -> int:
        """Return how much to reserve: little for who writes little, a segment at once for who fills it in seconds."""
        now_ns = time.monotonic_ns()
        took_ns, self._stepped_ns = now_ns - self._stepped_ns, now_ns
        if took_ns < _FAST_NS:
            self._step *= 2
        elif took_ns > _SLOW_NS:
            self._step //= 2
        self._step = max(STEP_BYTES_MIN, min(self._step, self._segment_bytes()))
        return self._step

    def _take_room(self, step: int, wanted: int, books: Account) -> None:
        """Reserve ``step``, or, where that is too much, what is wanted at least."""
        least = max(STEP_BYTES_MIN, wanted)
        try:
            try:
                self._allocate(step, books, is_least=step <= least)
            except (room.NoRoomError, OSError):
                self._step = STEP_BYTES_MIN
                if step <= least:
                    raise
                self._allocate(least, books, is_least=True)
        finally:
            self._tell(books)

    def _allocate(self, step: int, books: Account, *, is_least: bool) -> None:
        self._writers = room.make_room(self._directory, step, self.caps, books, self._alone, is_least=is_least)
        if self._fd >= 0:
            _allocate(self._fd, self._reserved, step)
        else:
            self._open()
            try:
                _allocate(self._fd, 0, step)
            except OSError:
                self.let_go()
                raise
        self._reserved += step
        books.took(step, time.time())
        self._ask_below = min(step // 2, self._segment_bytes() // 8)

    def _tell(self, books: Account) -> None:
        self._pending.tell(books, time.time())
        books.weigh(self.caps.thread_share, self.caps.segment_bytes())
        self._pending.apart = books.apart
        try:
            room.write(self._directory, books)
        except OSError:
            if self.caps.bytes_per_day is not None:
                raise  # who cannot count cannot keep to it
            return
        self._pending.clear()

    def _open(self) -> None:
        suffix = ".zst" if self._compress else ""
        name = f"{_boot_id()}{self._alone}-{os.getpid()}"
        while True:
            self._number += 1
            self._path = os.path.join(self._directory, f"{name}-{self._number}.jsonl{suffix}")
            try:
                self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
                break
            except FileExistsError:
                continue  # a pid that came again
        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        made = os.fstat(self._fd)
        self._identity = (made.st_dev, made.st_ino)
        self._opened_s = time.time()

    def _end(self) -> int:
        """End the segment and let go of its lock, so that it may go; return its descriptor, which is to be synced."""
        self._end_frame()
        self._put_index()
        os.ftruncate(self._fd, self._size)  # gives back what was reserved
        self._pending.unused(self._reserved - self._size)
        self._pending.ended(os.path.basename(self._path), self._count)
        ended, self._fd = self._fd, -1
        fcntl.flock(ended, fcntl.LOCK_UN)
        self._close()
        return ended

    def _close(self) -> None:
        self._fd = -1
        self._path = ""
        self._identity = (0, 0)
        self._opened_s = 0.0
        self._size = self._reserved = self._ask_below = self._count = 0
        self._begin()

    # --- the frame -------------------------------------------------------------------

    def _begin(self) -> None:
        self._frame = None
        self._records = []
        self._text_bytes = 0
        self._frame_bytes = 0

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


def _close(fd: int, *, is_sync: bool) -> None:
    """Close a segment that ended, on the disk if asked. A disk that cannot is told with the next write."""
    try:
        if is_sync:
            with suppress(OSError):
                os.fsync(fd)
    finally:
        os.close(fd)


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
