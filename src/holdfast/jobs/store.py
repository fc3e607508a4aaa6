"""Claim work. Each function joins the caller's transaction; a claim changes one row. Its end is in ``ending``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from holdfast import holds
from holdfast.engine import Read, Row, Write
from holdfast.errors import Busy
from holdfast.holds import Owner
from holdfast.holds import owner as owners
from holdfast.holds import rules as hold_rules
from holdfast.holds.rules import COUNTER_BITS
from holdfast.holds.store import EPOCH
from holdfast.jobs import asking, caps, rules
from holdfast.jobs.asking import row as get_row
from holdfast.jobs.model import (
    Capped,
    Claimed,
    Idle,
    Job,
    Kind,
    Outcome,
    Status,
    Watermark,
    check_watermark,
    check_whole,
    kind_of,
    kinds_of,
)
from holdfast.jobs.rows import SQL, blank, job, pair

IsDead = Callable[[Owner], bool]
_NEXT = SQL["select_job"].fill(which=SQL["which_next"])
_NEXT_FREE = SQL["select_job"].fill(which=SQL["which_next_free"])
_AT_ONCE = SQL["claim_at_once"].fill(epoch=EPOCH, which=SQL["which_at_once"])
_EXPIRED = SQL["select_job"].fill(which=SQL["which_expired"])
_RUNNING = SQL["select_job"].fill(which=SQL["which_running"])
_TRIES_MAX = 5  # each lost try means that somebody else got the job
_LOST_MAX = 100  # jobs woken or given up for lost per claim: a claim stays short, and the next one goes on


def claim(
    tx: Write,
    kind: Kind | str,
    key: str,
    owner: Owner,
    *,
    watermark: Watermark | None = None,
    lease_ms: int | None = None,
    stale_after_ms: int | None = None,
    running_max: int | None = None,
    is_dead: IsDead = owners.is_dead,
) -> Outcome:
    """Claim this one job for the input ``watermark``, or learn why not. Nobody need have asked for it before.

    ``watermark`` None: the input that was asked for. ``lease_ms`` is the
    kind's by default. With ``stale_after_ms`` the taker judges a worker by
    the time since its last renewal, as ``holds.take`` does. ``running_max``
    is a cap of the caller's on this kind, beside those of ``cap``.
    """
    how = kind_of(kind)
    rules.check_key(key)
    check_watermark(watermark)
    for what, number in (("running_max", running_max), ("stale_after_ms", stale_after_ms)):
        if number is not None:
            check_whole(what, number, 0)
    now_epoch = holds.epoch(tx)
    limited = caps.hold(tx, [how], running_max)[how.name]
    for _ in range(_TRIES_MAX):
        seen = get_row(tx, how.name, key)
        if seen is not None and (dead := _is_lost(seen, tx.now_ms, stale_after_ms, is_dead)) is not None:
            _lose(tx, seen, dead=dead)
            continue
        outcome = rules.decide(
            blank(how, key, watermark, tx.now_ms) if seen is None or seen.status == Status.FORGOTTEN else seen,
            owner,
            kind=how,
            watermark=watermark,
            now_ms=tx.now_ms,
            lease_ms=how.lease_ms if lease_ms is None else lease_ms,
            epoch=now_epoch,
            stale_after_ms=stale_after_ms,
            capped=caps.reached(tx, limited, is_dead=is_dead, lose=_lose_over),
        )
        if not isinstance(outcome, Claimed):
            return outcome
        if seen is None or seen.status == Status.FORGOTTEN:
            asking.enqueue(tx, how, key, watermark=watermark)
        elif (claimed := _put(tx, outcome)) is not None:
            return claimed
        # Made just now, or moved by another session (on SQLite we are the only writer): decide on the row.
    raise Busy(f"job {how.name}/{key} changed {_TRIES_MAX} times while we tried to claim it")


def claim_next(
    tx: Write,
    kinds: Sequence[Kind | str],
    owner: Owner,
    *,
    lease_ms: int | None = None,
    is_dead: IsDead = owners.is_dead,
) -> Claimed | Idle:
    """Claim the job of these kinds that is to be done next: the largest priority, then the longest due.

    Caps (those of ``cap``, and each kind's own ``running_max``) do not count
    the dead. A worker known to be dead is replaced at once when nothing is
    ready, and within a second by the workers of ``worker``; a silent one when
    its lease ends. Costs a few rows, however many jobs wait. Raises ``Busy``
    when another claim that does not end keeps the cap of a kind, and the
    others have no job.
    """
    hows = kinds_of(kinds)
    claimed, capped = _claim_ready(tx, hows, owner, lease_ms, is_dead, patient=True)
    if claimed is None and recover(tx, [how.name for how in hows], is_dead=is_dead):
        claimed, capped = _take_ready(tx, hows, owner, lease_ms, is_dead, patient=True)
    return claimed if claimed is not None else Idle(_until_ms(tx, hows), tuple(capped))


def claim_ready(
    tx: Write,
    kinds: Sequence[Kind | str],
    owner: Owner,
    *,
    lease_ms: int | None = None,
    is_dead: IsDead = owners.is_dead,
) -> Claimed | None:
    """Do as ``claim_next``, but look for no dead workers and wait for no cap. For the end of the job before."""
    return _claim_ready(tx, kinds_of(kinds), owner, lease_ms, is_dead, patient=False)[0]


def recover(tx: Write, kinds: Iterable[str], *, is_dead: IsDead = owners.is_dead) -> int:
    """Make the jobs of workers that died or fell silent ready again, or failed at their last attempt; return how many.

    One look at /proc for each process that runs a job of these kinds.
    """
    return sum(_lose_over(tx, tx.rows(_RUNNING, kind=kind), is_dead) for kind in kinds)


def due_in_ms(tx: Read, kinds: Iterable[str]) -> int | None:
    """Return after how many ms a claim of these kinds may give something, if nobody does anything until then.

    0: now, one is ready, or a rest or a lease is over. None: never.
    """
    ahead: list[int] = []
    for kind in kinds:
        if tx.row(SQL["is_any_ready"], kind=kind):
            return 0
        at = tx.row(SQL["next_change"], kind=kind)
        ahead += [max(0, ms - tx.now_ms) for ms in (at or {}).values() if ms is not None]
    return min(ahead, default=None)


def owners_running(tx: Read, kinds: Iterable[str]) -> list[Owner]:
    """Return whoever runs jobs of these kinds."""
    texts = {row["owner"] for kind in kinds for row in tx.rows(SQL["owners_of"], kind=kind)}
    return [owners.load(text) for text in sorted(texts)]


def _claim_ready(
    tx: Write, hows: Sequence[Kind], owner: Owner, lease_ms: int | None, is_dead: IsDead, *, patient: bool
) -> tuple[Claimed | None, list[Capped]]:
    if len(hows) == 1 and hows[0].running_max is None:  # almost always there is nothing to see to first
        claimed = _claim_at_once(tx, hows[0], owner, lease_ms)
        if claimed is not None:
            return claimed, []
    return _take_ready(tx, hows, owner, lease_ms, is_dead, patient=patient)


def _claim_at_once(tx: Write, how: Kind, owner: Owner, lease_ms: int | None) -> Claimed | None:
    lease_ms = how.lease_ms if lease_ms is None else lease_ms
    rules.check_lease(how.name, lease_ms)
    found = tx.row(
        _AT_ONCE,
        kind=how.name,
        owner=owners.dump(owner),
        epoch_fences=1 << COUNTER_BITS,
        now_ms=tx.now_ms,
        expires_ms=tx.now_ms + lease_ms,
    )
    if found is None:
        return None
    claimed = job(found)
    assert claimed.hold is not None  # its owner was just written
    return Claimed(claimed, claimed.hold, how, claimed.wanted, claimed.attempts)


def _take_ready(
    tx: Write, hows: Sequence[Kind], owner: Owner, lease_ms: int | None, is_dead: IsDead, *, patient: bool
) -> tuple[Claimed | None, list[Capped]]:
    now_epoch = holds.epoch(tx)
    capped: list[Capped] = []
    if patient and len(hows) == 1:
        limited, taken = caps.hold(tx, hows, None), set[str]()
    else:
        limited, taken = caps.hold_free(tx, hows)
        hows = [how for how in hows if not taken & limited[how.name].keys()]
    for how in hows:
        _wake(tx, how.name)
    for how in _by_first(tx, hows):
        if reached := caps.reached(tx, limited[how.name], is_dead=is_dead, lose=_lose_over):
            capped += reached
            continue
        found = tx.row(_NEXT_FREE, kind=how.name)
        if found is None:
            continue
        return _take(tx, found, how, owner, lease_ms, now_epoch), capped
    if taken and patient:
        names = ", ".join(f"of kind {kind}" if kind else "of all kinds" for kind in sorted(taken))
        raise Busy(f"another claim holds the cap {names}, and does not end")
    return None, capped


def _take(tx: Write, found: Row, how: Kind, owner: Owner, lease_ms: int | None, epoch: int) -> Claimed:
    outcome = rules.decide(
        job(found),
        owner,
        kind=how,
        watermark=None,
        now_ms=tx.now_ms,
        lease_ms=how.lease_ms if lease_ms is None else lease_ms,
        epoch=epoch,
    )
    assert isinstance(outcome, Claimed), outcome  # a ready job is due, and has attempts left: see `odd_jobs`
    claimed = _put(tx, outcome)
    assert claimed is not None  # the row is ours since we looked
    return claimed


def _by_first(tx: Write, hows: Sequence[Kind]) -> Sequence[Kind]:
    """Return the kinds in the order in which their first jobs are to be done."""
    if len(hows) == 1:
        return hows
    firsts = [(tx.row(_NEXT, kind=how.name), how) for how in hows]
    there = [
        (-first["priority"], first["due_ms"], first["job_id"], at) for at, (first, _) in enumerate(firsts) if first
    ]
    return [hows[at] for *_, at in sorted(there)]


def _wake(tx: Write, kind: str) -> None:
    tx.run(SQL["wake"], kind=kind, now_ms=tx.now_ms, limit=_LOST_MAX)
    for found in tx.rows(_EXPIRED, kind=kind, now_ms=tx.now_ms, limit=_LOST_MAX):
        _lose(tx, job(found), dead=False)


def _lose_over(tx: Write, rows: Iterable[Any], is_dead: IsDead) -> int:
    judged: dict[str, bool] = {}
    lost = 0
    for found in rows:
        text = found["owner"]
        if text not in judged:
            judged[text] = is_dead(owners.load(text))
        if judged[text] or found["expires_ms"] <= tx.now_ms:
            lost += _lose(tx, job(found), dead=judged[text])
    return lost


def _lose(tx: Write, seen: Job, *, dead: bool) -> int:
    assert seen.owner is not None
    what = "died" if dead else f"was not heard of for {tx.now_ms - seen.renewed_ms} ms"
    failure = f"its worker ({owners.describe(seen.owner)}) {what} in attempt {seen.attempts} of {seen.attempts_max}"
    return tx.run(
        SQL["lose"],
        job_id=seen.job_id,
        fence=seen.fence,
        seen_renewed_ms=seen.renewed_ms,
        seen_expires_ms=seen.expires_ms,
        failure=failure,
        now_ms=tx.now_ms,
    )


def _until_ms(tx: Read, hows: Sequence[Kind]) -> int | None:
    changes = [tx.row(SQL["next_change"], kind=how.name) for how in hows]
    times = [at for row in changes if row for at in row.values() if at is not None]
    return min(times, default=None)


def _is_lost(seen: Job, now_ms: int, stale_after_ms: int | None, is_dead: IsDead) -> bool | None:
    """Return None unless ``seen`` is at hand and its worker lost it; then whether that one is dead."""
    if seen.status != Status.RUNNING or seen.hold is None:
        return None
    if is_dead(seen.hold.owner):
        return True
    return False if hold_rules.over(seen.hold, now_ms=now_ms, stale_after_ms=stale_after_ms) else None


def _put(tx: Write, decided: Claimed) -> Claimed | None:
    seen, hold = decided.job, decided.hold
    wanted = decided.watermark if rules.advances(seen.wanted, decided.watermark) else seen.wanted
    size, digest = pair(wanted)
    seen_size, seen_hash = pair(seen.wanted)
    changed = tx.run(
        SQL["put_claim"],
        wanted_size=size,
        wanted_hash=digest,
        attempts=decided.attempt,
        owner=owners.dump(hold.owner),
        fence=hold.fence,
        now_ms=tx.now_ms,
        expires_ms=hold.expires_ms,
        job_id=seen.job_id,
        seen_status=seen.status,
        seen_fence=seen.fence,
        seen_size=seen_size,
        seen_hash=seen_hash,
    )
    if changed != 1:
        return None
    held = replace(
        seen,
        status=Status.RUNNING,
        wanted=wanted,
        attempts=decided.attempt,
        owner=hold.owner,
        fence=hold.fence,
        taken_ms=hold.taken_ms,
        renewed_ms=hold.renewed_ms,
        expires_ms=hold.expires_ms,
        note="",
        changed_ms=tx.now_ms,
    )
    return replace(decided, job=held)
