"""The items of a thread, to be written again in another file: for a fork that cannot just point at its origin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec import Raw

from holdfast import ids
from holdfast.errors import Refused
from holdfast.rollouts.dialects import codex
from holdfast.rollouts.items import SessionMeta
from holdfast.rollouts.stream import whole_lines

ResolveBase = Callable[[bytes], str | None]
"""Given the 16 bytes of a thread id, returns the absolute path of its rollout, or None."""

_BASES_MAX = 64  # a fork of a fork of ...: nobody goes further, a circle might for ever


class _Outside(msgspec.Struct, gc=False):
    type: str
    payload: dict[str, Raw]
    ordinal: int | None = None


_outside = msgspec.json.Decoder(_Outside).decode
_value = msgspec.json.Decoder().decode


def items_of(path: str, *, resolve_base: ResolveBase, end_ordinal: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield what ``RolloutWriter.append`` takes, for each item of the thread in the file at ``path``.

    Items numbered ``end_ordinal`` and above are left out, and so is every
    ``session_meta``; lines that cannot be read are passed over. Of a thread that goes on from another, that one's come
    first. One line is in memory at a time. Raises ``Refused`` when the thread has no numbers to cut at, or when the
    file it goes on from is not there, and ``OSError``.
    """
    parts = [(path, end_ordinal)]
    meta = _meta(path)
    if end_ordinal is not None and meta.history_mode == "legacy":
        raise Refused(f"{path} is a legacy thread: its lines have no numbers to fork at")
    while meta.base_thread_id is not None:
        base = resolve_base(meta.base_thread_id)
        if base is None or len(parts) > _BASES_MAX:
            raise Refused(
                f"{path} goes on from thread {ids.text(meta.base_thread_id)}, whose file is not there",
                remedy="Bring that file back, or fork below the lines it takes over.",
            )
        end = meta.base_end_ordinal
        parts.append((base, end if end_ordinal is None or (end is not None and end < end_ordinal) else end_ordinal))
        meta = _meta(base)
    for part, end in reversed(parts):
        yield from _items(part, end)


def _items(path: str, end_ordinal: int | None) -> Iterator[dict[str, Any]]:
    for line, _ in whole_lines(path):
        try:
            seen = _outside(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if end_ordinal is not None and seen.ordinal is not None and seen.ordinal >= end_ordinal:
            return
        if seen.type != "session_meta":
            payload: dict[str, Any] = dict(seen.payload)  # the texts as they are: a copy changes no digit
            if "type" in payload:
                payload["type"] = _value(payload["type"])
            yield {"type": seen.type, "payload": payload}


def _meta(path: str) -> SessionMeta:
    for line, _ in whole_lines(path):
        if line.strip():
            meta = codex.parse(line)
            if isinstance(meta, SessionMeta):
                return meta
            break
    raise Refused(f"{path} does not begin with a session_meta: nobody knows whose lines these are")
