"""How a connection is set up, and the limits a store works within.

Each setting has its measurement in the README of this folder or its source beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import apsw

from holdfast.errors import Unsupported
from holdfast.sqlite import codes

Durability = Literal["full", "normal"]
"""``full``: a returned write survives a power cut. ``normal``: it survives a crash of the
process; a power cut may take it back to the last checkpoint."""

APPLICATION_ID = 0x686F6C64  # "hold", in the header's application_id field
MIB = 1 << 20

AUTOCHECKPOINT_PAGES = 4000  # 1,000 pages: 23.7k commits/s, p99.9 7 ms; 4,000: 33.9k, 0.6 ms
JOURNAL_BYTES_KEPT = 4 * MIB
CACHE_KIB = 16_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What a store keeps to. The first to open a file in a process sets them."""

    group_members: int = 64
    """Writes that may share one COMMIT."""
    group_ms: float = 5.0
    """How old a group may be and still take one more."""
    seat_ms: float = 2.0
    """How long one process may take the seat again and again while another waits."""
    readers: int = 2
    """Pooled read connections: 16 threads, a page: p99 3.5 ms on two, 58 ms on one each."""
    read_wait_ms: int = 5_000
    """How long a read waits for a pooled connection."""
    read_budget_ms: float = 10.0
    """A read that takes longer is counted (never refused): it keeps the WAL from being reset."""
    wal_soft_bytes: int = 16 * MIB
    """Above this the janitor truncates the WAL."""
    wal_hard_bytes: int = 256 * MIB
    """At this size a write is refused with ``Full``, and with the names of who pins the WAL. A
    transaction that would grow it beyond (by half of the reserve) is rolled back."""
    wal_reserve_bytes: int = 16 * MIB
    """Room above the hard limit for writes that free something: renew, finish, release."""
    open_wait_ms: int = 30_000
    """How long opening waits for another process that is creating the same file."""


class Patience:
    """The busy handler of one connection: short, jittered sleeps until a deadline.

    Eight processes under FULL: SQLite's own back-off starves some for 2.5 s and
    more; sleeps of 0.1 to 0.8 ms keep the worst wait at 194 ms, fairness 0.72.
    """

    __slots__ = ("deadline_ns", "waits")

    def __init__(self) -> None:
        self.deadline_ns = 0
        self.waits = 0

    def __call__(self, _calls: int) -> bool:
        """Sleep a little and return True; False once the deadline has passed."""
        if time.monotonic_ns() >= self.deadline_ns:
            return False
        self.waits += 1
        time.sleep(jitter_s())
        return True


def deadline(wait_ms: int) -> int:
    """Return when ``wait_ms`` from now will have passed, on ``time.monotonic_ns()``."""
    return time.monotonic_ns() + wait_ms * 1_000_000


def jitter_s() -> float:
    """Return 0.1 to 0.8 ms, in seconds. The low digits of the clock are random enough to part two waiters."""
    return (100 + (time.monotonic_ns() >> 5) % 700) / 1e6


def check_version(version: str = "") -> None:
    """Raise ``Unsupported`` when the SQLite inside apsw can lose commits.

    The WAL-reset bug is in 3.7.0 to 3.51.2; 3.50.7 and 3.44.6 carry the fix
    (sqlite.org/wal.html, section 11).
    """
    version = version or apsw.sqlite_lib_version()
    number = tuple(int(part) for part in version.split("."))
    fixed = number >= (3, 51, 3) or (3, 50, 7) <= number < (3, 51) or (3, 44, 6) <= number < (3, 45)
    if not fixed:
        raise Unsupported(
            f"SQLite {version} can lose committed data (the WAL-reset bug); 3.51.3 is needed",
            remedy="Install a newer apsw: `pip install --upgrade apsw`. It brings its own SQLite.",
        )


def connect(path: str, flags: int, patience: Callable[[int], bool], *, first: str = "") -> apsw.Connection:
    """Return a connection with everything set that does not depend on what it is for.

    ``first`` is run before anything else. Raises apsw's errors: the caller knows what they mean here.
    """
    connection = apsw.Connection(path, flags=flags, statementcachesize=256)
    try:
        if first:
            run_all(connection, first)
        _set_up(connection, patience)
    except BaseException:
        connection.close()  # who keeps the exception would keep its descriptors
        raise
    return connection


def _set_up(connection: apsw.Connection, patience: Callable[[int], bool]) -> None:
    # First of all: an opener without patience gets "database is locked" while
    # another process does its last close.
    connection.set_busy_handler(patience)
    for option, value in (
        (apsw.SQLITE_DBCONFIG_DEFENSIVE, 1),
        (apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0),
        (apsw.SQLITE_DBCONFIG_DQS_DML, 0),
        (apsw.SQLITE_DBCONFIG_DQS_DDL, 0),
        (apsw.SQLITE_DBCONFIG_ENABLE_FKEY, 1),
        # Plans must not hang on bound values: a statement that may use a partial index is else prepared again each
        # time it is run (the next job of a kind: 25 us, and 2.8 us with this).
        (apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1),
    ):
        connection.config(option, value)
    run_all(connection, _EVERY_CONNECTION)


def fold_lower(connection: apsw.Connection) -> None:
    """Make ``lower()`` fold all of Unicode, as PostgreSQL does: SQLite's own folds ASCII only."""
    connection.create_scalar_function(
        "lower",
        _lower,
        1,
        deterministic=True,
        # Without this flag trusted_schema=OFF forbids it in indexes, views and triggers.
        flags=apsw.SQLITE_INNOCUOUS,
    )


# mmap: a file that shrinks under a mapping is a SIGBUS, and mapping gained nothing.
# secure_delete costs a third of the bytes written again; files are 0600.
_EVERY_CONNECTION = f"""
PRAGMA mmap_size = 0;
PRAGMA cell_size_check = ON;
PRAGMA secure_delete = OFF;
PRAGMA temp_store = MEMORY;
PRAGMA cache_size = -{CACHE_KIB};
"""


def for_writing(connection: apsw.Connection, durability: Durability) -> None:
    """Set what only the writer needs."""
    run_all(
        connection,
        f"PRAGMA synchronous = {'FULL' if durability == 'full' else 'NORMAL'};"
        f"PRAGMA journal_size_limit = {JOURNAL_BYTES_KEPT};"
        f"PRAGMA wal_autocheckpoint = {AUTOCHECKPOINT_PAGES};",
    )


def for_reading(connection: apsw.Connection) -> None:
    """Set what makes a connection one that cannot write, whatever it is asked to run."""
    # A reader never commits, so its autocheckpoint would never run; 0 says so.
    run_all(connection, "PRAGMA query_only = ON; PRAGMA wal_autocheckpoint = 0;")


def _lower(*values: apsw.SQLiteValue) -> str | None:
    (value,) = values
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").lower()
    return str(value).lower()


def run_all(connection: apsw.Connection, text: str) -> None:
    """Run several statements to the end. ``execute`` stops at the first row, and some PRAGMAs have one."""
    connection.execute(text).fetchall()


def pragma_int(connection: apsw.Connection, name: str) -> int:
    """Return a PRAGMA that is a number. Raises ``Damaged`` and its like, never apsw's errors."""
    try:
        return int(connection.pragma(name))
    except apsw.Error as error:
        raise codes.translate(error, f"PRAGMA {name}", connection.system_errno) from error
