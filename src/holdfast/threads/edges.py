"""Who spawned whom: what was said of it, else what the rollout of the child says. Rows in and out.

Threads spawn threads, so this is a forest; but anybody may say anything, and
files may be damaged: every walk here ends, also in a circle.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from holdfast import ids, sql
from holdfast.engine import Read, Row, Write
from holdfast.errors import Refused
from holdfast.threads.model import Spawn

_SQL = sql.load("holdfast.threads")
SAID_EDGES = _SQL["said_edges"]
"""Everything people said of spawning: rows of home, child_id, parent_id, status."""


def say(tx: Write, home_id: int, parent_id: bytes, child_id: bytes, status: str, revision: int) -> None:
    """Note that ``parent_id`` spawned ``child_id``, whatever was said before. Raises ``Refused`` for a circle."""
    if child_id == parent_id or any(row["child_id"] == parent_id for row in below(tx, home_id, child_id)):
        raise Refused(f"thread {ids.text(parent_id)} is spawned by {ids.text(child_id)}, or is it: no circle is kept")
    tx.run(_SQL["put_edge"], home_id=home_id, child_id=child_id, parent_id=parent_id, status=status)
    tx.run(_SQL["touch_child"], home_id=home_id, child_id=child_id, revision=revision)


def spawn_of(tx: Read, homes: Sequence[int], child_id: bytes) -> tuple[int, Spawn] | None:
    """Return the home of ``child_id`` and who spawned it, or None when nobody and nothing says."""
    row = tx.row(_SQL["spawn_of"], homes=json.dumps(homes), child_id=child_id)
    return None if row is None else (row["home_id"], spawn(row))


def children(tx: Read, home_id: int, parents: Iterable[bytes]) -> list[Row]:
    """Return the rows of ``spawned_by`` for these threads, deleted ones too, the oldest id first. One statement."""
    asked = json.dumps([id16.hex() for id16 in parents])
    return sorted(tx.rows(_SQL["spawned_by"], home_id=home_id, parents=asked), key=lambda row: row["child_id"])


def below(tx: Read, home_id: int, root: bytes) -> list[Row]:
    """Return all that ``root`` spawned, and they, and so on: nearest first. A statement for each generation."""
    seen = {root}
    found: list[Row] = []
    parents = [root]
    while parents:
        at = {id16: place for place, id16 in enumerate(parents)}
        level = [row for row in children(tx, home_id, parents) if row["child_id"] not in seen]
        level.sort(key=lambda row: at[row["parent_id"]])
        parents = [row["child_id"] for row in level]
        seen.update(parents)
        found += level
    return found


def family(tx: Read, homes: Sequence[int], *, parent: bytes | None, ancestor: bytes | None) -> set[int]:
    """Return the row ids of the children of ``parent``, or of all below ``ancestor``, in these homes."""
    rows: list[Row] = []
    for home_id in homes:
        if parent is not None:
            rows += children(tx, home_id, [parent])
        if ancestor is not None:
            rows += below(tx, home_id, ancestor)
    return {row["n"] for row in rows if row["n"] is not None}


def spawn(row: Mapping[str, Any]) -> Spawn:
    """Return a row of ``spawned_by`` or ``spawn_of`` as a ``Spawn``."""
    return Spawn(
        id=ids.text(row["child_id"]),
        parent_id=ids.text(row["parent_id"]),
        status=row["status"],
        said=bool(row["said"]),
    )


def restore(tx: Write, rows: Sequence[Mapping[str, object]], revision: int) -> int:
    """Say again what ``SAID_EDGES`` once gave (``home_id`` for home), where nothing was said since; return how many."""
    tx.run_many(_SQL["touch_child"], [_touched(row, revision) for row in rows])
    return tx.run_many(_SQL["restore_edge"], rows)


def _touched(row: Mapping[str, object], revision: int) -> dict[str, object]:
    return {"home_id": row["home_id"], "child_id": row["child_id"], "revision": revision}
