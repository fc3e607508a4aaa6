"""What there is to do, what became of it, and why a job waits. Looks only."""

from __future__ import annotations

from typing import Any

from holdfast import holds
from holdfast.engine import Read
from holdfast.holds import owner as owners
from holdfast.jobs import caps, rules
from holdfast.jobs.asking import get
from holdfast.jobs.model import (
    Capped,
    Exhausted,
    Job,
    Kind,
    Outcome,
    Resting,
    Running,
    Status,
    Terminal,
    UpToDate,
)
from holdfast.jobs.rows import SQL, job
from holdfast.quantities import duration

_LISTED = SQL["select_job"].fill(which=SQL["which_listed"])


def listing(tx: Read, *, kind: str | None = None, status: Status | None = None, limit: int = 100) -> list[Job]:
    """Return jobs, those that changed last first. Reads every job of the table once."""
    return [job(row) for row in tx.rows(_LISTED, kind=kind, status=status, limit=limit)]


def counts(tx: Read) -> dict[str, dict[Status, int]]:
    """Return how many jobs there are, by kind and status."""
    found: dict[str, dict[Status, int]] = {}
    for row in tx.rows(SQL["counts"]):
        found.setdefault(row["kind"], {})[Status(row["status"])] = row["jobs"]
    return found


def outcome(tx: Read, seen: Job) -> Outcome:
    """Return what a claim of ``seen`` would come to now. Changes nothing."""
    limited = caps.of(tx, [Kind(seen.kind)], None)[seen.kind]
    reached = [
        Capped(kind or None, running, most)
        for kind, most in sorted(limited.items())
        if (running := caps.count(tx, kind)) >= most
    ]
    return rules.decide(
        seen,
        owners.me(),
        kind=Kind(seen.kind),
        watermark=None,
        now_ms=tx.now_ms,
        lease_ms=1,
        epoch=holds.epoch(tx),
        holder_is_dead=seen.owner is not None and owners.is_dead(seen.owner),
        capped=() if seen.status == Status.RUNNING else reached,
    )


def why(tx: Read, kind: str, key: str) -> str | None:
    """Return one sentence: which condition keeps the job waiting, and what will change it. None: no such job."""
    seen = get(tx, kind, key)
    if seen is None:
        return None
    match outcome(tx, seen):
        case Terminal(failure=failure) if seen.status == Status.CANCELLED:
            return f"It was cancelled ({failure}); only `holdfast jobs retry` brings it back."
        case Terminal(failure=failure):
            return (
                f"It failed, and for its kind a failure is for ever; only `holdfast jobs retry` changes that: {failure}"
            )
        case Running(by=by, until_ms=until_ms):
            left = duration(until_ms - tx.now_ms)
            return (
                f"It is being done by {owners.describe(by)}; if nothing more is heard of it,"
                f" others may have it in {left}, and at once when that process ends."
            )
        case UpToDate():
            return "It is done for the newest input that was asked for; newer input makes it ready again."
        case Exhausted(attempts=attempts, failure=failure) if attempts < seen.attempts_max:
            return (
                f"It was given up after attempt {attempts} of {seen.attempts_max}, so nobody tries it;"
                f" newer input or `holdfast jobs retry` changes that: {failure}"
            )
        case Exhausted(attempts=attempts, failure=failure):
            return (
                f"{attempts} of {seen.attempts_max} attempts for this input were used, so nobody tries it;"
                f" newer input or `holdfast jobs retry` gives it new ones: {failure}"
            )
        case Resting(until_ms=until_ms, failure=None):
            return f"It was asked for not before a time that is {duration(until_ms - tx.now_ms)} from now."
        case Resting(until_ms=until_ms, failure=failure) if not seen.attempts:
            left = duration(until_ms - tx.now_ms)
            return f"It rests, with all its attempts left; it is tried again in {left}. What went wrong last: {failure}"
        case Resting(until_ms=until_ms, failure=failure):
            left = duration(until_ms - tx.now_ms)
            return (
                f"It rests after attempt {seen.attempts} of {seen.attempts_max} failed;"
                f" it is tried again in {left}: {failure}"
            )
        case Capped(kind=capped, running=running, running_max=most):
            of = f"of kind {capped}" if capped else "of all kinds"
            ends = "nothing runs until the cap is lifted" if not most else "the next one that ends makes room"
            return f"{running} jobs {of} are running, of at most {most}; {ends}."
        case _:
            return _ready(tx, seen)


def _ready(tx: Read, seen: Job) -> str:
    if seen.status == Status.RUNNING:
        return "Its worker is gone or was silent for too long; the next worker that asks gets it."
    row: Any = tx.row(
        SQL["count_before"], kind=seen.kind, priority=seen.priority, due_ms=seen.due_ms, job_id=seen.job_id
    )
    running = caps.count(tx, seen.kind)
    return (
        f"It is ready: {row['jobs']} of its kind are to be done before it, {running} are being done;"
        f" a worker for the kind {seen.kind} takes it in its turn."
    )
