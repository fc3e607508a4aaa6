"""The first line of a rollout: what Codex 0.169 wants to read there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast import ids
from holdfast.errors import Refused
from holdfast.rollouts.writing.lines import timestamp
from holdfast.rollouts.writing.model import HistoryBase

MODES = ("paginated", "legacy")


def session_meta(
    given: Mapping[str, Any], *, thread_id: bytes, window_id: bytes, now_ms: int, base: HistoryBase | None
) -> dict[str, Any]:
    """Return the payload of a ``session_meta``: ``given``, and what it leaves out, in Codex's order.

    ``cwd`` must be given; of the rest, ``originator`` (``holdfast``),
    ``cli_version``, ``source`` (``cli``), ``model_provider``,
    ``base_instructions`` (null), ``history_mode`` (``paginated``) and the ids
    have a default. Keys we do not know are kept. Raises ``Refused`` for what
    Codex could not read back.
    """
    if not isinstance(given.get("cwd"), str) or not given["cwd"].startswith("/"):
        raise Refused(f"a thread needs the absolute path it works in as cwd, got {given.get('cwd')!r}")
    mode = given.get("history_mode", "paginated")
    if mode not in MODES:
        raise Refused(f"history_mode is one of {', '.join(MODES)}, got {mode!r}")
    if base is not None and mode != "paginated":
        raise Refused("a legacy thread has no history_base: copy the lines it is to begin with")
    if "history_base" in given:
        raise Refused("give the base of a fork as base=, where it is checked, not inside the meta")
    for name in ("originator", "cli_version"):
        if not isinstance(given.get(name, ""), str):
            raise Refused(f"{name} is a text, got {given[name]!r}")
    id = ids.text(thread_id)
    meta: dict[str, Any] = {
        "session_id": id,
        "id": id,
        "timestamp": timestamp(now_ms),
        "cwd": given["cwd"],
        "originator": "holdfast",
        "cli_version": "0.0.0",
        "source": "cli",
        "model_provider": None,
        "base_instructions": None,
        "history_mode": mode,
        "context_window": {"window_id": ids.text(window_id)},
    }
    if base is not None:
        meta["forked_from_id"] = base.thread_id
        meta["forked_from_ordinal_exclusive"] = base.end_ordinal_exclusive
        meta["history_base"] = {
            "thread_id": base.thread_id,
            "end_ordinal_exclusive": base.end_ordinal_exclusive,
            "end_byte_offset": base.end_byte_offset,
        }
    return meta | dict(given) | {"id": id}
