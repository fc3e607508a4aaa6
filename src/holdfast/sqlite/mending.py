"""Databases of anybody, mended: other content made out of a copy, and put in the place of the old.

Two ways to be in a file. ``held``: nobody else has it open, and the caller keeps it
so with locks of its own (``doctor.holding``), which SQLite's would run into; so it is
opened without any (the VFS ``unix-none``), its index in memory, and no ``-shm`` is
made or asked. ``beside``: as a polite neighbour, for a moment, who waits for nobody
and leaves the log alone when it closes (a missing lock of its owner must not make us
the last).

Content is put in place by SQLite's own backup, in one transaction of the file's own
kind, log or journal: whoever opens it after a kill gets the old content, never a mixture.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

import apsw

from holdfast.errors import Damaged, Refused
from holdfast.sqlite import codes, creation, filesystems, settings
from holdfast.sqlite.files import size_of

Tell = Callable[[int, int], None]
"""Told what is done, and what there is."""

_VFS = "unix-none"
_STEP_PAGES = 256
_PROBLEMS_MAX = 20
_OPENED_SETTINGS = """
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA cell_size_check = OFF;
PRAGMA writable_schema = ON;
PRAGMA synchronous = EXTRA;
PRAGMA wal_autocheckpoint = 0;
PRAGMA foreign_keys = OFF;
"""
_STEP_MS = 20
"""As long as one step of returning pages may hold the write lock."""

_FIRST_PAGES = 32


@contextmanager
def held(path: str) -> Iterator[apsw.Connection]:
    """Be in a database that the caller holds. Rolls a journal back that somebody's end left. Raises ``HoldfastError``.

    A damaged schema or a file cut short does not keep it from being opened; a broken first page does (``Damaged``).
    """
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(creation.uri(path, immutable=False), flags=flags, vfs=_VFS)
    try:
        settings.run_all(connection, _OPENED_SETTINGS)
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
        connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
        yield connection
    except apsw.Error as error:
        raise codes.translate(error, path, connection.system_errno) from error
    finally:
        connection.close()


@contextmanager
def beside(path: str) -> Iterator[apsw.Connection]:
    """Be in a database that others have open, waiting for none of them. Raises ``HoldfastError``."""
    filesystems.check(path)
    try:
        connection = settings.connect(path, apsw.SQLITE_OPEN_READWRITE, lambda _calls: False)
    except apsw.Error as error:
        raise codes.translate(error, path) from error
    try:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        yield connection
    except apsw.Error as error:
        raise codes.translate(error, path, connection.system_errno) from error
    finally:
        connection.close()


# --- in a database that is held ------------------------------------------------------


def settle(path: str) -> None:
    """Roll back what a killed writer left in a journal; nothing when there is none."""
    with held(path) as connection:
        connection.execute("PRAGMA schema_version").fetchall()


def put(path: str, source: str, tell: Tell) -> None:
    """Give the database at ``path`` the content of ``source``, in one transaction; then its log is empty.

    Killed anywhere it has the old content or the new one, through whatever log or journal it lies
    in. Raises ``Damaged`` when its first page is broken, ``Refused`` when its pages have another size,
    ``Full``: then it has the old content still.
    """
    with held(path) as connection, closing(_opened(source)) as content:
        connection.execute("PRAGMA schema_version").fetchall()
        with connection.backup("main", content, "main") as backup:
            while not backup.done:
                backup.step(_STEP_PAGES)
                tell(backup.page_count - backup.remaining, backup.page_count)
        _truncate_log(connection)
        tell(1, 1)


def truncate_log(path: str) -> None:
    """Copy the log into the database, and empty it."""
    with held(path) as connection:
        connection.execute("PRAGMA schema_version").fetchall()
        _truncate_log(connection)


def _truncate_log(connection: apsw.Connection) -> None:
    if connection.pragma("journal_mode") == "wal":
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


# --- new content out of a copy -------------------------------------------------------


def compact(source: str, new: str) -> None:
    """Make ``new`` of what is in ``source``, without its free pages. Raises ``Damaged`` where it cannot be read."""
    with _content(source) as connection:
        connection.execute("VACUUM INTO ?", (new,)).fetchall()


def duplicate(source: str, new: str) -> None:
    """Make ``new`` of the pages of ``source`` as they are, those in its log included."""
    with (
        _content(source) as connection,
        closing(apsw.Connection(new)) as target,
        target.backup("main", connection, "main") as backup,
    ):
        while not backup.done:
            backup.step(-1)


def change(path: str, *statements: str) -> None:
    """Run statements on a file that is new and nobody's yet, in one transaction."""
    with _scratch(path) as connection, connection:
        for sql in statements:
            connection.execute(sql).fetchall()


def delete_in_chunks(path: str, sql: str, values: Sequence[int], tell: Tell, total: int) -> int:
    """Run a DELETE with a LIMIT, its last value, until nothing more goes; return how many rows went."""
    gone = 0
    with _scratch(path) as connection:
        while True:
            connection.execute(sql, tuple(values)).fetchall()
            count = connection.changes()
            gone += count
            tell(gone, total)
            if not count:
                return gone


def ask(path: str, sql: str, values: Sequence[apsw.SQLiteValue] = ()) -> list[tuple[apsw.SQLiteValue, ...]]:
    """Return the rows of a query on a file, its log included, that nobody else has open. Writes nothing."""
    with _content(path) as connection:
        return [tuple(row) for row in connection.execute(sql, tuple(values)).fetchall()]


def unsound(path: str, *, whole: bool = False) -> list[str]:
    """Return what SQLite finds wrong with a file, its log included, that nobody else has open; [] when it is sound.

    ``whole``: asks the indexes, too, whether they hold what the tables hold.
    """
    check = "integrity_check" if whole else "quick_check"
    try:
        found = [str(row[0]) for row in ask(path, f"PRAGMA {check}({_PROBLEMS_MAX})")]
    except Damaged as error:
        return [str(error)]
    return [] if found == ["ok"] else found


@contextmanager
def _content(path: str) -> Iterator[apsw.Connection]:
    """Read a file that nobody else has open: through its log where it has one, else without a trace."""
    if size_of(f"{path}-wal"):
        with held(path) as connection:
            settings.run_all(connection, "PRAGMA writable_schema = OFF;")
            yield connection
    else:
        with _reading(path) as connection:
            yield connection


@contextmanager
def _scratch(path: str) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        settings.run_all(
            connection, "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF;"
        )
        connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)  # theirs might write what is to go
        yield connection
    except apsw.Error as error:
        raise codes.translate(error, path, connection.system_errno) from error
    finally:
        connection.close()


def _opened(path: str) -> apsw.Connection:
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(creation.uri(path, immutable=True), flags=flags)
    connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    return connection


@contextmanager
def _reading(path: str) -> Iterator[apsw.Connection]:
    connection = _opened(path)
    try:
        yield connection
    except apsw.Error as error:
        raise codes.translate(error, path, connection.system_errno) from error
    finally:
        connection.close()


# --- while others have it open -------------------------------------------------------


def checkpoint_beside(path: str, tries: int = 3) -> bool:
    """Empty the log if nobody needs it just now; return whether it is empty. Waits for nobody."""
    with beside(path) as connection:
        if connection.pragma("journal_mode") != "wal":
            raise Refused(f"{path} has no write-ahead log")
        for _ in range(tries):
            try:
                # When it meets a reader it has copied all that could be copied, as a PASSIVE one would.
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
                return True
            except (apsw.BusyError, apsw.LockedError):
                time.sleep(settings.jitter_s())
    return False


def return_pages(connection: apsw.Connection, tell: Tell, *, pausing: bool) -> int:
    """Give free pages back to the disk, some ms at a time; return how many are left.

    ``pausing``: as long after each step as the step took, so that others get in between.
    """
    if connection.pragma("auto_vacuum") != 2:
        raise Refused("its free pages can be returned by compaction only: auto_vacuum is not INCREMENTAL")
    total = left = settings.pragma_int(connection, "freelist_count")
    pages = _FIRST_PAGES
    while left:
        begun = time.monotonic()
        try:
            connection.execute(f"PRAGMA incremental_vacuum({pages})").fetchall()
        except (apsw.BusyError, apsw.LockedError):
            if not pausing:
                raise
            return left
        took_s = time.monotonic() - begun
        pages = max(1, pages // 2) if took_s * 1e3 > _STEP_MS / 2 else min(pages * 2, 4_096)
        before, left = left, settings.pragma_int(connection, "freelist_count")
        tell(total - left, total)
        if left >= before:  # others free pages faster than these go
            return left
        if pausing:
            time.sleep(took_s)
    return left
