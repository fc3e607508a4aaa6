"""Before another ``state.db`` takes the place of this one: nobody uses it, what it knows is kept, and so is it.

Nothing is deleted: files are moved into a folder of ``backups/``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress

from holdfast import folders, schema
from holdfast.clock import wall_ms
from holdfast.errors import Busy, Damaged, HoldfastError
from holdfast.sqlite import Store, openers, seat_holder
from holdfast.state import directory, moved, said


def refuse_when_in_use(db: str, *, remedy: str) -> None:
    """Raise ``Busy`` with the names of the processes that have ``db`` open."""
    users = openers(db) or ([seat] if (seat := seat_holder(db)) else [])
    if users:
        raise Busy(f"{db} is in use: {'; '.join(map(str, users))}", remedy=remedy)


def refuse_when_not_ours(db: str, look: Callable[[Store], object] = schema.check_readable) -> None:
    """Raise ``Refused`` for a sound database of another program, ``Unsupported`` for that of a newer holdfast.

    ``schema.check_readable`` lets a newer one pass that we can read, ``schema.check`` does not.
    """
    try:
        engine = Store.peek(db, clock=wall_ms)
    except (HoldfastError, FileNotFoundError):
        return
    with engine, suppress(Damaged, Busy):
        moved.refuse(engine)  # or it would count again, beside what it was moved to
        look(engine)


def salvage(db: str, state_dir: str) -> tuple[said.Snapshot | None, str]:
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


def move(db: str, state_dir: str, why: str) -> str | None:
    """Move the database and its sidecars into a folder of their own, together; return it."""
    files = [file for file in (db, f"{db}-wal", f"{db}-shm") if os.path.exists(file)]
    if not files:
        return None
    folder = new_folder(state_dir, why)
    # The log goes last: without its database it is harmless, a database without its log is not.
    for file in files:
        os.rename(file, os.path.join(folder, os.path.basename(file)))
    folders.sync(folder)
    return folder


def new_folder(state_dir: str, why: str) -> str:
    """Make a folder for files that are moved aside, named for why and when."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    ms = time.time_ns() // 1_000_000 % 1000
    folder = os.path.join(state_dir, directory.BACKUPS, f"{why}-{stamp}-{ms:03}-{os.getpid()}")
    folders.make(folder)
    return folder
