"""Take, renew, confirm and release holds. Each function joins the caller's transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from holdfast import sql
from holdfast.engine import Engine, Read, Write
from holdfast.errors import Busy, Damaged, Refused, Stale
from holdfast.holds import owner as owners
from holdfast.holds import rules
from holdfast.holds.model import Denied, Hold, Owner

_SQL = sql.load("holdfast.holds")
EPOCH = _SQL["get_epoch"]
"""What ``epoch`` asks, to be a part of a larger statement."""
_EPOCHS_BEYOND = 64 * 1024
_TRIES_MAX = 5  # each lost try means someone else got the resource


def take(
    tx: Write,
    resource: str,
    owner: Owner,
    *,
    lease_ms: int,
    stale_after_ms: int | None = None,
    is_dead: Callable[[Owner], bool] = owners.is_dead,
) -> Hold | Denied:
    """Take or extend the hold on ``resource``, or learn who has it.

    A holder that is certainly dead is replaced at once; a silent one when its
    lease ends, or after ``stale_after_ms`` without a renewal. Raises
    ``Refused`` unless ``lease_ms`` is positive.
    """
    now_epoch = epoch(tx)
    for _ in range(_TRIES_MAX):
        seen = get(tx, resource)
        decision = rules.decide(
            seen,
            resource,
            owner,
            now_ms=tx.now_ms,
            lease_ms=lease_ms,
            epoch=now_epoch,
            holder_is_dead=seen is not None and is_dead(seen.owner),
            stale_after_ms=stale_after_ms,
        )
        if isinstance(decision, Denied) or _put(tx, decision, seen):
            return decision
        # Another session moved or renewed the row after we looked, and its row is now
        # visible to us. On SQLite we are the only writer and never get here.
    raise Busy(f"{resource} changed hands {_TRIES_MAX} times while we tried to take it")


def epoch(tx: Read) -> int:
    """Return the upper part of every fence taken now."""
    row = tx.row(_SQL["get_epoch"])
    return int(row["epoch"]) if row else 1


def raise_epoch(tx: Write, least: int) -> int:
    """Make every later fence larger than any before; return the new epoch, at least ``least``.

    For a database that was restored or made anew: fences it issued, and forgot, stay old.
    """
    raised = max(epoch(tx) + 1, least)
    tx.run(_SQL["set_epoch"], epoch=raised)
    return raised


def know_server(engine: Engine, ended: Callable[[Write], object] = lambda _tx: None) -> bool:
    """Raise the epoch when the database was loaded into another server since it was last opened; True then.

    A dump is a database of another day: the fences it gave since are forgotten, and who held something in it does
    not know of this server. So every hold ends, and ``ended`` is called to end what lies elsewhere. One read.
    """
    with engine.read() as tx:
        seen = tx.row(_SQL["get_server"])
    if seen is None or seen["known"] == seen["found"]:
        return False
    with engine.write() as tx:
        if tx.run(_SQL["put_server"]) == 0:  # another process was first
            return False
        # Beyond any that its server, promoted a few times since, can have given.
        raise_epoch(tx, epoch(tx) + _EPOCHS_BEYOND)
        end_all(tx)
        ended(tx)
    return True


def get(tx: Read, resource: str) -> Hold | None:
    """Return the last hold on ``resource``, in force or over; None when it was never held."""
    row = tx.row(_SQL["get_hold"], resource=resource)
    return None if row is None else _hold(row)


def listing(tx: Read) -> list[Hold]:
    """Return every hold that was not released, oldest first; some may have expired."""
    return [_hold(row) for row in tx.rows(_SQL["list_holds"])]


def renew(tx: Write, hold: Hold, *, lease_ms: int, note: str | None = None) -> Hold:
    """Extend ``hold`` by ``lease_ms`` from now, and say how far the work is. Raises ``Stale`` when it was lost."""
    if lease_ms <= 0:
        raise Refused(f"{hold.resource}: to end a hold, release it; a lease of {lease_ms} ms is none")
    said = hold.note if note is None else note
    expires_ms = tx.now_ms + lease_ms
    renewed = tx.run(
        _SQL["renew_hold"],
        resource=hold.resource,
        fence=hold.fence,
        now_ms=tx.now_ms,
        expires_ms=expires_ms,
        note=said,
    )
    if renewed != 1:
        raise _lost(tx, hold)
    return Hold(hold.resource, hold.owner, hold.fence, hold.taken_ms, tx.now_ms, expires_ms, said)


def confirm(tx: Write, hold: Hold) -> None:
    """Raise ``Stale`` unless ``hold`` is in force. Nobody else gets it before this transaction ends."""
    row = tx.row(_SQL["lock_hold"], resource=hold.resource)
    seen = None if row is None else _hold(row)
    if seen is None or seen.fence != hold.fence or rules.over(seen, now_ms=tx.now_ms):
        raise _lost(tx, hold)


def release(tx: Write, hold: Hold) -> bool:
    """Give the hold up. False when it had already ended."""
    return tx.run(_SQL["end_hold"], resource=hold.resource, fence=hold.fence, now_ms=tx.now_ms) == 1


def end_all(tx: Write) -> int:
    """End every hold, whoever has it; return how many there were. Their rows stay, and so do their fences.

    For a database that was put back: a hold in it is of a time that is over.
    """
    return tx.run(_SQL["end_every_hold"])


def _lost(tx: Read, hold: Hold) -> Stale:
    seen = get(tx, hold.resource)
    if seen is None or seen.fence == hold.fence:
        return Stale(f"the hold on {hold.resource} (fence {hold.fence}) ended before the work did")
    return Stale(
        f"{hold.resource} changed hands: fence {hold.fence} is over,"
        f" {owners.describe(seen.owner)} has it with fence {seen.fence}"
    )


def _put(tx: Write, hold: Hold, seen: Hold | None) -> bool:
    changed = tx.run(
        _SQL["put_hold"],
        resource=hold.resource,
        owner=owners.dump(hold.owner),
        fence=hold.fence,
        taken_ms=hold.taken_ms,
        renewed_ms=hold.renewed_ms,
        expires_ms=hold.expires_ms,
        note=hold.note,
        seen_fence=seen.fence if seen else 0,
        seen_renewed_ms=seen.renewed_ms if seen else 0,
        seen_expires_ms=seen.expires_ms if seen else 0,
    )
    return changed == 1


def _hold(row: Mapping[str, Any]) -> Hold:
    try:
        owner = owners.load(row["owner"])
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Damaged(
            f"the owner of the hold on {row['resource']} cannot be read: {error}",
            remedy="Stop whoever works on it, then delete this row of the table `holds`.",
        ) from error
    return Hold(**{**row, "owner": owner})
