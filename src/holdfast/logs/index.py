"""All summaries of a closed segment together, at its end: one read tells a reader what lies where.

    frame | summary | ... | frame | summary | index

The index is a skippable frame as a summary is, with a trailer of the same shape
and another magic. In it, packed as a zstd frame: the JSON of each summary, a line
each, in order. How long a frame and its summary are follows from the line.
"""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.logs import format, frames
from holdfast.logs.format import Summary

_MAGIC = b"hf-logix"
_AROUND_BYTES = format.SKIPPABLE_HEADER_BYTES + format.TRAILER_BYTES
TEXT_BYTES_MAX = 32 << 20
"""Of lines; a segment with more has none."""


def pack(summaries: Sequence[bytes]) -> bytes:
    """Return the index of a segment in which these summaries stand; nothing when they are too many."""
    text = b"\n".join(frame[format.SKIPPABLE_HEADER_BYTES : -format.TRAILER_BYTES] for frame in summaries)
    return format.skippable(frames.packed(text), _MAGIC) if text and len(text) <= TEXT_BYTES_MAX else b""


def length(trailer: bytes) -> int | None:
    """Return how long the index is that ends in these ``TRAILER_BYTES`` bytes; None when none does."""
    return format.skippable_length(trailer, _MAGIC)


def read(frame: bytes, end: int) -> list[tuple[int, int, int, Summary]] | None:
    """Return for each frame where it begins, where it ends, where its summary ends, and the summary.

    ``end`` is where the last one ends. None when the index is damaged, or of another segment.
    """
    packed = format.skippable_content(frame)
    if packed is None:
        return None
    places = []
    at = 0
    for line in frames.whole(packed, TEXT_BYTES_MAX).split(b"\n"):
        summary = format.summary_of(line)
        if summary is None:
            return None
        text_end = at + summary.frame_bytes
        places.append((at, text_end, text_end + _AROUND_BYTES + len(line), summary))
        at = places[-1][2]
    return places if at == end else None
