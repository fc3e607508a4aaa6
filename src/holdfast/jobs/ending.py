"""End a claim, or make it last. Each function joins the caller's transaction.

Every end changes one row and carries the fence in the same statement: who
comes too late changes nothing, and is told ``Stale``. A lease is judged by the
moment a transaction began, so an end that began in time counts; once another
has claimed the job, nothing of the older fence counts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from holdfast.engine import Read, Write
from holdfast.errors import Refused, Stale
from holdfast.holds import owner as owners
from holdfast.jobs import rules
from holdfast.jobs.asking import locked
from holdfast.jobs.asking import row as get_row
from holdfast.jobs.model import (
    MS_MAX,
    Claimed,
    Exhausted,
    Job,
    Resting,
    Status,
    Terminal,
    Watermark,
    check_claim,
    check_watermark,
    check_whole,
    resource,
)
from holdfast.jobs.rows import SQL, dumped, pair, said


def renew(tx: Write, claim: Claimed, *, lease_ms: int | None = None, note: str = "") -> Claimed:
    """Extend the claim by ``lease_ms`` from now, and say how far the work is. Raises ``Stale`` when it was lost."""
    check_claim(claim)
    lease_ms = claim.kind.lease_ms if lease_ms is None else lease_ms
    check_whole(f"{claim.hold.resource}: a lease in ms (to end a claim, release it)", lease_ms, 1, MS_MAX)
    expires_ms = tx.now_ms + lease_ms
    _end(tx, "renew", claim, expires_ms=expires_ms, note=note)
    return replace(claim, hold=replace(claim.hold, renewed_ms=tx.now_ms, expires_ms=expires_ms, note=note))


def confirm(tx: Write, claim: Claimed) -> None:
    """Raise ``Stale`` unless ``claim`` is in force. Nobody else gets it before this transaction ends."""
    check_claim(claim)
    seen = locked(tx, claim.job.kind, claim.job.key)
    if seen is None or not is_in_force(seen, claim.fence, tx.now_ms):
        raise lost(tx, claim)


def is_in_force(seen: Job, fence: int, now_ms: int) -> bool:
    """Return True when ``seen`` is being done under ``fence``."""
    return seen.status == Status.RUNNING and seen.fence == fence and seen.expires_ms > now_ms


def finish(tx: Write, claim: Claimed, result: Any = None, *, watermark: Watermark | None = None) -> None:
    """Say that the job was done, for ``watermark``: by default the input it was claimed for.

    When newer input was asked for meanwhile, it is ready again. ``result`` is
    a JSON value of at most 64 KiB. Raises ``Stale`` when the claim was lost;
    whatever else is in this transaction is undone with it. Raises ``Refused``
    for less than the job was claimed for, unless it is more than it was done
    for before: a job that gets nowhere would be ready again for ever.
    """
    check_claim(claim)
    check_watermark(watermark)
    if watermark is not None and rules.falls_short(claim.job, claim.watermark, watermark):
        raise Refused(
            f"{claim.hold.resource} was claimed for {rules.told(claim.watermark)}; done for {rules.told(watermark)}"
            " it gets no further than it was",
            remedy="Do the input it was claimed for, or end it with fail, give_up or release.",
        )
    size, digest = pair(claim.watermark if watermark is None else watermark)
    _end(tx, "finish", claim, done_size=size, done_hash=digest, result=dumped(result, "result"))


def fail(tx: Write, claim: Claimed, error: object, *, retry_in_ms: int | None = None) -> Resting | Exhausted | Terminal:
    """Say that the job failed, and return what comes of it.

    It rests for ``retry_in_ms``, or as long as its kind's backoff says; with
    its attempts used up it is ``Exhausted``, and ``Terminal`` where failure
    is for ever. Raises ``Stale`` when the claim was lost.
    """
    check_claim(claim)
    rest_ms = rules.backoff_ms(claim.kind, claim.job.key, claim.attempt) if retry_in_ms is None else retry_in_ms
    check_whole("retry_in_ms", rest_ms, 0, MS_MAX)
    return _failed(tx, claim, retry_ms=tx.now_ms + rest_ms, failure=said(error), given_up=0)


def give_up(tx: Write, claim: Claimed, why: object) -> Resting | Exhausted | Terminal:
    """Say that this input will never do, whatever is left of its attempts.

    Newer input that was asked for meanwhile is to be done: then the job is
    ``Resting``, until a time that is over unless a later one was asked for.
    Raises ``Stale`` when the claim was lost.
    """
    check_claim(claim)
    return _failed(tx, claim, retry_ms=0, failure=said(why), given_up=1)


def release(tx: Write, claim: Claimed, *, retry_in_ms: int = 0) -> None:
    """Give the job back undone, for others, and its attempt with it. Raises ``Stale`` when the claim was lost."""
    check_claim(claim)
    check_whole("retry_in_ms", retry_in_ms, 0, MS_MAX)
    tx.hint()
    _end(tx, "release", claim, retry_ms=tx.now_ms + retry_in_ms)


def end_all(tx: Write) -> int:
    """Make every claim void, and its job ready; return how many there were. For a database that was put back."""
    return tx.run(SQL["end_every_claim"], now_ms=tx.now_ms)


def _end(tx: Write, statement: str, claim: Claimed, **params: object) -> None:
    if tx.run(SQL[statement], job_id=claim.job.job_id, fence=claim.fence, now_ms=tx.now_ms, **params) != 1:
        raise lost(tx, claim)


def lost(tx: Read, claim: Claimed) -> Stale:
    """Return what to raise for a claim that is over: how it ended."""
    name = resource(claim.job.kind, claim.job.key)
    seen = get_row(tx, claim.job.kind, claim.job.key)
    if seen is None or seen.fence == claim.fence or seen.owner is None:
        became = "is gone" if seen is None else f"is {seen.status}"
        if seen is not None and seen.status == Status.RUNNING:
            became = f"had no renewal for {tx.now_ms - seen.renewed_ms} ms"
        return Stale(f"the claim of {name} (fence {claim.fence}) ended before the work did: the job {became}")
    return Stale(
        f"{name} changed hands: fence {claim.fence} is over, {owners.describe(seen.owner)} got fence {seen.fence}"
    )


def _failed(tx: Write, claim: Claimed, **params: object) -> Resting | Exhausted | Terminal:
    size, digest = pair(claim.watermark)
    _end(tx, "fail", claim, claimed_size=size, claimed_hash=digest, **params)
    seen = get_row(tx, claim.job.kind, claim.job.key)
    assert seen is not None  # its row was just changed
    if seen.status == Status.RESTING:
        tx.hint()  # others may wait until then
        return Resting(seen, seen.due_ms, seen.failure)
    if seen.on_failure == "terminal":
        return Terminal(seen, seen.failure)
    return Exhausted(seen, seen.attempts, seen.failure)
