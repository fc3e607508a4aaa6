"""What happened on a board as lines: coloured for a person, fields for a pipe, JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from holdfast.cli.render import out, safe, words
from holdfast.cli.render.board import event_document

if TYPE_CHECKING:
    from holdfast.board import Event

_PLAIN = ("status", "why", "reason", "note", "summary", "failure", "error")  # said without their name, and last


def printer(*, as_json: bool) -> Callable[[Event, str], None]:
    """Return what prints one event and the title of its task, as suits whoever reads it."""
    if as_json:
        return lambda event, title: out.json_line(event_document(event) | {"title": title})
    if not out.is_terminal():
        return lambda event, title: out.fields(
            words.utc(event.at_ms), str(event.task_id), event.kind, told(event.payload), title
        )
    # Not rich, which takes 40 ms to import: --lines is for those who wait for the first one.
    dim, cyan, plain = out.styles("\x1b[2m", "\x1b[36m", "\x1b[0m")

    def show(event: Event, title: str) -> None:
        about = f"{dim}{words.local(event.at_ms)}{plain} {cyan}{event.task_id}{plain} {safe.line(event.kind)}"
        said = told(event.payload)
        out.line(f"{about}{': ' if said else ''}{said}  {dim}{safe.line(title)}{plain}")

    return show


def told(payload: Any) -> str:
    """Return what an event says besides its kind, on one line."""
    if payload is None:
        return ""
    if not isinstance(payload, dict):
        return safe.line(str(payload))
    named = [f"{name} {_text(name, value)}" for name, value in payload.items() if _is_told(name, value)]
    plain = [_text(name, payload[name]) for name in _PLAIN if payload.get(name) not in (None, "")]
    return ", ".join([*named, *plain])


def _is_told(name: str, value: Any) -> bool:
    return name not in _PLAIN and value not in (None, "", 0)


def _text(name: str, value: Any) -> str:
    if name.endswith("_ms") and isinstance(value, int) and value > 10**11:  # a time, not a length of time
        return words.local(value)
    if isinstance(value, str):
        return safe.line(value)
    import json

    return safe.line(json.dumps(value, ensure_ascii=False))
