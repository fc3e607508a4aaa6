"""Rollouts: transcripts as agents write them, read into items and facts, and written. Knows files, knows no subject."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.rollouts.compressing import Compressed, Run, compress, compress_cold
    from holdfast.rollouts.facts import ThreadFacts
    from holdfast.rollouts.find import Entry, Found, Walk, find_by_id, newest_folders, walk
    from holdfast.rollouts.fold import inherit
    from holdfast.rollouts.names import names_stamp, read_names
    from holdfast.rollouts.paths import archived_path
    from holdfast.rollouts.pool import scan_many
    from holdfast.rollouts.reading import Problem, Scan, scan, verify
    from holdfast.rollouts.said import Said, message_at, messages
    from holdfast.rollouts.scan_worker import ScanRequest
    from holdfast.rollouts.transcript import Transcript, read_transcript
    from holdfast.rollouts.writing.base import history_base
    from holdfast.rollouts.writing.compose import Turn, tokens
    from holdfast.rollouts.writing.lock import writer_lock
    from holdfast.rollouts.writing.materializing import materialize
    from holdfast.rollouts.writing.model import Appended, HistoryBase
    from holdfast.rollouts.writing.writer import RolloutWriter

_HOMES = {
    "Appended": "writing.model",
    "Compressed": "compressing",
    "Entry": "find",
    "Found": "find",
    "HistoryBase": "writing.model",
    "Problem": "reading",
    "RolloutWriter": "writing.writer",
    "Run": "compressing",
    "Said": "said",
    "Scan": "reading",
    "ScanRequest": "scan_worker",
    "ThreadFacts": "facts",
    "Transcript": "transcript",
    "Turn": "writing.compose",
    "Walk": "find",
    "archived_path": "paths",
    "compress": "compressing",
    "compress_cold": "compressing",
    "find_by_id": "find",
    "history_base": "writing.base",
    "inherit": "fold",
    "materialize": "writing.materializing",
    "message_at": "said",
    "messages": "said",
    "names_stamp": "names",
    "newest_folders": "find",
    "read_names": "names",
    "read_transcript": "transcript",
    "scan": "reading",
    "scan_many": "pool",
    "tokens": "writing.compose",
    "verify": "reading",
    "walk": "find",
    "writer_lock": "writing.lock",
}

__all__ = [
    "Appended",
    "Compressed",
    "Entry",
    "Found",
    "HistoryBase",
    "Problem",
    "RolloutWriter",
    "Run",
    "Said",
    "Scan",
    "ScanRequest",
    "ThreadFacts",
    "Transcript",
    "Turn",
    "Walk",
    "archived_path",
    "compress",
    "compress_cold",
    "find_by_id",
    "history_base",
    "inherit",
    "materialize",
    "message_at",
    "messages",
    "names_stamp",
    "newest_folders",
    "read_names",
    "read_transcript",
    "scan",
    "scan_many",
    "tokens",
    "verify",
    "walk",
    "writer_lock",
]


def __getattr__(name: str) -> Any:
    # Late, so that a scan worker imports what it needs and nothing else.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found
