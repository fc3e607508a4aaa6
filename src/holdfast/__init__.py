"""The state layer under coding agents: every thread found, listed and searched; nothing lost.

import holdfast

with holdfast.open("~/.codex") as state:
    for thread in state.threads.list(limit=5):
        print(thread.updated_at, thread.label)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.errors import Busy, Damaged, Full, HalfDone, HoldfastError, Refused, Stale, Unsupported

if TYPE_CHECKING:
    from holdfast.cache import Cache, CacheStats
    from holdfast.ingest.follow import Followed
    from holdfast.ingest.live import LiveThread
    from holdfast.ingest.model import IndexReport, Problem, Progress
    from holdfast.state import BackupReport, Conversation, RebuildReport, RestoreReport, State, backup, rebuild, restore
    from holdfast.state import open_state as open
    from holdfast.state import peek_state as peek
    from holdfast.state.backfill import Backfill
    from holdfast.state.carrying import InHomeChange
    from holdfast.state.compressing import CompressProgress, CompressReport
    from holdfast.state.moving import MoveReport, move, undo_move
    from holdfast.state.overlays import UNSET
    from holdfast.threads.model import (
        Deleted,
        DeletePreview,
        Direction,
        Found,
        Home,
        Page,
        Query,
        Sort,
        Spawn,
        Thread,
    )
    from holdfast.tools.model import Tool

__version__ = "0.1.0"

_FROM = {
    "Backfill": "holdfast.state.backfill",
    "BackupReport": "holdfast.state",
    "Cache": "holdfast.cache",
    "CacheStats": "holdfast.cache",
    "CompressProgress": "holdfast.state.compressing",
    "CompressReport": "holdfast.state.compressing",
    "Conversation": "holdfast.state",
    "DeletePreview": "holdfast.threads.model",
    "Deleted": "holdfast.threads.model",
    "Direction": "holdfast.threads.model",
    "Followed": "holdfast.ingest.follow",
    "Found": "holdfast.threads.model",
    "Home": "holdfast.threads.model",
    "InHomeChange": "holdfast.state.carrying",
    "IndexReport": "holdfast.ingest.model",
    "LiveThread": "holdfast.ingest.live",
    "Page": "holdfast.threads.model",
    "Problem": "holdfast.ingest.model",
    "Progress": "holdfast.ingest.model",
    "Query": "holdfast.threads.model",
    "RebuildReport": "holdfast.state",
    "RestoreReport": "holdfast.state",
    "Sort": "holdfast.threads.model",
    "Spawn": "holdfast.threads.model",
    "State": "holdfast.state",
    "Thread": "holdfast.threads.model",
    "Tool": "holdfast.tools.model",
    "UNSET": "holdfast.state.overlays",
    "open": "holdfast.state",
    "peek": "holdfast.state",
    "backup": "holdfast.state",
    "MoveReport": "holdfast.state.moving",
    "move": "holdfast.state.moving",
    "undo_move": "holdfast.state.moving",
    "rebuild": "holdfast.state",
    "restore": "holdfast.state",
}
_CALLED = {"open": "open_state", "peek": "peek_state"}

__all__ = [
    "UNSET",
    "Backfill",
    "BackupReport",
    "Busy",
    "Cache",
    "CacheStats",
    "CompressProgress",
    "CompressReport",
    "Conversation",
    "Damaged",
    "DeletePreview",
    "Deleted",
    "Direction",
    "Followed",
    "Found",
    "Full",
    "HalfDone",
    "HoldfastError",
    "Home",
    "InHomeChange",
    "IndexReport",
    "LiveThread",
    "MoveReport",
    "Page",
    "Problem",
    "Progress",
    "Query",
    "RebuildReport",
    "Refused",
    "RestoreReport",
    "Sort",
    "Spawn",
    "Stale",
    "State",
    "Thread",
    "Tool",
    "Unsupported",
    "__version__",
    "backup",
    "move",
    "open",
    "peek",
    "rebuild",
    "restore",
    "undo_move",
]


def __getattr__(name: str) -> Any:
    # Late: `import holdfast` and `holdfast --help` pay for what they use.
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(_FROM[name]), _CALLED.get(name, name))
    globals()[name] = found
    return found
