"""Row by row from pages that SQLite does not take as they are."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

from holdfast.doctor.salvage import pages
from holdfast.doctor.salvage.image import Image
from holdfast.doctor.salvage.pages import INDEX_LEAF, LEAF, Value
from holdfast.doctor.salvage.walk import Walk

Row = tuple[int, tuple[Value, ...]]


@dataclass(slots=True)
class Read:
    """Cells of one page. ``rows`` are whole; of the others ``cut`` has what there is, with the reason."""

    rows: list[Row] = field(default_factory=list)
    cut: list[tuple[str, Row]] = field(default_factory=list)
    unreadable: int = 0


def read(image: Image, walk: Walk, number: int) -> Read:
    """Return what is on a page that was parsed before. Pages that its rows go on in are owned."""
    data = image.page(number)
    assert data is not None  # it was parsed
    usable, encoding, overflow = image.header.usable, image.header.encoding, walk.overflow
    page = pages.parse(number, data, usable)
    assert page is not None
    found = Read()
    if page.kind != LEAF:
        entries = [pages.entry(data, at, page, usable, overflow, encoding) for at in page.cells]
        found.rows = [(0, values) for values in entries if values is not None]
        found.unreadable = len(page.cells) - len(found.rows)
        return found
    broken: list[int] = []
    rows: list[Row] = []
    for at in page.cells:
        row = pages.row(data, at, usable, overflow, encoding)
        if row is None:
            broken.append(at)
        else:
            rows.append(row)
    in_order = _ascending([rowid for rowid, _ in rows])
    for place, row in enumerate(rows):
        if place in in_order:
            found.rows.append(row)
        else:
            found.cut.append(("its rowid is out of order", row))
    for at in broken:
        row = pages.row(data, at, usable, overflow, encoding, cut=True)
        if row is not None and row[1]:
            found.cut.append(("it cannot be read to its end", row))
    found.unreadable = len(page.cells) - len(found.rows)
    return found


def sample(image: Image, data: bytes, page: pages.Page) -> list[tuple[Value, ...]] | None:
    """Return how the first and the last row of a table's leaf begin, and own nothing; None: they cannot be read."""
    assert page.kind != INDEX_LEAF
    usable, encoding = image.header.usable, image.header.encoding
    found = []
    for at in (page.cells[0], page.cells[-1]):
        row = pages.row(data, at, usable, _Nowhere(), encoding, cut=True)
        if row is None or not row[1]:
            return None
        found.append(row[1])
    return found


class _Nowhere:
    def whole(self, first: int, count: int) -> None:
        return None

    def beginning(self, first: int, count: int) -> list[bytes]:
        return []


def _ascending(numbers: list[int]) -> set[int]:
    """Return the places of the longest run of numbers that grows, when the others are left out."""
    ends: list[int] = []  # of the best run of each length, the last number
    places: list[int] = []
    before: list[int] = []
    for place, number in enumerate(numbers):
        length = bisect_left(ends, number)
        before.append(places[length - 1] if length else -1)
        if length == len(ends):
            ends.append(number)
            places.append(place)
        else:
            ends[length] = number
            places[length] = place
    kept: set[int] = set()
    at = places[-1] if places else -1
    while at >= 0:
        kept.add(at)
        at = before[at]
    return kept
