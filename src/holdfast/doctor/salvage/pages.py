"""Pages of a SQLite file as they lie there, and the records in them. Pure, and trusts nothing.

The format is that of sqlite.org/fileformat2.html, sections 1.6 (b-trees) and 2.1
(records). What does not fit in its page, its cell or its record is ``None``
here, never an exception: a salvage meets all of it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeAlias

Value: TypeAlias = int | float | str | bytes | None
Encoding: TypeAlias = Literal["utf-8", "utf-16-le", "utf-16-be"]

LEAF = 0x0D
INTERIOR = 0x05
INDEX_LEAF = 0x0A
INDEX_INTERIOR = 0x02
KINDS = (LEAF, INTERIOR, INDEX_LEAF, INDEX_INTERIOR)

HEADER_BYTES = 100  # of the file; page 1 begins behind it
_ENCODINGS: dict[int, Encoding] = {1: "utf-8", 2: "utf-16-le", 3: "utf-16-be"}
_PAYLOAD_MAX = 1 << 31
_COLUMNS_MAX = 32_767
_INT_BYTES = (0, 1, 2, 3, 4, 6, 8)


class Overflow(Protocol):
    """Where rows go on that have no room in their page."""

    def whole(self, first: int, count: int) -> list[bytes] | None:
        """Return the pages of a chain that begins at ``first`` and has ``count`` of them; None: there is no such."""
        ...

    def beginning(self, first: int, count: int) -> list[bytes]:
        """Return those before the place where it breaks."""
        ...


@dataclass(frozen=True, slots=True)
class FileHeader:
    """The first 100 bytes, as far as a salvage needs them."""

    page_bytes: int
    reserved: int
    pages: int
    freelist: int
    encoding: Encoding
    auto_vacuum: int = 0
    """0: none, 1: full, 2: incremental."""
    user_version: int = 0
    application_id: int = 0

    @property
    def usable(self) -> int:
        """Bytes of a page that b-trees use."""
        return self.page_bytes - self.reserved


def file_header(data: bytes) -> FileHeader | None:
    """Return what the first page says of the file; None when it is not the first page of a database."""
    if len(data) < HEADER_BYTES or data[:16] != b"SQLite format 3\0":
        return None
    (size,) = struct.unpack_from(">H", data, 16)
    page_bytes = 65_536 if size == 1 else size
    if page_bytes < 512 or page_bytes & (page_bytes - 1) or page_bytes - data[20] < 480:
        return None
    pages, freelist = struct.unpack_from(">II", data, 28)
    encoding = _ENCODINGS.get(int.from_bytes(data[56:60], "big"), "utf-8")
    largest_root, user_version, incremental, application_id = struct.unpack_from(">I4xiIi", data, 52)
    auto_vacuum = 0 if not largest_root else 2 if incremental else 1
    return FileHeader(page_bytes, data[20], pages, freelist, encoding, auto_vacuum, user_version, application_id)


def guessed_header(pieces: Iterable[tuple[int, bytes]], file_bytes: int) -> FileHeader:
    """Return what a file whose first page is lost seems to be: the page size at which most pages look like one.

    ``pieces``: some parts of the file, each with where it begins, a multiple of 64 KiB.
    """
    pieces = list(pieces)
    best = (0, -4_096)
    for page_bytes in (512, 1_024, 2_048, 4_096, 8_192, 16_384, 32_768, 65_536):
        found = (
            parse(2, piece[at : at + page_bytes], page_bytes)
            for begin, piece in pieces
            for at in range(0 if begin else page_bytes, len(piece) - page_bytes + 1, page_bytes)
        )
        # Cells are put in from the end of a page: what lies in the first half is of smaller pages.
        fits = sum(page is not None and max(page.cells, default=0) > page_bytes // 2 for page in found)
        best = max(best, (fits * page_bytes, -page_bytes))  # by the bytes they cover; the smaller size when equal
    page_bytes = -best[1]
    return FileHeader(page_bytes, 0, file_bytes // page_bytes, 0, "utf-8")


class Page(NamedTuple):
    """A page that looks like one of a b-tree: where its cells are. ``right`` is 0 on a leaf."""

    number: int
    kind: int
    cells: tuple[int, ...]
    right: int


def parse(number: int, data: bytes, usable: int) -> Page | None:
    """Return the page when its header and all its cell pointers lie within it; else None."""
    at = HEADER_BYTES if number == 1 else 0
    kind = data[at]
    if kind not in KINDS:
        return None
    first_free, count, content, fragments = struct.unpack_from(">HHHB", data, at + 1)
    head = 8 if kind in (LEAF, INDEX_LEAF) else 12
    end = at + head + 2 * count
    content = content or 65_536
    if end > usable or content < end or content > usable or first_free > usable - 4 or fragments > 60:
        return None
    cells = struct.unpack_from(f">{count}H", data, at + head)
    if cells and (min(cells) < content or max(cells) > usable - 3):
        return None
    right = int.from_bytes(data[at + 8 : at + 12], "big") if head == 12 else 0
    return Page(number, kind, cells, right)


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at ``at`` and where it ends. Raises ``IndexError`` behind the end of ``data``."""
    byte = data[at]
    if byte < 0x80:
        return byte, at + 1
    value = byte & 0x7F
    for _ in range(7):
        at += 1
        byte = data[at]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + 1
    value = value << 8 | data[at + 1]
    return (value - (1 << 64) if value >> 63 else value), at + 2


def children(page: Page, data: bytes) -> list[tuple[int, int | None]]:
    """Return the pages below an interior page of a table, each with the largest rowid in it; None: the last has none.

    Of an index: the pages, in order, each with None. A cell that cannot be read is left out.
    """
    found: list[tuple[int, int | None]] = []
    for at in page.cells:
        child = int.from_bytes(data[at : at + 4], "big")
        if page.kind == INDEX_INTERIOR:
            found.append((child, None))
            continue
        try:
            found.append((child, varint(data, at + 4)[0]))
        except IndexError:
            continue
    return [*found, (page.right, None)]


def local_size(size: int, kind: int, usable: int) -> int:
    """Return how many of ``size`` bytes of payload lie in their page: sqlite.org/fileformat2.html, section 1.6."""
    most = usable - 35 if kind == LEAF else (usable - 12) * 64 // 255 - 23
    if size <= most:
        return size
    least = (usable - 12) * 32 // 255 - 23
    local = least + (size - least) % (usable - 4)
    return local if local <= most else least


def payload(
    data: bytes, at: int, size: int, kind: int, usable: int, overflow: Overflow, *, cut: bool = False
) -> bytes | None:
    """Return the ``size`` bytes of payload that begin at ``at`` and may go on in overflow pages.

    None when some are lost; with ``cut``, those before them.
    """
    if not 0 <= size < _PAYLOAD_MAX:
        return None
    local = local_size(size, kind, usable)
    if local == size:
        return data[at : at + size] if at + size <= usable else None
    if at + local + 4 > usable:
        return None
    first, count = int.from_bytes(data[at + local : at + local + 4], "big"), -(-(size - local) // (usable - 4))
    pages = overflow.whole(first, count)
    if pages is None:
        if not cut:
            return None
        pages = overflow.beginning(first, count)
    parts = [data[at : at + local], *(page[4:usable] for page in pages)]
    parts[-1] = parts[-1][: size - local - (len(pages) - 1) * (usable - 4)] if pages else parts[-1]
    return b"".join(parts)


def row(
    data: bytes, at: int, usable: int, overflow: Overflow, encoding: Encoding, *, cut: bool = False
) -> tuple[int, tuple[Value, ...]] | None:
    """Return the rowid and the values of the cell at ``at`` of a table's leaf; None when it does not hold a row.

    With ``cut``: what there is of a row that goes on in a page that is lost.
    """
    try:
        size, at = varint(data, at)
        rowid, at = varint(data, at)
    except IndexError:
        return None
    found = payload(data, at, size, LEAF, usable, overflow, cut=cut)
    values = None if found is None else record(found, encoding, cut=cut)
    return None if values is None else (rowid, values)


def entry(
    data: bytes, at: int, page: Page, usable: int, overflow: Overflow, encoding: Encoding
) -> tuple[Value, ...] | None:
    """Return the values of the cell at ``at`` of an index, or of a table WITHOUT ROWID; None when it holds none."""
    try:
        size, at = varint(data, at + (4 if page.kind == INDEX_INTERIOR else 0))
    except IndexError:
        return None
    found = payload(data, at, size, page.kind, usable, overflow)
    return None if found is None else record(found, encoding)


def record(data: bytes, encoding: Encoding = "utf-8", *, cut: bool = False) -> tuple[Value, ...] | None:
    """Return the values of a record; None unless its header describes exactly its bytes, in text that can be read.

    With ``cut``: the values that are there, however few the bytes. The last may be
    the beginning of what it was, and a text that cannot be read comes as its bytes.
    """
    kinds = _kinds(data)
    if kinds is None:
        return None
    at, kinds_of = kinds
    values: list[Value] = []
    size = len(data)
    try:
        for kind in kinds_of:
            if kind >= 12:
                end = at + (kind - 12) // 2
                if end > size:
                    if cut and size > at:
                        values.append(data[at:].decode(encoding, "ignore") if kind & 1 else data[at:])
                    break
                values.append(_text(data[at:end], encoding, cut) if kind & 1 else data[at:end])
            elif kind == 7:
                end = at + 8
                values.append(struct.unpack_from(">d", data, at)[0])
            elif kind <= 6:
                end = at + _INT_BYTES[kind]
                if end > size:
                    break
                values.append(int.from_bytes(data[at:end], "big", signed=True) if kind else None)
            else:  # 8 and 9; 10 and 11 are never written
                end = at
                if kind > 9:
                    return None
                values.append(kind - 8)
            at = end
        else:
            return tuple(values) if at == size else None
    except (UnicodeDecodeError, struct.error):
        pass
    return tuple(values) if cut else None


def _text(data: bytes, encoding: Encoding, cut: bool) -> Value:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        if cut:
            return data
        raise


def _kinds(data: bytes) -> tuple[int, list[int]] | None:
    """Return where the values of a record begin, and the serial type of each."""
    try:
        head, at = varint(data, 0)
        if not at <= head <= len(data):
            return None
        kinds = []
        while at < head:
            kind = data[at]
            if kind < 0x80:
                at += 1
            else:
                kind, at = varint(data, at)
                if kind < 0:
                    return None
            kinds.append(kind)
    except IndexError:
        return None
    return (head, kinds) if at == head and len(kinds) <= _COLUMNS_MAX else None
