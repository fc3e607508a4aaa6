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
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec

from holdfast import lockfiles
from holdfast.errors import Busy
from holdfast.lockfiles import FileLock
from holdfast.logs import account, caps, gone, hiding, reading
from holdfast.logs.account import Account
from holdfast.logs.caps import Caps, Pruned, alone_in
from holdfast.logs.hiding import Mark
from holdfast.logs.reading import Segment

LOCK = "lock"
LOCK_WAIT_MS = 400  # it is held for milliseconds; on a busy machine its holder may have lost the processor meanwhile
_PAUSE_MS_MAX = 2  # the lock is held for about a millisecond: who looks seldom finds it taken again
_TURN_WAIT_S = 60  # meanwhile records wait in the queue, which has a bound
_STOPPED = "Tt"  # of ps(1)
_SMALL_BYTES = 64 * 1024  # the lock, the slots, what was deleted, and what blocks round up to


class NoRoomError(Exception):
    """There is no room for more; the text says which limit it is, ``rule`` is its name."""

    def __init__(self, rule: str, said: str) -> None:
        super().__init__(said)
        self.rule = rule


class _Found(msgspec.Struct, frozen=True):
    """A segment and what it takes."""

    segment: Segment
    blocks: int
    mtime: float
    is_open: bool

    @property
    def name(self) -> str:
        return os.path.basename(self.segment.path)


@contextmanager
def locked(directory: str) -> Iterator[None]:
    """Be the only one who makes room or takes some. Raises ``Busy`` after 400 ms, and ``OSError``."""
    with lock(directory):
        yield


def lock(directory: str, wait_ms: int = LOCK_WAIT_MS) -> FileLock:
    """Return the lock that ``locked`` holds, to be released. Raises ``Busy`` after ``wait_ms``, and ``OSError``."""
    return lockfiles.take(os.path.join(directory, LOCK), wait_ms=wait_ms, pause_ms_max=_PAUSE_MS_MAX)


def lock_in_turn(directory: str) -> FileLock:
    """As ``lock``, but wait a minute where many are at work: behind anybody who is not stopped.

    Raises ``Busy`` and ``OSError``.
    """
    until = time.monotonic() + _TURN_WAIT_S
    while True:
        try:
            return lock(directory)
        except Busy:
            holders = lockfiles.holders(os.path.join(directory, LOCK))
            if time.monotonic() > until or any(each.state in _STOPPED for each in holders):
                raise


def lock_free(directory: str) -> FileLock | None:
    """As ``lock``, without waiting: None when somebody has it."""
    return lockfiles.take_free(os.path.join(directory, LOCK))


def make_room(
    directory: str, wanted: int, limits: Caps, books: Account, alone: str | None = None, *, is_least: bool = True
) -> int:
    """Let segments go until ``wanted`` more bytes may be reserved; tell ``books`` which. Call it under ``locked``.

    ``alone`` is what segments of one thread alone are named by, when the bytes are for one. Unless it ``is_least``
    what is needed, no more than half of the log may be reserved by open segments: they stay, and more writers may come.
    Returns how many segments are open. Raises ``NoRoomError`` when the bytes may not be
    reserved, and ``OSError``. Costs a look at each segment.
    """
    segments = _found(directory)
    writers = sum(each.is_open for each in segments)
    opened = sum(each.blocks for each in segments if each.is_open)
    if not is_least and opened + wanted > limits.bytes // 2:
        raise NoRoomError(caps.BYTES, f"{writers} segments that are being written have half of the log")
    books.only(each.name for each in segments)
    for found, rule, why in _to_go(directory, segments, wanted, limits, books, alone):
        if found is None:
            raise NoRoomError(rule, why)
        books.lost(_let_go(directory, found, rule, why, books))
    return writers


def prune(directory: str, limits: Caps, *, dry_run: bool = False) -> list[Pruned]:
    """Let go what the limits do not allow; ``dry_run`` only says what. Raises ``Busy``, ``OSError``."""
    if not os.path.isdir(directory):
        return []
    with contextlib.nullcontext() if dry_run else locked(directory):
        gone: list[Pruned] = []
        books = account.read(directory)
        for found, rule, why in _to_go(directory, _found(directory), 0, limits, books, None):
            if found is not None:
                gone += [_told(found, rule, why, books)] if dry_run else _let_go(directory, found, rule, why, books)
        if gone and not dry_run:
            books.lost(gone)
            write(directory, books)
        return gone


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
            replace(os.path.join(directory, hiding.FILE), msgspec.json.encode([*marks, mark]))
        shown = hiding.shows(directory)
        for found in _found(directory):
            if not found.is_open and not _shows_any(found.segment, shown):
                _remove(found.segment.path)
        return count


def write(directory: str, books: Account) -> None:
    """Keep the account. Call it under ``locked``."""
    replace(os.path.join(directory, account.FILE), msgspec.json.encode(books))


def _to_go(
    directory: str, found: list[_Found], wanted: int, limits: Caps, books: Account, alone: str | None
) -> Iterator[tuple[_Found | None, str, str]]:
    """Yield each segment that is to go, by which rule and why; at last, without a segment, why there is no room."""
    left = [each for each in found if not each.is_open]
    oldest = time.time() - limits.age_s
    for each in [each for each in left if each.mtime < oldest]:
        left.remove(each)
        found.remove(each)
        yield each, caps.AGE, f"older than {limits.age_s / 86_400:g} days"
    for each, rule, why in _by_count(found, wanted, limits, books):
        left.remove(each)
        found.remove(each)
        yield each, rule, why
    for of_thread in _by_thread(found, wanted, limits, alone):
        if of_thread is None:
            yield None, caps.THREAD, f"one thread has its {limits.thread_share:.0%} of the log, all of it open"
            return
        left.remove(of_thread)
        found.remove(of_thread)
        yield of_thread, caps.THREAD, f"more than {limits.thread_share:.0%} of the log is of this thread"
    total = sum(each.blocks for each in found) + _SMALL_BYTES
    while left and total + wanted > limits.bytes:
        total -= left[0].blocks
        yield left.pop(0), caps.BYTES, f"more than {limits.bytes} bytes"
    if total + wanted > limits.bytes:
        segments = sum(each.is_open for each in found)
        yield None, caps.BYTES, f"the log has its {limits.bytes} bytes, in {segments} segments that are being written"
        return
    disk = os.statvfs(directory)
    short = limits.floor(disk.f_blocks * disk.f_frsize) + wanted - disk.f_bavail * disk.f_frsize
    while left and short > 0:
        short -= left[0].blocks
        yield left.pop(0), caps.FREE, "the disk is to keep some room"
    if not wanted:
        return
    if short > 0:
        yield None, caps.FREE, f"the disk lacks {short} bytes of what is to stay free"
    elif disk.f_files and disk.f_favail < limits.floor_files(disk.f_files):
        yield None, caps.FREE, f"the disk has room for {disk.f_favail} more files of {disk.f_files}"
    elif limits.bytes_per_day is not None and books.bytes_today(time.time()) + wanted > limits.bytes_per_day:
        yield None, caps.DAY, f"the log has had its {limits.bytes_per_day} bytes of today"


def _by_count(found: list[_Found], wanted: int, limits: Caps, books: Account) -> Iterator[tuple[_Found, str, str]]:
    if limits.records is None or limits.segment_records is None:
        return
    # Like bytes, records are reserved: an open segment counts as full, and so does the one to come.
    full = limits.segment_records if wanted else None
    counts = {each.segment.path: full if full and each.is_open else _count(each, books) for each in found}
    more = sum(counts.values()) + (full or 0) - limits.records
    for each in [each for each in found if not each.is_open]:
        if more <= 0:
            return
        more -= counts[each.segment.path]
        yield each, caps.RECORDS, f"more than {limits.records} records"


def _by_thread(found: list[_Found], wanted: int, limits: Caps, alone: str | None) -> Iterator[_Found | None]:
    """Yield the oldest segments of a thread that has more than its share; None when what is wanted is too much."""
    if limits.thread_share is None:
        return
    # The bytes that made it known lie in a segment with others.
    most = max(limits.segment_bytes(), int(limits.bytes * limits.thread_share) - limits.segment_bytes())
    groups: dict[str, list[_Found]] = {}
    for each in found:
        if (token := alone_in(each.name)) is not None:
            groups.setdefault(token, []).append(each)
    for token, group in groups.items():
        more = sum(each.blocks for each in group) + (wanted if token == alone else 0) - most
        for each in [each for each in group if not each.is_open]:
            if more <= 0:
                break
            more -= each.blocks
            yield each
        if more > 0 and token == alone:
            yield None


def _told(found: _Found, rule: str, why: str, books: Account) -> Pruned:
    return Pruned(found.name, found.blocks, why, rule, _count(found, books))


def _let_go(directory: str, found: _Found, rule: str, why: str, books: Account) -> list[Pruned]:
    told = _told(found, rule, why, books)
    if not _remove(found.segment.path):
        return []
    it = gone.Gone(found.name, found.segment.inode, told.records)
    with suppress(OSError):  # those who follow the log are told how much went; without room even for this, it goes on
        replace(os.path.join(directory, gone.FILE), msgspec.json.encode(gone.read(directory).with_these([it])))
    return [told]


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


def _remove(path: str) -> bool:
    try:
        if os.lstat(path).st_nlink == 1:  # else it has another name elsewhere: somebody's backup
            os.truncate(path, 0)
        os.unlink(path)
    except OSError:
        return False  # gone already, or not ours
    return True


def _count(found: _Found, books: Account) -> int:
    """Return how many records a segment has: as its writer told, or, of one that was killed or lives, as they are."""
    told = books.ended.get(found.name)
    if told is not None:
        return told
    try:
        file = reading.SegmentFile(found.segment)
        return sum(
            stretch.summary.count if stretch.summary else sum(1 for _ in reading.records(file.text(stretch)))
            for stretch in file.stretches()
        )
    except OSError:
        return 0


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


def replace(path: str, data: bytes) -> None:
    """Write a small file anew, whole or not at all. Call it under ``locked``. Raises ``OSError``."""
    partial = f"{path}.new"
    try:
        fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            if os.write(fd, data) < len(data):
                raise OSError(28, "the disk took only a part", path)
        finally:
            os.close(fd)
        os.replace(partial, path)
    except OSError:
        with suppress(OSError):
            os.unlink(partial)
        raise
