"""The words of the room, as values: a job, what a claim of one comes to, and what asking for one does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from holdfast.errors import Refused
from holdfast.holds.model import Hold, Owner

NAME_MAX = 100
WHOLE_MAX = (1 << 63) - 1
MS_MAX = 1 << 53
OnFailure = Literal["retry", "terminal"]


class Status(StrEnum):
    """Where a job is. ``RESTING`` becomes ``READY`` at ``due_ms``; ``FORGOTTEN`` counts as no job at all."""

    READY = "ready"
    RESTING = "resting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    FORGOTTEN = "forgotten"


@dataclass(frozen=True, slots=True)
class Watermark:
    """How far a job's input goes: bytes, lines or a version in ``size``, and what it was in ``hash``.

    A larger size is newer input, and so is the same size with another hash. A
    smaller size is an older look at the same input. It is no clock: a copy, a
    restore and a second edit within a second all tell the truth.
    """

    size: int
    hash: str = ""

    def __post_init__(self) -> None:
        check_whole("a watermark's size", self.size, 0)
        check_name("a watermark's hash", self.hash, 1_000, least=0)


@dataclass(frozen=True, slots=True)
class Kind:
    """How jobs of one name are done. A bare name stands for these defaults.

    ``attempts_max`` claims per input; a crash costs one. After failure ``n``
    a job rests for about ``backoff_ms * 2**(n - 1)``, at most
    ``backoff_max_ms``. ``on_failure="terminal"``: the first failure is for
    ever, whatever the input does. ``running_max`` at once, None: any number.
    Raises ``Refused`` for values that make no sense.
    """

    name: str
    lease_ms: int = 60_000
    attempts_max: int = 3
    on_failure: OnFailure = "retry"
    running_max: int | None = None
    backoff_ms: int = 1_000
    backoff_max_ms: int = 3_600_000

    def __post_init__(self) -> None:
        check_name("a job's kind", self.name, NAME_MAX)
        check_whole(f"kind {self.name}: lease_ms", self.lease_ms, 1, MS_MAX)
        check_whole(f"kind {self.name}: attempts_max", self.attempts_max, 1)
        check_whole(f"kind {self.name}: backoff_ms", self.backoff_ms, 0, MS_MAX)
        check_whole(f"kind {self.name}: backoff_max_ms", self.backoff_max_ms, 0, MS_MAX)
        if self.running_max is not None:
            check_whole(f"kind {self.name}: running_max", self.running_max, 0)
        if self.on_failure not in ("retry", "terminal"):
            raise Refused(f"kind {self.name}: on_failure is 'retry' or 'terminal', not {self.on_failure!r}")


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work that happens once per input, by ``(kind, key)``.

    ``wanted`` is the newest input heard of, ``done`` the one it was done for;
    None where there is none. ``attempts`` counts claims since ``wanted`` last
    advanced. ``payload`` and ``result`` are JSON values. The hold (``owner``,
    ``fence`` and so on) is that of the last claim; ``fence`` 0: never claimed.
    """

    job_id: int
    kind: str
    key: str
    status: Status
    priority: int
    not_before_ms: int
    retry_ms: int
    due_ms: int
    wanted: Watermark | None
    done: Watermark | None
    was_done: bool
    attempts: int
    attempts_max: int
    on_failure: OnFailure
    payload: Any
    result: Any
    failure: str | None
    created_ms: int
    changed_ms: int
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
        name = resource(self.kind, self.key)
        return Hold(name, self.owner, self.fence, self.taken_ms, self.renewed_ms, self.expires_ms, self.note)


@dataclass(frozen=True, slots=True)
class Claimed:
    """The right to do ``job``, for the input ``watermark``, under ``hold``. Give it to ``finish`` or ``fail``."""

    job: Job
    hold: Hold
    kind: Kind
    watermark: Watermark | None
    attempt: int

    @property
    def fence(self) -> int:
        """Grows with each claim of this job and never restarts."""
        return self.hold.fence

    @property
    def payload(self) -> Any:
        """What was asked for."""
        return self.job.payload


@dataclass(frozen=True, slots=True)
class UpToDate:
    """It was done for this input, or for a newer one."""

    job: Job


@dataclass(frozen=True, slots=True)
class Running:
    """Somebody is at it, until ``until_ms`` unless they renew."""

    job: Job
    by: Owner
    until_ms: int


@dataclass(frozen=True, slots=True)
class Resting:
    """Not before ``until_ms``: after a ``failure``, or (None) because that was asked for."""

    job: Job
    until_ms: int
    failure: str | None


@dataclass(frozen=True, slots=True)
class Exhausted:
    """All attempts for this input were used. Newer input gives it a new budget, and so does ``retry``."""

    job: Job
    attempts: int
    failure: str | None


@dataclass(frozen=True, slots=True)
class Terminal:
    """It failed for ever, or was cancelled; only ``retry`` changes that."""

    job: Job
    failure: str | None


@dataclass(frozen=True, slots=True)
class Capped:
    """As many run as may. ``kind`` None: the cap on all kinds together."""

    kind: str | None
    running: int
    running_max: int


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing to do now; ``until_ms`` is when that may change by itself, None: only when somebody asks for work."""

    until_ms: int | None
    capped: tuple[Capped, ...] = ()


Outcome = Claimed | UpToDate | Running | Resting | Exhausted | Terminal | Capped


@dataclass(frozen=True, slots=True)
class Enqueued:
    """There is work to do that was not there before: a new job, or newer input for a known one."""

    job: Job


@dataclass(frozen=True, slots=True)
class Known:
    """Nothing was changed: the job is there, for this input or a newer one, or this request was made before."""

    job: Job


def kind_of(kind: Kind | str) -> Kind:
    """Return the kind; a bare name has the defaults. Raises ``Refused`` for what is neither."""
    return kind if isinstance(kind, Kind) else Kind(kind)


def kinds_of(kinds: Iterable[Kind | str]) -> list[Kind]:
    """Return the kinds. Raises ``Refused`` when there are none, and for a text, which is a list of its letters."""
    if isinstance(kinds, str | Kind) or not isinstance(kinds, Iterable):
        raise Refused(f"kinds is a list of kinds, not {kinds!r}", remedy=f"Put it into one: [{kinds!r}].")
    found = [kind_of(kind) for kind in kinds]
    if not found:
        raise Refused("there is no kind in the list of kinds", remedy="Name the kinds of jobs to claim.")
    return found


def check_watermark(watermark: object) -> None:
    """Raise ``Refused`` for what is neither a ``Watermark`` nor None."""
    if watermark is not None and not isinstance(watermark, Watermark):
        raise Refused(f"a watermark is Watermark(size, hash), not {watermark!r}")


def check_claim(claim: object) -> None:
    """Raise ``Refused`` for what a claim answered when it gave nothing."""
    if not isinstance(claim, Claimed):
        raise Refused(f"{claim!r} is no claim", remedy="Look first whether the answer is a Claimed: match it.")


def check_whole(what: str, number: object, least: int, most: int = WHOLE_MAX) -> None:
    """Raise ``Refused`` unless ``number`` is a whole number of that range: no float, no text, no truth."""
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
        raise Refused(f"{what} is a whole number from {least} to {most}, not {number!r}")


def check_name(what: str, text: object, most: int, *, least: int = 1) -> None:
    """Raise ``Refused`` unless ``text`` is one that both engines keep as it is."""
    if not isinstance(text, str):
        raise Refused(f"{what} is a text, not {text!r}")
    if not least <= len(text) <= most:
        raise Refused(f"{what} has {least} to {most} characters, this one {len(text)}")
    if "\0" in text:  # PostgreSQL keeps none, and two names must not become one
        raise Refused(f"{what} holds no NUL character, as this one does: {text!r}")
    if not text.isascii() and any("\ud800" <= each <= "\udfff" for each in text):
        raise Refused(f"{what} is Unicode, and {text!r} has a lone surrogate")


def resource(kind: str, key: str) -> str:
    """Return what the hold of a job is called."""
    return f"job:{kind}/{key}"
