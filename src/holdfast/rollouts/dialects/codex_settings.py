"""What a Codex thread works under: directory, model, what it may do and what it must ask for. Pure."""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from holdfast.rollouts import items
from holdfast.rollouts.dialects import codex_wire as wire
from holdfast.rollouts.dialects.loose import compact, short
from holdfast.rollouts.items import Item


def turn_context(raw: Raw, about: dict[str, Any]) -> Item | None:
    """Return what a turn begins with."""
    context = wire.CONTEXT.read(raw)
    if context is None:
        return None
    turn_id, effort = short(context.turn_id), short(context.effort)
    return items.TurnContext(turn_id=turn_id, effort=effort, **_settings(context), **about)


def settings_applied(event: wire.Event, about: dict[str, Any]) -> Item | None:
    """Return what was changed between turns."""
    context = wire.CONTEXT.read(event.thread_settings)
    if context is None:
        return None
    provider, effort = short(context.model_provider_id), short(context.reasoning_effort)
    return items.SettingsApplied(model_provider=provider, effort=effort, **_settings(context), **about)


def _settings(context: wire.Context) -> dict[str, Any]:
    return {
        "cwd": short(context.cwd),
        "model": short(context.model),
        "sandbox_policy": compact(context.permission_profile) or compact(context.sandbox_policy),
        "approval_mode": _approval(context.approval_policy),
    }


def _approval(raw: Raw) -> str | None:
    mode = compact(raw)
    return "on-request" if mode == "on-failure" else mode  # the older spelling of the same
