"""Ask for work, and take it back. Each function joins the caller's transaction."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from holdfast.engine import Read, Write
from holdfast.errors import Busy, Refused
from holdfast.jobs import rules
from holdfast.jobs.model import (
    NAME_MAX,
    Enqueued,
    Job,
    Kind,
    Known,
    OnFailure,
    Status,
    Watermark,
    check_name,
    check_watermark,
    check_whole,
    kind_of,
)
from holdfast.jobs.rows import NEVER, SQL, dumped, job, pair, said

BY_KEY = SQL["select_job"].fill(which=SQL["which_key"])
_LOCKED = SQL["select_job"].fill(which=SQL["which_key_locked"])
_TRIES_MAX = 5  # each lost try means that somebody else changed the job


def get(tx: Read, kind: str, key: str) -> Job | None:
    """Return the job, or None when there is none."""
    seen = row(tx, kind, key)
    return None if seen is None or seen.status == Status.FORGOTTEN else seen


def row(tx: Read, kind: str, key: str) -> Job | None:
    """Return the job, also one that was forgotten: its fence must go on growing."""
    found = tx.row(BY_KEY, kind=kind, key=key)
    return None if found is None else job(found)


def locked(tx: Write, kind: str, key: str) -> Job | None:
    """Do as ``row``; nobody else changes the job before this transaction ends."""
    found = tx.row(_LOCKED, kind=kind, key=key)
    return None if found is None else job(found)


def enqueue(
    tx: Write,
    kind: Kind | str,
    key: str,
    *,
    watermark: Watermark | None = None,
    payload: Any = None,
    priority: int = 0,
    not_before_ms: int = 0,
    attempts_max: int | None = None,
    on_failure: OnFailure | None = None,
    idempotency_key: str | None = None,
) -> Enqueued | Known:
    """Ask for a job once per input. ``Known`` when it was asked for already; then nothing is changed.

    With a newer ``watermark`` a known job is to be done again, with a new
    budget, by the words of this request alone: what it does not say (a
    ``payload``, a ``priority``) is not kept from before. One that runs goes on
    with the payload it was claimed with, and is ready again once it ends.
    A larger ``priority`` comes first. A rest after a failure is not cut short.
    A request that carries an ``idempotency_key`` used before returns the job
    of then, whatever it asks for now. Cancelled jobs, and those that failed
    for ever, stay so: ``retry`` them.

    Raises ``Refused`` for a payload that is no JSON or over 64 KiB, and for a
    name, a watermark or a priority that is none.
    """
    how = _as_asked(kind, attempts_max, on_failure)
    rules.check_key(key)
    check_watermark(watermark)
    rules.check_priority(priority)
    check_whole("not_before_ms", not_before_ms, 0)
    if idempotency_key is not None:
        check_name("an idempotency key", idempotency_key, rules.KEY_MAX)
    size, digest = pair(watermark)
    words = {
        "priority": priority,
        "not_before_ms": max(not_before_ms, tx.now_ms),  # who waits longest comes first, also after a rest
        "wanted_size": size,
        "wanted_hash": digest,
        "attempts_max": how.attempts_max,
        "on_failure": how.on_failure,
        "payload": dumped(payload, "payload"),
        "now_ms": tx.now_ms,
    }
    if idempotency_key is not None and (known := _asked_before(tx, idempotency_key, how.name, key)):
        return known
    resting = Status.RESTING if not_before_ms > tx.now_ms else Status.READY
    for _ in range(_TRIES_MAX):
        # Looked for first: most are new, but a row that is there is not worth a write lock on PostgreSQL.
        seen = row(tx, how.name, key)
        if seen is None:
            if tx.run(SQL["insert_job"], kind=how.name, key=key, status=resting, **words):
                tx.hint()
                return Enqueued(_there(tx, how.name, key))
            continue
        if not _is_news(seen, watermark):
            return Known(seen)
        if _ask_again(tx, seen, words):
            tx.hint()
            return Enqueued(_there(tx, how.name, key))
    raise Busy(f"job {how.name}/{key} changed {_TRIES_MAX} times while we asked for it")


def retry(tx: Write, kind: str, key: str) -> Job | None:
    """Have the job done again, now, with a new budget, whatever became of it. None: there is no such job.

    Raises ``Refused`` while somebody is at it.
    """
    seen = locked(tx, kind, key)
    if seen is None or seen.status == Status.FORGOTTEN:
        return None
    if seen.status == Status.RUNNING and seen.expires_ms > tx.now_ms:
        raise Refused(
            f"job {kind}/{key} is being done right now", remedy="Wait for it, or cancel it first: then its end is void."
        )
    tx.hint()
    return _set(tx, seen, Status.READY, done=NEVER, failure=seen.failure)


def cancel(tx: Write, kind: str, key: str, why: str = "cancelled") -> Job | None:
    """Have the job not done. Who is at it learns so with its next word, which is ``Stale``. None: no such job.

    A job that is done stays done.
    """
    seen = locked(tx, kind, key)
    if seen is None or seen.status == Status.FORGOTTEN:
        return None
    if seen.status in (Status.DONE, Status.CANCELLED):
        return seen
    return _set(tx, seen, Status.CANCELLED, done=pair(seen.done) if seen.was_done else NEVER, failure=said(why))


def forget(tx: Write, kind: str, key: str) -> bool:
    """Make it as if the job had never been. False: there is none. What its worker says after that is ``Stale``.

    The row stays, without its contents: a job that comes again under this name
    must get a larger fence than any before.
    """
    return tx.run(SQL["forget"], kind=kind, key=key, now_ms=tx.now_ms) == 1


def cap(tx: Write, kind: str | None, running_max: int | None) -> None:
    """Let at most ``running_max`` jobs of ``kind`` run at once, on all machines; 0 pauses it, None ends the cap.

    ``kind`` None: the cap on all kinds together. Who runs already goes on, and
    on PostgreSQL so does a claim under way that began when there was no cap.
    """
    if kind is not None:
        check_name("a job's kind", kind, NAME_MAX)
    if running_max is not None:
        check_whole("a cap", running_max, 0)
    tx.hint()
    tx.run(SQL["put_cap"], kind=kind or "", running_max=running_max)


def _as_asked(kind: Kind | str, attempts_max: int | None, on_failure: OnFailure | None) -> Kind:
    how = kind_of(kind)
    if attempts_max is not None:
        how = replace(how, attempts_max=attempts_max)
    return how if on_failure is None else replace(how, on_failure=on_failure)


def _is_news(seen: Job, watermark: Watermark | None) -> bool:
    if seen.status == Status.FORGOTTEN:
        return True
    if seen.status == Status.CANCELLED or (seen.status == Status.FAILED and seen.on_failure == "terminal"):
        return False
    # It may have been done for more than was asked for: who did it saw more.
    return rules.advances(seen.wanted, watermark) and rules.is_due(seen, watermark)


def _ask_again(tx: Write, seen: Job, words: dict[str, object]) -> bool:
    retry_ms = 0 if seen.status == Status.FORGOTTEN else seen.retry_ms
    not_before_ms = words["not_before_ms"]
    assert isinstance(not_before_ms, int)
    due_ms = max(not_before_ms, retry_ms)
    rested = Status.RESTING if due_ms > tx.now_ms else Status.READY
    status = Status.RUNNING if seen.status == Status.RUNNING else rested
    done = pair(seen.done) if seen.was_done else NEVER
    seen_size, seen_hash = pair(seen.wanted)
    changed = tx.run(
        SQL["ask_again"],
        **words,
        status=status,
        retry_ms=retry_ms,
        due_ms=due_ms,
        done_size=done[0],
        done_hash=done[1],
        job_id=seen.job_id,
        seen_status=seen.status,
        seen_fence=seen.fence,
        seen_size=seen_size,
        seen_hash=seen_hash,
    )
    return changed == 1


def _asked_before(tx: Write, request: str, kind: str, key: str) -> Known | None:
    if tx.run(SQL["put_request"], request=request, kind=kind, key=key, now_ms=tx.now_ms):
        return None
    before = tx.row(SQL["get_request"], request=request)
    assert before is not None  # its row was in the way
    seen = row(tx, before["kind"], before["key"])
    # A request whose job was lost by hand is as if it had not been made; a probe tells of it.
    return None if seen is None else Known(seen)


def _set(tx: Write, seen: Job, status: Status, *, done: tuple[int, str], failure: str | None) -> Job:
    tx.run(
        SQL["set_status"],
        status=status,
        done_size=done[0],
        done_hash=done[1],
        failure=failure,
        now_ms=tx.now_ms,
        job_id=seen.job_id,
    )
    return _there(tx, seen.kind, seen.key)


def _there(tx: Read, kind: str, key: str) -> Job:
    found = row(tx, kind, key)
    assert found is not None  # rows of jobs are never deleted
    return found
