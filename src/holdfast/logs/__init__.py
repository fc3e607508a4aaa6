"""Logs that cannot eat the disk or stop the host: segments of compressed JSON lines, capped; a handler for them.

import logging
from holdfast import logs

logging.getLogger().addHandler(logs.handler("/var/tmp/agent-logs"))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.logs.context import context

if TYPE_CHECKING:
    from holdfast.logs.counts import HandlerStats
    from holdfast.logs.handling import LogHandler
    from holdfast.logs.model import Record
    from holdfast.logs.opening import handler

_FROM = {
    "HandlerStats": "holdfast.logs.counts",
    "LogHandler": "holdfast.logs.handling",
    "Record": "holdfast.logs.model",
    "handler": "holdfast.logs.opening",
}

__all__ = ["HandlerStats", "LogHandler", "Record", "context", "handler"]


def __getattr__(name: str) -> Any:
    # Late: who only names a thread id with `context` pays for nothing else.
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(_FROM[name]), name)
    globals()[name] = found
    return found
