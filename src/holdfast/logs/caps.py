"""How much a log may take. Pure."""

from __future__ import annotations

from msgspec import Struct

MIB = 1 << 20
FRAME_TEXT_BYTES = 256 * 1024
"""Of lines in one zstd frame: larger frames pack little better, and cost a reader more to look into."""
PIECE_TEXT_BYTES = 64 * 1024
"""Of lines that are packed and written at once, at most."""
SEGMENT_BYTES_MAX = 4 * MIB
STEP_BYTES_MIN, STEP_BYTES_MAX = 128 * 1024, MIB
_FREE_MAX = 4 << 30  # journald: 15 % of the file system, but not more than 4 GB (journald.conf(5), SystemKeepFree)


class Caps(Struct, frozen=True, kw_only=True):
    """The limits of one log, all its processes together. Give every process the same."""

    bytes: int = 64 * MIB
    """On the disk, what is reserved and not written yet included."""
    records: int | None = None
    age_s: float = 10 * 86_400
    free_share: float = 0.15
    """Of the file system stays free, but no more than 4 GiB: journald's rule."""
    free_bytes: int | None = None
    """Stays free, instead of ``free_share``."""
    bytes_per_day: int | None = None

    @property
    def segment_bytes(self) -> int:
        """When a segment is full: a sixteenth of all, so that what goes at once is little."""
        return max(2 * self.step_bytes, min(SEGMENT_BYTES_MAX, self.bytes // 16))

    @property
    def step_bytes(self) -> int:
        """How much a writer reserves at a time."""
        return max(STEP_BYTES_MIN, min(STEP_BYTES_MAX, self.bytes // 64))

    def floor(self, disk_bytes: int) -> int:
        """Return how many bytes are to stay free on a file system of this size."""
        return self.free_bytes if self.free_bytes is not None else int(min(self.free_share * disk_bytes, _FREE_MAX))


class Kept(Struct, frozen=True):
    """What became of a batch: how many records were written, how many were not, and why."""

    written: int
    dropped: int = 0
    why: str = ""


class Pruned(Struct, frozen=True):
    """A segment that went, or would: its name, what it took on the disk, and why."""

    name: str
    bytes: int
    why: str
