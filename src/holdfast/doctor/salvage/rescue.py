"""Copy what can be read of a damaged database into a new one, with a ledger of what came through.

For a copy of the damaged file (``image.py`` says why). Order: pages the trees
still reach; then pages nothing reaches, to the one table with a gap they fit;
what fits none, or what a table refuses, goes to ``lost_and_found`` with the
reason. Deleted rows on free pages stay deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from holdfast.doctor.salvage import pages
from holdfast.doctor.salvage.image import Image
from holdfast.doctor.salvage.lost import LostAndFound
from holdfast.doctor.salvage.model import Salvaged, TableLedger
from holdfast.doctor.salvage.pages import INDEX_LEAF, LEAF, Page, Value
from holdfast.doctor.salvage.schema import Schema, schema
from holdfast.doctor.salvage.tables import Table, table
from holdfast.doctor.salvage.walk import Tree, Walk
from holdfast.sqlite.filling import Filling

Progress = Callable[[str, int, int], None]
"""Told the table at hand, the pages done and the pages there are."""

Row = tuple[int, tuple[Value, ...]]
_BATCH = 500
_COUNTERS = "sqlite_sequence"


def salvage(source: str, target: str, *, known: Sequence[str] = (), on_progress: Progress | None = None) -> Salvaged:
    """Write what can be read of the database ``source`` to the new file ``target``, and return the ledger.

    ``known``: CREATE statements for when the schema of ``source`` cannot be read.
    Costs one look at every page and about 5 us a row; memory for one table's
    pages. Raises ``Refused`` when ``target`` exists, ``Full`` and ``OSError``;
    then ``target`` is not left behind.
    """
    with Image(source) as image:
        encoding = {"utf-8": "UTF-8", "utf-16-le": "UTF-16le", "utf-16-be": "UTF-16be"}[image.header.encoding]
        with Filling(target, page_bytes=image.header.page_bytes, encoding=encoding) as filling:
            return _Rescue(image, filling, on_progress).run(source, target, known)


class _Rescue:
    def __init__(self, image: Image, filling: Filling, on_progress: Progress | None) -> None:
        self._image = image
        self._filling = filling
        self._walk = Walk(image)
        self._lost = LostAndFound(filling)
        self._on_progress = on_progress
        self._odd: list[str] = []
        self._done = 0

    def run(self, source: str, target: str, known: Sequence[str]) -> Salvaged:
        self._walk.free()
        found = schema(self._image, self._walk, known)
        self._odd += found.odd
        self._made: dict[str, Table] = {}
        for name, root, sql in sorted(found.tables, key=lambda table: table[0] == _COUNTERS):
            self._make(name, root, sql)
        trees = {name: self._tree(each) for name, each in self._made.items()}
        counted = self._count(found)
        rows: dict[str, int] = {}
        unreadable: dict[str, int] = {}
        for name, each in self._made.items():
            if name == _COUNTERS:  # last: the rows of the others counted it up
                self._filling.put(f"DELETE FROM {_COUNTERS}")
            rows[name], unreadable[name] = self._fill(each, trees[name])
        strays = self._place_strays(trees)
        if self._walk.zeros:
            self._odd.append(
                f"{len(self._walk.zeros)} rows end in a page of zeros: either they are so, or that page was lost"
            )
        self._finish_schema(found)
        ledger = tuple(
            TableLedger(
                name,
                counted.get(name),
                rows[name] + strays.get(name, 0),
                unreadable[name],
                len(trees[name].gaps),
                strays.get(name, 0),
                self._lost.refused.get(name, 0),
            )
            for name in self._made
        )
        integrity = tuple(self._filling.finish())
        image = self._image
        return Salvaged(
            source,
            target,
            image.pages,
            image.header.page_bytes,
            image.log_frames,
            image.guessed,
            ledger,
            self._lost.rows,
            tuple(self._odd),
            integrity,
        )

    def _make(self, name: str, root: int, sql: str) -> None:
        if name == _COUNTERS:
            if not self._filling.columns(name):  # SQLite makes it with the first table that counts
                return
        elif name.startswith("sqlite_stat"):
            self._odd.append(f"{name} was left out: ANALYZE makes it anew")
            return
        elif (why := self._filling.create(sql)) is not None:
            self._odd.append(f"the table {name} cannot be made: {why}")
            return
        self._made[name] = table(name, root, self._filling.columns(name), self._filling.is_without_rowid(name))

    def _tree(self, each: Table) -> Tree:
        return self._walk.index(each.root) if each.without_rowid else self._walk.table(each.root)

    def _count(self, found: Schema) -> dict[str, int]:
        """Return how many rows tables had, where an index that has all of them is whole."""
        counted: dict[str, int] = {}
        for name, root, full in found.indexes:
            tree = self._walk.index(root)
            if full and not tree.gaps:
                counted[name] = max(counted.get(name, 0), tree.cells)
        return counted

    # --- rows ----------------------------------------------------------------------

    def _fill(self, each: Table, tree: Tree) -> tuple[int, int]:
        rows = unreadable = 0
        batch: list[Row] = []
        for page in tree.leaves:
            read = list(self._rows(each.without_rowid, page))
            if len(read) < len(page.cells):
                unreadable += len(page.cells) - len(read)
                self._keep_what_is_cut(each, page, {rowid for rowid, _ in read})
            batch += read
            self._done += 1
            if len(batch) >= _BATCH:
                rows += self._insert(each, batch, page.number)
                batch = []
            if self._on_progress is not None and self._done % 256 == 0:
                self._on_progress(each.name, self._done, self._image.pages)
        return rows + self._insert(each, batch, tree.leaves[-1].number if tree.leaves else each.root), unreadable

    def _rows(self, without_rowid: bool, page: Page) -> Iterator[Row]:
        data = self._image.page(page.number)
        assert data is not None  # it was parsed
        usable, encoding, fetch = self._image.header.usable, self._image.header.encoding, self._walk.overflow
        for at in page.cells:
            if without_rowid:
                values = pages.entry(data, at, page, usable, fetch, encoding)
                if values is not None:
                    yield 0, values
            elif (row := pages.row(data, at, usable, fetch, encoding)) is not None:
                yield row

    def _keep_what_is_cut(self, each: Table, page: Page, whole: set[int]) -> None:
        if each.without_rowid:
            return
        data = self._image.page(page.number)
        assert data is not None  # it was parsed
        for at in page.cells:
            header = self._image.header
            row = pages.row(data, at, header.usable, self._walk.overflow, header.encoding, cut=True)
            if row is not None and row[0] not in whole and row[1]:
                self._lost.put(page.number, None, f"of {each.name}, and goes on in a page that is lost", *row)

    def _insert(self, each: Table, rows: list[Row], page: int) -> int:
        """Put rows in; return how many the table took. The others are in ``lost_and_found``."""
        taken = 0
        for width, run in groupby(rows, key=lambda row: len(row[1])):
            some = list(run)
            if width > len(each.held) or width == 0:
                for rowid, values in some:
                    self._lost.put(page, each.name, f"{width} values for {len(each.held)} columns", rowid, values)
                continue
            refused = self._filling.insert(each.insert(width), [each.values(*row) for row in some])
            taken += len(some) - len(refused)
            for place, why in refused:
                self._lost.put(page, each.name, why, *some[place])
        return taken

    def _place_strays(self, trees: dict[str, Tree]) -> dict[str, int]:
        """Give pages that no tree reached to the table they belong to; return how many rows each got."""
        strays: dict[str, int] = {}
        torn = [name for name, tree in trees.items() if tree.gaps]
        kinds = {INDEX_LEAF if self._made[name].without_rowid else LEAF for name in torn}
        for page, _ in self._walk.orphans((LEAF, *(kind for kind in kinds if kind == INDEX_LEAF))):
            rows = list(self._rows(page.kind == INDEX_LEAF, page))
            if not rows:
                continue
            fitting = [name for name in torn if self._fits(self._made[name], trees[name], page, rows)]
            if len(fitting) == 1:
                (name,) = fitting
                strays[name] = strays.get(name, 0) + self._insert(self._made[name], rows, page.number)
            elif page.kind == LEAF:  # of an index nothing is lost that its table does not have
                why = f"fits {', '.join(fitting)}" if fitting else "fits no table with a gap"
                for rowid, values in rows:
                    self._lost.put(page.number, None, why, rowid, values)
        return strays

    def _fits(self, each: Table, tree: Tree, page: Page, rows: list[Row]) -> bool:
        if each.without_rowid != (page.kind == INDEX_LEAF) or not all(each.fits(values) for _, values in rows):
            return False
        if each.without_rowid:
            return all(len(values) == len(rows[0][1]) for _, values in rows)
        ids = [rowid for rowid, _ in rows]
        return ids == sorted(ids) and any(gap.holds(ids[0], ids[-1]) for gap in tree.gaps)

    def _finish_schema(self, found: Schema) -> None:
        self._lost.flush()
        for sql in found.later:
            if (why := self._filling.create(sql)) is not None:
                self._odd.append(f"cannot be made again: {sql.split('(')[0].strip()}: {why}")
        for name, sql in found.virtual:
            self._filling.put_schema("table", name, name, sql)
