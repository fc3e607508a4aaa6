"""The words of the dispatcher, as values: how it works, what it did, what it tells of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from holdfast.board.model import Stage
from holdfast.holds.model import Owner


@dataclass(frozen=True, slots=True)
class How:
    """How tasks are dispatched. Times end in their unit.

    ``running_max``: workers at once, None: one per core. ``assignees``,
    ``tenants``, ``stages``: whose tasks, and at which stage; None: anybody's.
    Reviews wait for a person unless ``stages`` names them. ``time_max_ms`` and
    ``silence_max_ms`` are for tasks that have none of their own.
    """

    running_max: int | None = None
    assignees: tuple[str, ...] | None = None
    tenants: tuple[str, ...] | None = None
    stages: tuple[Stage, ...] = ("work",)
    lease_ms: int = 60_000
    time_max_ms: int | None = None
    silence_max_ms: int | None = None
    grace_s: float = 60.0
    """How long a drain waits for the workers."""
    kill_after_s: float = 5.0
    """Between TERM and KILL."""
    linger_s: float = 60.0
    """How long a worker may go on after it said how its task ended."""
    rate_limit_ms: int = 300_000
    """How long a task rests whose worker was told to come later (exit code 75)."""
    log_bytes_max: int = 8 * 1024 * 1024
    """Of one run's log; the middle goes."""
    logs_days: int = 30


@dataclass(frozen=True, slots=True)
class Report:
    """What a dispatcher did since it began. ``ended`` counts runs by outcome."""

    started: int = 0
    adopted: int = 0
    ended: Mapping[str, int] = field(default_factory=dict)


class Working(msgspec.Struct, frozen=True):
    """A worker at hand, as the dispatcher tells of it. ``pid`` 0: it is being made ready."""

    task_id: int
    run_id: int
    attempt: int
    assignee: str
    pid: int
    for_ms: int
    doing: str
    """``starting``, ``working``, or why it is being ended."""


class Paused(msgspec.Struct, frozen=True):
    """A lane in which nothing is started: that many could not be started, one after the other."""

    board: str
    assignee: str
    failures: int
    for_ms: int
    why: str


class Told(msgspec.Struct, frozen=True):
    """What a leader writes into its hold, every second and a half."""

    running_max: int = 0
    working: tuple[Working, ...] = ()
    more: int = 0
    """Workers that are not listed: there were too many."""
    paused: tuple[Paused, ...] = ()
    draining: bool = False
    started: int = 0
    adopted: int = 0
    ended: dict[str, int] = {}
    trouble: str = ""
    """What kept it from working when it last looked, or nothing."""


@dataclass(frozen=True, slots=True)
class Leader:
    """Who dispatches ``board`` (None: all boards), since when, and what it told last."""

    board: str | None
    owner: Owner
    since_ms: int
    renewed_ms: int
    is_alive: bool
    """False: it died or fell silent, and nobody took over yet."""
    told: Told
