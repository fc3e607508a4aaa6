"""One clock for every process of a boot, whatever the wall clock does: the anchor, kept in the database."""

from __future__ import annotations

from holdfast import clock, sql
from holdfast.clock import Anchor, Clock
from holdfast.engine import Read, Write
from holdfast.sqlite import Store

_SQL = sql.load("holdfast.schema")


def anchored_clock(store: Store) -> Clock:
    """Return the clock that every process of this boot shares; give it to ``store.clock``.

    The first process of a boot writes the anchor (one commit), every other
    reads it. Needs today's shape: call it after ``migrate``. On a ``peek``
    nothing is written; without an anchor of this boot it is the wall clock.
    """
    boot_id = clock.boot_id()
    with store.read() as tx:
        known = _get(tx, boot_id)
    if known is None and store.read_only:
        return clock.wall_ms
    if known is None:
        with store.write(wait_ms=30_000) as tx:
            # Another process of this boot may have come first.
            known = _get(tx, boot_id) or _put(tx)
    return known.now_ms


def _get(tx: Read, boot_id: str) -> Anchor | None:
    row = tx.row(_SQL["get_anchor"], boot_id=boot_id)
    return None if row is None else Anchor(**row)


def _put(tx: Write) -> Anchor:
    made = clock.anchor(_not_before_ms(tx, clock.wall_ms()))
    tx.run(_SQL["put_anchor"], boot_id=made.boot_id, wall_ms=made.wall_ms, boot_ms=made.boot_ms)
    return made


def _not_before_ms(tx: Read, wall_ms: int) -> int:
    row = tx.row(_SQL["latest_ms"])
    assert row is not None  # a select without FROM has one row
    held = ("renewed_ms", "job_renewed_ms", "task_renewed_ms")
    seen_ms = max(row[name] or 0 for name in ("anchored_ms", "applied_ms", *held))
    # A wall clock before that was set back. A lease that ran out unseen, before the machine
    # went down, must not run again; its holder is of another boot, and dead.
    leases = ("expires_ms", "job_expires_ms", "task_expires_ms")
    return seen_ms if wall_ms >= seen_ms else max(seen_ms, *(row[name] or 0 for name in leases))
