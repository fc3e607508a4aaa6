"""A new ``state.db`` in place of a damaged one: from the homes, and from what people said.

Nothing is deleted: the damaged files are moved aside, and stay until somebody
removes them.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

import msgspec

from holdfast import folders, schema
from holdfast.clock import wall_ms
from holdfast.engine import Write
from holdfast.errors import Busy, Damaged, HoldfastError
from holdfast.ingest import gate
from holdfast.ingest.model import IndexReport, OnProgress
from holdfast.sqlite import Store, openers, seat_holder
from holdfast.state import directory, said
from holdfast.state.opening import OneOrMore, real_homes
from holdfast.threads.model import Home


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
    process has the file open, ``Refused`` when it is another program's.
    """
    wanted = real_homes(home)
    path = directory.real(state_dir)
    directory.check_outside(path, wanted)
    directory.prepare(path)
    db = os.path.join(path, directory.STATE_DB)
    _refuse_when_in_use(db)
    _refuse_when_not_ours(db)
    old, came_from = _salvage(db, path)
    moved_to = _move_aside(db, path)
    homes = list(dict.fromkeys([*wanted, *(each for each in (old.homes if old else ()) if os.path.isdir(each))]))
    with Store.open(db, clock=wall_ms) as engine:
        schema.migrate(engine)
        engine.clock = schema.anchored_clock(engine)
        with engine.write() as tx:
            said.raise_epoch(tx, old)
        restored = []

        def say_again(tx: Write, home: Home) -> None:
            if old is not None:
                restored.append(said.restore(tx, old, home))

        reports = tuple(gate.index(engine, each, on_progress=on_progress, at_first=say_again) for each in homes)
        said.save(engine, path, before=old)
    return RebuildReport(
        moved_to=moved_to, homes=tuple(homes), said=sum(restored), said_from=came_from, reports=reports
    )


def _refuse_when_in_use(db: str) -> None:
    users = openers(db) or ([seat] if (seat := seat_holder(db)) else [])
    if users:
        raise Busy(
            f"{db} is in use: {'; '.join(map(str, users))}",
            remedy="End those processes, then run `holdfast index --rebuild` again.",
        )


def _refuse_when_not_ours(db: str) -> None:
    """Raise ``Refused`` for a sound database of another program, ``Unsupported`` for that of a newer holdfast."""
    try:
        engine = Store.peek(db, clock=wall_ms)
    except (HoldfastError, FileNotFoundError):
        return
    with engine, suppress(Damaged, Busy):
        schema.check_readable(engine)


def _salvage(db: str, state_dir: str) -> tuple[said.Snapshot | None, str]:
    """Return what people said: from the file itself as far as it can be read, else from the newest snapshot."""
    newest = said.newest(state_dir)
    try:
        with Store.peek(db, clock=wall_ms) as engine:
            if schema.check_readable(engine):
                with engine.read() as tx:
                    return said.with_absent(said.read(tx), newest), "database"
    except (HoldfastError, FileNotFoundError):
        pass  # that is why we are here
    return newest, "snapshot" if newest is not None else "nowhere"


def _move_aside(db: str, state_dir: str) -> str | None:
    """Move the database and its sidecars into a folder of their own, together; return it."""
    files = [file for file in (db, f"{db}-wal", f"{db}-shm") if os.path.exists(file)]
    if not files:
        return None
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    ms = time.time_ns() // 1_000_000 % 1000
    folder = os.path.join(state_dir, directory.BACKUPS, f"damaged-{stamp}-{ms:03}-{os.getpid()}")
    folders.make(folder)
    # The log goes last: without its database it is harmless, a database without its log is not.
    for file in files:
        os.rename(file, os.path.join(folder, os.path.basename(file)))
    folders.sync(folder)
    return folder
