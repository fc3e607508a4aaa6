"""How much a log may take, and what became of what did not fit. Pure."""

from __future__ import annotations

from hashlib import blake2b
from typing import TypeVar

from msgspec import Struct

from holdfast.errors import Refused

MIB = 1 << 20
FRAME_TEXT_BYTES = 256 * 1024
"""Of lines in one zstd frame: larger frames pack little better, and cost a reader more to look into."""
PIECE_TEXT_BYTES = 64 * 1024
"""Of lines that are packed and written at once, at most."""
SEGMENT_BYTES_MAX = 4 * MIB
STEP_BYTES_MIN = 128 * 1024
"""Reserved at a time, at least."""
_PARTS = 16
_DISK_MAX = 4 << 30  # journald's two rules are of 10 and 15 %, neither of more than 4 GB (journald.conf(5))
_FILES_SHARE = 0.05

AGE, RECORDS, BYTES, THREAD, FREE, DAY, ERROR, BUSY = (
    "age", "records", "bytes", "thread_share", "free", "bytes_per_day", "error", "busy",
)  # fmt: skip
"""The rules by which records go, or are not taken: the names under which they are counted."""


class Caps(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The limits of one log, all its processes together. Raises ``Refused`` for one that cannot be meant."""

    bytes: int = 64 * MIB
    """On the disk, what is reserved and not written yet included."""
    records: int | None = None
    age_s: float = 10 * 86_400
    thread_share: float | None = 0.5
    """Of ``bytes`` for the records of one thread, 0.5 to 1; None: no limit. Records of no thread have none."""
    disk_share: float = 0.10
    """Of the file system is for the log, as ``bytes`` is, and ..."""
    free_share: float = 0.15
    """... so much of it stays free, but no more than 4 GiB: journald's rules (SystemMaxUse, SystemKeepFree)."""
    free_bytes: int | None = None
    """Stays free, instead of both shares."""
    bytes_per_day: int | None = None

    def __post_init__(self) -> None:
        for name in ("bytes", "records", "age_s", "free_bytes", "bytes_per_day"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise Refused(f"{name} of {value} cannot be meant", remedy="None is no limit; 0 is nothing.")
        if self.thread_share is not None and not 0.5 <= self.thread_share <= 1:
            raise Refused(
                f"a share of {self.thread_share:g} for one thread cannot be kept: below a half, two could be above it",
                remedy="Say 0.5 to 1, or None for no limit.",
            )
        for name in ("disk_share", "free_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise Refused(f"{name} of {getattr(self, name):g} is no share", remedy="Say 0 to 1.")

    def segment_bytes(self, writers: int = 1) -> int:
        """Return when a segment is full: a sixteenth of all, so that what goes at once is little.

        Less with more than five writers: open segments stay, and are to be no more than a third of all.
        """
        return max(2 * STEP_BYTES_MIN, min(SEGMENT_BYTES_MAX, self.bytes // max(_PARTS, 3 * writers)))

    @property
    def segment_records(self) -> int | None:
        """When a segment is full of records, for the same reason."""
        return None if self.records is None else max(1, self.records // _PARTS)

    @property
    def segment_age_s(self) -> float:
        """When a segment is closed though it is not full, or its first record would stay for as long as it is open."""
        return self.age_s / _PARTS

    def ceiling(self, disk_bytes: int) -> int:
        """Return how many bytes the log may take on a file system of this size."""
        most = self.disk_share * disk_bytes if self.free_bytes is None else max(0, disk_bytes - self.free_bytes)
        return int(min(self.bytes, most))

    def floor(self, disk_bytes: int) -> int:
        """Return how many bytes are to stay free on a file system of this size."""
        return self.free_bytes if self.free_bytes is not None else int(min(self.free_share * disk_bytes, _DISK_MAX))

    def floor_files(self, disk_files: int) -> int:
        """Return how many more files there must be room for on a file system that has room for so many in all."""
        return int(_FILES_SHARE * disk_files)

    def and_also(self, other: Caps) -> Caps:
        """Return limits under which both hold."""
        return Caps(
            bytes=min(self.bytes, other.bytes),
            records=_less(self.records, other.records),
            age_s=min(self.age_s, other.age_s),
            thread_share=_less(self.thread_share, other.thread_share),
            disk_share=min(self.disk_share, other.disk_share),
            free_share=max(self.free_share, other.free_share),
            free_bytes=self.free_bytes if other.free_bytes is None else max(self.free_bytes or 0, other.free_bytes),
            bytes_per_day=_less(self.bytes_per_day, other.bytes_per_day),
        )


class Kept(Struct, frozen=True):
    """What became of a batch: how many records were written, how many were not, and why."""

    written: int
    dropped: int = 0
    why: str = ""


class Pruned(Struct, frozen=True):
    """A segment that went, or would: its name, what it took on the disk, why, by which rule, and how many records."""

    name: str
    bytes: int
    why: str
    rule: str = ""
    records: int = 0


def alone(thread_id: str) -> str:
    """Return what stands behind the boot id in the names of segments that hold the records of this thread alone."""
    return "t" + blake2b(thread_id.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def alone_in(name: str) -> str | None:
    """Return the same of a segment's name; None when it is of several threads."""
    boot = name.partition("-")[0]
    return boot[boot.index("t") :] if "t" in boot else None


_Number = TypeVar("_Number", int, float)


def _less(one: _Number | None, other: _Number | None) -> _Number | None:
    return other if one is None else one if other is None else min(one, other)
