"""How threads are chosen, ordered and compared. Pure: no database, no files."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from holdfast.errors import Refused
from holdfast.threads import cursors
from holdfast.threads.model import Direction, Query, Sort, Thread

SEARCH_CHARS_MAX = 10_000
"""Of a piece of a title or preview: those have 4,096 at most, and SQLite compares no pattern over 50,000 bytes."""

LIMIT_MAX = 1_000
"""Threads per page. A page is fetched whole; a longer one would hold the reader past its 10 ms."""


class Cursor(cursors.Cursor, frozen=True, array_like=True):
    """The last thread of a page. ``n`` is its row in the index; below 0, see ``from_files``."""

    ms: int
    n: int
    thread_id: str


_CURSOR_VERSION = 1


def encode_cursor(query: Query, ms: int, n: int, thread_id: str) -> str:
    """Return the cursor after the thread at ``(ms, n)``, as text safe in a URL."""
    return cursors.encode(Cursor(_CURSOR_VERSION, cursors.question(query), ms, n, thread_id))


def decode_cursor(query: Query, text: str) -> Cursor:
    """Return what ``encode_cursor`` wrote. Raises ``Refused`` for other text, or the cursor of another question."""
    return cursors.decode(
        text,
        Cursor,
        version=_CURSOR_VERSION,
        question=cursors.question(query),
        others="another list: its order or its filters were different",
    )


def from_files(at: int) -> int:
    """Return the ``n`` of a cursor that the files gave, for the home at position ``at``, or ``at`` for that ``n``.

    Rows are numbered from 1. The files break ties by the id, the index by the
    row, so a walk goes on where it began.
    """
    return -1 - at


def is_after(query: Query, ms: int, tie: object, cursor_ms: int, cursor_tie: object) -> bool:
    """Return True when ``(ms, tie)`` comes after the cursor in the order of ``query``."""
    here, there = (ms, tie), (cursor_ms, cursor_tie)
    return here < there if query.direction is Direction.DESC else here > there


def sort_ms(query: Query, *, created: int, updated: int, recency: int) -> int:
    """Return the time that ``query`` orders by."""
    return {Sort.CREATED: created, Sort.UPDATED: updated, Sort.RECENCY: recency}[query.sort]


def check_limit(limit: int) -> int:
    """Return ``limit``. Raises ``Refused`` unless it is 1 to ``LIMIT_MAX``."""
    if not 1 <= limit <= LIMIT_MAX:
        raise Refused(f"limit is {limit}, it must be 1 to {LIMIT_MAX}")
    return limit


def check_texts(query: Query) -> None:
    """Raise ``Refused`` for a filter that is no Unicode, or when the text to look for is longer than any title."""
    for text in (query.search or "", *query.cwds, *query.providers, *query.sources):
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise Refused(f"{text!r} holds a lone surrogate: it is no Unicode, and no thread has it")
    if query.search is not None and len(query.search) > SEARCH_CHARS_MAX:
        raise Refused(f"{len(query.search)} characters to search for, {SEARCH_CHARS_MAX} is the most")


def check_relation(query: Query) -> None:
    """Raise ``Refused`` when both a parent and an ancestor are asked for."""
    if query.parent is not None and query.ancestor is not None:
        raise Refused(
            "a list is of the children of one thread, or of all its descendants, not both",
            remedy="Give parent or ancestor.",
        )


def normal_cwd(path: str) -> str:
    """Return ``path`` without doubled or trailing slashes and dots, symlinks untouched.

    Lexical on purpose: the directory may be gone, or on another machine, and
    the same text must always give the same key. Paths that are not POSIX
    absolute are left as they are.
    """
    return posixpath.normpath(path) if path.startswith("/") else path


def like(needle: str) -> str:
    """Return the LIKE pattern (escape character ``\\``) that finds ``needle`` anywhere."""
    escaped = needle.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


_PREFIX_MIN = 4  # hex digits: fewer would match by accident
_AMBIGUOUS_MAX = 5  # candidates shown


def id_prefix(text: str) -> str | None:
    """Return the hex digits of a text that can be the beginning of a thread id, else None."""
    digits = text.replace("-", "").lower()
    if _PREFIX_MIN <= len(digits) < 32 and all(digit in "0123456789abcdef" for digit in digits):
        return digits
    return None


def ambiguous(text: str, candidates: Sequence[str]) -> Refused:
    """Return the error for a beginning that several ids share."""
    shown = ", ".join(candidates[:_AMBIGUOUS_MAX])
    more = " and more" if len(candidates) > _AMBIGUOUS_MAX else ""
    return Refused(f"{text!r} begins several thread ids: {shown}{more}", remedy="Give more of the id.")


def meant(text: str, threads: Sequence[Thread]) -> Thread | None:
    """Return which of ``threads`` (the likeliest first) ``text`` means: by id, the beginning of one, name or title.

    None when it means none of them; ``Refused`` when several ids begin so.
    """
    digits = text.replace("-", "").lower()
    if id_prefix(text) or len(digits) == 32:
        found = {thread.id: thread for thread in reversed(threads) if thread.id.replace("-", "").startswith(digits)}
        if len(found) > 1:
            raise ambiguous(text, sorted(found))
        if found:
            return next(iter(found.values()))
    named = [thread for thread in threads if text == thread.name]
    return next(iter(named or [thread for thread in threads if text == thread.title]), None)


def better(mine: tuple[bool, int, str], other: tuple[bool, int, str]) -> bool:
    """Return True when the file ``mine`` speaks for a thread rather than ``other``.

    Each is ``(archived, updated_ms, path)``. Two files with one thread id are
    a copy and its origin, or an archived file and one that came back: the
    active one counts, then the one that was written last, then the later name.
    """
    return (not mine[0], mine[1], mine[2]) > (not other[0], other[1], other[2])
