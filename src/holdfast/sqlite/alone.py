"""Being the only one in a database: for whoever puts another file in its place.

Replacing a file under a reader gives it pages of two databases: its -shm and
-wal are found by name. So SQLite's exclusive lock is taken, on which every
other connection of any process waits, also one that is just being opened; and
the WAL is copied into the database and deleted, so that nothing lies beside it
that could be taken for the new file's. Who waited finds a database that is not
in WAL mode, which our own open takes for one still to be made, and looks again
by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from holdfast.errors import Busy
from holdfast.sqlite import codes, settings
from holdfast.sqlite.locks import openers
from holdfast.sqlite.seat import seated


@contextmanager
def alone(path: str, wait_ms: int = 1_000) -> Iterator[None]:
    """Hold the database at ``path``, which this process does not have open, against everybody.

    Leaves it whole in one file, no longer in WAL mode (the next ``Store.open``
    puts it back). Raises ``Busy`` with the names of those who have it open,
    ``Damaged``, ``Full`` when the log cannot be copied into it.
    """
    with seated(path, wait_ms):
        patience = settings.Patience()
        patience.deadline_ns = settings.deadline(wait_ms)
        try:
            connection = settings.connect(path, apsw.SQLITE_OPEN_READWRITE, patience)
        except apsw.Error as error:
            raise codes.translate(error, path) from error
        try:
            try:
                settings.run_all(connection, "PRAGMA synchronous = EXTRA; PRAGMA locking_mode = EXCLUSIVE;")
                mode = connection.pragma("journal_mode", "delete")
                if mode != "delete":
                    raise _in_use(path, f"its journal stays in mode {mode}")
                connection.execute("BEGIN EXCLUSIVE")
            except (apsw.BusyError, apsw.LockedError) as error:
                raise _in_use(path, str(error)) from error
            except apsw.Error as error:
                raise codes.translate(error, path, connection.system_errno) from error
            yield
        finally:
            connection.close()


def _in_use(path: str, why: str) -> Busy:
    who = "; ".join(map(str, openers(path))) or why
    return Busy(f"{path} is in use: {who}", remedy="End those processes, then try again.")
