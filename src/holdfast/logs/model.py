"""What one line of the log holds. Pure."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Record(Struct, kw_only=True, omit_defaults=True):
    """One record, and the keys of its line of JSON; what has no value is left out there."""

    id: int
    """63 bits of a hybrid clock: unique across processes, ascending within a segment."""
    ts: int
    """When it was said, in microseconds since the epoch, as the caller says."""
    level: str
    target: str
    """The name of the logger."""
    message: str
    thread_id: str | None = None
    trace_id: str | None = None
    module: str | None = None
    file: str | None = None
    line: int | None = None
    pid: int = 0
    fields: dict[str, Any] | None = None
    exception: str | None = None
    repeats: int | None = None
    """It was said so many times more, one after the other."""
    dropped: dict[str, int] | None = None
    """By level, how many records had no room before this one."""
