"""Bytes of a database, its log and its index, and texts of /proc, as values. Pure.

The layouts: sqlite.org/fileformat2.html and sqlite.org/walformat.html; proc(5).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from holdfast.doctor.facts.model import Header, Index

HEADER_BYTES = 100
LOG_HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24
INDEX_BYTES = 136

_MAGIC = b"SQLite format 3\0"
_LOG_MAGIC = (0x377F0682, 0x377F0683)
_UNUSED = 0xFFFFFFFF
_COMMITS_BACK_MAX = 65_536
_PAGE_BYTES = frozenset(1 << power for power in range(9, 17))


def header(data: bytes) -> Header | None:
    """Return what the first 100 bytes of a database say; None when they are none."""
    if len(data) < HEADER_BYTES or not data.startswith(_MAGIC):
        return None
    page_bytes, write_version = struct.unpack(">HB", data[16:19])
    changes, pages, _, free_pages, _ = struct.unpack(">5I", data[24:44])
    (root,) = struct.unpack(">I", data[52:56])
    (incremental,) = struct.unpack(">I", data[64:68])
    (written_by,) = struct.unpack(">I", data[96:100])
    page_bytes = 65_536 if page_bytes == 1 else page_bytes
    if page_bytes not in _PAGE_BYTES:
        return None
    return Header(
        page_bytes=page_bytes,
        in_wal_mode=write_version == 2,
        pages=pages,
        free_pages=free_pages,
        auto_vacuum="none" if not root else "incremental" if incremental else "full",
        changes=changes,
        written_by=written_by,
    )


@dataclass(frozen=True, slots=True)
class LogHead:
    """The first 32 bytes of a -wal file."""

    page_bytes: int
    checkpoints: int
    salts: bytes

    @property
    def frame_bytes(self) -> int:
        """What one frame takes."""
        return FRAME_HEADER_BYTES + self.page_bytes


def log_head(data: bytes) -> LogHead | None:
    """Return what the first bytes of a log say; None when they are none."""
    if len(data) < LOG_HEADER_BYTES:
        return None
    magic, _, page_bytes, checkpoints = struct.unpack(">4I", data[:16])
    if magic not in _LOG_MAGIC or page_bytes not in _PAGE_BYTES:
        return None
    return LogHead(page_bytes, checkpoints, data[16:24])


def live_frames(head: LogHead, frames: int, read: Callable[[int, int], bytes]) -> int | None:
    """Return how many frames count: up to the last commit whose salts are those of the head.

    A log is written from its beginning, so the frames of this generation come first, and
    their end is found by halving: about 22 small reads for 11 GB, and then back to a commit,
    at most 65,536 frames far (None beyond). Checksums are not read again.
    """

    def is_ours(number: int) -> bool:
        return read(LOG_HEADER_BYTES + number * head.frame_bytes, 16)[8:16] == head.salts

    low, high = 0, frames
    while low < high:
        middle = (low + high) // 2
        if is_ours(middle):
            low = middle + 1
        else:
            high = middle
    for number in range(low - 1, max(-1, low - 1 - _COMMITS_BACK_MAX), -1):
        if read(LOG_HEADER_BYTES + number * head.frame_bytes + 4, 4) != b"\0\0\0\0":
            return number + 1
    return None if low > _COMMITS_BACK_MAX else 0


def index(data: bytes) -> Index | None:
    """Return what the first 136 bytes of a -shm file say, in the byte order of this machine; None before its first use.

    Its format has a number, 3007000, with which it begins.
    """
    if len(data) < INDEX_BYTES:
        return None
    version, _, changes, is_made, _, page_bytes, frames, pages = struct.unpack("=IIIBBHII", data[:24])
    if version != 3_007_000 or not is_made:
        return None
    copied, *marks = struct.unpack("=6I", data[96:120])
    return Index(
        frames=frames,
        copied=copied,
        marks=tuple(None if mark == _UNUSED else mark for mark in marks),
        salts=data[32:40],
        changes=changes,
        pages=pages,
        page_bytes=(page_bytes & 0xFE00) + ((page_bytes & 1) << 16),
        is_whole=data[:48] == data[48:96],
    )


# --- /proc -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stat:
    """A line of /proc/PID/stat."""

    name: str
    state: str
    parent: int
    cpu_ticks: int
    began_ticks: int


def stat(text: str) -> Stat | None:
    """Return what /proc/PID/stat says; None for what is none. The name may hold anything, parentheses too."""
    begin, end = text.find("("), text.rfind(")")
    fields = text[end + 1 :].split()
    if begin < 0 or end < 0 or len(fields) < 20:
        return None
    return Stat(text[begin + 1 : end], fields[0], int(fields[1]), int(fields[11]) + int(fields[12]), int(fields[19]))


def soft_limit(text: str) -> int | None:
    """Return the soft limit on open files of a /proc/PID/limits; None when it is unlimited or not said."""
    found = re.search(r"^Max open files\s+(\d+)", text, re.MULTILINE)
    return int(found[1]) if found else None


def written_bytes(text: str) -> int | None:
    """Return what /proc/PID/io says was given to disks, less what was taken back before it got there."""
    said = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    if "write_bytes" not in said:
        return None
    return int(said["write_bytes"]) - int(said.get("cancelled_write_bytes", "0"))


@dataclass(frozen=True, slots=True)
class Mapped:
    """A file in /proc/PID/maps."""

    device: tuple[int, int]
    inode: int
    name: str
    deleted: bool


def mapped(line: str) -> Mapped | None:
    """Return the file of one line of /proc/PID/maps; None when it has none."""
    fields = line.split(None, 5)
    if len(fields) < 6 or not fields[5].startswith("/"):
        return None
    name, deleted = without_deleted(fields[5].rstrip("\n"))
    major, minor = fields[3].split(":")
    return Mapped((int(major, 16), int(minor, 16)), int(fields[4]), name, deleted)


def without_deleted(name: str) -> tuple[str, bool]:
    """Return the name of a file as the kernel tells it, and whether that name is gone. It proves nothing."""
    bare = name.removesuffix(" (deleted)")
    return bare, bare != name


@dataclass(frozen=True, slots=True)
class Watch:
    """One ``inotify wd:`` line of /proc/PID/fdinfo. ``device`` is the kernel's own number, not that of stat(2)."""

    device: tuple[int, int]
    inode: int
    mask: int


_WATCH = re.compile(r"^inotify wd:[0-9a-f]+ ino:([0-9a-f]+) sdev:([0-9a-f]+) mask:([0-9a-f]+)", re.MULTILINE)
_MINOR_BITS = 20


def watches(text: str) -> Iterator[Watch]:
    """Yield what an inotify descriptor watches, from its fdinfo."""
    for inode, device, mask in _WATCH.findall(text):
        number = int(device, 16)
        yield Watch((number >> _MINOR_BITS, number & ((1 << _MINOR_BITS) - 1)), int(inode, 16), int(mask, 16))


def fdinfo_locks(text: str) -> Iterator[str]:
    """Yield the ``lock:`` lines of a fdinfo, in the words of /proc/locks."""
    for line in text.splitlines():
        if line.startswith("lock:"):
            yield line.removeprefix("lock:").strip()


_VERSION = re.compile(rb"\0(3)\.(\d{1,2})\.(\d{1,2})\0")


def version(data: bytes) -> int | None:
    """Return the version of the SQLite whose library these bytes are from, as 3_051_003; None if they do not say."""
    found = {int(major) * 1_000_000 + int(minor) * 1_000 + int(patch) for major, minor, patch in _VERSION.findall(data)}
    return found.pop() if len(found) == 1 else None


# --- what runs by the clock ------------------------------------------------------

_DELETES = re.compile(r"(^|[\s;&|(`/'\"])(rm|unlink|shred|truncate|mv)\s|-delete\b|(?<![0-9&>])>\s*\S*-wal\b")
_SIDECAR = re.compile(r"-(wal|shm)\b")


def deletes_sidecars(line: str) -> bool:
    """Whether a line of a crontab, of a script or of a unit takes away logs or indexes of databases."""
    words = line.strip()
    if words.startswith(("#", ";")):
        return False
    return bool(_SIDECAR.search(words) and _DELETES.search(words))
