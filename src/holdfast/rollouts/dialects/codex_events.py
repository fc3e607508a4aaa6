"""Events of a Codex rollout: what was said, spent, renamed, begun and ended, as items. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from holdfast.rollouts import items
from holdfast.rollouts.dialects import codex_wire as wire
from holdfast.rollouts.dialects.codex_display import AS_ITEM
from holdfast.rollouts.dialects.codex_settings import settings_applied
from holdfast.rollouts.dialects.loose import Broken, compact, short, text, whole
from holdfast.rollouts.items import Item

WORDS = frozenset({"user_message", "item_completed"})
"""Kinds of event that may hold words of the user."""

_IGNORED = frozenset(
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
PASSED_OVER = _IGNORED | {
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


def event(raw: Raw, about: dict[str, Any]) -> Item | None:
    """Return what an ``event_msg`` tells; ``Other`` for what changes nothing."""
    told = wire.EVENT.read(raw)
    if told is None or told.type is None:
        return None
    reader = _READERS.get(told.type)
    known = reader is not None or told.type in _IGNORED
    found = reader(told, about) if reader is not None else None
    return found or items.Other(kind=f"event_msg/{text(told.type, 80)}", known=known, **about)


def _user_message(event: wire.Event, about: dict[str, Any]) -> Item | None:
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


def _agent_message(event: wire.Event, about: dict[str, Any]) -> Item | None:
    return items.AgentMessage(text=text(event.message) or "", phase=short(event.phase), **about)


def _agent_reasoning(event: wire.Event, about: dict[str, Any]) -> Item | None:
    return items.Reasoning(text=text(event.text) or "", **about)


def _item_completed(event: wire.Event, about: dict[str, Any]) -> Item | None:
    item = wire.COMPLETED.read(event.item)
    if item is None or item.type is None:
        return None
    as_item = AS_ITEM.get(item.type)
    return as_item(item, about) if as_item else items.Other(kind=f"item/{text(item.type, 80)}", **about)


def _token_count(event: wire.Event, about: dict[str, Any]) -> Item | None:
    info = wire.INFO.read(event.info)
    usage = wire.USAGE.read(info.total_token_usage) if info else None
    if usage is None or usage.total_tokens is None:
        return None  # only rate limits, this time
    return items.TokenCount(total=whole(max(usage.total_tokens, 0)) or 0, **about)


def _goal_updated(event: wire.Event, about: dict[str, Any]) -> Item | None:
    goal = wire.GOAL.read(event.goal)
    return items.GoalUpdated(objective=text(goal.objective) or "", **about) if goal else None


def _turn_started(event: wire.Event, about: dict[str, Any]) -> Item | None:
    return items.TurnStarted(turn_id=short(event.turn_id), started_ms=_seconds(event.started_at), **about)


def _turn_complete(event: wire.Event, about: dict[str, Any]) -> Item | None:
    error = compact(event.error)
    return items.TurnEnded(status="failed" if error else "completed", error=error, **_ending(event), **about)


def _turn_aborted(event: wire.Event, about: dict[str, Any]) -> Item | None:
    return items.TurnEnded(status=short(event.reason) or "interrupted", **_ending(event), **about)


def _ending(event: wire.Event) -> dict[str, Any]:
    return {
        "turn_id": short(event.turn_id),
        "ended_ms": _seconds(event.completed_at),
        "duration_ms": whole(event.duration_ms),
    }


def _name_updated(event: wire.Event, about: dict[str, Any]) -> Item | None:
    return items.NameUpdated(name=(text(event.thread_name) or "").strip(), **about)


def _rolled_back(event: wire.Event, about: dict[str, Any]) -> Item | None:
    turns = whole(event.num_turns)
    return None if turns is None else items.RolledBack(turns=turns, **about)


def _seconds(value: int | None) -> int | None:
    return value * 1000 if value is not None and 0 <= value < 1 << 40 else None


_READERS: dict[str, Callable[[wire.Event, dict[str, Any]], Item | None]] = {
    "user_message": _user_message,
    "agent_message": _agent_message,
    "agent_reasoning": _agent_reasoning,
    "item_completed": _item_completed,
    "token_count": _token_count,
    "thread_goal_updated": _goal_updated,
    "thread_settings_applied": settings_applied,
    "thread_name_updated": _name_updated,
    "thread_rolled_back": _rolled_back,
    **dict.fromkeys(TURN_STARTS, _turn_started),
    "task_complete": _turn_complete,
    "turn_complete": _turn_complete,
    "turn_aborted": _turn_aborted,
}
