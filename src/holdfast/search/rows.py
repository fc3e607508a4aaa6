"""The rows that feeding reads and writes, as values."""

from __future__ import annotations

import msgspec

from holdfast.search.parts import Line

Identity = tuple[int, int]
"""``(state_id, epoch)`` of a state.db. It changes when the database is made anew or restored, and row ids with it."""

Place = tuple[int, int]
"""``(revision, n)``: every thread up to here has been fed."""

NOWHERE: Place = (-1, 0)
ROW_ID_MAX = (1 << 63) - 1


class MadeOf(msgspec.Struct, frozen=True):
    """Which state.db the index was fed from, up to which of its revisions, folded by which version of Unicode."""

    identity: Identity
    revision: int
    unicode: str


class Behind(msgspec.Struct, frozen=True, gc=False):
    """A thread that changed, and the file that speaks for it, as state.db has them.

    ``haystack`` is what a title search looks in; ``title`` may be cut.
    """

    n: int
    revision: int
    thread_id: bytes
    created_ms: int
    missing_since_ms: int | None
    name: str | None
    title: str
    haystack: str
    path: str
    zst: int
    inode: int
    size: int
    mtime_ns: int


class Fed(msgspec.Struct, gc=False):
    """How much of a thread is in the index. The columns of ``fed``."""

    n: int
    home_id: int
    thread_id: bytes
    stamp: int = 0
    inode: int = 0
    zst: int = 0
    offset: int = 0
    mark: int = 0
    title_hash: int = 0
    title_row: int | None = None
    messages: int = 0


class NewRow(msgspec.Struct, frozen=True, gc=False):
    """A text to put in: of thread ``n``, at ``at_ms``."""

    n: int
    at_ms: int
    line: Line
