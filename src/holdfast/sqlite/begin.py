"""How a write transaction gets its lock, so that no careless close can take it away (``shm.py``)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import apsw

from holdfast.errors import Busy
from holdfast.sqlite import codes, locks

if TYPE_CHECKING:  # core imports us
    from holdfast.sqlite.core import Core


def begin_immediate(core: Core, begun_ns: int, deadline_ns: int) -> None:
    """BEGIN IMMEDIATE on the writer, and hold its lock twice. Raises ``Busy`` at the deadline, and what SQLite says."""
    assert core.writer is not None
    core.patience.deadline_ns = deadline_ns
    while not _begin_once(core, begun_ns):
        if not core.patience(0):
            waited_ms = (time.monotonic_ns() - begun_ns) // 1_000_000
            raise Busy(
                f"waited {waited_ms} ms for the write lock of {core.path}, which another connection of this "
                f"process has, or which is cancelled again and again by a close of {core.path}-shm in it"
            )


def _begin_once(core: Core, begun_ns: int) -> bool:
    # False when a neighbour may have written between what SQLite saw and our second lock.
    assert core.writer is not None
    before = core.shm.before()
    if core.shm.is_written_here():
        return False
    try:
        # IMMEDIATE takes the write lock now. A deferred transaction takes it at the
        # first write, by when its snapshot may be stale, and no waiting cures the BUSY
        # that answers that (SQLITE_BUSY_SNAPSHOT, sqlite.org/rescode.html).
        core.writer.execute("BEGIN IMMEDIATE")
    except apsw.BusyError as error:
        waited_ms = (time.monotonic_ns() - begun_ns) // 1_000_000
        who = [str(p) for p in locks.pinners(core.path) if "WRITE" in p.locks or "RECOVER" in p.locks]
        held = f"held by {'; '.join(who)}" if who else "and its holder left just now"
        raise Busy(f"waited {waited_ms} ms for the write lock of {core.path}, {held}") from error
    except apsw.Error as error:
        raise codes.translate(error, core.path, core.writer.system_errno) from error
    is_held = False
    try:
        is_held = core.shm.hold_write(before)
    finally:
        if not is_held:
            core.writer.execute("ROLLBACK")
    return is_held
