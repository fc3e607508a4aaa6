"""A new ``state.db`` in place of a damaged one: from the homes, and from what people said.

Nothing is deleted: the damaged files are moved aside, and stay until somebody
removes them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import msgspec

from holdfast import holds, schema
from holdfast.clock import wall_ms
from holdfast.errors import Busy, HoldfastError
from holdfast.ingest import gate
from holdfast.ingest.model import IndexReport, OnProgress
from holdfast.sqlite import Store, pinners, seat_holder
from holdfast.state import directory, said
from holdfast.state.opening import OneOrMore, real_homes

_HOUR_MS = 3_600_000


class RebuildReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a rebuild did. ``moved_to`` is None when there was no file; ``said_from`` says where names came from."""

    moved_to: str | None
    homes: tuple[str, ...]
    said: int
    """Threads whose name or archive mark was said again."""
    said_from: str
    """``database`` (it could still be read), ``snapshot``, or ``nowhere``."""
    reports: tuple[IndexReport, ...]


def rebuild(
    home: OneOrMore = None,
    *,
    state_dir: str | os.PathLike[str] | None = None,
    on_progress: OnProgress | None = None,
) -> RebuildReport:
    """Move ``state.db`` aside and make it again. Takes as long as a first index.

    Homes are those the old file or the newest snapshot knew, and ``home``.
    Fences go on above all that were ever issued. Raises ``Busy`` while any
    process has the file open.
    """
    wanted = real_homes(home)
    path = directory.real(state_dir)
    directory.check_outside(path, wanted)
    directory.prepare(path)
    db = os.path.join(path, directory.STATE_DB)
    _refuse_when_in_use(db)
    old, came_from = _salvage(db, path)
    moved_to = _move_aside(db, path)
    homes = list(dict.fromkeys([*wanted, *(each for each in (old.homes if old else ()) if os.path.isdir(each))]))
    with Store.open(db, clock=wall_ms) as engine:
        schema.migrate(engine)
        with engine.write() as tx:
            # Hours since 1970 are above any epoch that was ever counted up by one, and fit (rules.COUNTER_BITS).
            holds.raise_epoch(tx, max((old.epoch if old else 0) + 1, tx.now_ms // _HOUR_MS))
        reports = tuple(gate.index(engine, each, on_progress=on_progress) for each in homes)
        restored = 0
        if old is not None:
            with engine.write() as tx:
                restored = said.restore(tx, old)
        said.save(engine, path)
    return RebuildReport(moved_to=moved_to, homes=tuple(homes), said=restored, said_from=came_from, reports=reports)


def _refuse_when_in_use(db: str) -> None:
    users: Sequence[object] = [*pinners(db), *([seat] if (seat := seat_holder(db)) else [])]
    if users:
        raise Busy(
            f"{db} is in use: {'; '.join(map(str, users))}",
            remedy="End those processes, then run `holdfast index --rebuild` again.",
        )


def _salvage(db: str, state_dir: str) -> tuple[said.Snapshot | None, str]:
    """Return what people said: from the file itself as far as it can be read, else from the newest snapshot."""
    newest = said.newest(state_dir)
    try:
        with Store.peek(db, clock=wall_ms) as engine:
            schema.check_readable(engine)
            with engine.read() as tx:
                return said.read(tx), "database"
    except (HoldfastError, FileNotFoundError):
        return newest, "snapshot" if newest is not None else "nowhere"


def _move_aside(db: str, state_dir: str) -> str | None:
    """Move the database and its sidecars into a folder of their own, together; return it."""
    files = [file for file in (db, f"{db}-wal", f"{db}-shm") if os.path.exists(file)]
    if not files:
        return None
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    folder = os.path.join(state_dir, directory.BACKUPS, f"damaged-{stamp}-{os.getpid()}")
    os.makedirs(folder, mode=0o700)
    # The log goes last: without its database it is harmless, a database without its log is not.
    for file in files:
        os.rename(file, os.path.join(folder, os.path.basename(file)))
    return folder
