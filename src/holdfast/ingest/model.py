"""What indexing is asked, how far it is, and what it did."""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class LedgerRow(msgspec.Struct, frozen=True, gc=False):
    """What was last known of one rollout file of a home."""

    file_id: int
    path: str
    zst: int
    inode: int
    size: int
    mtime_ns: int
    offset: int
    status: str
    attempts: int
    thread_id: bytes | None


class FileRow(LedgerRow, frozen=True, gc=False):
    """A row of the ledger as it is written: every column."""

    home_id: int
    problems: str | None
    """A JSON list of ``Problem``."""
    facts: bytes | None
    """Of a long file only: ``ThreadFacts`` as msgpack, to go on from when it grows."""


class Progress(msgspec.Struct, frozen=True):
    """How far an index is: files and bytes done of those that had to be read."""

    home: str
    files_done: int
    files: int
    bytes_done: int
    bytes: int
    by: str | None = None
    """Who is at it, when it is not us."""

    @property
    def percent(self) -> int:
        """0 to 100, by bytes."""
        return 100 if not self.bytes else self.bytes_done * 100 // self.bytes

    @property
    def note(self) -> str:
        """What the hold on the index says meanwhile: ``41 %, 820 of 2000 files``."""
        return f"{self.percent} %, {self.files_done} of {self.files} files"


OnProgress = Callable[[Progress], None]


class Problem(msgspec.Struct, frozen=True):
    """Something in a home that could not be read, or only in part. ``path`` is relative to the home."""

    path: str
    code: str
    detail: str
    count: int = 1


class IndexReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one index of one home did.

    ``scanned`` files were found, of which ``unchanged`` needed no reading,
    ``indexed`` were read and folded and ``failed`` gave no thread.
    ``threads`` are in the index afterwards. ``waited``: another process did
    the work while we waited for it.
    """

    home: str
    scanned: int = 0
    indexed: int = 0
    unchanged: int = 0
    failed: int = 0
    vanished: int = 0
    duplicates: int = 0
    threads: int = 0
    bytes_read: int = 0
    duration_ms: int = 0
    waited: bool = False
    complete: bool = True
    problems: tuple[Problem, ...] = ()
