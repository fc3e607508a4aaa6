"""Leaves that no tree reaches, and the one table each belongs to."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping

from holdfast.doctor.salvage import reading
from holdfast.doctor.salvage.bulk import Bulk
from holdfast.doctor.salvage.image import Image
from holdfast.doctor.salvage.lost import LostAndFound
from holdfast.doctor.salvage.pages import INDEX_INTERIOR, INDEX_LEAF, LEAF, Page
from holdfast.doctor.salvage.reading import Read, Row
from holdfast.doctor.salvage.tables import Table
from holdfast.doctor.salvage.walk import Leaf, Tree, Walk, rowids

_AT_A_TIME = 20_000

Insert = Callable[[Table, list[Row], int], int]
"""Put rows of a page into a table; return how many it took."""


class Strays:
    """``place`` finds a table for each. One belongs to a table when it fits into a gap of it, and of no other."""

    def __init__(
        self, image: Image, walk: Walk, bulk: Bulk, lost: LostAndFound, insert: Insert, tables: Mapping[Table, Tree]
    ) -> None:
        self._image = image
        self._walk = walk
        self._bulk = bulk
        self._lost = lost
        self._insert = insert
        self._torn = {table: _Gaps(tree) for table, tree in tables.items() if tree.gaps}
        self._without_rowid = [table for table in tables if table.without_rowid]
        self._waiting: dict[str, list[Leaf]] = {}
        self.rows: dict[str, int] = {}
        """By table, how many it got."""

    def place(self) -> Iterator[int]:
        """Go through the pages; yield the number of each."""
        kinds = [INDEX_LEAF, INDEX_INTERIOR] if self._without_rowid else []
        for page, data in self._walk.orphans((LEAF, *kinds)):
            yield page.number
            table = self._only_one(page, data)
            if table is None:
                self._slowly(page.number)
                continue
            first, last = rowids(page, data) or (0, 0)
            waiting = self._waiting.setdefault(table.name, [])
            waiting.append(Leaf(page.number, len(page.cells), first, last))
            if len(waiting) == _AT_A_TIME:
                self._flush(table)
        for table in self._torn:
            self._flush(table)

    def _only_one(self, page: Page, data: bytes) -> Table | None:
        """Return the table when no other is possible, from the outline of the page and two of its rows."""
        ends = rowids(page, data) if page.kind == LEAF else None
        sample = reading.sample(self._image, data, page) if ends else None
        if not ends or not sample or ends[0] > ends[1]:
            return None
        possible = [
            table
            for table, gaps in self._torn.items()
            if not table.without_rowid and gaps.hold(*ends) and all(map(table.begins, sample))
        ]
        return possible[0] if len(possible) == 1 else None

    def _flush(self, table: Table) -> None:
        run: list[Leaf] = []
        self._bulk.begin(table, lambda numbers: sum(map(self._slowly, numbers)))
        for leaf in sorted(self._waiting.pop(table.name, []), key=lambda leaf: leaf.first):
            if run and leaf.first <= run[-1].last:
                self._count(table, self._bulk.leaves(run))
                run = []
            run.append(leaf)
        self._count(table, self._bulk.leaves(run))

    def _slowly(self, number: int) -> int:
        """Read a page row by row, and decide by all of them. Counts what it puts in, and so returns 0."""
        data = self._image.page(number)
        assert data is not None  # it was parsed
        read = reading.read(self._image, self._walk, number)
        is_index = data[0] != LEAF
        if not read.rows and not read.cut:
            return 0
        fitting = [table for table, gaps in self._torn.items() if read.rows and _fits(table, gaps, is_index, read)]
        if len(fitting) == 1:
            self._count(fitting[0], self._insert(fitting[0], read.rows, number))
        elif not is_index or any(table.begins(read.rows[0][1]) for table in self._without_rowid):
            why = f"fits {', '.join(table.name for table in fitting)}" if fitting else "fits no table with a gap"
            why = "may be of an index" if is_index and not fitting else why
            for rowid, values in read.rows:
                self._lost.put(number, None, why, rowid, values)
        for why, (rowid, values) in read.cut:
            self._lost.put(number, None, why, rowid, values)
        return 0

    def _count(self, table: Table, rows: int) -> None:
        self.rows[table.name] = self.rows.get(table.name, 0) + rows


class _Gaps:
    """Those of one tree. They come in the order of the rowids that are missing."""

    def __init__(self, tree: Tree) -> None:
        self._gaps = tree.gaps
        self._lows = [gap.low for gap in tree.gaps]

    def hold(self, first: int, last: int) -> bool:
        place = bisect_left(self._lows, first) - 1
        return place >= 0 and self._gaps[place].holds(first, last)


def _fits(table: Table, gaps: _Gaps, is_index: bool, read: Read) -> bool:
    if table.without_rowid != is_index or not all(table.fits(values) for _, values in read.rows):
        return False
    if is_index:
        # An entry of an index may look like a row of such a table that has fewer values.
        return all(len(values) == len(table.held) for _, values in read.rows)
    return gaps.hold(read.rows[0][0], read.rows[-1][0])
