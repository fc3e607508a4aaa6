"""The parts of a Codex line that are only for reading: messages, thoughts, tools. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from holdfast.rollouts import items
from holdfast.rollouts.dialects import codex_wire as wire
from holdfast.rollouts.dialects.loose import Broken, compact, mended, short, text
from holdfast.rollouts.items import Item

_IMAGES = frozenset({"image", "local_image", "input_image"})
_AUDIO = frozenset({"audio", "local_audio", "input_audio"})


def response(raw: Raw, about: dict[str, Any]) -> Item | None:
    """Return what a ``response_item`` shows; ``Other`` for what only the model reads."""
    found = wire.RESPONSE.read(raw)
    kind = found.type if found else None
    if found is None or kind is None:
        return items.Other(kind="response_item", **about)
    call_id = short(found.call_id)
    match kind:
        case "message":
            return items.ModelMessage(role=short(found.role) or "", text=joined(found.content), **about)
        case "function_call" | "custom_tool_call" | "tool_search_call":
            written = text(found.arguments if found.arguments is not None else found.input)
            return items.ToolCall(call_id=call_id, name=short(found.name) or kind, arguments=written or "", **about)
        case "local_shell_call" | "web_search_call":
            return items.ToolCall(call_id=call_id, name=kind, arguments=compact(found.action) or "", **about)
        case "function_call_output" | "custom_tool_call_output" | "tool_search_output":
            return items.ToolOutput(call_id=call_id, text=_output(found.output), **about)
        case _:
            return items.Other(kind=f"response_item/{text(kind, 80)}", **about)


def joined(raw: Raw) -> str:
    """Return the texts of a list of parts, joined; a bare string as it is."""
    if not raw:
        return ""
    whole = _text_of(raw)
    return whole if whole is not None else "".join(text(part.text) or "" for part in _parts(raw))


def _user(item: wire.Completed, about: dict[str, Any]) -> Item:
    parts = _parts(item.content)
    return items.UserMessage(
        text="".join(text(part.text) or "" for part in parts),
        images=sum(part.type in _IMAGES for part in parts),
        audio=sum(part.type in _AUDIO for part in parts),
        **about,
    )


def _agent(item: wire.Completed, about: dict[str, Any]) -> Item:
    return items.AgentMessage(text=joined(item.content), phase=short(item.phase), **about)


def _plan(item: wire.Completed, about: dict[str, Any]) -> Item:
    return items.AgentMessage(text=text(item.text) or "", phase="plan", **about)


def _reasoning(item: wire.Completed, about: dict[str, Any]) -> Item:
    return items.Reasoning(text="\n\n".join(_texts(item.summary_text)), **about)


AS_ITEM: dict[str, Callable[[wire.Completed, dict[str, Any]], Item]] = {
    "UserMessage": _user,
    "AgentMessage": _agent,
    "Plan": _plan,
    "Reasoning": _reasoning,
}
"""What ``item_completed`` holds. Without tools: their ``response_item`` says the same in both modes."""


def _output(raw: Raw) -> str:
    whole = _text_of(raw)
    if whole is not None:
        return whole
    return joined(raw) or compact(raw) or ""


def _text_of(raw: Raw) -> str | None:
    if not raw:
        return None
    try:
        return text(msgspec.json.decode(raw, type=str))
    except Broken:
        pass
    try:
        return text(msgspec.json.decode(mended(bytes(raw)), type=str))
    except Broken:
        return None


def _parts(raw: Raw) -> list[wire.Part]:
    try:
        return msgspec.json.decode(raw, type=list[wire.Part])
    except Broken:
        pass
    try:
        return [part for each in msgspec.json.decode(raw, type=list[Raw]) if (part := wire.PART.read(each))]
    except Broken:
        return []


def _texts(raw: Raw) -> list[str]:
    try:
        return [found for each in msgspec.json.decode(raw, type=list[Raw]) if (found := _text_of(each))]
    except Broken:
        return []
