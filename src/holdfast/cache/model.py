"""The words of the room, as values."""

from __future__ import annotations

import msgspec

MIB = 1 << 20

BYTES_MAX = 64 * MIB
"""What one cache may hold, unless it is told another number."""

VALUE_BYTES_MAX = 4 * MIB
"""The largest value. A quarter of the cache when that is less."""

FILE_BYTES_MAX = 256 * MIB
"""What all caches of one file may hold together."""


class CacheStats(msgspec.Struct, frozen=True, kw_only=True):
    """What a cache holds, and what this handle on it did. Sizes in bytes."""

    entries: int = 0
    bytes: int = 0
    """Keys, values and 64 bytes for each entry; 0 when the file cannot be read just now."""
    bytes_max: int = BYTES_MAX
    hits: int = 0
    misses: int = 0
    """All of them, whatever the reason."""
    puts: int = 0
    refused: int = 0
    """Puts, deletes and clears that did nothing."""
    failures: int = 0
    """Reads and writes that found the file locked, full, damaged, newer, or not to be used at all."""
    last_failure: str = ""
    remade: int = 0
    """Times this process deleted a damaged file and began a new one."""
