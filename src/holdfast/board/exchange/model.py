"""What carrying boards in and out comes to: reports, progress, and what was odd. Values only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

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


class CardRun(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One attempt. ``id`` is what it was called where it comes from; events name it."""

    id: int
    attempt: int
    stage: str = "work"
    assignee: str = ""
    started_ms: int
    ended_ms: int | None = None
    outcome: str | None = None
    summary: str | None = None
    metadata: Any = None
    failure: str | None = None
    exit_code: int | None = None
    log: str | None = None


class CardComment(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Something somebody said."""

    id: int
    author: str = ""
    body: str
    created_ms: int


class CardEvent(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Something that happened. ``run`` is the ``id`` of one of the card's runs."""

    id: int
    kind: str
    at_ms: int
    run: int | None = None
    payload: Any = None


class CardFile(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An attachment, without its bytes: they follow in a line of their own."""

    id: int
    name: str
    media_type: str = ""
    size_bytes: int
    sha256: str = ""
    added_by: str = ""
    created_ms: int


class CardParent(msgspec.Struct, kw_only=True):
    """A link to a card that comes before this one."""

    id: int | str
    gate: str


class CardRequest(msgspec.Struct, kw_only=True):
    """An idempotency key it was created under."""

    request: str
    scope: str


class CardOrigin(msgspec.Struct, kw_only=True):
    """Who it was before: its id in another source, from which it was imported."""

    source: str
    id: str


class Card(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A task with all that belongs to it, wherever it comes from: what is imported, and a line of an export.

    Claims are left out: a running task is one that can be claimed again.
    """

    id: int | str
    alias: str | None = None
    title: str
    body: str = ""
    status: str
    archived_from: str | None = None
    stage: str = "work"
    priority: int = 0
    assignee: str = ""
    tenant: str = ""
    created_by: str = ""
    created_ms: int
    changed_ms: int
    ready_ms: int
    due_ms: int = 0
    started_ms: int | None = None
    ended_ms: int | None = None
    block_kind: str | None = None
    block_reason: str | None = None
    block_recurrences: int = 0
    failures: int = 0
    failures_max: int = 3
    failure: str | None = None
    verdict: str | None = None
    summary: str | None = None
    result: Any = None
    metadata: Any = None
    workspace_kind: str = "scratch"
    workspace: str | None = None
    branch: str | None = None
    time_max_ms: int | None = None
    silence_max_ms: int | None = None
    attempts: int = 0
    claim: dict[str, Any] | None = None
    """Who was at it, for people: the claim itself does not come along."""
    parents: list[CardParent] = []
    runs: list[CardRun] = []
    comments: list[CardComment] = []
    events: list[CardEvent] = []
    attachments: list[CardFile] = []
    requests: list[CardRequest] = []
    origins: list[CardOrigin] = []


class BoardFacts(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A board without its tasks."""

    slug: str
    name: str
    description: str = ""
    workdir: str | None = None
    running_max: int | None = None
    created_ms: int | None = None
    archived_ms: int | None = None
    caps: dict[str, int] = {}
