"""What a memory is, how the pipeline is set, and what it comes to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from holdfast.errors import Full, Refused

CWD = "cwd"
"""The scope of a directory; its key is the path, exactly."""
USER = "user"
"""The scope of the person, over all directories; its key is ``user``."""

_DAY_MS = 24 * 3600 * 1000
_HOUR_MS = 3600 * 1000


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of one thread in one scope. Times are ms since the epoch.

    ``updated_at_ms`` advances with every write, and may run ahead of the
    clock; ``source_at_ms`` is when the last line it was made from was written.
    """

    thread_id: str
    home: str
    scope_kind: str
    scope_key: str
    raw_memory: str
    memory_summary: str
    slug: str
    updated_at_ms: int
    source_at_ms: int
    used_count: int
    last_used_at_ms: int | None
    invalidated_at_ms: int | None
    invalid_reason: str | None


class Extracted(msgspec.Struct, frozen=True):
    """What a model found worth keeping of one thread: already without secrets, and within the caps."""

    raw_memory: str
    memory_summary: str
    slug: str = ""


class Prompt(msgspec.Struct, frozen=True):
    """What a model is asked: instructions, input, and the JSON schema that its whole answer must fit."""

    system: str
    user: str
    schema: dict[str, Any]
    schema_name: str


Model = Callable[[Prompt], str]
"""Answers a prompt with the text of one JSON object. May raise: a failed attempt at that thread, to try again.

What is ``Unavailable`` costs no attempt, and ends the run after a few in a row; ``Full``, and what is a
``NotThisThread``, end it at once.
"""


class NotThisThread(Exception):
    """Mixed into an error of a model that every thread would meet, as it is set up now: a wrong key or address."""


class Unavailable(Exception):
    """Mixed into an error that is no fault of what was asked: the server is down, busy, or too slow.

    ``retry_in_ms``: how long it asked to be left alone; 0: it did not say.
    """

    retry_in_ms: int = 0


EndedBy = Literal["full", "server", "setup"]
"""What ends a run early: no tokens or no room left; the server does not answer; the key or the address is wrong."""


def ended_by(error: BaseException) -> EndedBy | None:
    """Return what an error of a model ends a run by; None: it is of what was asked."""
    match error:
        case Full():
            return "full"
        case NotThisThread():
            return "setup"
        case Unavailable():
            return "server"
    return None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How much is remembered, and how often. Times in ms.

    ``idle_ms``: a thread is left alone until nobody wrote to it for so long;
    ``age_max_ms``: one that is older is not read any more. ``scopes``: without
    ``user``, nothing of one directory reaches the files made for all of them.
    """

    scopes: tuple[str, ...] = (CWD, USER)
    rollouts_max: int = 64
    age_max_ms: int = 30 * _DAY_MS
    idle_ms: int = 6 * _HOUR_MS
    workers: int = 4
    input_tokens_max: int = 100_000
    lease_ms: int = 60_000
    attempts_max: int = 3
    retry_ms: int = _HOUR_MS
    selected_max: int = 256
    unused_max_ms: int = 30 * _DAY_MS
    cooldown_ms: int = 6 * _HOUR_MS

    def __post_init__(self) -> None:
        if not self.scopes or set(self.scopes) - {CWD, USER}:
            raise Refused(f"the scopes are {CWD} and {USER}, got {', '.join(self.scopes) or 'none'}")
        if not 1 <= self.rollouts_max <= 1_000 or not 1 <= self.workers <= 64:
            raise Refused("rollouts_max must be 1 to 1,000, workers 1 to 64")
        if self.input_tokens_max < 1_000 or self.lease_ms < 1_000 or self.attempts_max < 1:
            raise Refused("input_tokens_max and lease_ms must be 1,000 or more, attempts_max 1 or more")
        if not 0 <= self.selected_max <= 4_096:
            raise Refused(f"selected_max is {self.selected_max}, it must be 0 to 4,096")


def key_of(home_id: int, thread_id: bytes) -> str:
    """Return what the job of reading this thread is called."""
    return f"{home_id}:{thread_id.hex()}"


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A thread whose memory is due: where its rollout lies, and which input that is (text bytes, and a digest)."""

    home_id: int
    home: str
    thread_id: bytes
    path: str
    cwd: str
    title: str
    updated_ms: int
    size: int
    digest: str

    @property
    def key(self) -> str:
        """What its job is called."""
        return key_of(self.home_id, self.thread_id)


class ExtractReport(msgspec.Struct, kw_only=True):
    """How phase 1 went: threads looked at, and what became of those that were due.

    ``kept`` have a memory now; ``nothing``: a model found nothing worth
    keeping. ``skipped`` counts, by outcome, those that others have, or that
    rest after a failure, or may not be remembered any more. ``lost``: another
    took over, and what came back was thrown away. ``failed`` names the thread
    and why. ``ended_by``: the run ended early, ``ended`` is the sentence.
    """

    seen: int = 0
    due: int = 0
    kept: int = 0
    nothing: int = 0
    lost: int = 0
    stopped: int = 0
    skipped: dict[str, int] = {}
    failed: list[tuple[str, str]] = []
    ended_by: EndedBy | None = None
    ended: str | None = None


class MergeReport(msgspec.Struct, kw_only=True):
    """How phase 2 went.

    ``outcome``: ``published``, ``unchanged``, ``running`` (``by`` somebody
    else), ``cooling`` (until ``until_ms``), ``resting`` (the same, after a
    failure: ``problem``), ``lost`` (another took over: nothing was published),
    ``edited`` (a person changed the files meanwhile: theirs stay), ``stopped``
    or ``failed`` (``problem`` says why, and ``ended_by`` when it is no fault of the answer).
    """

    outcome: str
    selected: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    folder: str | None = None
    by: str | None = None
    until_ms: int | None = None
    problem: str | None = None
    ended_by: EndedBy | None = None


class Progress(msgspec.Struct, frozen=True):
    """How far a run is: of ``due`` threads ``done``, just now at ``phase`` (``extract`` or ``merge``)."""

    phase: str
    done: int
    due: int


OnProgress = Callable[[Progress], None]
