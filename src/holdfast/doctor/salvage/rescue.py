"""Copy what can be read of a damaged database into a new one, with a ledger of what came through.

For a copy of the damaged file (``image.py`` says why). Order: pages the trees
still reach; then pages nothing reaches, to the one table with a gap they fit;
what fits none, or what a table refuses, goes to ``lost_and_found`` with the
reason. Deleted rows on free pages stay deleted. Indexes are made again from
their tables and tell only how many rows there were.

A row of a table of the new file was in the old one as it is, unless the damage
left nothing that contradicts itself. That is:

* bytes changed inside a value, and the value still can be what its column holds;
* a page that a row ends in became zeros (``odd`` counts those), or became another
  page that a row of just that length ends in;
* a leaf changed places with one of another table, with columns of the same kinds
  and rowids that fit the place; or with an older copy of itself;
* a page of an index took the place of one of a table WITHOUT ROWID with more columns:
  its entries look like rows from before the last columns were added;
* the first page is lost, and an index has entries that look like rows of a known
  table WITHOUT ROWID, with as many values.

Noise in whole pages, pages cut off, pages in the wrong place, rings and cells that
point anywhere are none of these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import TypeVar

from holdfast.doctor.salvage import reading
from holdfast.doctor.salvage.bulk import Bulk
from holdfast.doctor.salvage.image import Image
from holdfast.doctor.salvage.lost import LostAndFound
from holdfast.doctor.salvage.model import Salvaged, TableLedger
from holdfast.doctor.salvage.reading import Row
from holdfast.doctor.salvage.schema import Schema, schema
from holdfast.doctor.salvage.strays import Strays
from holdfast.doctor.salvage.tables import Table, table
from holdfast.doctor.salvage.walk import Tree, Walk
from holdfast.sqlite.codes import from_system
from holdfast.sqlite.filling import Filling

Progress = Callable[[str, int, int], None]
"""Told the table at hand, the pages done and the pages there are. What it raises ends the salvage."""

Seen = TypeVar("Seen")
_TOLD_EVERY = 256
_COUNTERS = "sqlite_sequence"


def salvage(source: str, target: str, *, known: Sequence[str] = (), on_progress: Progress | None = None) -> Salvaged:
    """Write what can be read of the database ``source`` to the new file ``target``, and return the ledger.

    ``known``: CREATE statements for when the schema of ``source`` cannot be read.
    Costs a look at every page that was written and about 1 us a row, 10 us where a
    page is read row by row; memory for the largest row, three times, 64 MiB, and a
    byte a page. Raises ``Refused`` when ``target`` exists, ``Full``, and
    ``Unsupported`` when ``source`` cannot be read; then ``target`` is not left behind.
    """
    try:
        opened = Image(source)
    except OSError as error:
        raise from_system(error, source) from error
    with opened as image:
        encoding = {"utf-8": "UTF-8", "utf-16-le": "UTF-16le", "utf-16-be": "UTF-16be"}[image.header.encoding]
        page_bytes, auto_vacuum = image.header.page_bytes, image.header.auto_vacuum
        with Filling(target, page_bytes=page_bytes, encoding=encoding, auto_vacuum=auto_vacuum) as filling:
            return _Rescue(image, filling, on_progress).run(source, target, known)


class _Rescue:
    def __init__(self, image: Image, filling: Filling, on_progress: Progress | None) -> None:
        self._image = image
        self._filling = filling
        self._walk = Walk(image)
        self._bulk = Bulk(image, self._walk, filling)
        self._on_progress = on_progress
        self._odd: list[str] = []
        self._done = 0
        self._all = sum(map(len, image.written()))
        self._unreadable: dict[str, int] = {}

    def run(self, source: str, target: str, known: Sequence[str]) -> Salvaged:
        self._walk.free()
        found = schema(self._image, self._walk, known)
        self._odd += found.odd
        self._lost = LostAndFound(self._filling, {name.lower() for name, _, _ in found.tables})
        self._made: dict[str, Table] = {}
        for name, root, sql in sorted(found.tables, key=lambda table: table[0] == _COUNTERS):
            self._make(name, root, sql)
        trees = {name: Tree(each.root) for name, each in self._made.items()}
        rows: dict[str, int] = {}
        for name, each in self._made.items():
            if name == _COUNTERS:  # last: the rows of the others counted it up
                self._filling.put(f"DELETE FROM {_COUNTERS}")
            rows[name] = self._fill(each, trees[name])
        counted = self._count(found)
        tables = {each: trees[name] for name, each in self._made.items()}
        strays = Strays(self._image, self._walk, self._bulk, self._lost, self._insert, tables)
        for _ in self._watched("pages nothing reaches", strays.place()):
            pass
        if zeros := self._walk.overflow.zeros:
            self._odd.append(f"{len(zeros)} rows end in a page of zeros: either they are so, or that page was lost")
        if self._image.unread:
            self._odd.append(f"{len(self._image.unread)} pages could not be read from the disk")
        if disputed := self._walk.overflow.disputed:
            self._odd.append(f"{len(disputed)} pages are of two rows each; the row that was read first has them")
        self._finish_schema(found)
        if self._on_progress is not None:
            self._on_progress("the indexes", self._all, self._all)
        ledger = tuple(
            TableLedger(
                name,
                counted.get(name),
                rows[name] + strays.rows.get(name, 0),
                self._unreadable.get(name, 0),
                len(trees[name].gaps),
                strays.rows.get(name, 0),
                self._lost.refused.get(name, 0),
            )
            for name in self._made
        )
        image, header = self._image, self._image.header
        integrity = tuple(self._filling.finish(header.user_version, header.application_id))
        return Salvaged(
            source,
            target,
            image.pages,
            header.page_bytes,
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
        if not (columns := self._filling.columns(name)):
            self._odd.append(f"the table {name} is not what its statement makes: {sql[:60]!r}")
            return
        is_without, has_index = self._filling.is_without_rowid(name), self._filling.has_key_index(name)
        self._made[name] = table(name, root, columns, is_without, has_index)

    def _count(self, found: Schema) -> dict[str, int]:
        """Return how many rows tables had, where an index that has all of them is whole."""
        counted: dict[str, int] = {}
        for name, root, full in found.indexes:
            tree = Tree(root)
            cells = sum(part.cells for part in self._watched(f"an index of {name}", self._walk.index(tree)))
            if full and not tree.gaps:
                counted[name] = max(counted.get(name, 0), cells)
        return counted

    def _watched(self, name: str, seen: Iterator[Seen]) -> Iterator[Seen]:
        for each in seen:
            self._done += 1
            if self._on_progress is not None and self._done % _TOLD_EVERY == 0:
                self._on_progress(name, min(self._done, self._all), self._all)
            yield each

    # --- rows ----------------------------------------------------------------------

    def _fill(self, each: Table, tree: Tree) -> int:
        self._bulk.begin(each, partial(self._slowly, each))
        if each.without_rowid:
            return self._bulk.parts(self._watched(each.name, self._walk.index(tree)))
        return self._bulk.leaves(self._watched(each.name, self._walk.leaves(tree)))

    def _slowly(self, each: Table, numbers: Sequence[int]) -> int:
        taken = 0
        for number in numbers:
            read = reading.read(self._image, self._walk, number)
            self._unreadable[each.name] = self._unreadable.get(each.name, 0) + read.unreadable
            taken += self._insert(each, read.rows, number)
            for why, row in read.cut:
                self._lost.put(number, None, f"of {each.name}, but {why}", *row)
        return taken

    def _insert(self, each: Table, rows: list[Row], page: int) -> int:
        """Put rows in; return how many the table took. The others are in ``lost_and_found``."""
        taken = 0
        for (width, fits), run in groupby(rows, key=lambda row: (len(row[1]), each.fits(row[1]))):
            some = list(run)
            if not fits:
                why = f"{width} values for {len(each.held)} columns"
                why = why if width > len(each.held) else "its values are not of the kinds that the columns hold"
                for rowid, values in some:
                    self._lost.put(page, each.name, why, rowid, values)
                continue
            refused = self._filling.insert(each.insert(width), [each.values(*row) for row in some])
            taken += len(some) - len(refused)
            for place, why in refused:
                self._lost.put(page, each.name, why, *some[place])
        return taken

    def _finish_schema(self, found: Schema) -> None:
        self._lost.flush()
        for sql in found.later:
            if (why := self._filling.create(sql)) is not None:
                self._odd.append(f"cannot be made again: {sql.split('(')[0].strip()}: {why}")
        for name, sql in found.virtual:
            self._filling.put_schema("table", name, name, sql)
