"""The bytes of a rollout, plain or compressed, in pieces of bounded size."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

PIECE_BYTES = 256 * 1024
"""Read at once. Four times as much was no faster, and a reader holds about three times this."""


def plain(fd: int, begin: int, end: int, piece_bytes: int = PIECE_BYTES) -> Iterator[bytes]:
    """Yield what lies between ``begin`` and ``end``, less when the file is shorter by now."""
    if begin:
        os.lseek(fd, begin, os.SEEK_SET)
    while begin < end:
        piece = os.read(fd, min(piece_bytes, end - begin))
        if not piece:
            return
        begin += len(piece)
        yield piece


class Zst:
    """The text inside a ``.zst``, as far as it can be decoded.

    Afterwards ``damage`` is ``truncated`` when the last frame has no end,
    ``corrupt`` when decoding failed, and else empty.
    """

    def __init__(self, fd: int, piece_bytes: int = PIECE_BYTES) -> None:
        self.damage = ""
        self._fd = fd
        self._piece_bytes = piece_bytes

    def __iter__(self) -> Iterator[bytes]:
        new, broken = _zstd()
        frame = None
        packed = b""
        while True:
            if not packed:
                packed = os.read(self._fd, self._piece_bytes // 4)
                if not packed:
                    break
            if frame is None:
                frame = new()
            try:
                piece = frame.decompress(packed, self._piece_bytes)
                packed = b""
                while True:
                    if piece:
                        yield piece
                    if frame.eof or frame.needs_input:
                        break
                    piece = frame.decompress(b"", self._piece_bytes)
            except broken:
                self.damage = "corrupt"
                return
            if frame.eof:
                packed, frame = frame.unused_data, None
        if frame is not None:
            self.damage = "truncated"


def _zstd() -> tuple[Callable[[], Any], type[Exception]]:
    # Imported on first use: 10 ms that a home without compressed files need not pay.
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.ZstdDecompressor, zstd.ZstdError
