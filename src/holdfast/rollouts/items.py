"""What one line of a rollout becomes: a small closed set of values. Pure.

Texts in items never hold lone surrogates or NUL characters, numbers fit in 63
bits, and ids are 16 bytes: whatever the line held, an item can be stored and
encoded.
"""

from __future__ import annotations

import msgspec


class Line(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What every item has: when its line was written (ms since the epoch) and its number in the thread.

    ``repaired``: the line held bytes that are no UTF-8, or NUL bytes in front;
    they were replaced, the rest was read.
    """

    timestamp_ms: int | None = None
    ordinal: int | None = None
    repaired: bool = False


class SessionMeta(Line, frozen=True, kw_only=True, gc=False):
    """Who a thread is and where it comes from. ``None``: the line does not say."""

    id: bytes
    session_id: bytes | None = None
    forked_from_id: bytes | None = None
    parent_thread_id: bytes | None = None
    created_ms: int | None = None
    cwd: str | None = None
    originator: str | None = None
    cli_version: str | None = None
    source: str = "vscode"
    source_kind: str = "vscode"
    thread_source: str | None = None
    agent_nickname: str | None = None
    agent_role: str | None = None
    agent_path: str | None = None
    model_provider: str | None = None
    memory_mode: str | None = None
    history_mode: str = "legacy"
    git: Git | None = None
    base_thread_id: bytes | None = None
    base_end_ordinal: int | None = None
    own_start_ordinal: int | None = None
    """A sub-agent's file may begin with lines of its parent; its own begin here."""
    tools: str | None = None
    """The tools the harness offers, as a JSON list in the dialect's own shape."""


class Git(msgspec.Struct, frozen=True, gc=False):
    """Where the working directory stood when the line was written."""

    sha: str | None = None
    branch: str | None = None
    origin_url: str | None = None


class TurnContext(Line, frozen=True, kw_only=True, gc=False):
    """What a turn runs with. ``sandbox_policy`` is JSON text: the permission profile, else the policy."""

    turn_id: str | None = None
    cwd: str | None = None
    model: str | None = None
    effort: str | None = None
    sandbox_policy: str | None = None
    approval_mode: str | None = None


class SettingsApplied(Line, frozen=True, kw_only=True, gc=False):
    """Settings that were changed between turns."""

    cwd: str | None = None
    model: str | None = None
    model_provider: str | None = None
    effort: str | None = None
    sandbox_policy: str | None = None
    approval_mode: str | None = None


class UserMessage(Line, frozen=True, kw_only=True, gc=False):
    """What a person wrote, as written: a prefix the harness put in front is still there."""

    text: str
    images: int = 0
    audio: int = 0


class AgentMessage(Line, frozen=True, kw_only=True, gc=False):
    """What the agent said to the person. ``phase``: ``final_answer``, ``commentary``, ``plan``, ..."""

    text: str
    phase: str | None = None


class Reasoning(Line, frozen=True, kw_only=True, gc=False):
    """The summary of a thought."""

    text: str


class ToolCall(Line, frozen=True, kw_only=True, gc=False):
    """A tool the agent called. ``arguments`` is the text the model wrote, mostly JSON."""

    call_id: str | None
    name: str
    arguments: str = ""


class ToolOutput(Line, frozen=True, kw_only=True, gc=False):
    """What a tool answered."""

    call_id: str | None
    text: str


class ModelMessage(Line, frozen=True, kw_only=True, gc=False):
    """A message as the model saw it. Words of the user and the agent come a second time as this."""

    role: str
    text: str


class TokenCount(Line, frozen=True, kw_only=True, gc=False):
    """How many tokens the thread has used so far."""

    total: int


class GoalUpdated(Line, frozen=True, kw_only=True, gc=False):
    """What the thread is for, in a person's words."""

    objective: str


class TurnStarted(Line, frozen=True, kw_only=True, gc=False):
    """A turn began."""

    turn_id: str | None = None
    started_ms: int | None = None


class TurnEnded(Line, frozen=True, kw_only=True, gc=False):
    """A turn ended. ``status``: ``completed``, ``failed``, or why it was aborted (``interrupted``, ...)."""

    status: str
    turn_id: str | None = None
    ended_ms: int | None = None
    duration_ms: int | None = None
    error: str | None = None


class NameUpdated(Line, frozen=True, kw_only=True, gc=False):
    """Somebody named the thread; only releases up to mid 2026 wrote that into the rollout."""

    name: str


class RolledBack(Line, frozen=True, kw_only=True, gc=False):
    """The last ``turns`` turns of the user were taken back."""

    turns: int


class Compacted(Line, frozen=True, kw_only=True, gc=False):
    """The model's memory of the thread was replaced by a summary."""

    summary: str


class Other(Line, frozen=True, kw_only=True, gc=False):
    """A line that changes nothing here. ``known`` is False for kinds never seen before."""

    kind: str
    known: bool = True


class Unread(Line, frozen=True, kw_only=True, gc=False):
    """A line that could not be read, and why."""

    reason: str


Item = (
    SessionMeta
    | TurnContext
    | SettingsApplied
    | UserMessage
    | AgentMessage
    | Reasoning
    | ToolCall
    | ToolOutput
    | ModelMessage
    | TokenCount
    | GoalUpdated
    | TurnStarted
    | TurnEnded
    | NameUpdated
    | RolledBack
    | Compacted
    | Other
    | Unread
)
