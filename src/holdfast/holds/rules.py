"""When a resource may change hands. Pure: no clock, no database, no processes."""

from __future__ import annotations

from holdfast.errors import Refused
from holdfast.holds.model import Denied, Hold, Owner

COUNTER_BITS = 40
"""Changes of hands per epoch: 2**40, a thousand a second for 34 years."""


def decide(
    seen: Hold | None,
    resource: str,
    owner: Owner,
    *,
    now_ms: int,
    lease_ms: int,
    epoch: int,
    holder_is_dead: bool = False,
    stale_after_ms: int | None = None,
) -> Hold | Denied:
    """Return the hold ``owner`` gets, or why it gets none.

    A free or expired resource, and one whose holder is known dead, changes
    hands: its fence grows. The owner of a live hold may extend it; that is no
    change of hands, unless the epoch rose since: then it gets a fence of the
    new epoch. With ``stale_after_ms`` the taker judges by the time since the
    last renewal instead of the holder's own expiry. A renewal dated as far in
    the future counts as stale, too, or a wrong clock would block for ever.
    Raises ``Refused`` unless ``lease_ms`` is positive.
    """
    if lease_ms <= 0:
        raise Refused(f"{resource}: a lease of {lease_ms} ms would end before it began")
    floor = epoch << COUNTER_BITS
    expires_ms = now_ms + lease_ms
    if seen is None:
        return Hold(resource, owner, floor + 1, now_ms, now_ms, expires_ms)
    mine = seen.owner == owner and not over(seen, now_ms=now_ms)
    if mine and seen.fence > floor:
        return Hold(resource, owner, seen.fence, seen.taken_ms, now_ms, max(expires_ms, seen.expires_ms), seen.note)
    if mine or holder_is_dead or over(seen, now_ms=now_ms, stale_after_ms=stale_after_ms):
        return Hold(resource, owner, max(seen.fence, floor) + 1, now_ms, now_ms, expires_ms)
    until_ms = seen.expires_ms if stale_after_ms is None else seen.renewed_ms + stale_after_ms
    return Denied(resource, seen.owner, seen.fence, seen.renewed_ms, max(until_ms - now_ms, 0), seen.note)


def over(seen: Hold, *, now_ms: int, stale_after_ms: int | None = None) -> bool:
    """Return True when the hold no longer binds anyone."""
    if seen.expires_ms == seen.renewed_ms:  # released
        return True
    if stale_after_ms is None:
        return seen.expires_ms <= now_ms
    # A renewal from the future is of a wrong clock, or of a transaction of another session that began a moment after
    # ours and was committed before: only the first is far away.
    return abs(now_ms - seen.renewed_ms) >= stale_after_ms
