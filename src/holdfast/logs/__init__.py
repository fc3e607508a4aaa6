"""Logs that cannot eat the disk or stop the host: segments of compressed JSON lines, capped; a handler for them.

import logging
from holdfast import logs

logging.getLogger().addHandler(logs.handler("/var/tmp/agent-logs"))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.logs.context import context

if TYPE_CHECKING:
    from holdfast.logs.caps import Caps, Kept, Pruned
    from holdfast.logs.counts import HandlerStats
    from holdfast.logs.handling import LogHandler
    from holdfast.logs.limits import retention
    from holdfast.logs.matching import LogQuery
    from holdfast.logs.model import Record
    from holdfast.logs.opening import Handler, handler
    from holdfast.logs.segments import SegmentWriter

# Nothing here is called like a file of this folder: importing that would take its place.
_FROM = {
    "Caps": "holdfast.logs.caps",
    "Handler": "holdfast.logs.opening",
    "HandlerStats": "holdfast.logs.counts",
    "Kept": "holdfast.logs.caps",
    "LogHandler": "holdfast.logs.handling",
    "LogQuery": "holdfast.logs.matching",
    "Pruned": "holdfast.logs.caps",
    "Record": "holdfast.logs.model",
    "SegmentWriter": "holdfast.logs.segments",
    "handler": "holdfast.logs.opening",
    "retention": "holdfast.logs.limits",
}

__all__ = [
    "Caps",
    "Handler",
    "HandlerStats",
    "Kept",
    "LogHandler",
    "LogQuery",
    "Pruned",
    "Record",
    "SegmentWriter",
    "context",
    "handler",
    "retention",
]


def __getattr__(name: str) -> Any:
    # Late: who only names a thread id with `context` pays for nothing else.
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(_FROM[name]), name)
    globals()[name] = found
    return found
