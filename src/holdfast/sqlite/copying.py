"""A copy of a database that is in use: one moment of it, whole in one file, and how to look at such a file.

``VACUUM INTO``, because it can tell how far it is, can be interrupted (a backup
step over all pages cannot), leaves the free pages out, and reads every row, so
that damage is met when the copy is made and not when it is needed. Stepped
backups begin again whenever somebody writes: they never end on a busy file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import apsw

from holdfast.clock import Clock
from holdfast.errors import Busy, Damaged, Full
from holdfast.sqlite import codes, creation, settings
from holdfast.sqlite.files import size_of
from holdfast.sqlite.reads import Readers
from holdfast.sqlite.settings import APPLICATION_ID, MIB, Limits
from holdfast.sqlite.transactions import Reading

OnProgress = Callable[[int, int], None]

_LOOK_EVERY_STEPS = 5_000  # a thousand rows or so: a few ms
_ROOM_BYTES = 8 * MIB  # that a copy leaves free: whoever writes beside it wants some, too
_PROBLEMS_MAX = 20


def copy(readers: Readers, limits: Limits, path: str, target: str, on_progress: OnProgress | None) -> int:
    """See ``Store.copy_to``."""
    reader = readers.take()
    try:
        connection = readers.connected(reader)
        size = _content_bytes(connection)
        _check_room(target, size)

        def look() -> bool:
            if (wal_bytes := size_of(f"{path}-wal")) > limits.wal_hard_bytes // 2:
                raise Busy(
                    f"the write-ahead log of {path} grew to {wal_bytes} bytes while it was copied, half of what it may"
                    " become: the copy was given up before it got in the writers' way",
                    remedy="Make the copy when less is written.",
                )
            if on_progress is not None:
                on_progress(min(size_of(target), size), size)
            return False

        try:
            # It guards against writes to this database, and takes the copy for one.
            connection.execute("PRAGMA query_only = OFF")
            connection.set_progress_handler(look, _LOOK_EVERY_STEPS)
            try:
                connection.execute("VACUUM INTO ?", (target,)).fetchall()
            finally:
                connection.set_progress_handler(None)
                connection.execute("PRAGMA query_only = ON")
        except apsw.Error as error:
            raise codes.translate(error, f"copying {path} to {target}", connection.system_errno) from error
        readers.end(reader)  # a peek is told here that somebody wrote meanwhile
    finally:
        readers.put(reader)
    written = size_of(target)
    if on_progress is not None:
        on_progress(written, written)
    return written


def unsound(path: str) -> list[str]:
    """Return what SQLite finds wrong with a file that nobody has open; nothing when it is sound. 1.4 s per GB."""
    connection = _opened(path)
    try:
        found = [str(row[0]) for row in connection.execute(f"PRAGMA quick_check({_PROBLEMS_MAX})")]
        found += [f"foreign key: {row}" for row in connection.execute("PRAGMA foreign_key_check").fetchall()]
    except (apsw.CorruptError, apsw.NotADBError) as error:
        return [str(error)]
    except apsw.Error as error:
        raise codes.translate(error, path, connection.system_errno) from error
    finally:
        connection.close()
    return [] if found == ["ok"] else found[:_PROBLEMS_MAX]


@contextmanager
def reading_copy(path: str, clock: Clock, *, application_id: int = APPLICATION_ID) -> Iterator[Reading]:
    """Read a file that nobody has open or writes to, wherever it lies: no sidecars, no locks.

    Raises ``Damaged`` when it is no database, ``Refused`` when it is another program's.
    """
    connection = _opened(path)
    try:
        creation.check_header(connection, path, application_id)
        tx = Reading(connection, clock())
        yield tx
        tx.end()
    finally:
        connection.close()


def _opened(path: str) -> apsw.Connection:
    # The mount is not asked about: without locks and shared memory any will do.
    try:
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        connection = settings.connect(creation.uri(path, immutable=True), flags, settings.Patience())
        settings.for_reading(connection)
    except apsw.Error as error:
        raise codes.translate(error, path) from error
    return connection


def _content_bytes(connection: apsw.Connection) -> int:
    pages, free, page_bytes = (
        settings.pragma_int(connection, name) for name in ("page_count", "freelist_count", "page_size")
    )
    if not pages:
        raise Damaged("there is nothing to copy: the database has no page")
    return (pages - free) * page_bytes


def _check_room(target: str, size: int) -> None:
    folder = os.path.dirname(target)
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    if free < size + _ROOM_BYTES:
        raise Full(
            f"{folder} has {free} bytes free; the copy takes {size}, and {_ROOM_BYTES} are to stay free",
            remedy="Make room there, or name a place on another disk.",
        )
