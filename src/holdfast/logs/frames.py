"""zstd frames, decoded within bounds: no header and no bomb makes a reader take more than 64 MiB."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any

from holdfast.logs import format

TEXT_BYTES_MAX = 64 << 20
"""Of lines in one frame, and in all that is salvaged at once. What is beyond it is not read."""
_PIECE_BYTES = 256 * 1024
_WINDOW_LOG = 23  # 8 MiB: what `zstd -19` asks of a decoder; our writers ask for 2


def whole(data: bytes, text_bytes_max: int) -> bytes:
    """Return the lines in ``data``, which is one frame; nothing when it is damaged or holds more than that."""
    new, broken = zstd()
    try:
        frame = new()
        text: bytes = frame.decompress(data, min(text_bytes_max, TEXT_BYTES_MAX) + 1)
    except broken:
        return b""
    return text if frame.eof and not frame.unused_data and len(text) <= text_bytes_max else b""


def salvage(data: bytes) -> bytes:
    """Return what frames say of which some are torn: whole lines and beginnings of lines.

    A damaged frame says nothing, because what was decoded before the damage was
    noticed may be wrong. One that breaks off says what it said by then; it has no checksum yet.
    """
    texts = []
    at = total = 0
    while at < len(data) and total <= TEXT_BYTES_MAX:
        kind = data[at : at + 4]
        length = 0
        if kind == format.FRAME_MAGIC:
            text, length = _beginning(data[at:])
            texts.append(text)
            total += len(text)
        elif kind == format.SUMMARY_MAGIC and at + 8 <= len(data):
            length = 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        if length and at + length <= len(data):
            at += length
        else:
            at = next_frame(data, at + 1)
            texts.append(b"\n")  # what was cut off must not run into the next line
    return b"".join(texts)


def next_frame(data: bytes, at: int) -> int:
    """Return where the next frame or summary after ``at`` may begin; without one, the end."""
    later = [data.find(magic, at) for magic in (format.FRAME_MAGIC, format.SUMMARY_MAGIC)]
    return min((place for place in later if place >= 0), default=len(data))


class DamagedError(Exception):
    """The frame is damaged, or holds more than a frame may."""


class Frame:
    """One frame, decoded as its bytes come."""

    def __init__(self) -> None:
        new, self._broken = zstd()
        self._frame = new()
        self._left = TEXT_BYTES_MAX

    def decode(self, data: bytes) -> bytes:
        """Return what these bytes say. Raises ``DamagedError``."""
        texts = []
        try:
            while True:
                texts.append(self._frame.decompress(data, _PIECE_BYTES))
                self._left -= len(texts[-1])
                if self._left < 0:
                    raise DamagedError
                if self._frame.eof or self._frame.needs_input:
                    return b"".join(texts)
                data = b""
        except self._broken:
            raise DamagedError from None

    @property
    def ended(self) -> bool:
        """Whether all of it was decoded and its checksum is right."""
        return bool(self._frame.eof)

    @property
    def rest(self) -> bytes:
        """The bytes behind its end."""
        rest: bytes = self._frame.unused_data
        return rest


def packed(text: bytes) -> bytes:
    """Return ``text`` as a frame with a checksum."""
    module = zstd_module()
    parameter = module.CompressionParameter
    data: bytes = module.compress(text, options={int(parameter.checksum_flag): 1})
    return data


@cache
def zstd() -> tuple[Callable[[], Any], type[Exception]]:
    """Return what makes a decompressor, and what that raises. Imported on first use: 10 ms."""
    module = zstd_module()
    options = {int(module.DecompressionParameter.window_log_max): _WINDOW_LOG}
    return lambda: module.ZstdDecompressor(options=options), module.ZstdError


def _beginning(data: bytes) -> tuple[bytes, int]:
    """Return what the frame at the beginning of ``data`` says before it breaks off, and its length, 0 if it does."""
    frame = Frame()
    try:
        text = frame.decode(data)
    except DamagedError:
        return b"", 0
    return text, len(data) - len(frame.rest) if frame.ended else 0


@cache
def zstd_module() -> Any:
    """Return the zstd of this Python: 3.14 brings one."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd
