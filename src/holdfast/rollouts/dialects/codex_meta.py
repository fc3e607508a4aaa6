"""The first line of a Codex rollout: whose file it is, who started it, what it continues. Pure."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from holdfast import ids
from holdfast.rollouts import items
from holdfast.rollouts.dialects import codex_wire as wire
from holdfast.rollouts.dialects.loose import Broken, compact, json_list, short, whole
from holdfast.rollouts.dialects.times import ms
from holdfast.rollouts.items import Item

_SOURCE_WORDS = frozenset({"cli", "vscode", "exec", "mcp"})
_NOBODY = wire.Spawn()


def session_meta(meta: wire.Meta | None, about: dict[str, Any]) -> Item | None:
    """Return who the thread of a file is, and where it comes from; None without an id."""
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
        tools=json_list(meta.dynamic_tools) if meta.dynamic_tools else None,
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


def _id(value: str | None) -> bytes | None:
    return ids.parse(value) if value else None
