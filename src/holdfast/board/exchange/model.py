"""What carrying boards in and out comes to: reports, progress, and what was odd. Values only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec

from holdfast.findings import Finding

Attachments = Literal["inline", "none"]
"""``inline``: as base64 in lines of their own. ``none``: their names, sizes and hashes alone."""


class ExchangeProgress(msgspec.Struct, frozen=True):
    """How far it is. ``step``: copying, reading, tasks, attachments, writing, done. ``total`` 0: not known yet."""

    step: str
    board: str = ""
    done: int = 0
    total: int = 0


OnProgress: TypeAlias = Callable[[ExchangeProgress], object]


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How many of each."""

    tasks: int = 0
    links: int = 0
    runs: int = 0
    comments: int = 0
    events: int = 0
    attachments: int = 0
    attachment_bytes: int = 0


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What came of importing one board."""

    source: str
    """The file that was read."""
    board: str
    """The slug of the board it came into."""
    made_board: bool
    """It was not there before."""
    dry_run: bool
    found: Counts
    """What is in the source and could be read."""
    new: Counts
    """What was written now. With ``dry_run``: what would be."""
    known: Counts
    """What an earlier import had brought: left as it is here."""
    oddities: dict[str, int]
    """How many findings there were, by code."""
    findings: tuple[Finding, ...]
    """The first ``FINDINGS_KEPT`` of each code. What could not be used as it stands is kept in the task's metadata."""
    duration_ms: int


FINDINGS_KEPT = 100


class ExportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was written. ``path`` None: to a stream of the caller's."""

    path: str | None
    board: str
    format: Literal["json", "markdown"]
    counts: Counts
    files: int
    bytes: int
    duration_ms: int
