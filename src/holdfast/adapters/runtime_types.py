"""The values of the old runtime's API: times are aware datetimes in whole seconds, ids hyphenated text."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any


def utc(seconds: float) -> dt.datetime:
    """Return the time as the API gives it: UTC, whole seconds."""
    return dt.datetime.fromtimestamp(int(seconds // 1), dt.UTC)


def whole(when: dt.datetime) -> dt.datetime:
    """Return ``when`` without its part of a second, in UTC; one without a zone is taken as UTC."""
    when = when if when.tzinfo else when.replace(tzinfo=dt.UTC)
    return when.astimezone(dt.UTC).replace(microsecond=0)


def enum_text(value: Any) -> str:
    """Return how a value of an enum is stored: a text bare, anything else as compact JSON."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


class SortKey(StrEnum):
    """What a list of threads is ordered by, the newest first."""

    CREATED_AT = "created"
    UPDATED_AT = "updated"


class BackfillStatus(StrEnum):
    """How far the backfill is."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETE = "complete"


@dataclass(frozen=True, kw_only=True)
class ThreadMetadata:
    """A row of a thread, whole."""

    id: str
    rollout_path: str
    created_at: dt.datetime
    updated_at: dt.datetime
    source: str = "vscode"
    model_provider: str = ""
    cwd: str = ""
    cli_version: str = ""
    title: str = ""
    sandbox_policy: str = '{"type":"read-only"}'
    approval_mode: str = "on-request"
    tokens_used: int = 0
    first_user_message: str | None = None
    archived_at: dt.datetime | None = None
    git_sha: str | None = None
    git_branch: str | None = None
    git_origin_url: str | None = None

    def diff_fields(self, other: ThreadMetadata) -> list[str]:
        """Return the names of the fields that differ, in the order of declaration."""
        return [each.name for each in fields(self) if getattr(self, each.name) != getattr(other, each.name)]


@dataclass(frozen=True, kw_only=True)
class ThreadMetadataBuilder:
    """What is known of a thread before its rollout was read."""

    id: str
    rollout_path: str
    created_at: dt.datetime
    source: Any = "vscode"
    updated_at: dt.datetime | None = None
    model_provider: str | None = None
    cwd: str = ""
    cli_version: str | None = None
    sandbox_policy: Any = field(default_factory=lambda: {"type": "read-only"})
    approval_mode: Any = "on-request"
    archived_at: dt.datetime | None = None
    git_sha: str | None = None
    git_branch: str | None = None
    git_origin_url: str | None = None

    def build(self, default_provider: str) -> ThreadMetadata:
        """Return the row: the default provider where none is named, times in whole seconds."""
        return ThreadMetadata(
            id=self.id,
            rollout_path=self.rollout_path,
            created_at=whole(self.created_at),
            updated_at=whole(self.updated_at or self.created_at),
            source=enum_text(self.source),
            model_provider=self.model_provider or default_provider,
            cwd=self.cwd,
            cli_version=self.cli_version or "",
            sandbox_policy=enum_text(self.sandbox_policy),
            approval_mode=enum_text(self.approval_mode),
            archived_at=None if self.archived_at is None else whole(self.archived_at),
            git_sha=self.git_sha,
            git_branch=self.git_branch,
            git_origin_url=self.git_origin_url,
        )


@dataclass(frozen=True)
class Anchor:
    """Where the next page begins: behind this thread."""

    ts: dt.datetime
    id: str


@dataclass(frozen=True, kw_only=True)
class ThreadsPage:
    """Some threads; ``next_anchor`` None: these are the last. ``num_scanned_rows`` counts one looked at beyond."""

    items: list[ThreadMetadata]
    next_anchor: Anchor | None
    num_scanned_rows: int


@dataclass(frozen=True, kw_only=True)
class BackfillState:
    """How far the backfill is said to be."""

    status: BackfillStatus = BackfillStatus.PENDING
    last_watermark: str | None = None
    last_success_at: dt.datetime | None = None


@dataclass(frozen=True, kw_only=True)
class LogEntry:
    """One record to keep: ``ts`` in seconds, ``ts_nanos`` the rest."""

    ts: int
    ts_nanos: int
    level: str
    target: str
    message: str | None = None
    thread_id: str | None = None
    module_path: str | None = None
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True, kw_only=True)
class LogRow:
    """One record found."""

    id: int
    ts: int
    ts_nanos: int
    level: str
    target: str
    message: str | None
    thread_id: str | None
    file: str | None
    line: int | None


@dataclass(frozen=True, kw_only=True)
class LogQuery:
    """Which records: everything given must hold. Times in seconds, both ends included."""

    level_upper: str | None = None
    from_ts: int | None = None
    to_ts: int | None = None
    module_like: Sequence[str] = ()
    file_like: Sequence[str] = ()
    thread_ids: Sequence[str] = ()
    include_threadless: bool = False
    after_id: int | None = None
    limit: int | None = None
    descending: bool = False


@dataclass(frozen=True, kw_only=True)
class DynamicToolSpec:
    """A tool that the harness carries out."""

    name: str
    description: str
    input_schema: Any


@dataclass(frozen=True, kw_only=True)
class ThreadMemory:
    """What is remembered of a thread in one scope. ``updated_at`` is to the millisecond, and always advances."""

    thread_id: str
    scope_kind: str
    scope_key: str
    raw_memory: str
    memory_summary: str
    updated_at: dt.datetime
    last_used_at: dt.datetime | None
    used_count: int
    invalidated_at: dt.datetime | None
    invalid_reason: str | None


@dataclass(frozen=True)
class Claimed:
    """The job is yours; give the token to whatever ends it."""

    ownership_token: str


@dataclass(frozen=True)
class SkippedTerminalFailure:
    """It failed once, and that is for ever."""


@dataclass(frozen=True)
class SkippedUpToDate:
    """It succeeded for this source, or for a newer one."""


@dataclass(frozen=True)
class SkippedRunning:
    """Somebody is at it."""


Phase1JobClaimOutcome = Claimed | SkippedTerminalFailure | SkippedUpToDate | SkippedRunning

__all__ = [
    "Anchor",
    "BackfillState",
    "BackfillStatus",
    "Claimed",
    "DynamicToolSpec",
    "LogEntry",
    "LogQuery",
    "LogRow",
    "Phase1JobClaimOutcome",
    "SkippedRunning",
    "SkippedTerminalFailure",
    "SkippedUpToDate",
    "SortKey",
    "ThreadMemory",
    "ThreadMetadata",
    "ThreadMetadataBuilder",
    "ThreadsPage",
    "enum_text",
    "utc",
    "whole",
]
