"""Pages of a SQLite file, made: a first page that names one table, and a root above leaves that are there. Pure."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from holdfast.doctor.salvage.pages import HEADER_BYTES, INTERIOR, LEAF, Encoding, FileHeader

TABLE = "v"
_CODES: dict[Encoding, int] = {"utf-8": 1, "utf-16-le": 2, "utf-16-be": 3}
_CHILD_BYTES = 2 + 4 + 9
"""The most that a child takes: the pointer to its cell, its number, its key."""


def children_max(usable: int) -> int:
    """Return for how many children a root surely has room."""
    return (usable - 12) // _CHILD_BYTES


def varint(value: int) -> bytes:
    """Return a number from 0 to 2**63 - 1, or a negative one of 64 bits, as SQLite writes it."""
    value &= (1 << 64) - 1
    if value >> 56:
        last, value = value & 0xFF, value >> 8
        return bytes(0x80 | value >> shift & 0x7F for shift in range(49, -1, -7)) + bytes((last,))
    out = [value & 0x7F]
    while value := value >> 7:
        out.append(0x80 | value & 0x7F)
    return bytes(reversed(out))


def root(usable: int, children: Sequence[tuple[int, int]], page_bytes: int) -> bytes:
    """Return a page above leaves of a table: the number and the largest rowid of each, in order."""
    made = bytearray(page_bytes)
    at = usable
    for place, (number, key) in enumerate(children[:-1]):
        cell = struct.pack(">I", number) + varint(key)
        at -= len(cell)
        made[at : at + len(cell)] = cell
        struct.pack_into(">H", made, 12 + 2 * place, at)
    struct.pack_into(">BHHHBI", made, 0, INTERIOR, 0, len(children) - 1, at & 0xFFFF, 0, children[-1][0])
    return bytes(made)


def first_page(header: FileHeader, pages: int, root_page: int, sql: str, counter: int) -> bytes | None:
    """Return the first page of a database of one table; None when its ``sql`` has no room there.

    ``counter`` is what SQLite looks at to see that something has changed.
    """
    words = [word.encode(header.encoding) for word in ("table", TABLE, TABLE, sql)]
    kind, name, of, text = (varint(13 + 2 * len(word)) for word in words)
    kinds = kind + name + of + b"\4" + text
    record = bytes((1 + len(kinds),)) + kinds + b"".join(words[:3]) + struct.pack(">I", root_page) + words[3]
    cell = varint(len(record)) + b"\1" + record
    at = header.usable - len(cell)
    if len(record) > header.usable - 35 or at < HEADER_BYTES + 10:
        return None
    made = bytearray(header.page_bytes)
    made[:16] = b"SQLite format 3\0"
    size = header.page_bytes & 0xFFFF or 1
    struct.pack_into(">HBBBBBBII", made, 16, size, 1, 1, header.reserved, 64, 32, 32, counter, pages)
    struct.pack_into(">IIIII", made, 40, counter, 4, 0, 0, _CODES[header.encoding])
    struct.pack_into(">II", made, 92, counter, 3_051_000)
    struct.pack_into(">BHHHBH", made, HEADER_BYTES, LEAF, 0, 1, at & 0xFFFF, 0, at)
    made[at : at + len(cell)] = cell
    return bytes(made)
