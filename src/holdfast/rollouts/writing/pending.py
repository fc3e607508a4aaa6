"""Batches on their way into a file. Each got its place when it was taken, and keeps it: an offset and its numbers.

What is in the file is then a matter of comparing that place with the file's
size, so no failure and no interrupt can write a line twice or number two lines
alike. Knows no lock and no policy.
"""

from __future__ import annotations

from bisect import bisect_right

import msgspec

from holdfast.rollouts.writing.growing import GrowingFile

_WRITE_BYTES = 1024 * 1024  # of what waits in memory, so much is offered to a full disk at once


class Taken(msgspec.Struct, gc=False):
    """A batch that was taken. ``end`` and ``next_ordinal`` are behind it, ``items`` counts it and all before."""

    end: int
    block: bytes
    items: int
    next_ordinal: int | None


class Pending:
    """What was taken and is not in the file yet; with ``syncs``, what is not safe on its disk yet.

    ``error`` is why the last try failed, None when nothing waits.
    """

    def __init__(self, file: GrowingFile, next_ordinal: int | None, *, syncs: bool, bytes_max: int) -> None:
        self.error: OSError | None = None
        self._file = file
        self._syncs = syncs
        self._bytes_max = bytes_max
        self._queue: list[Taken] = []
        self._before = Taken(file.size, b"", 0, next_ordinal)  # the last one when the queue is empty

    @property
    def last(self) -> Taken:
        """The last batch that was taken, or where the file began."""
        return self._queue[-1] if self._queue else self._before

    @property
    def waiting_items(self) -> int:
        """How many items wait in memory."""
        at = self._first_unwritten()
        return self.last.items - (self._queue[at - 1] if at else self._before).items

    @property
    def waiting_bytes(self) -> int:
        """How many bytes wait in memory."""
        return self.last.end - self._file.size

    def block(self) -> bytes:
        """Return what waits in memory."""
        return b"".join(taken.block for taken in self._queue[self._first_unwritten() :])

    def take(self, block: bytes, items: int, next_ordinal: int | None) -> Taken:
        """Give a batch its place, behind all others."""
        last = self.last
        taken = Taken(last.end + len(block), block, last.items + items, next_ordinal)
        self._queue.append(taken)  # from here on it is taken, whatever interrupts us
        return taken

    def give_back(self, taken: Taken) -> None:
        """Forget a batch that was just taken and of which nothing was written."""
        if self._queue and self._queue[-1] is taken:
            self._queue.pop()

    def has_room(self, more_bytes: int) -> bool:
        """Return whether so much more may wait. A batch is always taken when nothing waits."""
        return self.waiting_bytes == 0 or self.waiting_bytes + more_bytes <= self._bytes_max

    def store(self, *, sync: bool) -> None:
        """Write all that waits, and force it to the disk if asked; whether it worked is in ``error``.

        Raises what ``GrowingFile.write`` raises besides ``OSError``.
        """
        file, last = self._file, self.last
        try:
            if file.size + len(last.block) == last.end:
                file.write(last.block)
            else:
                while file.size < last.end:
                    file.write(self._next_block())
            if sync or (self._syncs and file.size - file.synced > self._bytes_max):
                file.sync()
            self.error = None
        except OSError as error:
            self.error = error.with_traceback(None)  # its frames would keep whoever called alive
        self._forget(file.synced if self._syncs else file.size)

    def _first_unwritten(self) -> int:
        return bisect_right(self._queue, self._file.size, key=_end)

    def _next_block(self) -> bytes:
        blocks, length = [], 0
        for taken in self._queue[self._first_unwritten() :]:
            blocks.append(taken.block)
            length += len(taken.block)
            if length >= _WRITE_BYTES:
                break
        return b"".join(blocks)

    def _forget(self, safe: int) -> None:
        if not self._queue or safe < self._queue[0].end:
            return
        count = bisect_right(self._queue, safe, key=_end)
        self._before = self._queue[count - 1]
        del self._queue[:count]


def _end(taken: Taken) -> int:
    return taken.end
