"""The JSON objects of a Codex rollout, as far as anything of ours reads them. Pure.

Every field has a default and is read loosely, so a release that drops, adds
or retypes one costs that field and no more.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Raw, Struct

from holdfast.rollouts.dialects.loose import Shape

NOTHING = Raw(b"")


class Envelope(Struct, gc=False):
    """The outside of a line. The payload stays bytes until somebody wants it."""

    type: str | None = None
    payload: Raw = NOTHING
    timestamp: str | None = None
    ordinal: int | None = None


class Git(Struct, gc=False):
    """``session_meta.git``."""

    commit_hash: str | None = None
    branch: str | None = None
    repository_url: str | None = None


class Base(Struct, gc=False):
    """``session_meta.history_base``: the lines of another file that come first."""

    thread_id: str | None = None
    end_ordinal_exclusive: int | None = None


class Meta(Struct, gc=False):
    """``session_meta``."""

    id: str | None = None
    session_id: str | None = None
    forked_from_id: str | None = None
    parent_thread_id: str | None = None
    timestamp: str | None = None
    cwd: str | None = None
    originator: str | None = None
    cli_version: str | None = None
    source: Raw = NOTHING
    thread_source: str | None = None
    agent_nickname: str | None = None
    agent_role: str | None = None
    agent_type: str | None = None
    agent_path: str | None = None
    model_provider: str | None = None
    memory_mode: str | None = None
    history_mode: str | None = None
    history_base: Raw = NOTHING
    subagent_history_start_ordinal: int | None = None
    git: Raw = NOTHING
    dynamic_tools: Raw = NOTHING


class MetaLine(Struct, gc=False):
    """A whole ``session_meta`` line, when nothing is wrong with it."""

    type: Literal["session_meta"]
    payload: Meta
    timestamp: str | None = None
    ordinal: int | None = None


class Spawn(Struct, gc=False):
    """``session_meta.source.subagent.thread_spawn``."""

    parent_thread_id: str | None = None
    agent_nickname: str | None = None
    agent_role: str | None = None
    agent_type: str | None = None
    agent_path: str | None = None


class Context(Struct, gc=False):
    """``turn_context``, and ``thread_settings`` (which spells some fields its own way)."""

    turn_id: str | None = None
    cwd: str | None = None
    model: str | None = None
    model_provider_id: str | None = None
    effort: str | None = None
    reasoning_effort: str | None = None
    permission_profile: Raw = NOTHING
    sandbox_policy: Raw = NOTHING
    approval_policy: Raw = NOTHING


class Event(Struct, gc=False):
    """``event_msg``, all kinds in one: the fields of those that matter."""

    type: str | None = None
    message: str | None = None
    text: str | None = None
    phase: str | None = None
    images: Raw = NOTHING
    local_images: Raw = NOTHING
    audio: Raw = NOTHING
    local_audio: Raw = NOTHING
    info: Raw = NOTHING
    goal: Raw = NOTHING
    item: Raw = NOTHING
    thread_settings: Raw = NOTHING
    thread_name: str | None = None
    num_turns: int | None = None
    turn_id: str | None = None
    started_at: int | None = None
    completed_at: int | None = None
    duration_ms: int | None = None
    reason: str | None = None
    error: Raw = NOTHING


class Info(Struct, gc=False):
    """``token_count.info``."""

    total_token_usage: Raw = NOTHING


class Usage(Struct, gc=False):
    """``token_count.info.total_token_usage``."""

    total_tokens: int | None = None


class Goal(Struct, gc=False):
    """``thread_goal_updated.goal``."""

    objective: str | None = None


class Completed(Struct, gc=False):
    """``item_completed.item``."""

    type: str | None = None
    content: Raw = NOTHING
    text: str | None = None
    phase: str | None = None
    summary_text: Raw = NOTHING


class Response(Struct, gc=False):
    """``response_item``: what the model was sent and what it sent."""

    type: str | None = None
    role: str | None = None
    content: Raw = NOTHING
    summary: Raw = NOTHING
    name: str | None = None
    call_id: str | None = None
    arguments: str | None = None
    input: str | None = None
    action: Raw = NOTHING
    output: Raw = NOTHING


class Part(Struct, gc=False):
    """One piece of a message."""

    type: str | None = None
    text: str | None = None


ENVELOPE = Shape(Envelope)
META = Shape(Meta)
GIT = Shape(Git)
BASE = Shape(Base)
SPAWN = Shape(Spawn)
CONTEXT = Shape(Context)
EVENT = Shape(Event)
INFO = Shape(Info)
USAGE = Shape(Usage)
GOAL = Shape(Goal)
COMPLETED = Shape(Completed)
RESPONSE = Shape(Response)
PART = Shape(Part)
