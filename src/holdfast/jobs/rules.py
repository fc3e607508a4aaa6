"""When a job may be claimed, and when it may be tried again. Pure: no clock, no database, no processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from holdfast import backoff
from holdfast.holds import rules as hold_rules
from holdfast.holds.model import Hold, Owner
from holdfast.jobs.model import (
    MS_MAX,
    WHOLE_MAX,
    Capped,
    Claimed,
    Exhausted,
    Job,
    Kind,
    Outcome,
    Resting,
    Running,
    Status,
    Terminal,
    UpToDate,
    Watermark,
    check_name,
    check_whole,
    resource,
)

KEY_MAX = 1_000


def advances(old: Watermark | None, new: Watermark | None) -> bool:
    """Return True when ``new`` is newer input than ``old``."""
    if old is None or new is None:
        return new is not None
    return new.size > old.size or (new.size == old.size and new.hash != old.hash)


def is_due(job: Job, watermark: Watermark | None) -> bool:
    """Return True unless ``job`` was done for ``watermark`` or for newer input."""
    return not job.was_done or advances(job.done, watermark)


def falls_short(job: Job, claimed: Watermark | None, done: Watermark) -> bool:
    """Return True when ``job``, claimed for ``claimed`` and done for ``done``, is where it was before."""
    if not advances(done, claimed):
        return False
    return job.was_done and job.done is not None and done.size <= job.done.size


def told(watermark: Watermark | None) -> str:
    """Return a watermark in words."""
    return "no input" if watermark is None else f"{watermark.size} {watermark.hash}".strip()


def decide(
    job: Job,
    owner: Owner,
    *,
    kind: Kind,
    watermark: Watermark | None,
    now_ms: int,
    lease_ms: int,
    epoch: int,
    holder_is_dead: bool = False,
    stale_after_ms: int | None = None,
    capped: Sequence[Capped] = (),
) -> Outcome:
    """Return the claim that ``owner`` gets of ``job``, or why it gets none. The first line that holds decides.

    ======================================================  ==================
    it was cancelled; it failed, and failure is for ever    Terminal
    somebody's hold on it is in force                       Running
    it was done for this input or for newer                 UpToDate
    its attempts for this input are used up                 Exhausted
    it is to rest, as asked for or after a failure          Resting
    as many run as may                                      Capped
    else                                                    Claimed
    ======================================================  ==================

    Unlike a hold, a job at hand is Running for its own owner, too: two threads
    of one process must not do it twice. ``watermark`` None: the input that was
    asked for. Newer input than was asked for refills the budget; it does not
    end a rest. ``capped``: the caps that are reached. Raises ``Refused``
    unless ``lease_ms`` is positive.
    """
    check_lease(resource(job.kind, job.key), lease_ms)
    wanted = job.wanted if watermark is None else watermark
    refilled = advances(job.wanted, wanted)
    attempts = 0 if refilled else job.attempts
    seen = job.hold
    if job.status == Status.CANCELLED or (job.status == Status.FAILED and job.on_failure == "terminal"):
        return Terminal(job, job.failure)
    if job.status == Status.RUNNING and seen is not None:
        until_ms = seen.expires_ms if stale_after_ms is None else seen.renewed_ms + stale_after_ms
        if not holder_is_dead and not hold_rules.over(seen, now_ms=now_ms, stale_after_ms=stale_after_ms):
            return Running(job, seen.owner, until_ms)
    if not is_due(job, wanted):
        return UpToDate(job)
    if attempts >= job.attempts_max or (job.status == Status.FAILED and not refilled):
        return Exhausted(job, attempts, job.failure)
    # What is ready was found to be due, by a clock that may have been a moment ahead of ours.
    if job.status != Status.READY and job.due_ms > now_ms:
        return Resting(job, job.due_ms, job.failure if job.retry_ms == job.due_ms else None)
    if capped:
        return capped[0]
    # What was judged above is over, so it changes hands, also to the owner it had.
    ended = None if seen is None else replace(seen, expires_ms=seen.renewed_ms, note="")
    name = resource(job.kind, job.key)
    hold = hold_rules.decide(ended, name, owner, now_ms=now_ms, lease_ms=lease_ms, epoch=epoch)
    assert isinstance(hold, Hold)
    return Claimed(job, hold, kind, wanted, attempts + 1)


def backoff_ms(kind: Kind, key: str, failures: int) -> int:
    """Return how long a job rests after its ``failures``-th failure. See ``holdfast.backoff``."""
    return backoff.backoff_ms(kind.backoff_ms, kind.backoff_max_ms, failures, f"{kind.name}\0{key}\0{failures}")


def check_key(key: object) -> None:
    """Raise ``Refused`` unless ``key`` can name a job."""
    check_name("a job's key", key, KEY_MAX)


def check_lease(name: str, lease_ms: object) -> None:
    """Raise ``Refused`` unless ``lease_ms`` is some time."""
    check_whole(f"{name}: a lease in ms", lease_ms, 1, MS_MAX)


def check_priority(priority: object) -> None:
    """Raise ``Refused`` for a number that no database holds."""
    check_whole("a priority", priority, -WHOLE_MAX)
