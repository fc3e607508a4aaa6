"""How far the index of each home is: measured, and by whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from holdfast import holds
from holdfast.ingest import gate, ledger, rules
from holdfast.threads import homes

if TYPE_CHECKING:
    from holdfast.state.handle import State


class Backfill(msgspec.Struct, frozen=True, kw_only=True):
    """One home. ``status``: ``pending`` (never indexed to its end), ``running`` or ``complete``.

    ``files_done`` of ``files`` while it is running (of those that had to be
    read); else the files in the ledger, and None where nobody counted yet.
    ``by`` is who is at work.
    """

    home: str
    status: str
    files_done: int = 0
    files: int | None = None
    last_completed_ms: int | None = None
    by: str | None = None


def measure(state: State) -> tuple[Backfill, ...]:
    """Return how far the index of each home of ``state`` is. Writes nothing, also in a state never written."""
    if state.engine is None:
        return tuple(Backfill(home=home.path, status="pending") for home in state.homes)
    found = []
    with state.engine.read() as tx:
        for home in (homes.get(tx, each.path) or each for each in state.homes):
            held = holds.get(tx, gate.resource(home)) if home.home_id else None
            if held is not None and not gate.is_over(held, tx.now_ms):
                noted = rules.progress_of(held.note)
                found.append(
                    Backfill(
                        home=home.path,
                        status="running",
                        files_done=noted.files_done,
                        files=noted.files or None,
                        last_completed_ms=home.indexed_ms,
                        by=holds.describe(held.owner),
                    )
                )
                continue
            files = ledger.counts(tx, home.home_id)["files"] if home.home_id else 0
            complete = home.indexed_ms is not None
            found.append(
                Backfill(
                    home=home.path,
                    status="complete" if complete else "pending",
                    files_done=files,
                    files=files if complete else None,
                    last_completed_ms=home.indexed_ms,
                )
            )
    return tuple(found)
