"""Lines of a Codex rollout, both history modes, as items. Pure.

Two stages: the outside first, with its payload left as bytes; the payload
only of kinds that matter. Whatever a line holds, ``parse`` returns a value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from holdfast.rollouts import items
from holdfast.rollouts.dialects import codex_wire as wire
from holdfast.rollouts.dialects.codex_display import response
from holdfast.rollouts.dialects.codex_events import event
from holdfast.rollouts.dialects.codex_meta import session_meta
from holdfast.rollouts.dialects.codex_settings import turn_context
from holdfast.rollouts.dialects.loose import Broken, text, whole
from holdfast.rollouts.dialects.times import ms
from holdfast.rollouts.items import Item

_IGNORED = frozenset(
    {"world_state", "inter_agent_communication", "inter_agent_communication_metadata", "token_usage_record"}
)
PASSED_OVER = _IGNORED | {"response_item", "compacted"}
"""Kinds of line in which nothing changes what is known of a thread; most are what the model saw and wrote."""


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
            return session_meta(first.payload, about) or items.Unread(reason=_INCOMPLETE, **about)
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


def _compacted(raw: Raw, about: _About) -> Item:
    found = wire.EVENT.read(raw)
    return items.Compacted(summary=text(found.message) or "" if found else "", **about)


_META_LINE = msgspec.json.Decoder(wire.MetaLine)
_READERS: dict[str, Callable[[Raw, _About], Item | None]] = {
    "session_meta": lambda raw, about: session_meta(wire.META.read(raw), about),
    "turn_context": turn_context,
    "event_msg": event,
    "compacted": _compacted,
    "response_item": response,
}
