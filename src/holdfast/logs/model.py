"""Provisional."""
from __future__ import annotations
from typing import Any
from msgspec import Struct

class Record(Struct, kw_only=True, omit_defaults=True):
    id: int
    ts: int
    level: str
    target: str
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
    dropped: dict[str, int] | None = None
