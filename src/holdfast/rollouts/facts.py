"""Everything that is known of a thread from its rollout alone. Values only; ``fold`` makes them.

Flat, so that it is cheap to keep as msgpack and to go on from later.
"""

from __future__ import annotations

import msgspec

TITLE_CHARS_MAX = 512
PREVIEW_CHARS_MAX = 4096
TEXT_CHARS_MAX = 4096
"""For paths, models and the like: no person reads more, and a damaged file may claim anything."""
KINDS_UNKNOWN_MAX = 8


class ThreadFacts(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One thread, as its file tells it. Times are ms since the epoch, ids 16 bytes.

    ``thread_id`` is None until a ``session_meta`` has been read. ``source`` is
    a word, or compact JSON for sub-agents; ``sandbox_policy`` is JSON text.
    ``name`` comes only from ``thread_name_updated`` lines; the names file of
    the home wins over it.
    """

    thread_id: bytes | None = None
    session_id: bytes | None = None
    forked_from_id: bytes | None = None
    parent_thread_id: bytes | None = None
    base_thread_id: bytes | None = None
    """The thread whose first lines (below ``base_end_ordinal``) come before this file's own."""
    base_end_ordinal: int | None = None
    own_start_ordinal: int | None = None
    """Below this, lines are a copy of the parent's and name nothing."""

    created_ms: int = 0
    """From the session_meta; else from a UUIDv7; else from the file name; 0 when none of them says."""
    updated_ms: int = 0
    """When the last readable line was written; 0 when no line says."""
    recency_ms: int = 0
    """When the last turn started; without turns, ``created_ms``."""
    turns: int = 0

    source: str = "vscode"
    source_kind: str = "vscode"
    """cli, vscode, exec, mcp, custom, subagent, internal or unknown."""
    thread_source: str | None = None
    agent_nickname: str | None = None
    agent_role: str | None = None
    agent_path: str | None = None
    originator: str | None = None
    model_provider: str | None = None
    model: str | None = None
    reasoning_effort: str | None = None
    cwd: str = ""
    cli_version: str = ""
    sandbox_policy: str = '{"type":"read-only"}'
    approval_mode: str = "on-request"
    memory_mode: str = "enabled"
    history_mode: str = "legacy"
    git_sha: str | None = None
    git_branch: str | None = None
    git_origin_url: str | None = None

    title: str = ""
    preview: str = ""
    first_user_message: str = ""
    first_user_ordinal: int | None = None
    """The number of the line that gave ``preview``."""
    name: str | None = None
    tokens_used: int = 0
    tools: str | None = None
    """A JSON list: of the first session_meta, of whichever thread, that has one."""

    last_ordinal: int | None = None
    lines: int = 0
    """Lines read, blank ones not counted, unread ones neither."""
    lines_before_meta: int = 0
    metas: int = 0
    """session_meta lines of this thread; those of others (copied by a fork) are in ``metas_other``."""
    metas_other: int = 0
    lines_unread: int = 0
    unread_at: int | None = None
    """Offset of the first line that could not be read, and why."""
    unread_why: str = ""
    lines_repaired: int = 0
    repaired_at: int | None = None
    unterminated: bool = False
    """The last line folded has no newline yet: whoever goes on from these facts would fold it twice."""
    kinds_unknown: list[str] = []
    """Up to ``KINDS_UNKNOWN_MAX`` kinds of line never seen before."""


def cut(text: str, chars_max: int) -> str:
    """Return ``text``, or its first ``chars_max`` characters: cut between characters, never inside one."""
    return text if len(text) <= chars_max else text[:chars_max]
