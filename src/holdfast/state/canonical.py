"""Rows as bytes that do not depend on the engine they came from: what two databases are compared by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

Value = int | str | bytes | None


_MODULUS = 1 << 256


class Digest:
    """A hash over the rows of a table, whatever their order; counts rows and bytes of values, too.

    The sum of the SHA-256 of each row: a row holds its key, so its place says nothing more, and
    engines need not agree on the order of texts (a NUL that became another character changes it).
    It finds what went wrong; it is no proof against somebody who composes rows to deceive it.
    """

    def __init__(self) -> None:
        self._sum = 0
        self.rows = 0
        self.bytes = 0

    def add(self, rows: Iterable[Sequence[Value]]) -> None:
        """Take more rows in. Raises ``TypeError`` for a value that no column of ours holds."""
        for row in rows:
            coded = b"".join(map(encode, row))
            self.rows += 1
            self.bytes += len(coded)
            self._sum += int.from_bytes(hashlib.sha256(coded).digest())
        self._sum %= _MODULUS

    def hex(self) -> str:
        """Return the hash of what was taken in so far, 64 digits."""
        return f"{self._sum:064x}"


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
