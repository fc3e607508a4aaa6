"""What a writer answers, and where a fork begins. Pure values."""

from __future__ import annotations

from typing import Literal

import msgspec

Sync = Literal["append", "turn", "never"]
"""When lines are forced to the disk: with every append, when a turn ends, or when the system likes."""

ORDINAL_MAX = 2**64 - 1
QUEUED_BYTES_MAX = 64 * 1024 * 1024


class HistoryBase(msgspec.Struct, frozen=True):
    """The lines another (paginated) thread's file has before a point: a fork continues from there.

    ``end_ordinal_exclusive`` is the fork's own first number;
    ``end_byte_offset`` is where that line begins, in bytes of text.
    """

    thread_id: str
    end_ordinal_exclusive: int
    end_byte_offset: int


class Appended(msgspec.Struct, frozen=True, gc=False):
    """What became of one batch.

    ``first_ordinal`` and ``last_ordinal`` are None in a legacy file and for an
    empty batch. ``offset`` is where its first line lies, None while the batch
    waits in memory; ``block`` is its lines as they are, or will be, in the
    file. ``durable``: this batch and all before it survive a power cut.
    ``queued`` counts the items that wait in memory, this batch's included,
    and ``because`` says why.
    """

    first_ordinal: int | None
    last_ordinal: int | None
    offset: int | None
    block: bytes
    durable: bool
    queued: int = 0
    queued_bytes: int = 0
    because: str = ""

    @property
    def bytes(self) -> int:
        """How many bytes its lines take."""
        return len(self.block)
