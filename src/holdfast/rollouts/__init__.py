"""Rollouts: transcripts as agents write them, read into items and facts. Knows files, knows no subject."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_HOMES = {
    "Entry": "find",
    "Found": "find",
    "Problem": "reading",
    "Said": "said",
    "Scan": "reading",
    "ScanRequest": "scan_worker",
    "ThreadFacts": "facts",
    "Transcript": "transcript",
    "Walk": "find",
    "archived_path": "paths",
    "find_by_id": "find",
    "inherit": "fold",
    "message_at": "said",
    "messages": "said",
    "names_stamp": "names",
    "newest_folders": "find",
    "read_names": "names",
    "read_transcript": "transcript",
    "scan": "reading",
    "scan_many": "pool",
    "verify": "reading",
    "walk": "find",
}

__all__ = [
    "Entry",
    "Found",
    "Problem",
    "Said",
    "Scan",
    "ScanRequest",
    "ThreadFacts",
    "Transcript",
    "Walk",
    "archived_path",
    "find_by_id",
    "inherit",
    "message_at",
    "messages",
    "names_stamp",
    "newest_folders",
    "read_names",
    "read_transcript",
    "scan",
    "scan_many",
    "verify",
    "walk",
]


def __getattr__(name: str) -> Any:
    # Late, so that a scan worker imports what it needs and nothing else.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found
