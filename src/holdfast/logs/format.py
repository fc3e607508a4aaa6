"""Where frames and their summaries lie in a packed segment. Pure: bytes in, bytes out.

    frame | summary | frame | summary | ... | open frame

A frame is one of zstd, with a checksum, of lines of JSON. A summary is a
skippable frame (RFC 8878 §3.1.2): 8 bytes of header, JSON, and a trailer of
fixed size by which it is found from its end.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from zlib import crc32

import msgspec
from msgspec import Struct

from holdfast.logs.model import Record

FRAME_MAGIC = b"\x28\xb5\x2f\xfd"
SUMMARY_MAGIC = b"\x5b\x2a\x4d\x18"
SKIPPABLE_HEADER_BYTES = 8
TRAILER_MAGIC = b"hf-log-1"
_TRAILER = struct.Struct("<II8s")  # length of the skippable frame with its header, CRC-32 of the JSON, magic
TRAILER_BYTES = _TRAILER.size
AROUND_BYTES = SKIPPABLE_HEADER_BYTES + TRAILER_BYTES

NAMES_MAX = 64
"""Targets and threads named in a summary. With more there, ``more_…`` is set, and the frame may hold any."""

_NAME = re.compile(r"[0-9A-Za-z]+-[0-9]+-[0-9]+\.jsonl(?:\.zst)?")


class Summary(Struct, kw_only=True):
    """What the frame before it holds."""

    frame_bytes: int
    """How long that frame is: where it begins."""
    text_bytes: int
    count: int
    first_ts: int
    """The earliest, and below it the latest; records need not come in the order of their times."""
    last_ts: int
    first_id: int
    last_id: int
    levels: dict[str, int]
    targets: list[str]
    more_targets: bool
    threads: list[str]
    more_threads: bool
    threadless: int
    dropped: dict[str, int]
    """The sum of what its records tell of drops."""
    plain: bool = False
    """Its lines were written as msgspec does: no letter is escaped, numbers are in their shortest form."""


_read = msgspec.json.Decoder(Summary).decode


def is_segment(name: str) -> bool:
    """Return True for ``<boot>-<pid>-<n>.jsonl`` and the same with ``.zst``."""
    return _NAME.fullmatch(name) is not None


def skippable(content: bytes, trailer_magic: bytes) -> bytes:
    """Return a skippable frame with this content, and a trailer by which it is found from its end."""
    length = SKIPPABLE_HEADER_BYTES + len(content) + TRAILER_BYTES
    header = SUMMARY_MAGIC + (length - SKIPPABLE_HEADER_BYTES).to_bytes(4, "little")
    return header + content + _TRAILER.pack(length, crc32(content), trailer_magic)


def skippable_length(trailer: bytes, trailer_magic: bytes = TRAILER_MAGIC) -> int | None:
    """Return how long the frame is that ends in these ``TRAILER_BYTES`` bytes; None when none of this magic does."""
    if len(trailer) != TRAILER_BYTES or not trailer.endswith(trailer_magic):
        return None
    length: int = _TRAILER.unpack(trailer)[0]
    return length if length > SKIPPABLE_HEADER_BYTES + TRAILER_BYTES else None


def skippable_content(frame: bytes) -> bytes | None:
    """Return what is in this skippable frame; None when it is damaged."""
    content = frame[SKIPPABLE_HEADER_BYTES:-TRAILER_BYTES]
    if not frame.startswith(SUMMARY_MAGIC) or crc32(content) != _TRAILER.unpack(frame[-TRAILER_BYTES:])[1]:
        return None
    return content


def summary_of(content: bytes | None) -> Summary | None:
    """Return the summary that this JSON is; None when it is none."""
    try:
        found = _read(content or b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found if found.frame_bytes > 0 else None


def summarize(records: Sequence[Record], frame_bytes: int, text_bytes: int) -> bytes:
    """Return the skippable frame that sums up a frame of these records (at least one), encoded by msgspec."""
    threads = sorted({record.thread_id for record in records if record.thread_id})
    targets = sorted({record.target for record in records})
    levels: dict[str, int] = {}
    dropped: dict[str, int] = {}
    for record in records:
        levels[record.level] = levels.get(record.level, 0) + 1
        for level, count in (record.dropped or {}).items():
            dropped[level] = dropped.get(level, 0) + count
    said = msgspec.json.encode(
        Summary(
            frame_bytes=frame_bytes,
            text_bytes=text_bytes,
            count=len(records),
            first_ts=min(record.ts for record in records),
            last_ts=max(record.ts for record in records),
            first_id=min(record.id for record in records),
            last_id=max(record.id for record in records),
            levels=levels,
            targets=targets[:NAMES_MAX],
            more_targets=len(targets) > NAMES_MAX,
            threads=threads[:NAMES_MAX],
            more_threads=len(threads) > NAMES_MAX,
            threadless=sum(not record.thread_id for record in records),
            dropped=dropped,
            plain=True,
        )
    )
    return skippable(said, TRAILER_MAGIC)
