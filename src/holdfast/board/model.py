"""The words of the room, as values: a board, a task, a run, and what a claim of a task comes to."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

import msgspec

from holdfast.holds.model import Hold, Owner

Gate = Literal["none", "done", "passed", "failed", "ended"]
Stage = Literal["work", "review"]
Scope = Literal["any", "open"]
WorkspaceKind = Literal["scratch", "directory", "worktree"]


class Status(StrEnum):
    """Where a task is. What may become of it: ``moves.py``."""

    TRIAGE = "triage"
    TODO = "todo"
    SCHEDULED = "scheduled"
    READY = "ready"
    RUNNING = "running"
    BLOCKED = "blocked"
    REVIEW = "review"
    DONE = "done"
    CANCELLED = "cancelled"
    ARCHIVED = "archived"


class BlockKind(StrEnum):
    """Why a task is blocked. Only ``DEPENDENCY``, ``CHILDREN`` and ``VETO`` end by themselves."""

    NEEDS_INPUT = "needs_input"
    DEPENDENCY = "dependency"
    CAPABILITY = "capability"
    TRANSIENT = "transient"
    CHILDREN = "children"
    FAILURES = "failures"
    VETO = "veto"


class Outcome(StrEnum):
    """How a run ended."""

    COMPLETED = "completed"
    REVIEW = "review"
    CHANGES = "changes"
    BLOCKED = "blocked"
    CRASHED = "crashed"
    EXPIRED = "expired"
    TIMED_OUT = "timed_out"
    SILENT = "silent"
    SPAWN_FAILED = "spawn_failed"
    RATE_LIMITED = "rate_limited"
    PROTOCOL = "protocol"
    RELEASED = "released"
    CANCELLED = "cancelled"
    RECLAIMED = "reclaimed"


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """A set of tasks that workers share. ``running_max`` at once; None: any number."""

    board_id: int
    slug: str
    name: str
    description: str
    workdir: str | None
    running_max: int | None
    created_ms: int
    changed_ms: int
    archived_ms: int | None


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A card. Its hold (``owner``, ``fence`` and so on) is that of the last claim; ``fence`` 0: never claimed.

    ``stage`` says which queue it is in when it is up: to be worked on, or to
    be reviewed. ``gates_open`` and ``gates_vetoed`` count its parents that
    keep it waiting, ``children_open`` its children that are not over.
    ``block_kind`` and ``block_recurrences`` outlive a block. ``result`` and
    ``metadata`` are JSON values. Times are in ms; ``due_ms`` counts while it
    is scheduled.
    """

    task_id: int
    board_id: int
    alias: str | None
    title: str
    body: str
    status: Status
    archived_from: Status | None
    stage: Stage
    priority: int
    assignee: str
    tenant: str
    created_by: str
    created_ms: int
    changed_ms: int
    ready_ms: int
    due_ms: int
    started_ms: int | None
    ended_ms: int | None
    gates_open: int
    gates_vetoed: int
    children_open: int
    links: int
    block_kind: BlockKind | None
    block_reason: str | None
    block_recurrences: int
    failures: int
    failures_max: int
    failure: str | None
    verdict: str | None
    summary: str | None
    result: Any
    metadata: Any
    workspace_kind: WorkspaceKind
    workspace: str | None
    branch: str | None
    time_max_ms: int | None
    silence_max_ms: int | None
    attempts: int
    run_id: int | None
    seq_events: int
    owner: Owner | None
    fence: int
    taken_ms: int
    renewed_ms: int
    expires_ms: int
    note: str

    @property
    def hold(self) -> Hold | None:
        """The hold of the last claim, in force or over; None: never claimed."""
        if self.owner is None:
            return None
        name = resource(self.task_id)
        return Hold(name, self.owner, self.fence, self.taken_ms, self.renewed_ms, self.expires_ms, self.note)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at a task. ``ended_ms`` and ``outcome`` None: it goes on."""

    run_id: int
    task_id: int
    attempt: int
    stage: Stage
    assignee: str
    owner: Owner | None
    fence: int
    started_ms: int
    ended_ms: int | None
    outcome: Outcome | None
    summary: str | None
    metadata: Any
    failure: str | None
    exit_code: int | None
    log: str | None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a task. ``seq`` counts those of one task; from ``event_id`` a follower goes on."""

    event_id: int
    board_id: int
    task_id: int
    seq: int
    run_id: int | None
    kind: str
    payload: Any
    at_ms: int


class Created(msgspec.Struct, frozen=True):
    """There is a task that was not there before."""

    task: Task


class Known(msgspec.Struct, frozen=True):
    """Nothing was changed: this request was made before, and this is the task it made."""

    task: Task


class Claimed(msgspec.Struct, frozen=True):
    """The right to do ``task``, under ``hold``. Every word on it carries ``fence``."""

    task: Task
    hold: Hold
    run: int
    attempt: int

    @property
    def fence(self) -> int:
        """Grows with each claim of this task and never restarts."""
        return self.hold.fence


class Taken(msgspec.Struct, frozen=True):
    """Somebody is at it, until ``until_ms`` unless they renew."""

    task: Task
    by: Owner
    until_ms: int


class Waiting(msgspec.Struct, frozen=True):
    """It is not to be claimed now; its status says why. ``until_ms``: when that changes by itself, if that is known."""

    task: Task
    until_ms: int | None


class Capped(msgspec.Struct, frozen=True):
    """As many run as may. ``assignee`` None: the cap on the whole board."""

    assignee: str | None
    running: int
    running_max: int


class Idle(msgspec.Struct, frozen=True):
    """Nothing to do now; ``until_ms`` is when that may change by itself, None: only when somebody does something."""

    until_ms: int | None
    capped: tuple[Capped, ...] = ()


class Swept(msgspec.Struct, frozen=True):
    """What a sweep found: tasks that were due, and claims that were lost with their workers."""

    due: int
    crashed: int
    expired: int


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """One task waits for another. ``title``, ``status`` (as it was put away) and so on are of the other end."""

    parent_id: int
    child_id: int
    gate: Gate
    title: str
    status: Status
    verdict: str | None
    summary: str | None
    metadata: Any
    ended_ms: int | None
    state: Literal["open", "met", "veto"] | None
    """What the gate says to the child; None where the other end is the child."""


class Page(msgspec.Struct, frozen=True):
    """Some tasks of a list; ``after`` is where the next page goes on, None: this was the last one."""

    tasks: tuple[Task, ...]
    after: str | None


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """How a board stands. ``counts`` has every status. ``ready_since_ms``: since when the longest waiting is ready."""

    board: Board
    counts: dict[Status, int]
    blocked: dict[BlockKind, int]
    running: dict[str, int]
    """Tasks that run, by assignee."""
    caps: dict[str, int]
    ready_since_ms: int | None
    until_ms: int | None
    """When something changes by itself: a task is due, or a lease ends."""


OPEN = frozenset(Status) - {Status.DONE, Status.CANCELLED, Status.ARCHIVED}
ENDED = frozenset(Status) - OPEN


def resource(task_id: int) -> str:
    """Return what the hold of a task is called."""
    return f"task:{task_id}"
