"""Reading one rollout file, whatever state it is in, into facts. Only reads.

Damage is counted and named; nothing a file holds makes a scan raise.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import msgspec

from holdfast.rollouts import blocks, paths, pieces
from holdfast.rollouts.dialects import codex
from holdfast.rollouts.facts import ThreadFacts
from holdfast.rollouts.fold import apply
from holdfast.rollouts.items import SessionMeta, Unread
from holdfast.rollouts.lines import LINE_BYTES_MAX, Cutter, split
from holdfast.rollouts.opening import NotRegular
from holdfast.rollouts.stream import open_either

_HEAD_BYTES = 64 * 1024  # a session_meta takes 21 KB
_HEAD_BYTES_MAX = 64 * 1024 * 1024  # a file without one in so much is none of Codex's


class Problem(msgspec.Struct, frozen=True, gc=False):
    """Something in a file that could not be read, or only after mending.

    ``code`` is stable: ``line-unread``, ``line-repaired``, ``line-too-long``,
    ``meta-late``, ``tail-torn``, ``tail-nul``, ``tail-unterminated``,
    ``zst-truncated``, ``zst-corrupt``. ``first_offset`` is in bytes of text.
    """

    code: str
    count: int
    first_offset: int
    detail: str = ""


class Scan(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What one file holds. ``path`` is the plain spelling; ``zst`` says which one was read.

    ``status``: ``ok``; ``empty`` (no lines); ``no-meta`` (lines, but none says
    which thread: ``facts`` holds the rest); ``not-regular``; ``gone``;
    ``unreadable`` (``detail`` says why). ``size``, ``mtime_ns``, ``inode`` and
    ``dev`` are those the reading began with, so a file that grew meanwhile is
    seen to have changed. ``offset`` is where to go on: behind the last whole
    line, in bytes of text. ``tail_bytes`` lie behind that. ``problems`` tell of
    the whole file, also when only its end was read.
    """

    path: str
    status: str
    facts: ThreadFacts | None = None
    zst: bool = False
    archived: bool = False
    offset: int = 0
    size: int = 0
    mtime_ns: int = 0
    inode: int = 0
    dev: int = 0
    tail_bytes: int = 0
    problems: list[Problem] = []
    detail: str = ""


def scan(
    path: str,
    *,
    home: str | None = None,
    zst: bool = False,
    facts: ThreadFacts | None = None,
    offset: int = 0,
    line_bytes_max: int = LINE_BYTES_MAX,
) -> Scan:
    """Fold one file. ``path`` is relative to ``home``, if given; ``zst``: try the compressed spelling first.

    With ``facts`` and ``offset`` from an earlier scan of a plain file only
    what came after is read; should the offset not lie behind a newline, all
    of it is. Costs one open and one pass. Memory is bounded by
    ``pieces.PIECE_BYTES`` and ``line_bytes_max``. Never raises ``OSError``.
    """
    logical = paths.logical(path)
    full = logical if home is None else f"{home}/{logical}"
    archived = paths.is_archived(logical)
    try:
        fd, began, packed = open_either(full + paths.ZST if zst or path != logical else full)
        try:
            found = _scan(fd, began, packed, facts, offset, line_bytes_max)
        finally:
            os.close(fd)
    except FileNotFoundError:
        return Scan(path=logical, status="gone", archived=archived, zst=zst)
    except NotRegular:
        return Scan(path=logical, status="not-regular", archived=archived, zst=zst)
    except (OSError, MemoryError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        return Scan(path=logical, status="unreadable", archived=archived, zst=zst, detail=why)
    found.path, found.archived = logical, archived
    if found.facts is not None and found.status != "empty":
        _complete(found.facts, logical)
    return found


def _scan(
    fd: int, began: os.stat_result, zst: bool, facts: ThreadFacts | None, offset: int, line_bytes_max: int
) -> Scan:
    if facts is None or zst or facts.unterminated or not _goes_on_at(fd, offset, began.st_size):
        facts, offset = None, 0
    found = _read(fd, began, zst, facts, offset, line_bytes_max)
    if not zst and os.fstat(fd).st_size < found.offset + found.tail_bytes:
        # Cut shorter under our eyes: what was read may never have been one file.
        os.lseek(fd, 0, os.SEEK_SET)
        found = _read(fd, os.fstat(fd), zst, None, 0, line_bytes_max)
    return found


def _goes_on_at(fd: int, offset: int, size: int) -> bool:
    return 0 < offset <= size and os.pread(fd, 1, offset - 1) == b"\n"


def _read(
    fd: int, began: os.stat_result, zst: bool, facts: ThreadFacts | None, offset: int, line_bytes_max: int
) -> Scan:
    packed = pieces.Zst(fd) if zst else None
    cutter = Cutter(offset, line_bytes_max)
    facts = ThreadFacts() if facts is None else msgspec.structs.replace(facts, kinds_unknown=[*facts.kinds_unknown])
    for piece in packed if packed is not None else pieces.plain(fd, offset, began.st_size):
        block = cutter.feed(piece)
        if block:
            blocks.fold_block(facts, block, cutter.offset - len(block))
        while cutter.too_long:
            at, length = cutter.too_long.pop(0)
            apply(facts, Unread(reason=f"a line of {length} bytes"), at=at)
    tail = _tail(facts, cutter)
    problems = [*_in_lines(facts), *tail]
    if packed is not None and packed.damage:
        problems.append(Problem(f"zst-{packed.damage}", 1, cutter.offset + cutter.tail_bytes))
    if facts.thread_id is not None:
        status = "ok"
    elif facts.lines or facts.lines_unread or tail:
        status = "no-meta"
    else:
        status = "unreadable" if packed is not None and packed.damage else "empty"
    return Scan(
        path="",
        status=status,
        detail=f"the compressed file is {packed.damage}" if packed is not None and packed.damage else "",
        facts=facts,
        zst=zst,
        offset=cutter.offset,
        size=began.st_size,
        mtime_ns=began.st_mtime_ns,
        inode=began.st_ino,
        dev=began.st_dev,
        tail_bytes=cutter.tail_bytes,
        problems=problems,
    )


def _tail(facts: ThreadFacts, cutter: Cutter) -> list[Problem]:
    """Look at what follows the last newline; fold it when it is a whole item that only lacks its newline."""
    tail = cutter.tail()
    if not tail.strip():
        return []
    if not tail.strip(b"\0"):
        return [Problem("tail-nul", 1, cutter.offset, f"{cutter.tail_bytes} bytes")]
    item = codex.parse(tail)
    if isinstance(item, Unread) or item.repaired or cutter.tail_bytes > len(tail):
        return [Problem("tail-torn", 1, cutter.offset, f"{cutter.tail_bytes} bytes")]
    apply(facts, item)
    facts.unterminated = True
    return [Problem("tail-unterminated", 1, cutter.offset, f"{cutter.tail_bytes} bytes")]


def _in_lines(facts: ThreadFacts) -> list[Problem]:
    found = []
    if facts.lines_unread:
        code = "line-too-long" if facts.unread_why.startswith("a line of") else "line-unread"
        found.append(Problem(code, facts.lines_unread, facts.unread_at or 0, facts.unread_why))
    if facts.lines_repaired:
        found.append(Problem("line-repaired", facts.lines_repaired, facts.repaired_at or 0))
    if facts.thread_id is not None and facts.lines_before_meta:
        found.append(Problem("meta-late", facts.lines_before_meta, 0, "lines before the session_meta"))
    return found


def _complete(facts: ThreadFacts, path: str) -> None:
    """Fill in what no line said: a time that only the file's name knows."""
    if not facts.created_ms:
        facts.created_ms = paths.name_ms(os.path.basename(path)) or 0
        if not facts.turns:
            facts.recency_ms = facts.created_ms


def verify(path: str) -> bytes | None:
    """Return the thread id (16 bytes) that a file itself names; None also when it cannot be read."""
    try:
        return id_in(path)
    except (OSError, NotRegular):
        return None


def id_in(path: str) -> bytes | None:
    """Return the thread id (16 bytes) that a file itself names, or None.

    That is its first ``session_meta``; the file's name plays no role. Reads
    64 KiB of a healthy file. ``path`` is absolute, in either spelling. Raises
    ``OSError`` and ``NotRegular``.
    """
    fd, began, packed = open_either(path)
    try:
        return _first_id(pieces.Zst(fd) if packed else pieces.plain(fd, 0, began.st_size, _HEAD_BYTES))
    finally:
        os.close(fd)


def _first_id(stream: Iterable[bytes]) -> bytes | None:
    cutter = Cutter(line_bytes_max=_HEAD_BYTES_MAX)
    for piece in stream:
        for line, _ in split(cutter.feed(piece)):
            if b"session_meta" in line and isinstance(item := codex.parse(line), SessionMeta):
                return item.id
        if cutter.offset + cutter.tail_bytes > _HEAD_BYTES_MAX:
            return None
    item = codex.parse(cutter.tail())
    return item.id if isinstance(item, SessionMeta) else None
