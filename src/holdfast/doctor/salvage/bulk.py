"""Rows by the thousand: pages whose outline is sound are shown to SQLite, which checks them and copies what they hold.

What it does not take is halved until it is a single page, and that one is left
to whoever reads row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from holdfast.doctor.salvage import made
from holdfast.doctor.salvage.image import Image
from holdfast.doctor.salvage.overflow import GOES_ON
from holdfast.doctor.salvage.tables import Table
from holdfast.doctor.salvage.walk import Leaf, Part, Walk
from holdfast.sqlite.filling import Filling

_LEAVES_MAX = 256  # few enough that a bad one among them costs little, and enough that a statement costs nothing
_COLUMNS_MAX = 300  # three tests each: SQLite takes no expression that is deeper than 1,000
_PENDING_BYTE = 0x40000000  # no row lies in the page that has it: sqlite.org/fileformat2.html, section 1.5

Slowly = Callable[[Sequence[int]], int]
"""Read these pages row by row; return how many rows the table took."""


class Bulk:
    """Puts rows of an image into a new database, for one table after the other (``begin``)."""

    def __init__(self, image: Image, walk: Walk, filling: Filling) -> None:
        self._image = image
        self._walk = walk
        self._filling = filling
        size = image.header.page_bytes
        self._root = max(2, image.pages + 1)
        if self._root == _PENDING_BYTE // size + 1:
            self._root += 1
        self._counter = 0
        self._nothing = b"\xff" * size  # as a page, and as one that a row goes on in, it means nothing
        self._top = self._nothing
        self._first = made.first_page(image.header, self._root, self._root, f"CREATE TABLE {made.TABLE} (more)", 0)
        self._below: frozenset[int] = frozenset()
        self._read: set[int] = set()
        self._blank: set[int] = set()
        filling.show(size, self._root, self._page)

    def begin(self, table: Table, slowly: Slowly) -> None:
        """Go on with another table."""
        self._table = table
        self._slowly = slowly
        self._shown = table.shown
        self._copy = table.copy

    def leaves(self, leaves: Iterable[Leaf]) -> int:
        """Put in the rows of these leaves, which are in order; return how many rows the table took."""
        most = min(_LEAVES_MAX, made.children_max(self._image.header.usable))
        rows = 0
        some: list[Leaf] = []
        for leaf in leaves:
            some.append(leaf)
            if len(some) == most:
                rows += self._leaves(some)
                some = []
        return rows + self._leaves(some)

    def parts(self, parts: Iterable[Part]) -> int:
        """Put in the rows of these parts of an index; return how many rows the table took."""
        rows = 0
        for part in parts:
            top = self._image.page(part.numbers[0])
            assert top is not None  # it was parsed
            if len(part.numbers) > 1 and self._take(top, part.numbers[1:], part.cells):
                rows += part.cells
            else:
                rows += self._slowly(part.numbers)
        return rows

    def _leaves(self, some: list[Leaf]) -> int:
        if not some:
            return 0
        numbers = [leaf.number for leaf in some]
        header = self._image.header
        if len(some) > 1:
            top: bytes | None = made.root(header.usable, [(leaf.number, leaf.last) for leaf in some], header.page_bytes)
        else:
            top = self._image.page(numbers[0])
        assert top is not None  # it was parsed
        cells = sum(leaf.cells for leaf in some)
        if self._take(top, numbers, cells):
            return cells
        if len(some) == 1:
            return self._slowly(numbers)
        middle = len(some) // 2
        return self._leaves(some[:middle]) + self._leaves(some[middle:])

    def _take(self, top: bytes, below: Sequence[int], rows: int) -> bool:
        self._counter += 1
        first = made.first_page(self._image.header, self._root, self._root, self._shown, self._counter)
        if first is None or len(self._table.held) > _COLUMNS_MAX:
            return False
        self._first, self._top, self._below = first, top, frozenset(below)
        self._read.clear()
        self._blank.clear()
        if not self._filling.copy(made.TABLE, self._copy, rows):
            return False
        for number in self._read:
            self._walk.owned[number] = GOES_ON
        self._walk.overflow.zeros |= self._blank
        return True

    def _page(self, number: int) -> bytes:
        if number == 1:
            return self._first or self._nothing
        if number == self._root:
            return self._top
        if number > self._image.pages:
            return self._nothing
        if number not in self._below:
            if self._walk.overflow.taken(number):
                return self._nothing
            self._read.add(number)
        data = self._image.page(number)
        if data is None:
            return self._nothing
        if data[0] == 0 and not any(data):
            self._blank.add(number)
        return data
