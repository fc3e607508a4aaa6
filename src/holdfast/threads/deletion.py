"""What a delete takes out of sight: a thread, and all that it spawned. An overlay: no row and no file goes.

Rows must stay. A rollout that is not ours to remove would bring a thread
without a row back with the next index.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from holdfast import ids, sql
from holdfast.engine import Read, Row, Write
from holdfast.threads import edges
from holdfast.threads.listing import thread
from holdfast.threads.model import Thread
from holdfast.threads.store import next_revision

_SQL = sql.load("holdfast.threads")
_DELETED = _SQL["select_thread"].fill(chosen=_SQL["chosen_by_id"], tail=_SQL["where_deleted"])


def doomed(tx: Read, home_id: int, root: bytes, *, descendants: bool) -> list[Row]:
    """Return the rows of ``doomed`` that a delete of ``root`` would mark: the last generation first, ``root`` last.

    What is deleted already is left out, and so is a child without a rollout: there is nothing of it to delete.
    """
    found = [row["child_id"] for row in edges.below(tx, home_id, root)] if descendants else []
    order = [id16.hex() for id16 in [root, *found]]
    rows = tx.rows(_SQL["doomed"], home_id=home_id, ids=json.dumps(order))
    return [row for row in reversed(rows) if row["deleted_said_ms"] is None]


def delete(tx: Write, home_id: int, root: bytes, *, descendants: bool) -> list[str]:
    """Mark ``root`` and all below it as deleted now; return their ids, children first. All, or none."""
    rows = doomed(tx, home_id, root, descendants=descendants)
    _mark(tx, [row["n"] for row in rows], tx.now_ms)
    return [ids.text(row["thread_id"]) for row in rows]


def undelete(tx: Write, home_id: int, root: bytes) -> list[str]:
    """Take the mark off ``root`` and off all below it that were deleted in the same moment; return their ids."""
    order = [root.hex(), *(row["child_id"].hex() for row in edges.below(tx, home_id, root))]
    rows = tx.rows(_SQL["doomed"], home_id=home_id, ids=json.dumps(order))
    if not rows or rows[0]["thread_id"] != root or rows[0]["deleted_said_ms"] is None:
        return []
    back = [row for row in rows if row["deleted_said_ms"] == rows[0]["deleted_said_ms"]]
    _mark(tx, [row["n"] for row in back], None)
    return [ids.text(row["thread_id"]) for row in back]


def listing(tx: Read, homes: Sequence[int]) -> list[Thread]:
    """Return every thread of these homes that was deleted, the last one first."""
    return [thread(row) for row in tx.rows(_DELETED, homes=json.dumps(homes))]


def _mark(tx: Write, ns: Sequence[int], deleted_ms: int | None) -> None:
    revision = next_revision(tx)
    tx.run_many(_SQL["set_deleted_said"], [{"n": n, "deleted_ms": deleted_ms, "revision": revision} for n in ns])
