"""Thread ids: UUIDs, 16 bytes in the database, hyphenated lower case everywhere else.

Codex issues UUIDv7, whose first 48 bits are the creation time in ms (RFC 9562
§5.7), and accepts any spelling ``uuid`` can parse; so do we.
"""

from __future__ import annotations

import os
import uuid

# Before any agent existed, and beyond what a datetime can hold: a "time" outside is no time.
_V7_YEAR_2015_MS = 1_420_070_400_000
_V7_YEAR_9000_MS = 221_845_392_000_000


def parse(text: str) -> bytes | None:
    """Return the 16 bytes of ``text`` in any UUID spelling, or None when it is none."""
    try:
        return uuid.UUID(text).bytes
    except ValueError:
        return None


def text(id16: bytes) -> str:
    """Return ``id16`` hyphenated and in lower case. ``id16`` must be 16 bytes."""
    digits = id16.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def created_ms(id16: bytes) -> int | None:
    """Return the creation time inside a UUIDv7, in ms since the epoch; None for other versions and absurd times."""
    if id16[6] >> 4 != 7:
        return None
    ms = int.from_bytes(id16[:6], "big")
    return ms if _V7_YEAR_2015_MS <= ms < _V7_YEAR_9000_MS else None


def new(now_ms: int) -> bytes:
    """Return a new UUIDv7 for ``now_ms``: 48 bits of time, 74 random bits."""
    raw = bytearray(now_ms.to_bytes(6, "big") + os.urandom(10))
    raw[6] = 0x70 | (raw[6] & 0x0F)
    raw[8] = 0x80 | (raw[8] & 0x3F)
    return bytes(raw)
