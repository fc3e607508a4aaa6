"""The files of one database as bytes: how they stand, a copy of them, and that copy put back.

For databases that nobody has open: whoever calls has seen to that, and holds them
(``doctor.holding``). Then opening and closing them here cancels nobody's locks.

A file that is written over is never, for a moment, a database that looks right and
is not: its first bytes go first and come last, and stand as a sentence meanwhile. Who
opens it then is told that this is no database. The same of a log or a journal, which
are nothing without their first bytes (sqlite.org/fileformat2.html, sections 3 and 4).
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from holdfast.changes import Plan, Replace, Seen
from holdfast.receipts.model import Standing, Step

ENDS = ("", "-wal", "-journal")
"""What the files of a database end in that hold what it holds. An ``-shm`` holds nothing: it is made anew."""

_MAGIC = b"SQLite format 3\0"
HEAD_BYTES = 100
"""The header of a database."""

_SIDECAR_HEAD_BYTES = 512
_CHUNK = 1 << 20
_FICLONE = 0x40049409  # linux/fs.h: the copy shares its blocks, as far as the disk can do that

Tell = Callable[[int, int], None]
"""Told bytes done, and bytes there are."""


def seen(path: str) -> Seen:
    """Return what lies at ``path`` now."""
    try:
        return Seen.of(path, os.lstat(path))
    except (FileNotFoundError, NotADirectoryError):
        return Seen(path)


def stamps(path: str) -> tuple[Seen, ...]:
    """Return how the files of a database are, those that are not there included."""
    return tuple(seen(path + end) for end in ENDS)


def sums(path: str) -> dict[str, str]:
    """Return the SHA-256 of each file that is not empty, by the end of its name. Reads them whole."""
    return {each.path[len(path) :]: sum_of(each.path) for each in stamps(path) if each.size}


def sum_of(path: str) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def marker(receipt_id: str) -> str:
    """Return what stands at the beginning of a database that is neither the old one nor the new one."""
    return f"holdfast stopped in the middle here: `holdfast undo {receipt_id}` puts this file back"


def is_marked(path: str, text: str) -> bool:
    """Return True when a database is in the middle of being written over."""
    with suppress(FileNotFoundError), open(path, "rb") as file:
        return file.read(HEAD_BYTES) == _marked(text)
    return False


def _marked(text: str) -> bytes:
    return text.encode().ljust(HEAD_BYTES, b"\n")[:HEAD_BYTES]


def standing(plan: Plan, step: Step) -> Standing:
    """Return how a database that gets other content stands. Reads it whole, unless its times say enough."""
    swap = step.swap
    assert swap is not None and isinstance(step.change, Replace)  # written with the receipt
    path = step.change.path
    now = stamps(path)
    before = tuple(plan.before(path + end) for end in ENDS)
    if all(map(_alike, now, before)):
        return Standing.BEFORE
    if not before[0].same_file(now[0]):
        return Standing.CHANGED
    if now == swap.seen_after:
        return Standing.AFTER
    if is_marked(path, swap.marker):
        return Standing.BETWEEN
    found = sums(path)
    if found == swap.before:
        # Of what was begun an empty sidecar may be left, and the times are not as they were.
        return Standing.BETWEEN if swap.begun else Standing.BEFORE
    if swap.after and found == swap.after:
        return Standing.AFTER
    return Standing.BETWEEN if swap.begun and not step.done else Standing.CHANGED


def _alike(now: Seen, before: Seen) -> bool:
    # A sidecar that was put back is another file; the database itself never is.
    same = now.is_there == before.is_there and (now.size, now.mtime_ns) == (before.size, before.mtime_ns)
    return same and (now.path.endswith(ENDS[1:]) or now == before)


# --- copies ------------------------------------------------------------------------


def keep(source: str, target: str, others: Iterable[str]) -> str:
    """Copy a file to ``target``, which must not exist, synced; return its SHA-256.

    Takes no room where the disk can share blocks, or when one of ``others`` is the same.
    """
    with open(source, "rb") as given, open(_new(target), "wb") as copy:
        try:
            fcntl.ioctl(copy.fileno(), _FICLONE, given.fileno())
            os.fsync(copy.fileno())
        except OSError:
            pass
        else:
            return sum_of(target)
    if same := [other for other in others if os.path.getsize(other) == os.path.getsize(source)]:
        found = sum_of(source)
        for other in same:
            if sum_of(other) == found:
                os.unlink(target)
                os.link(other, target)
                return found
    digest = hashlib.sha256()
    with open(source, "rb") as given, open(target, "r+b", buffering=0) as copy:
        while piece := given.read(_CHUNK):
            digest.update(piece)
            _write(copy.fileno(), piece, given.tell() - len(piece))
        os.ftruncate(copy.fileno(), given.tell())
        os.fsync(copy.fileno())
    return digest.hexdigest()


def _new(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


# --- put in place ------------------------------------------------------------------


def put(path: str, sources: Mapping[str, str], text: str, tell: Tell, *, drop: bool) -> None:
    """Give the database at ``path`` the bytes of ``sources`` (by the end of their names), in the file it has.

    Killed in the middle it begins with the marker ``text``, and this can be done again. A
    sidecar that is in no source is emptied, or with ``drop`` removed. Raises ``OSError``
    when there is no room, with everything as it was.
    """
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        size, old_size = os.path.getsize(sources[""]), os.fstat(fd).st_size
        same = size == old_size and sum_of(path) == sum_of(sources[""])
        head = os.pread(fd, HEAD_BYTES, 0)
        _write_all(fd, _marked(text), 0)
        os.fsync(fd)
        try:
            _make_room(fd, sources[""])
        except OSError:
            _write_all(fd, head, 0)
            os.ftruncate(fd, old_size)
            os.fsync(fd)
            raise
        # Nothing before the database changes: what is in them fits the old one only.
        for end in ENDS[1:]:
            with suppress(FileNotFoundError):
                _blank(path + end, keep=end in sources)
        with open(sources[""], "rb") as source:
            first = source.read(HEAD_BYTES)
            if not same:
                _copy(source.fileno(), fd, HEAD_BYTES, size, tell)
        os.ftruncate(fd, max(size, HEAD_BYTES))
        os.fsync(fd)
        for end in ENDS[1:]:
            _put_sidecar(path + end, sources.get(end), os.fstat(fd), drop=drop)
        _write_all(fd, first, 0)
        os.ftruncate(fd, size)
        os.fsync(fd)
    finally:
        os.close(fd)


def set_times(given: Iterable[Seen]) -> None:
    """Give files back the times they had."""
    for each in given:
        if each.is_there:
            os.utime(each.path, ns=(os.stat(each.path).st_atime_ns, each.mtime_ns))


def keep_kind(path: str, new: str) -> None:
    """Have a new database say of its journal what the old one says, so that it goes on with a log or without."""
    with suppress(FileNotFoundError), open(path, "rb") as old:
        head = old.read(HEAD_BYTES)
        if head[:16] == _MAGIC and head[18:20] in (b"\1\1", b"\2\2"):
            kind = head[18:20]
        else:
            kind = b"\2\2" if seen(f"{path}-wal").size else b"\1\1"
        fd = os.open(new, os.O_WRONLY | os.O_CLOEXEC)
        try:
            _write_all(fd, kind, 18)
        finally:
            os.close(fd)


def sync_file(path: str) -> None:
    """Have what was written to a file on the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _put_sidecar(path: str, source: str | None, owner: os.stat_result, *, drop: bool) -> None:
    if source is None:
        if drop:
            with suppress(FileNotFoundError):
                os.unlink(path)
        return
    is_new = not os.path.lexists(path)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if is_new:  # whose the database is must be able to open it, whoever we are
            os.fchmod(fd, owner.st_mode & 0o666)
            if (owner.st_uid, owner.st_gid) != (os.geteuid(), os.getegid()):
                with suppress(PermissionError):
                    os.fchown(fd, owner.st_uid, owner.st_gid)
        with open(source, "rb") as given:
            first = given.read(_SIDECAR_HEAD_BYTES)
            size = os.fstat(given.fileno()).st_size
            _make_room(fd, source)
            _copy(given.fileno(), fd, _SIDECAR_HEAD_BYTES, size, lambda done, total: None)
        os.ftruncate(fd, size)
        os.fsync(fd)
        _write_all(fd, first, 0)
        os.fsync(fd)
    finally:
        os.close(fd)


def _blank(path: str, *, keep: bool) -> None:
    """Have nothing in a sidecar; ``keep``: but hold on to its room."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        if keep:
            _write_all(fd, bytes(min(_SIDECAR_HEAD_BYTES, os.fstat(fd).st_size)), 0)
        else:
            os.ftruncate(fd, 0)
        os.fsync(fd)
    finally:
        os.close(fd)


def _make_room(fd: int, source: str) -> None:
    """Have room for all of ``source`` in a file before any of it is written; one with holes is asked for less."""
    wanted, now = os.stat(source), os.fstat(fd)
    if wanted.st_size <= now.st_size:
        return
    if wanted.st_blocks * 512 < wanted.st_size:
        disk = os.fstatvfs(fd)
        if disk.f_bavail * disk.f_frsize < wanted.st_blocks * 512 - now.st_blocks * 512:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return
    try:
        os.posix_fallocate(fd, 0, wanted.st_size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
            raise


def _copy(source: int, target: int, at: int, size: int, tell: Tell) -> None:
    end = os.fstat(target).st_size
    while at < size:
        piece = os.pread(source, _CHUNK, at)
        if not piece:
            raise OSError(errno.EIO, f"a copy ends at {at} of {size} bytes")
        if at < end:
            _write_all(target, piece, at)
        else:
            _write(target, piece, at)
        at += len(piece)
        tell(at, size)


def _write(fd: int, piece: bytes, at: int) -> None:
    if piece.count(0) < len(piece):  # a hole stays one
        _write_all(fd, piece, at)


def _write_all(fd: int, piece: bytes, at: int) -> None:
    while piece:
        done = os.pwrite(fd, piece, at)
        piece, at = piece[done:], at + done
