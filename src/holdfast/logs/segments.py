"""Writing the log: each process its own segments, nothing shared but the directory.

A batch is packed into the open zstd frame, flushed, and written with one call;
after about 256 KiB of lines the frame ends and its summary follows. Whatever the
disk does, the caller gets an answer and no exception: what could not be written
is counted and said.

A thread that says more than its share gets segments of its own, of which the
oldest go when they are too many: nothing of the others goes for it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

import msgspec

from holdfast import folders
from holdfast.errors import Busy
from holdfast.logs import account, caps, limits, room
from holdfast.logs.account import Pending
from holdfast.logs.caps import PIECE_TEXT_BYTES, Caps, Kept
from holdfast.logs.ids import HybridClock, take_slot
from holdfast.logs.model import Record
from holdfast.logs.stream import Stream

_RETRY_NS = 250_000_000  # after trouble: not every batch is to ask the disk again
_encode = msgspec.json.Encoder().encode


class SegmentWriter:
    """One writer of a log. Not for several threads at once. Nothing is opened before the first record.

    The limits are those of the directory (``holdfast.logs.retention``); ``caps`` can make them stricter.
    """

    def __init__(self, directory: str | os.PathLike[str], caps: Caps | None = None, *, compress: bool = True) -> None:
        self.directory = os.fspath(directory)
        self._own = caps
        self._compress = compress
        self._ids: HybridClock | None = None
        self._slot_fd = -1
        self._retry_ns = 0
        self._rule = self._why = ""
        self._begin()

    def append(self, records: Sequence[Record]) -> Kept:
        """Write a batch, flushed: it survives the end of this process. Never raises for the disk.

        Records get their ids here; ``pid`` where it is 0. A list is put in the order of writing, so that the first
        ``Kept.written`` of it were written. Waits 400 ms at most for others who make room. ``Kept`` says what was
        dropped, and why.
        """
        if time.monotonic_ns() < self._retry_ns:
            return self._refuse(0, records)
        written = 0
        try:
            self._prepare()
            self._number(records)
            for stream, some in self._parts(records):
                for piece, text in self._pieces(some, stream.caps.segment_records):
                    stream.write(piece, text)
                    written += len(piece)
            self._set_apart()
        except room.NoRoomError as error:
            return self._trouble(written, records, error.rule, str(error))
        except Busy as error:
            return self._trouble(written, records, caps.BUSY, str(error), 0)  # who makes room is soon done
        except OSError as error:
            for stream in self._streams():
                stream.let_go()
            return self._trouble(written, records, caps.ERROR, f"{self.directory}: {error.strerror or error}")
        return Kept(written)

    def seal(self) -> None:
        """End the segment, on the disk; the next record begins another. Never raises for the disk."""
        for stream in self._streams():
            stream.seal()

    def close(self) -> None:
        """Seal, give up the slot, and tell the account what is left to tell."""
        self.seal()
        if self._slot_fd >= 0:
            os.close(self._slot_fd)
            self._slot_fd = -1
        self._ids = None
        if self._pending:
            with suppress(Busy, OSError), room.locked(self.directory):
                books = account.read(self.directory)
                self._pending.tell(books, time.time())
                room.write(self.directory, books)
                self._pending.clear()

    def abandon_in_child(self) -> None:
        """In a forked child: leave the segment to the parent; the next record begins one of the child's own."""
        for stream in self._streams():
            stream.abandon_in_child()
        if self._slot_fd >= 0:
            os.close(self._slot_fd)  # its lock is the parent's, who has it open
        self._slot_fd = -1
        self._ids = None
        self._begin()

    def _begin(self) -> None:
        self._pending = Pending()
        self._common = Stream(self.directory, self._own, self._pending, compress=self._compress)
        self._alone: Stream | None = None
        self._thread = account.NOBODY

    def _streams(self) -> Sequence[Stream]:
        return (self._common,) if self._alone is None else (self._common, self._alone)

    # --- trouble ---------------------------------------------------------------------

    def _trouble(self, written: int, records: Sequence[Record], rule: str, why: str, pause_ns: int = _RETRY_NS) -> Kept:
        self._rule, self._why = rule, why
        self._retry_ns = time.monotonic_ns() + pause_ns
        return self._refuse(written, records)

    def _refuse(self, written: int, records: Sequence[Record]) -> Kept:
        lost = len(records) - written
        self._pending.refused(lost, self._rule, self._why, time.time_ns() // 1_000)
        return Kept(written, lost, self._why)

    # --- a batch ---------------------------------------------------------------------

    def _prepare(self) -> None:
        for stream in self._streams():
            if not stream.is_there():
                stream.let_go()
        if self._ids is None:
            folders.make(self.directory)
            slot, self._slot_fd = take_slot(self.directory)
            self._ids = HybridClock(slot)
            self._common.caps = limits.in_force(self.directory, self._own)
        elif not os.path.isdir(self.directory):
            folders.make(self.directory)

    def _number(self, records: Sequence[Record]) -> None:
        assert self._ids is not None
        pid = os.getpid()
        for record in records:
            record.id = self._ids.next()
            record.pid = record.pid or pid

    def _parts(self, records: Sequence[Record]) -> Sequence[tuple[Stream, Sequence[Record]]]:
        """Return which records go where."""
        if self._alone is None:
            return ((self._common, records),)
        others = [record for record in records if record.thread_id != self._thread]
        its = [record for record in records if record.thread_id == self._thread]
        if isinstance(records, list):
            records[:] = others + its
        return ((self._common, others), (self._alone, its))

    def _set_apart(self) -> None:
        """Do as the account said when room was last reserved."""
        thread = self._pending.apart
        if thread == self._thread:
            return
        if self._alone is not None:
            self._alone.seal()
            self._alone = None
        self._thread = thread
        if thread != account.NOBODY:
            self._alone = Stream(
                self.directory, self._own, self._pending, compress=self._compress, alone=caps.alone(thread)
            )
            self._alone.caps = self._common.caps

    def _pieces(self, records: Sequence[Record], count_max: int | None) -> Iterator[tuple[list[Record], bytes]]:
        said = self._pending.said
        piece: list[Record] = []
        lines: list[bytes] = []
        length = 0
        for record in records:
            line = _encode(record)
            size = len(line) + 1
            if lines and (length + size > PIECE_TEXT_BYTES or len(lines) == count_max):
                yield piece, b"\n".join(lines) + b"\n"
                piece, lines, length = [], [], 0
                said = self._pending.said
            piece.append(record)
            lines.append(line)
            length += size
            thread = record.thread_id or account.NOBODY
            said[thread] = said.get(thread, 0) + size
        if lines:
            yield piece, b"\n".join(lines) + b"\n"
