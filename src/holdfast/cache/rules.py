"""What a key is called in the file, how long a value is good, and what goes first. Pure: no clock, no database."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

from holdfast.errors import Refused

KIND_BYTES, KIND_JSON = 0, 1
ENTRY_BYTES = 64
"""What an entry is counted as beside its key and value: its columns, and its place in three indexes."""

_KEY_BYTES_MAX = 200  # longer ones cost the index more than a digest does
_MS_MAX = 1 << 62


def stored_key(key: str | bytes) -> bytes:
    """Return ``key`` as the file has it: text and bytes never meet. Raises ``Refused`` for anything else."""
    if isinstance(key, str):
        # A lone surrogate comes from a file name that is no UTF-8: a key like any other.
        stored = b"s" + key.encode("utf-8", "surrogatepass")
    elif isinstance(key, bytes):
        stored = b"b" + key
    else:
        raise Refused(f"a key is text or bytes, not {type(key).__name__}", remedy="Pass `str(key)`.")
    return stored if len(stored) <= _KEY_BYTES_MAX else b"h" + hashlib.sha256(stored).digest()


def expiry(now_ms: int, ttl_s: float | None) -> int | Literal[False] | None:
    """Return when a value put now ends, None for never, False when it has ended already."""
    if ttl_s is None:
        return None
    if not ttl_s > 0:  # NaN, too
        return False
    return now_ms + max(1, int(min(ttl_s * 1000, _MS_MAX - now_ms)))


def is_good(now_ms: int, put_ms: int, expires_ms: int | None) -> bool:
    """Whether a value may be returned.

    One that is to end is good only between its put and its end: a clock that
    was set back must not make it last longer than it was given.
    """
    return expires_ms is None or put_ms <= now_ms < expires_ms


def counted(key: bytes, value: bytes) -> int:
    """Return what an entry counts towards the cap, in bytes."""
    return len(key) + len(value) + ENTRY_BYTES


def upto(oldest: Sequence[tuple[int, int]], excess: int) -> int | None:
    """Return up to which entry the ``oldest`` (entry, bytes) must go to free ``excess`` bytes; None: none of them."""
    last = None
    for entry, size in oldest:
        if excess <= 0:
            break
        last = entry
        excess -= size
    return last
