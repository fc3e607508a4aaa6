"""What somebody asks to be done with the whole file, outside of any transaction."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from holdfast.sqlite import codes, settings
from holdfast.sqlite.core import Core
from holdfast.sqlite.running import Answer, Params, column


def checkpoint(core: Core, wait_ms: int) -> Answer:
    """Empty the log, and answer as ``PRAGMA wal_checkpoint`` does: (0, 0, 0), or (1, -1, -1) when somebody reads it."""
    with _exclusive(core, wait_ms):
        emptied = core.wal.truncate()
    names = (column("busy"), column("log"), column("checkpointed"))
    return Answer([(0, 0, 0) if emptied else (1, -1, -1)], names)


def vacuum(core: Core, wait_ms: int, sql: str, params: Params) -> Answer:
    """Run a VACUUM. All of the file goes through the log, so ``Limits.wal_hard_bytes`` bounds it."""
    with _exclusive(core, wait_ms) as connection:
        try:
            return Answer(connection.execute(sql, params).fetchall())
        except apsw.Error as error:
            raise codes.translate(error, "VACUUM", connection.system_errno) from error


@contextmanager
def _exclusive(core: Core, wait_ms: int) -> Iterator[apsw.Connection]:
    begun_ns, deadline_ns = time.monotonic_ns(), settings.deadline(wait_ms)
    with core.baton.exclusive(begun_ns, deadline_ns):
        if core.writer is None or core.reopen_writer:
            core.open()
        assert core.writer is not None
        core.files.look()
        core.patience.deadline_ns = deadline_ns
        core.wal.allow(reserve=False)
        yield core.writer
