"""Provisional."""
from __future__ import annotations
import re
import struct
import msgspec
from msgspec import Struct

FRAME_MAGIC = b"\x28\xb5\x2f\xfd"
SUMMARY_MAGIC = b"\x5b\x2a\x4d\x18"
TRAILER_MAGIC = b"holdlog1"
TRAILER_BYTES = 12
SKIPPABLE_HEADER_BYTES = 8

class Summary(Struct, kw_only=True):
    frame_bytes: int
    text_bytes: int
    count: int
    first_ts: int
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

def is_segment(name: str) -> bool:
    return re.fullmatch(r"[0-9a-f]+-\d+-\d+\.jsonl(\.zst)?", name) is not None

def summary_length(tail: bytes) -> int | None:
    if len(tail) < 12 or not tail.endswith(TRAILER_MAGIC):
        return None
    return struct.unpack("<I", tail[:4])[0]

def read_summary(frame: bytes) -> Summary | None:
    if frame[:4] != SUMMARY_MAGIC:
        return None
    try:
        return msgspec.json.decode(frame[8:-12], type=Summary)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None

def summarize(records, frame_bytes, text_bytes):
    threads = sorted({r.thread_id for r in records if r.thread_id})
    targets = sorted({r.target for r in records})
    levels = {}
    dropped = {}
    for r in records:
        levels[r.level] = levels.get(r.level, 0) + 1
        for k, n in (r.dropped or {}).items():
            dropped[k] = dropped.get(k, 0) + n
    s = Summary(frame_bytes=frame_bytes, text_bytes=text_bytes, count=len(records),
        first_ts=min(r.ts for r in records), last_ts=max(r.ts for r in records),
        first_id=min(r.id for r in records), last_id=max(r.id for r in records), levels=levels,
        targets=targets[:32], more_targets=len(targets) > 32, threads=threads[:32], more_threads=len(threads) > 32,
        threadless=sum(r.thread_id is None for r in records), dropped=dropped)
    body = msgspec.json.encode(s)
    n = len(body) + 12
    return SUMMARY_MAGIC + struct.pack("<I", n) + body + struct.pack("<I", n + 8) + TRAILER_MAGIC
