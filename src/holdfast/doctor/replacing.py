"""A database of a receipt gets its new content, or its old bytes back: held against everybody, whatever was begun."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from holdfast.changes import Replace
from holdfast.doctor.holding import Held, hold
from holdfast.doctor.salvage.image import Image
from holdfast.errors import Busy, Damaged, Full, HalfDone, HoldfastError, Refused
from holdfast.receipts import Receipt, Standing, Step, families
from holdfast.receipts.model import Swap
from holdfast.sqlite import mending

_ROOM_BYTES = 8 << 20
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LOCK_BYTE = 0x4000_0000  # the page it is on holds nothing, and no backup copies it
_LATER = "Restore what you need by hand from the copies in {at}."

# Of the first page: the two that tell the journal's kind, the change counter, the cookie of the schema,
# and the number the counter had when the last writer looked (sqlite.org/fileformat2.html, section 1.3).
# A backup that is put in place has its own.
_OWN = ((18, 20), (24, 28), (40, 44), (92, 96))

Tell = Callable[[str, int, int], None]


class Hand:
    """``receipts.Replacing``. ``held``: the databases that the caller holds already."""

    def __init__(self, held: dict[str, Held] | None = None, tell: Tell = lambda point, done, total: None) -> None:
        self._held = held or {}
        self._tell = tell

    def put(self, receipt: Receipt, step: Step, note: Callable[[], None]) -> None:
        """See ``receipts.Replacing``."""
        path, swap, copy = _parts(receipt, step)
        with self._holding(path) as held:
            new = os.path.join(receipt.at, swap.new or "")
            now = _now(receipt, step)
            if now is not Standing.AFTER:
                if swap.new is None or not os.path.exists(new) or families.sum_of(new) != swap.new_sum:
                    raise Refused(
                        f"the new content of {path} was not made yet, so nothing was done", remedy="Make a new plan."
                    )
                held.prove()
                swap.begun = True
                note()
                self._tell("begun", 0, 0)
                try:
                    self._put(path, new, swap, marked=now is Standing.BETWEEN)
                    _check(path, new)
                except (HoldfastError, OSError) as error:
                    self._take_back(receipt, step, copy, error)
            self._tell("put", 0, 0)
            swap.after = families.sums(path)
            swap.seen_after = families.stamps(path)
            note()
        with suppress(FileNotFoundError):
            os.unlink(new)

    def put_back(self, receipt: Receipt, step: Step, note: Callable[[], None]) -> None:
        """See ``receipts.Replacing``."""
        path, swap, copy = _parts(receipt, step)
        with self._holding(path):
            _now(receipt, step)
            for end, found in swap.before.items():
                if not os.path.exists(copy + end) or families.sum_of(copy + end) != found:
                    raise Refused(f"the copy {copy}{end} is not what was copied: {path} was left as it is")
            self._tell("putting back", 0, 0)
            self._put_back(receipt, step, copy)

    @contextmanager
    def _holding(self, path: str) -> Iterator[Held]:
        if path in self._held:
            yield self._held[path]
        else:
            with hold(path) as held:
                yield held[path]

    def _put(self, path: str, new: str, swap: Swap, *, marked: bool) -> None:
        def tell(done: int, total: int) -> None:
            self._tell("putting", done, total)

        if not marked and _has_room(path, os.path.getsize(new)):
            try:
                mending.put(path, new, tell)
                return
            except (Damaged, Refused):
                pass  # its first page is broken, or its pages have another size: SQLite cannot do it
        # Without room for a log or a journal: the bytes, in the place of the bytes.
        families.put(path, {"": new}, swap.marker, tell, drop=False)

    def _take_back(self, receipt: Receipt, step: Step, copy: str, error: HoldfastError | OSError) -> None:
        """Have the bytes as they were, then raise what happened."""
        path, _, _ = _parts(receipt, step)
        try:
            self._put_back(receipt, step, copy)
        except (HoldfastError, OSError) as again:
            raise HalfDone(f"{error}; and {path} could not be put back: {again}") from error
        assert step.swap is not None
        step.swap.begun = False
        told = from_disk(error, f"writing {path}") if isinstance(error, OSError) else error
        kind = type(told) if isinstance(told, Busy | Refused) else Refused
        remedy = f"Make room on the disk of {path}." if isinstance(told, Full) else told.remedy
        raise kind(f"{told}; it is as it was", remedy=remedy) from error

    def _put_back(self, receipt: Receipt, step: Step, copy: str) -> None:
        path, swap, _ = _parts(receipt, step)
        sources = {end: copy + end for end in families.ENDS if receipt.plan.before(path + end).is_there}
        try:
            families.put(path, sources, swap.marker, lambda done, all_: self._tell("back", done, all_), drop=True)
        except OSError as error:
            raise from_disk(error, f"putting {path} back") from error
        families.set_times(receipt.plan.before(path + end) for end in families.ENDS)
        if families.sums(path) != swap.before:
            raise Damaged(f"{path} does not read back as it was written", remedy=_LATER.format(at=receipt.at))


def _parts(receipt: Receipt, step: Step) -> tuple[str, Swap, str]:
    assert isinstance(step.change, Replace) and step.swap is not None and step.copy is not None  # written with it
    return step.change.path, step.swap, os.path.join(receipt.at, step.copy)


def _now(receipt: Receipt, step: Step) -> Standing:
    """Return how the database stands, for certain: what was begun and killed is looked at page by page.

    Rolls a journal back that the killed one left, as whoever opened it next would. Raises ``Refused`` when
    somebody else changed it meanwhile. ``BETWEEN``: it begins with the marker.
    """
    path, swap, copy = _parts(receipt, step)
    now = families.standing(receipt.plan, step)
    if now is Standing.CHANGED:
        raise _changed(receipt, path)
    if now is not Standing.BETWEEN or families.is_marked(path, swap.marker):
        return now
    if os.path.exists(f"{path}-journal") and os.path.getsize(f"{path}-journal"):
        mending.settle(path)
    if swap.new is not None and os.path.exists(new := os.path.join(receipt.at, swap.new)) and same_content(path, new):
        mending.truncate_log(path)
        return Standing.AFTER
    with settled(copy) as old:
        if same_content(path, old):
            return Standing.BEFORE
    raise _changed(receipt, path)


def _changed(receipt: Receipt, path: str) -> Refused:
    return Refused(
        f"{path} was changed since, by somebody else", remedy=f"The copies of what was there lie in {receipt.at}."
    )


def _check(path: str, new: str) -> None:
    if not same_content(path, new):
        raise Damaged(f"{path} does not read back as it was written")


def same_content(one: str, other: str) -> bool:
    """Return True when two databases, logs included, hold the same pages; but for what a file has of its own."""
    with Image(one) as first, Image(other) as second:
        pages = _pages(first)
        if pages != _pages(second) or first.header.page_bytes != second.header.page_bytes:
            return False
        locks = _LOCK_BYTE // first.header.page_bytes + 1
        return all(_plain(number, first) == _plain(number, second) for number in range(1, pages + 1) if number != locks)


def _pages(image: Image) -> int:
    # What a log made shorter is as long as before until the log is in it.
    return image.pages if image.guessed else image.header.pages or image.pages


def _plain(number: int, image: Image) -> bytes | None:
    page = image.page(number)
    if number != 1 or page is None:
        return page
    plain = bytearray(page)
    for begin, end in _OWN:
        plain[begin:end] = bytes(end - begin)
    return bytes(plain)


@contextmanager
def settled(copy: str) -> Iterator[str]:
    """Give a copy that may be read: itself, or another one where a journal must be rolled back first."""
    if not (os.path.exists(f"{copy}-journal") and os.path.getsize(f"{copy}-journal")):
        yield copy
        return
    with tempfile.TemporaryDirectory(dir=os.path.dirname(copy), prefix=".settled-") as folder:
        again = os.path.join(folder, "copy")
        for end in families.ENDS:
            if os.path.exists(copy + end):
                shutil.copyfile(copy + end, again + end)
        with suppress(Damaged):
            mending.settle(again)
        yield again


def _has_room(path: str, size: int) -> bool:
    found = os.statvfs(os.path.dirname(path))
    return found.f_bavail * found.f_frsize >= size + size // 16 + _ROOM_BYTES


def from_disk(error: OSError, doing: str) -> HoldfastError:
    """Return an error of the disk as one of ours."""
    kind = Full if error.errno in _NO_ROOM else Refused
    return kind(f"{doing}: {error.strerror or error}")
