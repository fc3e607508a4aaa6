"""Ids of records: a hybrid clock, so that sorting by id is sorting by when, across processes, and no two are alike.

63 bits: 40 of milliseconds since 2020 (to 2054), 10 of the writer's slot, 13 of a
sequence. A writer holds its slot as a kernel lock on one byte of ``slots`` in
the log's directory, for as long as it lives, so no two writers have the same.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time

SLOTS = 1 << 10
FILE = "slots"

_EPOCH_MS = 1_577_836_800_000
_SLOT_BITS, _SEQUENCE_BITS = 10, 13
_SEQUENCE_MAX = (1 << _SEQUENCE_BITS) - 1
_LOCK = "hhqqi4x"  # struct flock on 64-bit Linux
_SETLK = getattr(fcntl, "F_OFD_SETLK", fcntl.F_SETLK)


class HybridClock:
    """Gives ascending ids. Not for several threads at once."""

    def __init__(self, slot: int) -> None:
        self._slot = slot
        # One that died a moment ago may have run a little ahead of the clock.
        self._ms = _now_ms() + 2
        self._sequence = -1

    def next(self) -> int:
        """Return an id larger than any before; a clock set back does not matter."""
        now_ms = _now_ms()
        if now_ms > self._ms:
            self._ms, self._sequence = now_ms, 0
        elif self._sequence < _SEQUENCE_MAX:
            self._sequence += 1
        else:
            self._ms, self._sequence = self._ms + 1, 0
        return (((self._ms - _EPOCH_MS) << _SLOT_BITS | self._slot) << _SEQUENCE_BITS) | self._sequence


def take_slot(directory: str) -> tuple[int, int]:
    """Return a free slot and the descriptor that holds it: closing that gives it back. Raises ``OSError``."""
    fd = os.open(os.path.join(directory, FILE), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    first = os.getpid() % SLOTS
    try:
        for turn in range(SLOTS):
            slot = (first + turn) % SLOTS
            try:
                fcntl.fcntl(fd, _SETLK, struct.pack(_LOCK, fcntl.F_WRLCK, os.SEEK_SET, slot, 1, 0))
            except (BlockingIOError, PermissionError):
                continue
            return slot, fd
        raise OSError(11, f"all {SLOTS} slots of the log have a writer")
    except BaseException:
        os.close(fd)
        raise


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
