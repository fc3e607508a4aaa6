"""Lines of a Codex rollout, both history modes, as items. Pure.

Two stages: the outside first, with its payload left as bytes; the payload
only of kinds that matter. Whatever a line holds, ``parse`` returns a value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from holdfast import ids
from holdfast.rollouts import items
from holdfast.rollouts.dialects import codex_wire as wire
from holdfast.rollouts.dialects.codex_display import AS_ITEM, response
from holdfast.rollouts.dialects.loose import Broken, compact, short, text, whole
from holdfast.rollouts.dialects.times import ms
from holdfast.rollouts.items import Item

_IGNORED = frozenset(
    {"world_state", "inter_agent_communication", "inter_agent_communication_metadata", "token_usage_record"}
)
PASSED_OVER = _IGNORED | {"response_item", "compacted"}
"""Kinds of line in which nothing changes what is known of a thread; most are what the model saw and wrote."""

WORDS = frozenset({"user_message", "item_completed"})
"""Kinds of event that may hold words of the user."""

_EVENTS_IGNORED = frozenset(
    {
        "agent_reasoning_raw_content",
        "context_compacted",
        "entered_review_mode",
        "exited_review_mode",
        "image_generation_end",
        "mcp_tool_call_end",
        "patch_apply_end",
        "sub_agent_activity",
        "web_search_end",
        # Releases up to May 2026 could be asked to keep more.
        "error",
        "exec_command_end",
        "guardian_assessment",
        "warning",
    }
)
EVENTS_PASSED_OVER = _EVENTS_IGNORED | {
    "agent_message",
    "agent_reasoning",
    "task_complete",
    "thread_rolled_back",
    "turn_aborted",
    "turn_complete",
}
"""Kinds of event that change nothing known of a thread."""

TURN_STARTS = frozenset({"task_started", "turn_started"})
"""Two spellings: the name changed, the files did not."""

_SOURCE_WORDS = frozenset({"cli", "vscode", "exec", "mcp"})


def parse(line: bytes) -> Item:
    """Return what one line (without its newline) says. Never raises: what cannot be read is ``Unread``."""
    repaired = False
    if not line.isascii():
        try:
            line.decode()
        except UnicodeDecodeError:
            line, repaired = line.decode("utf-8", "replace").encode(), True
    if line.startswith(b"\0"):  # a power cut left a hole, and the next writer went on behind it
        line, repaired = line.lstrip(b"\0"), True
    if b'"session_meta"' in line[:100]:
        # The longest line of most files, mostly instructions: read once instead of twice.
        try:
            first = _META_LINE.decode(line)
        except Broken:
            pass
        else:
            about = _about(first, repaired)
            return _session_meta(first.payload, about) or items.Unread(reason=_INCOMPLETE, **about)
    envelope = wire.ENVELOPE.read(line)
    if envelope is None:
        return items.Unread(reason="no JSON object" if line else "only NUL bytes", repaired=repaired)
    return item_of(envelope, repaired=repaired)


def item_of(envelope: wire.Envelope, *, repaired: bool = False) -> Item:
    """Return what a line says whose outside has been read."""
    kind = envelope.type
    about = _about(envelope, repaired)
    if kind is None:
        return items.Unread(reason="no type", **about)
    reader = _READERS.get(kind)
    if reader is None:
        return items.Other(kind=text(kind, 80) or "", known=kind in _IGNORED, **about)
    return reader(envelope.payload, about) or items.Unread(reason=_INCOMPLETE, **about)


_INCOMPLETE = "without what it needs"
_About = dict[str, Any]  # the fields of `items.Line`


def _about(outside: wire.Envelope | wire.MetaLine, repaired: bool) -> _About:
    return {"timestamp_ms": ms(outside.timestamp), "ordinal": whole(outside.ordinal), "repaired": repaired}


def _session_meta(meta: wire.Meta | None, about: _About) -> Item | None:
    id16 = _id(meta.id) if meta else None
    if meta is None or id16 is None:
        return None
    source, kind, spawn = _source(meta.source)
    git = wire.GIT.read(meta.git) if meta.git else None
    base = wire.BASE.read(meta.history_base) if meta.history_base else None
    return items.SessionMeta(
        id=id16,
        session_id=_id(meta.session_id) or id16,
        forked_from_id=_id(meta.forked_from_id),
        parent_thread_id=_id(meta.parent_thread_id) or _id(spawn.parent_thread_id),
        created_ms=ms(meta.timestamp),
        cwd=short(meta.cwd),
        originator=short(meta.originator),
        cli_version=short(meta.cli_version),
        source=source,
        source_kind=kind,
        thread_source=short(meta.thread_source),
        agent_nickname=short(meta.agent_nickname or spawn.agent_nickname),
        agent_role=short(meta.agent_role or meta.agent_type or spawn.agent_role or spawn.agent_type),
        agent_path=short(meta.agent_path or spawn.agent_path),
        model_provider=short(meta.model_provider),
        memory_mode=short(meta.memory_mode),
        history_mode=short(meta.history_mode) or "legacy",
        git=items.Git(short(git.commit_hash), short(git.branch), short(git.repository_url)) if git else None,
        base_thread_id=_id(base.thread_id) if base else None,
        base_end_ordinal=whole(base.end_ordinal_exclusive) if base else None,
        own_start_ordinal=whole(meta.subagent_history_start_ordinal),
        **about,
    )


def _source(raw: Raw) -> tuple[str, str, wire.Spawn]:
    """Return the source as Codex stores it, its kind, and who spawned it."""
    found = compact(raw) or "vscode"
    if not found.startswith("{"):
        return (found, found, _NOBODY) if found in _SOURCE_WORDS else ("unknown", "unknown", _NOBODY)
    try:
        tree = msgspec.json.decode(found, type=dict[str, Raw])
        for kind in ("subagent", "internal", "custom"):
            if kind in tree:
                inner = msgspec.json.decode(tree[kind], type=dict[str, Raw] | str) if kind == "subagent" else ""
                spawn = inner.get("thread_spawn") if isinstance(inner, dict) else None
                return found, kind, (wire.SPAWN.read(spawn) if spawn else None) or _NOBODY
    except Broken:
        return found, "subagent", _NOBODY  # only its inside is not what we know
    return found, "unknown", _NOBODY


_NOBODY = wire.Spawn()


def _turn_context(raw: Raw, about: _About) -> Item | None:
    context = wire.CONTEXT.read(raw)
    if context is None:
        return None
    return items.TurnContext(
        turn_id=short(context.turn_id),
        cwd=short(context.cwd),
        model=short(context.model),
        effort=short(context.effort),
        sandbox_policy=compact(context.permission_profile) or compact(context.sandbox_policy),
        approval_mode=_approval(context.approval_policy),
        **about,
    )


def _settings_applied(event: wire.Event, about: _About) -> Item | None:
    settings = wire.CONTEXT.read(event.thread_settings)
    if settings is None:
        return None
    return items.SettingsApplied(
        cwd=short(settings.cwd),
        model=short(settings.model),
        model_provider=short(settings.model_provider_id),
        effort=short(settings.reasoning_effort),
        sandbox_policy=compact(settings.permission_profile) or compact(settings.sandbox_policy),
        approval_mode=_approval(settings.approval_policy),
        **about,
    )


def _approval(raw: Raw) -> str | None:
    mode = compact(raw)
    return "on-request" if mode == "on-failure" else mode  # the older spelling of the same


def _event(raw: Raw, about: _About) -> Item | None:
    event = wire.EVENT.read(raw)
    if event is None or event.type is None:
        return None
    reader = _EVENT_READERS.get(event.type)
    known = reader is not None or event.type in _EVENTS_IGNORED
    found = reader(event, about) if reader is not None else None
    return found or items.Other(kind=f"event_msg/{text(event.type, 80)}", known=known, **about)


def _user_message(event: wire.Event, about: _About) -> Item | None:
    return items.UserMessage(
        text=text(event.message) or "",
        images=_count(event.images) + _count(event.local_images),
        audio=_count(event.audio) + _count(event.local_audio),
        **about,
    )


def _count(raw: Raw) -> int:
    if not raw:
        return 0
    try:
        return len(msgspec.json.decode(raw, type=list[Raw] | None) or ())
    except Broken:
        return 0


def _agent_message(event: wire.Event, about: _About) -> Item | None:
    return items.AgentMessage(text=text(event.message) or "", phase=short(event.phase), **about)


def _agent_reasoning(event: wire.Event, about: _About) -> Item | None:
    return items.Reasoning(text=text(event.text) or "", **about)


def _item_completed(event: wire.Event, about: _About) -> Item | None:
    item = wire.COMPLETED.read(event.item)
    if item is None or item.type is None:
        return None
    as_item = AS_ITEM.get(item.type)
    return as_item(item, about) if as_item else items.Other(kind=f"item/{text(item.type, 80)}", **about)


def _token_count(event: wire.Event, about: _About) -> Item | None:
    info = wire.INFO.read(event.info)
    usage = wire.USAGE.read(info.total_token_usage) if info else None
    if usage is None or usage.total_tokens is None:
        return None  # only rate limits, this time
    return items.TokenCount(total=whole(max(usage.total_tokens, 0)) or 0, **about)


def _goal_updated(event: wire.Event, about: _About) -> Item | None:
    goal = wire.GOAL.read(event.goal)
    return items.GoalUpdated(objective=text(goal.objective) or "", **about) if goal else None


def _turn_started(event: wire.Event, about: _About) -> Item | None:
    return items.TurnStarted(turn_id=short(event.turn_id), started_ms=_seconds(event.started_at), **about)


def _turn_complete(event: wire.Event, about: _About) -> Item | None:
    error = compact(event.error)
    return items.TurnEnded(status="failed" if error else "completed", error=error, **_ending(event), **about)


def _turn_aborted(event: wire.Event, about: _About) -> Item | None:
    return items.TurnEnded(status=short(event.reason) or "interrupted", **_ending(event), **about)


def _ending(event: wire.Event) -> dict[str, Any]:
    return {
        "turn_id": short(event.turn_id),
        "ended_ms": _seconds(event.completed_at),
        "duration_ms": whole(event.duration_ms),
    }


def _name_updated(event: wire.Event, about: _About) -> Item | None:
    return items.NameUpdated(name=(text(event.thread_name) or "").strip(), **about)


def _rolled_back(event: wire.Event, about: _About) -> Item | None:
    turns = whole(event.num_turns)
    return None if turns is None else items.RolledBack(turns=turns, **about)


def _compacted(raw: Raw, about: _About) -> Item:
    event = wire.EVENT.read(raw)
    return items.Compacted(summary=text(event.message) or "" if event else "", **about)


def _id(value: str | None) -> bytes | None:
    return ids.parse(value) if value else None


def _seconds(value: int | None) -> int | None:
    return value * 1000 if value is not None and 0 <= value < 1 << 40 else None


_META_LINE = msgspec.json.Decoder(wire.MetaLine)
_READERS: dict[str, Callable[[Raw, _About], Item | None]] = {
    "session_meta": lambda raw, about: _session_meta(wire.META.read(raw), about),
    "turn_context": _turn_context,
    "event_msg": _event,
    "compacted": _compacted,
    "response_item": response,
}
_EVENT_READERS: dict[str, Callable[[wire.Event, _About], Item | None]] = {
    "user_message": _user_message,
    "agent_message": _agent_message,
    "agent_reasoning": _agent_reasoning,
    "item_completed": _item_completed,
    "token_count": _token_count,
    "thread_goal_updated": _goal_updated,
    "thread_settings_applied": _settings_applied,
    "thread_name_updated": _name_updated,
    "thread_rolled_back": _rolled_back,
    **dict.fromkeys(TURN_STARTS, _turn_started),
    "task_complete": _turn_complete,
    "turn_complete": _turn_complete,
    "turn_aborted": _turn_aborted,
}
