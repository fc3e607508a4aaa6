"""What a thread is to a reader, and what a reader may ask for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from enum import StrEnum

import msgspec


class Home(msgspec.Struct, frozen=True):
    """A directory where an agent keeps its transcripts. ``path`` is real and absolute."""

    home_id: int
    path: str
    indexed_ms: int | None = None
    names_stamp: str = ""


class Thread(msgspec.Struct, frozen=True, kw_only=True):
    """One conversation: what its rollout says of it, and what only a person said.

    Times are ms since the epoch. ``rollout_path`` is absolute and always the
    plain ``.jsonl`` spelling. ``title`` is the first words of the user,
    ``name`` what somebody called the thread. ``source`` is as Codex stores it:
    a word, or compact JSON for sub-agents.
    """

    id: str
    home: str
    rollout_path: str
    created_at_ms: int
    updated_at_ms: int
    recency_at_ms: int
    source: str
    source_kind: str
    thread_source: str | None
    model_provider: str | None
    model: str | None
    reasoning_effort: str | None
    cwd: str | None
    cli_version: str | None
    originator: str | None
    title: str
    name: str | None
    preview: str
    first_user_message: str
    tokens_used: int
    archived: bool
    archived_at_ms: int | None
    git_sha: str | None
    git_branch: str | None
    git_origin_url: str | None
    parent_thread_id: str | None
    forked_from_id: str | None
    agent_nickname: str | None
    agent_role: str | None
    agent_path: str | None
    sandbox_policy: str | None
    approval_mode: str | None
    memory_mode: str | None
    history_mode: str | None
    lines_unread: int
    missing_since_ms: int | None

    @property
    def created_at(self) -> dt.datetime:
        """When the thread began, in UTC."""
        return _utc(self.created_at_ms)

    @property
    def updated_at(self) -> dt.datetime:
        """When its last line was written, in UTC."""
        return _utc(self.updated_at_ms)

    @property
    def label(self) -> str:
        """What to call it: the name, else the title, else the preview, else its id."""
        return self.name or self.title or self.preview or self.id


class Sort(StrEnum):
    """What a list is ordered by: last line written, first line, or start of the last turn."""

    UPDATED = "updated"
    CREATED = "created"
    RECENCY = "recency"


class Direction(StrEnum):
    """Newest first, or oldest first."""

    DESC = "desc"
    ASC = "asc"


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Which threads, in which order.

    An empty tuple means "any" for ``sources``, ``providers`` and ``cwds``.
    ``archived`` None means both. ``search`` is a piece of the name, the title
    or the preview; case does not matter. ``parent`` is the 16 bytes of a
    thread id whose children are asked for.
    """

    sort: Sort = Sort.UPDATED
    direction: Direction = Direction.DESC
    archived: bool | None = False
    sources: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    cwds: tuple[str, ...] = ()
    search: str | None = None
    parent: bytes | None = None
    missing: bool = False
    """Also threads whose file is gone."""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Some threads, and where the next ones begin. ``next_cursor`` None: these are the last.

    ``complete`` is False while the home is still being indexed: more threads
    may come. ``source`` says who answered, ``index`` or ``files``.
    """

    threads: tuple[Thread, ...]
    next_cursor: str | None
    complete: bool = True
    source: str = "index"

    def __iter__(self) -> Iterator[Thread]:
        return iter(self.threads)

    def __len__(self) -> int:
        return len(self.threads)


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Where a thread's rollout lies.

    ``path`` is the plain spelling; ``file`` the file that exists (it may end
    in ``.zst``). ``verified``: its own ``session_meta`` carries the thread's
    id. ``source``: ``index`` or ``files``. ``repair``: the row that led
    elsewhere was wrong, and its repair is due.
    """

    thread_id: str
    home: str
    path: str
    file: str
    verified: bool
    source: str
    repair: str | None = None


def _utc(ms: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC)
