"""What is kept, how large it is, and who is at work: measured, for people and for `--json`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from holdfast.cache.file import LIMITS as CACHE_LIMITS
from holdfast.ingest import ledger
from holdfast.sqlite import Limits
from holdfast.sqlite.locks import pinners, seat_holder
from holdfast.state import backups
from holdfast.state.backups import BackupFile
from holdfast.state.directory import BACKUPS, CACHE_DB, SEARCH_DB, STATE_DB
from holdfast.state.moved import SQL
from holdfast.threads import homes, store

if TYPE_CHECKING:
    from holdfast.state.handle import State


_FILES = {STATE_DB: Limits(), SEARCH_DB: Limits(), CACHE_DB: CACHE_LIMITS}


class HomeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One home in the index. ``bytes`` are those of its rollouts; ``problems`` counts what could not be read."""

    path: str
    indexed_ms: int | None
    files: int = 0
    bytes: int = 0
    threads: int = 0
    archived: int = 0
    missing: int = 0
    deleted: int = 0
    """Threads that somebody deleted here; they are among ``threads``, too."""
    failed: int = 0
    problems: int = 0


class FileStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One database file. Sizes in bytes; 0: not there."""

    bytes: int
    wal_bytes: int
    wal_bytes_max: int
    """A write that would take the log beyond this is refused (``Limits.wal_hard_bytes``)."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """See the module. ``homes`` are all that are known here, not only those of this handle."""

    state_dir: str
    database: str | None
    """The PostgreSQL database that holds the state, without its password; None: ``state_dir`` does."""
    version: str
    sqlite_version: str
    postgres_version: str | None
    """The server's; None: it is not asked, or there is none."""
    homes: tuple[HomeStatus, ...]
    files: dict[str, FileStatus]
    search_messages: int
    search_threads: int
    search_behind: int
    """Threads that changed since their words were indexed."""
    holds: int
    seat_holder: str | None
    """Who may write to state.db right now."""
    pinners: tuple[str, ...]
    """Who keeps its log from being reset."""
    backups: int
    """Copies of state.db in ``backups/``."""
    backups_bytes: int
    newest_backup: BackupFile | None
    chores_failed: int
    chores_error: str


def measure(state: State) -> Status:
    """Return the status of ``state``. Counts the threads of each home; 50,000 take about 10 ms, a million 0.3 s."""
    import apsw

    import holdfast

    db = os.path.join(state.path, STATE_DB)
    seat = seat_holder(db)
    words = state.words.status(state)
    copies = backups.listing(os.path.join(state.path, BACKUPS))
    return Status(
        state_dir=state.path,
        database=state.engine.path if state.engine is not None and state.engine.kind == "postgres" else None,
        version=holdfast.__version__,
        sqlite_version=apsw.sqlite_lib_version(),
        postgres_version=_server_version(state),
        homes=_homes(state),
        files={name: _file(os.path.join(state.path, name), limits) for name, limits in _FILES.items()},
        search_messages=words.messages,
        search_threads=words.threads,
        search_behind=words.behind,
        holds=len(state.holds()),
        seat_holder=None if seat is None else str(seat),
        pinners=tuple(str(pinner) for pinner in pinners(db)),
        backups=len(copies),
        backups_bytes=sum(copy.bytes for copy in copies),
        newest_backup=copies[0] if copies else None,
        chores_failed=state.chores.failed,
        chores_error=state.chores.last_error,
    )


def _server_version(state: State) -> str | None:
    if state.engine is None or state.engine.kind != "postgres":
        return None
    with state.engine.read() as tx:
        row = tx.row(SQL["engine_version"])
    return None if row is None else str(row["version"])


def _homes(state: State) -> tuple[HomeStatus, ...]:
    if state.engine is None:
        return tuple(HomeStatus(path=home.path, indexed_ms=None) for home in state.homes)
    found = []
    with state.engine.read() as tx:
        known = {home.path: home for home in homes.listing(tx)}
        for home in [*known.values(), *(home for home in state.homes if home.path not in known)]:
            if not home.home_id:
                found.append(HomeStatus(path=home.path, indexed_ms=None))
                continue
            files = ledger.counts(tx, home.home_id)
            threads = store.counts(tx, home.home_id)
            found.append(
                HomeStatus(
                    path=home.path,
                    indexed_ms=home.indexed_ms,
                    files=files["files"],
                    bytes=files["bytes"],
                    threads=threads["threads"],
                    archived=threads["archived"],
                    missing=threads["missing"],
                    deleted=threads["deleted"],
                    failed=files["failed"],
                    problems=sum(problem.count for problem in ledger.problems(tx, home.home_id)),
                )
            )
    return tuple(found)


def _file(path: str, limits: Limits) -> FileStatus:
    return FileStatus(bytes=_size(path), wal_bytes=_size(f"{path}-wal"), wal_bytes_max=limits.wal_hard_bytes)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
