"""All summaries of a closed segment together, at its end: one read tells a reader what lies where.

    frame | summary | ... | frame | summary | index

The index is a skippable frame as a summary is, with a trailer of the same shape
and another magic. In it: where it begins, which tells that no byte before it is missing,
and packed as a zstd frame the JSON of each summary, a line each, in order. How long a
frame and its summary are follows from the line.
"""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.logs import format, frames

_MAGIC = b"hf-logix"
TEXT_BYTES_MAX = 32 << 20
"""Of lines; a segment with more has none."""


def pack(summaries: Sequence[bytes], end: int) -> bytes:
    """Return the index of a segment in which these summaries stand, the last of which ends at ``end``.

    Nothing when they are too many.
    """
    text = b"\n".join(frame[format.SKIPPABLE_HEADER_BYTES : -format.TRAILER_BYTES] for frame in summaries)
    if not text or len(text) > TEXT_BYTES_MAX:
        return b""
    return format.skippable(end.to_bytes(8, "little") + frames.packed(text), _MAGIC)


def length(trailer: bytes) -> int | None:
    """Return how long the index is that ends in these ``TRAILER_BYTES`` bytes; None when none does."""
    return format.skippable_length(trailer, _MAGIC)


def lines(frame: bytes, begin: int) -> list[bytes] | None:
    """Return the JSON of each summary, in order; None when the index is damaged, or not where it was written."""
    content = format.skippable_content(frame)
    if content is None or int.from_bytes(content[:8], "little") != begin:
        return None
    text = frames.whole(content[8:], TEXT_BYTES_MAX)
    return text.split(b"\n") if text else None
