"""Which segments a limit let go of late, and how many records with them: what a tail did not get to see.

``gone.json`` in the log's directory; written under its lock, after the segment is gone.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec
from msgspec import Struct

FILE = "gone.json"
_KEPT = 32  # written anew for each that goes: 2 KiB


class Gone(Struct, frozen=True, array_like=True):
    """One segment that went."""

    name: str
    inode: int
    records: int


class Register(Struct, frozen=True):
    """The last 32, and how many went since the log began."""

    count: int = 0
    last: tuple[Gone, ...] = ()

    def since(self, count: int) -> tuple[Sequence[Gone], int]:
        """Return those that went after ``count`` were gone, and how many more it were."""
        new = max(0, self.count - count)
        return self.last[len(self.last) - min(new, len(self.last)) :], max(0, new - len(self.last))

    def with_these(self, gone: Sequence[Gone]) -> Register:
        """Return the register with some more."""
        return Register(self.count + len(gone), (*self.last, *gone)[-_KEPT:])


def read(folder: str) -> Register:
    """Return what went; nothing when nobody kept it or it cannot be understood."""
    try:
        with open(os.path.join(folder, FILE), "rb") as file:
            return msgspec.json.decode(file.read(), type=Register)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return Register()
