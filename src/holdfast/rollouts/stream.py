"""The whole lines of one rollout, plain or compressed, from anywhere in it."""

from __future__ import annotations

import os
from collections.abc import Iterator

from holdfast.rollouts import paths, pieces
from holdfast.rollouts.lines import LINE_BYTES_MAX, Cutter, split
from holdfast.rollouts.opening import open_file


def open_either(path: str) -> tuple[int, os.stat_result, bool]:
    """Open ``path`` or its other spelling; return descriptor, ``fstat`` and whether it is compressed.

    Codex makes one spelling before it unlinks the other, so one of them is
    always there; but not always the one that has not been looked for yet,
    hence the third try. Raises ``NotRegular`` or ``OSError``.
    """
    logical = paths.logical(path)
    packed_first = path != logical
    for packed in (packed_first, not packed_first, packed_first):
        try:
            fd, began = open_file(logical + paths.ZST if packed else logical)
        except FileNotFoundError:
            continue
        return fd, began, packed
    raise FileNotFoundError(2, os.strerror(2), logical)


def whole_lines(path: str, offset: int = 0, *, tail: bool = False) -> Iterator[tuple[bytes, int]]:
    """Yield ``(line, end)`` of each whole line behind ``offset`` (bytes of text); with ``tail`` the rest.

    Lines over 64 MiB are left out. Raises ``NotRegular`` or ``OSError``, and
    nothing for a ``.zst`` that cannot be decoded to its end.
    """
    fd, began, packed = open_either(path)
    try:
        stream = pieces.Zst(fd) if packed else pieces.plain(fd, offset, began.st_size)
        cutter = Cutter(offset, LINE_BYTES_MAX)
        skip = offset if packed else 0
        for piece in stream:
            if skip:
                skip, piece = max(skip - len(piece), 0), piece[skip:]
            if piece and (block := cutter.feed(piece)):
                yield from split(block, cutter.offset - len(block))
        if tail and (rest := cutter.tail()):
            yield rest, cutter.offset + cutter.tail_bytes
    finally:
        os.close(fd)
