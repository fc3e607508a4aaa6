"""Go through the trees of a damaged file: which pages each still reaches, and where something is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from holdfast.doctor.salvage import pages
from holdfast.doctor.salvage.image import Image
from holdfast.doctor.salvage.overflow import FREE, TAKEN, USED, Chains
from holdfast.doctor.salvage.pages import INDEX_INTERIOR, INDEX_LEAF, INTERIOR, LEAF, Page, varint

_DEPTH_MAX = 24  # a tree of 2**31 pages with two children each is not deeper by much
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1


class Gap(NamedTuple):
    """A part of a tree that cannot be reached: page ``number``, for rowids above ``low`` up to ``high``."""

    number: int
    low: int = _LEAST - 1
    high: int = _MOST

    def holds(self, first: int, last: int) -> bool:
        """Return True when rows from ``first`` to ``last`` can have been there."""
        return self.low < first and last <= self.high


class Leaf(NamedTuple):
    """A leaf of a table that holds ``cells`` rows, from the rowid ``first`` to ``last``."""

    number: int
    cells: int
    first: int
    last: int


class Part(NamedTuple):
    """Pages of an index: one of them, or an interior page with all the leaves below it. ``cells`` of all of them."""

    numbers: tuple[int, ...]
    cells: int


@dataclass(slots=True)
class Tree:
    """What is known of a tree once all of it was asked for: where it could not be reached."""

    root: int
    gaps: list[Gap] = field(default_factory=list)


class Walk:
    """One pass over an image. ``owned`` says of each page what was found to have it (``overflow.py``)."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._usable = image.header.usable
        self.owned = bytearray(image.pages + 1)
        self.overflow = Chains(image, self.owned)

    def leaves(self, tree: Tree) -> Iterator[Leaf]:
        """Yield the leaves of a table with rowids, in order."""
        waiting = [(Gap(tree.root), 0)]
        while waiting:
            at, depth = waiting.pop()
            found = self._page(at.number, (LEAF, INTERIOR)) if depth < _DEPTH_MAX else None
            if found is None:
                tree.gaps.append(at)
                continue
            page, data = found
            if page.kind == LEAF:
                ends = rowids(page, data)
                if ends is None or (ends and not at.holds(*ends)):  # a page of another table, or of another day
                    tree.gaps.append(at)
                    continue
                self.owned[page.number] = USED
                if ends:
                    yield Leaf(page.number, len(page.cells), *ends)
                continue
            below = pages.children(page, data)
            keys = [at.low, *(key for _, key in below if key is not None), at.high]
            if len(below) <= len(page.cells) or any(low > high for low, high in pairwise(keys)):
                tree.gaps.append(at)
                continue
            self.owned[page.number] = USED
            highs = [*keys[1:-1], at.high]
            gaps = [Gap(child, low, high) for (child, _), low, high in zip(below, keys, highs, strict=False)]
            waiting += [(gap, depth + 1) for gap in reversed(gaps)]

    def index(self, tree: Tree) -> Iterator[Part]:
        """Yield the pages of an index, or of a table WITHOUT ROWID."""
        waiting = [(tree.root, 0)]
        while waiting:
            number, depth = waiting.pop()
            found = self._page(number, (INDEX_LEAF, INDEX_INTERIOR)) if depth < _DEPTH_MAX else None
            if found is None:
                tree.gaps.append(Gap(number))
                continue
            page, data = found
            self.owned[number] = USED
            if page.kind == INDEX_LEAF:
                yield Part((number,), len(page.cells))
                continue
            below = [child for child, _ in pages.children(page, data)]
            if (cells := self._all_leaves(below)) is None:
                yield Part((number,), len(page.cells))
                waiting += [(child, depth + 1) for child in reversed(below)]
                continue
            for child in below:
                self.owned[child] = USED
            yield Part((number, *below), len(page.cells) + cells)

    def free(self) -> None:
        """Note the pages of the freelist: what lies on them was deleted, unless a tree has them after all."""
        first = self._image.page(1)
        after = int.from_bytes(first[32:36], "big") if first is not None and not self._image.guessed else 0
        while 1 < after <= self._image.pages and not self.owned[after]:
            trunk = self._image.page(after)
            if trunk is None:
                return
            self.owned[after] = FREE
            count = int.from_bytes(trunk[4:8], "big")
            if count > self._usable // 4 - 2:
                return
            for at in range(8, 8 + 4 * count, 4):
                listed = int.from_bytes(trunk[at : at + 4], "big")
                if 1 < listed <= self._image.pages:
                    self.owned[listed] = FREE
            after = int.from_bytes(trunk[:4], "big")

    def orphans(self, kinds: tuple[int, ...]) -> Iterator[tuple[Page, bytes]]:
        """Yield the pages of these kinds that nothing was found to have, and own them."""
        for written in self._image.written():
            number = self.owned.find(0, max(written.start, 2), written.stop)
            while number >= 0:
                data = self._image.page(number)
                if data is not None and data[0] in kinds and (page := pages.parse(number, data, self._usable)):
                    self.owned[number] = USED
                    yield page, data
                number = self.owned.find(0, number + 1, written.stop)

    def _all_leaves(self, numbers: list[int]) -> int | None:
        """Return how many cells these pages have, when each is a leaf of an index, with cells, and free to be had."""
        cells = 0
        if len(set(numbers)) < len(numbers):
            return None
        for number in numbers:
            found = self._page(number, (INDEX_LEAF, INDEX_LEAF))
            if found is None or not found[0].cells:
                return None
            cells += len(found[0].cells)
        return cells

    def _page(self, number: int, kinds: tuple[int, int]) -> tuple[Page, bytes] | None:
        free = 0 < number <= self._image.pages and self.owned[number] not in TAKEN
        data = self._image.page(number) if free else None
        page = None if data is None else pages.parse(number, data, self._usable)
        return None if data is None or page is None or page.kind not in kinds else (page, data)


def rowids(page: Page, data: bytes) -> list[int] | None:
    """Return the first and last rowid of a leaf, or [] when it is empty; None when they cannot be read."""
    ends = (page.cells[0], page.cells[-1]) if page.cells else ()
    try:
        return [varint(data, varint(data, at)[1])[0] for at in ends]
    except IndexError:
        return None
