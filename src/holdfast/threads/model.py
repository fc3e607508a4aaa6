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
    deleted_at_ms: int | None = None

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
    thread id whose children are asked for, ``ancestor`` of one whose children,
    their children, and so on are.
    """

    sort: Sort = Sort.UPDATED
    direction: Direction = Direction.DESC
    archived: bool | None = False
    sources: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    cwds: tuple[str, ...] = ()
    search: str | None = None
    parent: bytes | None = None
    ancestor: bytes | None = None
    missing: bool = False
    """Also threads whose file is gone."""
    deleted: bool = False
    """Only threads that somebody deleted here; else none of them."""


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


class SpawnStatus(StrEnum):
    """Whether the agent that was spawned may still be told to go on."""

    OPEN = "open"
    CLOSED = "closed"


class MemoryMode(StrEnum):
    """Whether a thread may be remembered; ``polluted``: it read what nobody should learn from."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    POLLUTED = "polluted"


class Spawn(msgspec.Struct, frozen=True, kw_only=True):
    """Who spawned whom. ``said``: somebody said so; else the rollout of the child does, and the status is open.

    The child need not have a rollout yet.
    """

    id: str
    parent_id: str
    status: str
    said: bool


class Doomed(msgspec.Struct, frozen=True, kw_only=True):
    """A thread that a delete would take out of sight, and what goes with it.

    ``file`` is its rollout, of ``bytes``: it stays where it is. ``messages``
    are those in the index of words, 0 when none is. ``edges`` count what was
    said of spawning, as a child and as a parent. ``tools`` is None when none
    are known. ``holds`` name who has a right to it just now.
    """

    id: str
    label: str
    file: str
    bytes: int
    messages: int = 0
    tools: int | None = None
    edges: int = 0
    holds: tuple[str, ...] = ()


class DeletePreview(msgspec.Struct, frozen=True, kw_only=True):
    """What a delete would do, measured: ``threads`` in the order they would go, children before who spawned them."""

    thread_id: str
    home: str
    threads: tuple[Doomed, ...]

    @property
    def bytes(self) -> int:
        """What their rollouts take."""
        return sum(each.bytes for each in self.threads)


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """What a delete did. ``thread_ids`` in the order they went; ``undelete`` of the last brings all of them back."""

    thread_id: str
    home: str
    thread_ids: tuple[str, ...]
    deleted_at_ms: int


def _utc(ms: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC)
