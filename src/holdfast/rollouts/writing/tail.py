"""The end of a rollout that is to be gone on with: its last number, and what a crash left behind it.

Only reads. Costs the last 64 KiB of a healthy file and the head.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Raw

from holdfast.errors import Damaged
from holdfast.rollouts.dialects.loose import Broken

_PIECE_BYTES = 64 * 1024
FRAGMENT_BYTES_MAX = 256 * 1024 * 1024


class Numbered(msgspec.Struct, gc=False):
    """The outside of a line."""

    type: str
    payload: Raw
    ordinal: Annotated[int, msgspec.Meta(ge=0)] | None = None


_read = msgspec.json.Decoder(Numbered).decode


class Tail(msgspec.Struct, frozen=True):
    """``end`` is behind the last whole line; ``fragment`` is what lies there.

    ``is_whole``: it is a line that only lacks its newline. ``last`` is the
    number of the last line that can be read, ``has_last`` whether there is one.
    """

    end: int
    fragment: bytes
    is_whole: bool
    has_last: bool
    last: int | None


def tail(fd: int, size: int, path: str) -> Tail:
    """Return what the end of the file is like. Raises ``Damaged`` for more than 256 MiB without a newline."""
    end = size
    fragment = b""
    is_whole = False
    for begin, line in _backwards(fd, size, path):
        seen = numbered(line)
        if begin + len(line) == size:  # nothing, or what has no newline
            end, fragment = begin, line
            is_whole = seen is not None and not line.startswith(b"\0") and _is_utf8(line)
            if not is_whole:
                continue
        if seen is not None:
            return Tail(end, fragment, is_whole, True, seen.ordinal)
    return Tail(end, fragment, is_whole, False, None)


def numbered(line: bytes) -> Numbered | None:
    """Return the outside of a line, or None when it cannot be read.

    As tolerant as the reader: a line with NUL bytes before it, or with bytes
    that are no UTF-8, has its number all the same, and nobody may use that again.
    """
    try:
        return _read(line.lstrip(b"\0"))
    except Broken:
        return None


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _backwards(fd: int, size: int, path: str) -> Iterator[tuple[int, bytes]]:
    """Yield ``(begin, line)`` from the last line to the first; the very last has no newline and may be empty."""
    pieces: list[bytes] = []
    held = 0
    at = size
    while at > 0:
        piece = os.pread(fd, min(_PIECE_BYTES, at), max(0, at - _PIECE_BYTES))
        at -= len(piece)
        if not piece:
            raise Damaged(f"{path} became shorter while it was read")
        *lines, last = piece.split(b"\n")
        # `last` goes on in what was read before; lines[0] goes on in what is read next.
        rest = b"".join([last, *reversed(pieces)])
        begin = at + len(piece) - len(last)
        if not lines:
            pieces.append(piece)
            held += len(piece)
            if held > FRAGMENT_BYTES_MAX:
                raise Damaged(f"{path} holds more than {FRAGMENT_BYTES_MAX} bytes without a newline at its end")
            continue
        yield begin, rest
        for line in reversed(lines[1:]):
            begin -= len(line) + 1
            yield begin, line
        pieces, held = [lines[0]], len(lines[0])
    yield 0, b"".join(reversed(pieces))
