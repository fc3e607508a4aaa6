"""A log record as it is kept: one JSON line (``docs/log-format.md``). Pure."""

from __future__ import annotations

from typing import Any

import msgspec


class Record(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One line. Keys with nothing in them are left out."""

    id: int
    """63 bits, from a hybrid clock: unique across processes, ascending within one."""
    ts: int
    """Microseconds since the epoch."""
    level: str
    target: str
    message: str
    pid: int
    thread_id: str | None = None
    trace_id: str | None = None
    module: str | None = None
    file: str | None = None
    line: int | None = None
    fields: dict[str, Any] | None = None
    exception: str | None = None
    repeats: int | None = None
    """How many more identical lines followed."""
    dropped: dict[str, int] | None = None
    """Records that were not kept, by level."""
