"""Reading what a rollout says behind the place already fed, in parts of bounded size. Only reads."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator

import msgspec

from holdfast.rollouts import paths
from holdfast.rollouts.said import messages
from holdfast.search import words

PART_CHARS = 2 * 1024 * 1024
"""Text in one part, at least: a reader holds about four times this."""

_MARK_BYTES = 256
_ROLE = {"user": 1, "agent": 2}


class ReadRequest(msgspec.Struct, array_like=True, gc=False):
    """One rollout to read: ``path`` is absolute, and ends in ``.zst`` when it is compressed.

    ``offset`` bytes are in already, of the file with this ``inode`` and with
    this ``mark`` before the offset; else all of it is read again.
    """

    n: int
    path: str
    size: int
    offset: int = 0
    inode: int = 0
    zst: bool = False
    mark: int = 0


class Line(msgspec.Struct, array_like=True, gc=False):
    """One message: where its line is, and its text, prepared. ``role`` is an index into ``rules.ROLES``."""

    offset: int
    length: int
    role: int
    timestamp_ms: int | None
    text: str


class Part(msgspec.Struct, array_like=True):
    """What stands in a rollout from ``begin`` to ``end``.

    ``anew``: what was fed before is of another file. ``last``: that was all
    for now. ``problem`` says why it could not be read.
    """

    n: int
    anew: bool
    begin: int
    end: int
    lines: list[Line]
    last: bool
    inode: int = 0
    zst: bool = False
    mark: int = 0
    chars: int = 0
    problem: str = ""


def read(request: ReadRequest) -> Iterator[Part]:
    """Yield the parts of one rollout. Never raises ``OSError``. Reads about 250 MB/s."""
    try:
        found, zst = _stat(request.path)
    except OSError as error:
        yield unread(request, error.strerror or str(error))
        return
    begin = request.offset
    anew = begin > 0 and not _is_same(request, found, zst)
    if anew:
        begin = 0
    lines: list[Line] = []
    chars = 0
    path = paths.logical(request.path) + (paths.ZST if zst else "")
    reading = messages(path, begin)
    for said in reading:
        text = words.prepare(said.text)
        lines.append(Line(said.offset, said.length, _ROLE[said.role], said.timestamp_ms, text))
        chars += len(text)
        if chars >= PART_CHARS:
            end = said.offset + said.length + 1
            yield Part(request.n, anew, begin, end, lines, False, found.st_ino, zst, _mark(path, zst, end), chars)
            begin, lines, chars, anew = end, [], 0, False
    end = reading.end
    yield Part(
        request.n, anew, begin, end, lines, True, found.st_ino, zst, _mark(path, zst, end), chars, reading.problem
    )


def unread(request: ReadRequest, why: str) -> Part:
    """Return the part that says a rollout could not be read; what is in of it stays."""
    return Part(
        request.n, False, request.offset, request.offset, [], True, request.inode, request.zst, request.mark, 0, why
    )


def _stat(path: str) -> tuple[os.stat_result, bool]:
    """Look at the file or its other spelling, and say whether it is compressed."""
    logical = paths.logical(path)
    for each in (path, logical, logical + paths.ZST):
        try:
            return os.stat(each), each != logical
        except FileNotFoundError:
            continue
    raise FileNotFoundError(2, os.strerror(2), path)


def _is_same(request: ReadRequest, found: os.stat_result, zst: bool) -> bool:
    if (found.st_ino, zst) != (request.inode, request.zst):
        return False
    return zst or (found.st_size >= request.offset and _mark(request.path, zst, request.offset) == request.mark)


def _mark(path: str, zst: bool, end: int) -> int:
    """Return a checksum of the bytes before ``end``: a file written again in place has others there."""
    if zst or not end:
        return 0
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return -1
    try:
        begin = max(end - _MARK_BYTES, 0)
        return zlib.crc32(os.pread(fd, end - begin, begin))
    except OSError:
        return -1
    finally:
        os.close(fd)
