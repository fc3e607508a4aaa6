"""The pages that rows go on in: followed once, given to one row each."""

from __future__ import annotations

from holdfast.doctor.salvage.image import Image

USED, FREE, GOES_ON = 1, 2, 3
"""Of a page: a tree has it, the freelist lists it, a row goes on in it. 0: nothing was found to have it."""

TAKEN = (USED, GOES_ON)
_CUT_BYTES_MAX = 16 << 20


class Chains:
    """The chains of an image. ``owned`` says of each page whether a tree or a row has it; it is shared with the walk.

    Each page is followed once, whatever points at it: a ring ends, and a thousand
    rows that point into one long chain cost one way along it. ``zeros`` are the
    pages a row ends in that hold nothing: such a row may be true, or that page was
    lost. ``disputed`` are those that a second row says it goes on in.
    """

    def __init__(self, image: Image, owned: bytearray) -> None:
        self._image = image
        self._owned = owned
        self._given: set[int] = set()
        self._lengths: dict[int, int] = {}  # to a proper end; or -1 less the links that hold before it breaks
        self.zeros: set[int] = set()
        self.disputed: set[int] = set()

    def whole(self, first: int, count: int) -> list[bytes] | None:
        """Return the pages of a chain of ``count``, and own them; None when there is none that ends just there."""
        if self._length(first) != count:
            return None
        numbers, found = [], []
        for _ in range(count):
            data = self._image.page(first)
            if data is None or self.taken(first):
                return None
            numbers.append(first)
            found.append(data)
            first = int.from_bytes(data[:4], "big")
        for number, data in zip(numbers, found, strict=True):
            self._owned[number] = GOES_ON
            if not any(data):
                self.zeros.add(number)
        return found

    def beginning(self, first: int, count: int) -> list[bytes]:
        """Return the pages of a broken chain whose way on holds, once and 16 MiB at most."""
        length = self._length(first)
        good = -1 - length if length < 0 else length - 1 if length < count else 0
        found = []
        for _ in range(min(good, count, _CUT_BYTES_MAX // self._image.header.page_bytes)):
            data = self._image.page(first)
            if data is None or self._owned[first] in TAKEN or first in self._given:
                break
            self._given.add(first)
            found.append(data)
            first = int.from_bytes(data[:4], "big")
        return found

    def taken(self, number: int) -> bool:
        """Return True when a row cannot go on in this page, for a tree has it or another row."""
        if self._owned[number] == GOES_ON:
            self.disputed.add(number)
        return self._owned[number] in TAKEN

    def _length(self, first: int) -> int:
        way: list[int] = []
        passed: set[int] = set()
        length, number = 0, first
        while number and number not in passed:
            if (known := self._lengths.get(number)) is not None:
                length = known
                break
            free = 1 < number <= self._image.pages and not self.taken(number)
            data = self._image.page(number) if free else None
            if data is None:
                break
            way.append(number)
            passed.add(number)
            number = int.from_bytes(data[:4], "big")
        broken = length < 0 or (number != 0 and length == 0)
        for each in reversed(way):
            length += -1 if broken else 1
            self._lengths[each] = length
        return length
