"""Go through the trees of a damaged file: which pages each still reaches, and where something is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from holdfast.doctor.salvage import pages
from holdfast.doctor.salvage.image import Image
from holdfast.doctor.salvage.pages import INDEX_INTERIOR, INDEX_LEAF, INTERIOR, LEAF, Page, varint

_DEPTH_MAX = 24  # a tree of 2**31 pages with two children each is not deeper by much
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Gap:
    """A part of a tree that cannot be reached: page ``number``, for rowids above ``low`` up to ``high``."""

    number: int
    low: int = _LEAST - 1
    high: int = _MOST

    def holds(self, first: int, last: int) -> bool:
        """Return True when rows from ``first`` to ``last`` can have been there."""
        return self.low < first and last <= self.high


@dataclass(slots=True)
class Tree:
    """What was reached from one root: its leaves in order, and interior pages too where those hold rows (an index)."""

    root: int
    leaves: list[Page] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)

    @property
    def cells(self) -> int:
        """Rows or entries on the pages that were reached."""
        return sum(len(page.cells) for page in self.leaves)


class Walk:
    """One pass over an image. ``owned`` are the pages that something was found to belong to."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._usable = image.header.usable
        self.owned: set[int] = set()
        self.zeros: set[int] = set()
        """Pages that rows go on in and that hold nothing but zeros: such a row may be true, or not."""

    def table(self, root: int) -> Tree:
        """Return the tree of a table with rowids."""
        tree = Tree(root)
        self._table(tree, Gap(root), 0)
        return tree

    def index(self, root: int) -> Tree:
        """Return the tree of an index, or of a table WITHOUT ROWID."""
        tree = Tree(root)
        self._index(tree, root, 0)
        return tree

    def free(self) -> int:
        """Own the pages of the freelist: what lies on them was deleted. Return how many were found."""
        first = self._image.page(1)
        after = int.from_bytes(first[32:36], "big") if first is not None and not self._image.guessed else 0
        found = 0
        while after and after not in self.owned and (trunk := self._image.page(after)) is not None:
            self.owned.add(after)
            count = int.from_bytes(trunk[4:8], "big")
            if count > self._usable // 4 - 2:
                break
            listed = [int.from_bytes(trunk[at : at + 4], "big") for at in range(8, 8 + 4 * count, 4)]
            self.owned.update(listed)
            found += 1 + count
            after = int.from_bytes(trunk[:4], "big")
        return found

    def orphans(self, kinds: tuple[int, ...]) -> Iterator[tuple[Page, bytes]]:
        """Yield the pages of these kinds that nothing was found to belong to."""
        for number in range(2, self._image.pages + 1):
            data = None if number in self.owned else self._image.page(number)
            if data is not None and data[0] in kinds and (page := pages.parse(number, data, self._usable)):
                yield page, data

    def overflow(self, number: int) -> bytes | None:
        """Return a page that a row goes on in, and own it."""
        data = self._image.page(number)
        if data is not None:
            self.owned.add(number)
            if not any(data):  # as a lost write leaves it; or the end of a long value of zeros
                self.zeros.add(number)
        return data

    def _page(self, number: int, kinds: tuple[int, int]) -> tuple[Page, bytes] | None:
        data = None if number in self.owned else self._image.page(number)
        page = None if data is None else pages.parse(number, data, self._usable)
        return None if data is None or page is None or page.kind not in kinds else (page, data)

    def _table(self, tree: Tree, at: Gap, depth: int) -> None:
        found = self._page(at.number, (LEAF, INTERIOR)) if depth < _DEPTH_MAX else None
        if found is None:
            tree.gaps.append(at)
            return
        page, data = found
        if page.kind == LEAF:
            ends = _rowids(page, data)
            if ends is None or (ends and not at.holds(ends[0], ends[-1])):  # a page of another table, or of another day
                tree.gaps.append(at)
                return
            self.owned.add(page.number)
            tree.leaves.append(page)
            return
        below = pages.children(page, data)
        keys = [at.low, *(key for _, key in below if key is not None), at.high]
        if len(below) <= len(page.cells) or any(low > high for low, high in pairwise(keys)):
            tree.gaps.append(at)
            return
        self.owned.add(page.number)
        low = at.low
        for child, key in below:
            high = at.high if key is None else key
            self._table(tree, Gap(child, low, high), depth + 1)
            low = high

    def _index(self, tree: Tree, number: int, depth: int) -> None:
        found = self._page(number, (INDEX_LEAF, INDEX_INTERIOR)) if depth < _DEPTH_MAX else None
        if found is None:
            tree.gaps.append(Gap(number))
            return
        page, data = found
        self.owned.add(page.number)
        tree.leaves.append(page)
        if page.kind == INDEX_INTERIOR:
            for child, _ in pages.children(page, data):
                self._index(tree, child, depth + 1)


def _rowids(page: Page, data: bytes) -> list[int] | None:
    """Return the first and last rowid of a leaf, or [] when it is empty; None when they cannot be read."""
    ends = (page.cells[0], page.cells[-1]) if page.cells else ()
    try:
        return [varint(data, varint(data, at)[1])[0] for at in ends]
    except IndexError:
        return None
