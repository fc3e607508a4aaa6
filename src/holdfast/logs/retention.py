"""Room for the log: what is reserved, what goes, and what is hidden. Under a lock that is never waited for long.

Every byte is reserved on the disk before it is written (fallocate(2), beyond the
end of the file), so the sum of the blocks of all segments is all that the log
takes or will take, whoever writes: a writer that is stopped or was killed counts
with what it reserved. Only a closed segment goes: one that no writer has locked.
It is cut to nothing before its name goes, which frees its blocks at once, also
under a reader that is stopped with the file open.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import msgspec

from holdfast import lockfiles
from holdfast.errors import Busy
from holdfast.logs import gone, hiding, reading
from holdfast.logs.caps import Caps, Pruned
from holdfast.logs.gone import Gone
from holdfast.logs.hiding import Mark
from holdfast.logs.reading import Segment

LOCK = "lock"
_SMALL_BYTES = 64 * 1024  # the lock, the slots, what was deleted, and what blocks round up to
_LOCK_WAIT_MS = 40
_DAY = "day.json"


class NoRoomError(Exception):
    """There is no room for more; the text says which limit it is."""


class _Day(msgspec.Struct):
    day: int
    bytes: int


class _Found(msgspec.Struct, frozen=True):
    """A segment and what it takes."""

    segment: Segment
    blocks: int
    mtime: float
    is_open: bool


@contextmanager
def locked(directory: str) -> Iterator[None]:
    """Be the only one who makes room or takes some. Raises ``Busy`` after 40 ms, and ``OSError``."""
    with lockfiles.take(os.path.join(directory, LOCK), wait_ms=_LOCK_WAIT_MS):
        yield


def make_room(directory: str, wanted: int, caps: Caps) -> list[Pruned]:
    """Let segments go until ``wanted`` more bytes may be reserved. Call it under ``locked``.

    Raises ``NoRoomError`` when they may not, and ``OSError``. Costs a look at each segment.
    """
    pruned = []
    for found, why in _to_go(directory, wanted, caps):
        if why and found is None:
            raise NoRoomError(why)
        if found is not None and _let_go(directory, found):
            pruned.append(Pruned(os.path.basename(found.segment.path), found.blocks, why))
    return pruned


def prune(directory: str, caps: Caps, *, dry_run: bool = False) -> list[Pruned]:
    """Let go what the limits do not allow; ``dry_run`` only says what. Raises ``Busy``, ``OSError``."""
    if not os.path.isdir(directory):
        return []
    with contextlib.nullcontext() if dry_run else locked(directory):
        pruned = []
        for found, why in _to_go(directory, 0, caps):
            if found is not None and (dry_run or _let_go(directory, found)):
                pruned.append(Pruned(os.path.basename(found.segment.path), found.blocks, why))
        return pruned


def delete_before(directory: str, us: int) -> int:
    """Hide every record there is that is older than ``us``; return how many that are. Its bytes go with its segment.

    Costs a look at each frame that holds some. Raises ``Busy``, ``OSError``.
    """
    from holdfast.logs.matching import LogQuery
    from holdfast.logs.query import iterate, max_id

    if not os.path.isdir(directory):
        return 0
    with locked(directory):
        mark = Mark(us, max_id(directory, LogQuery()))
        asked = LogQuery(to_us=us - 1)
        count = sum(1 for record in iterate(directory, asked) if record.id <= mark.up_to_id)
        if count:
            marks = [each for each in hiding.marks(directory) if each.before_us > us or each.up_to_id > mark.up_to_id]
            _replace(os.path.join(directory, hiding.FILE), msgspec.json.encode([*marks, mark]))
        shown = hiding.shows(directory)
        for found in _found(directory):
            if not found.is_open and not _shows_any(found.segment, shown):
                _remove(found.segment.path)
        return count


def reserved_today(directory: str) -> int:
    """Return how many bytes were reserved today (UTC), by all."""
    try:
        with open(os.path.join(directory, _DAY), "rb") as file:
            day = msgspec.json.decode(file.read(), type=_Day)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return 0
    return day.bytes if day.day == int(time.time() // 86_400) else 0


def note_reserved(directory: str, count: int) -> None:
    """Add to ``reserved_today``. Call it under ``locked``."""
    day = _Day(int(time.time() // 86_400), reserved_today(directory) + count)
    _replace(os.path.join(directory, _DAY), msgspec.json.encode(day))


def _to_go(directory: str, wanted: int, caps: Caps) -> Iterator[tuple[_Found | None, str]]:
    """Yield each segment that is to go, and why; at last, without a segment, why there is no room."""
    found = _found(directory)
    left = [each for each in found if not each.is_open]
    total = sum(each.blocks for each in found)
    oldest = time.time() - caps.age_s
    for each in [each for each in left if each.mtime < oldest]:
        left.remove(each)
        total -= each.blocks
        yield each, f"older than {caps.age_s / 86_400:g} days"
    if caps.records is not None:
        counts = {each.segment.path: _count(each.segment) for each in left}
        more = sum(counts.values()) - caps.records
        while left and more > 0 and counts[left[0].segment.path] <= more:
            more -= counts[left[0].segment.path]
            total -= left[0].blocks
            yield left.pop(0), f"more than {caps.records} records"
    total += _SMALL_BYTES
    while left and total + wanted > caps.bytes:
        total -= left[0].blocks
        yield left.pop(0), f"more than {caps.bytes} bytes"
    if total + wanted > caps.bytes:
        writers = sum(each.is_open for each in found)
        yield None, f"the log has its {caps.bytes} bytes, and {writers} writers hold all of them"
        return
    disk = os.statvfs(directory)
    short = caps.floor(disk.f_blocks * disk.f_frsize) + wanted - disk.f_bavail * disk.f_frsize
    while left and short > 0:
        short -= left[0].blocks
        yield left.pop(0), "the disk is to keep some room"
    if short > 0 and wanted:
        yield None, f"the disk lacks {short} bytes of what is to stay free"
    elif wanted and caps.bytes_per_day is not None and reserved_today(directory) + wanted > caps.bytes_per_day:
        yield None, f"the log has had its {caps.bytes_per_day} bytes of today"


def _found(directory: str) -> list[_Found]:
    """Return the segments, the one written last at the end. What a killed writer reserved and did not use is freed."""
    found = []
    for segment in reading.listing(directory):
        try:
            fd = os.open(segment.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            continue  # gone, or nobody's who lets us: it is not ours to count
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_open = False
            except BlockingIOError:
                is_open = True
            stat = os.fstat(fd)
            if not is_open and stat.st_blocks * 512 > stat.st_size + 64 * 1024:
                with suppress(OSError):
                    os.ftruncate(fd, stat.st_size)
                    os.utime(fd, ns=(stat.st_atime_ns, stat.st_mtime_ns))
                    stat = os.fstat(fd)
            found.append(_Found(segment, stat.st_blocks * 512, stat.st_mtime, is_open))
        finally:
            os.close(fd)
    return sorted(found, key=lambda each: (each.mtime, each.segment.path))


def _let_go(directory: str, found: _Found) -> bool:
    """Remove the segment, and tell those who follow the log how much went."""
    records = _count(found.segment)
    if not _remove(found.segment.path):
        return False
    it = Gone(os.path.basename(found.segment.path), found.segment.inode, records)
    with suppress(OSError):  # without room even for this, the log goes on
        _replace(os.path.join(directory, gone.FILE), msgspec.json.encode(gone.read(directory).with_these([it])))
    return True


def _remove(path: str) -> bool:
    try:
        os.truncate(path, 0)
        os.unlink(path)
    except OSError:
        return False  # gone already, or not ours
    return True


_counts: dict[tuple[str, int], int] = {}


def _count(segment: Segment) -> int:
    key = (segment.path, segment.size)
    if key not in _counts:
        if len(_counts) > 4_096:
            _counts.clear()
        with suppress(OSError):
            file = reading.SegmentFile(segment)
            _counts[key] = sum(
                stretch.summary.count if stretch.summary else sum(1 for _ in reading.records(file.text(stretch)))
                for stretch in file.stretches()
            )
    return _counts.get(key, 0)


def _shows_any(segment: Segment, shown: hiding.Shown) -> bool:
    try:
        file = reading.SegmentFile(segment)
        return any(
            shown.frame(stretch.summary)
            if stretch.summary
            else any(shown.record(record) for record in reading.records(file.text(stretch)))
            for stretch in file.stretches()
        )
    except OSError:
        return True


def _replace(path: str, data: bytes) -> None:
    partial = f"{path}.{os.getpid()}"
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
    os.replace(partial, path)


__all__: Sequence[str] = (
    "Busy",
    "NoRoomError",
    "delete_before",
    "locked",
    "make_room",
    "note_reserved",
    "prune",
    "reserved_today",
)
