"""Rows as bytes that do not depend on the engine they came from: what two databases are compared by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

Value = int | str | bytes | None


class Digest:
    """SHA-256 over rows, in the order in which they are given; counts rows and bytes of values, too."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()
        self.rows = 0
        self.bytes = 0

    def add(self, rows: Iterable[Sequence[Value]]) -> None:
        """Take more rows in. Raises ``TypeError`` for a value that no column of ours holds."""
        for row in rows:
            self.rows += 1
            coded = b"".join(map(encode, row))
            self.bytes += len(coded)
            self._sha.update(b"r%d:" % len(coded) + coded)

    def hex(self) -> str:
        """Return the hash of what was taken in so far."""
        return self._sha.hexdigest()


def encode(value: Value) -> bytes:
    """Return one value: its kind, its length, itself. No two values are the same bytes, nor two lists of them."""
    match value:
        case None:
            return b"n"
        case int():
            return b"i%d;" % value
        case str():
            text = value.encode()
            return b"t%d:" % len(text) + text
        case bytes():
            return b"b%d:" % len(value) + value
    raise TypeError(f"{type(value).__name__} is in no column of ours")


def without_nul(value: Value) -> Value:
    """Return ``value`` as PostgreSQL keeps it: a text holds every character but NUL (see ``postgres/``)."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value
