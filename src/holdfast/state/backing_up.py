"""A copy of ``state.db`` taken while others write: whole, checked, and only then given its name.

Only ``state.db``: the indexes in ``search.db`` and the values in ``cache.db``
can be made again, and what people said is in ``backups/said-*.json`` besides.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

import msgspec

from holdfast import holds, schema
from holdfast.clock import wall_ms
from holdfast.engine import Read
from holdfast.errors import Damaged, Refused
from holdfast.holds.probes import probes as hold_probes
from holdfast.ingest.probes import probes as ingest_probes
from holdfast.sqlite import Store, reading_copy, unsound
from holdfast.sqlite.copying import OnProgress
from holdfast.state import backups, directory, moved
from holdfast.threads import homes as home_rows
from holdfast.threads import store as threads
from holdfast.threads.probes import probes as thread_probes

PROBES = (hold_probes, thread_probes, ingest_probes)
NOT_INCLUDED = (
    "search.db: the index of words, made again from rollouts",
    "cache.db: values that may go",
    "logs/ and receipts/",
    "the homes and their rollouts",
)


class BackupReport(msgspec.Struct, frozen=True, kw_only=True):
    """A copy that was made, and what is in it. Sizes in bytes."""

    path: str
    bytes: int
    source_bytes: int
    """Of ``state.db`` and its log; larger when it holds free pages."""
    taken_ms: int
    duration_ms: int
    homes: int
    threads: int
    epoch: int
    migrations: int
    sqlite_check: str
    """What SQLite's quick_check said of the copy: ``ok``, or there would be no report."""
    findings: tuple[str, ...]
    """What the probes found in the copy, which is then in ``state.db``, too. Empty: it is sound."""
    removed: tuple[str, ...]
    """Older copies that went, to stay within ``backups.KEPT`` and ``KEPT_BYTES``."""
    not_included: tuple[str, ...] = NOT_INCLUDED


def backup(
    target: str | os.PathLike[str] | None = None,
    *,
    state_dir: str | os.PathLike[str] | None = None,
    on_progress: OnProgress | None = None,
) -> BackupReport:
    """Back up the state of ``state_dir`` without opening or indexing a home; see ``back_up``."""
    directory.refuse_database(state_dir, "backup", "Use pg_dump --schema, and restore with pg_restore.")
    path = directory.real(state_dir)
    db = os.path.join(path, directory.STATE_DB)
    if not os.path.exists(db):
        raise Refused(f"nothing is kept at {path} that could be backed up", remedy="Name another with --state.")
    with Store.open(db, clock=wall_ms) as engine:
        return back_up(engine, path, target, on_progress=on_progress)


def back_up(
    engine: Store,
    state_dir: str,
    target: str | os.PathLike[str] | None = None,
    *,
    on_progress: OnProgress | None = None,
) -> BackupReport:
    """Copy the database of ``engine`` to ``target``, check the copy, sync it, and give it its name.

    ``target`` None or a directory: the name tells the time. In ``backups/``
    the newest 5 stay, and no more than 2 GiB; elsewhere nothing is deleted. A
    file that is there is never written over. Killed or interrupted at any
    moment it leaves no file that looks like a backup.

    Raises ``Full`` (before a byte is written, with what is free and what is
    needed), ``Refused`` (the target is taken, or lies where it must not),
    ``Damaged`` (the copy is not sound: then ``state.db`` is not),
    ``Busy`` (others write so much that the copy was given up), ``Unsupported``.
    """
    began = time.monotonic()
    moved.refuse(engine)
    schema.check_readable(engine)
    with engine.read() as tx:
        known = [home.path for home in home_rows.listing(tx)]
    place = _target(state_dir, target, known)
    where = os.path.dirname(place)
    backups.sweep(where)
    taken_ms = wall_ms()
    with backups.Partial(place) as partial:
        size = engine.copy_to(partial.path, on_progress=on_progress)
        check_sound(partial.path)
        with reading_copy(partial.path, engine.clock) as tx:
            findings = found_by_probes(tx)
            report = BackupReport(
                path=place,
                bytes=size,
                source_bytes=_bytes(engine.path),
                taken_ms=taken_ms,
                duration_ms=0,
                homes=len(home_rows.listing(tx)),
                threads=sum(threads.count(tx, home.home_id) for home in home_rows.listing(tx)),
                epoch=holds.epoch(tx),
                migrations=tx.user_version,
                sqlite_check="ok",
                findings=findings,
                removed=(),
            )
        partial.publish()
    removed = backups.prune(where, place) if where == backups.folder(state_dir) else []
    duration_ms = round((time.monotonic() - began) * 1000)
    return msgspec.structs.replace(report, removed=tuple(removed), duration_ms=duration_ms)


def check_sound(path: str) -> None:
    """Raise ``Damaged`` when SQLite finds something wrong with a file that nobody has open."""
    if problems := unsound(path):
        raise Damaged(f"{path} is not sound: {problems[0]}" + (f" and {len(problems) - 1} more" * (len(problems) > 1)))


def found_by_probes(tx: Read) -> tuple[str, ...]:
    """Return what the subjects' probes find, a sentence each."""
    found = (finding for probe in PROBES for finding in probe(tx))
    return tuple(f"{each.code}: {each.subject}: {each.measured}, expected {each.expected}" for each in found)


def _bytes(db: str) -> int:
    return sum(os.stat(file).st_size for file in (db, f"{db}-wal") if os.path.exists(file))


def _target(state_dir: str, target: str | os.PathLike[str] | None, homes: Iterable[str]) -> str:
    """Return the real path of the file to make. Raises ``Refused``."""
    if target is None:
        where = backups.folder(state_dir)
        return os.path.join(where, backups.new_name(where))
    path = os.path.realpath(os.path.expanduser(os.fspath(target)))
    if os.path.isdir(path):
        path = os.path.join(path, backups.new_name(path))
    where = os.path.dirname(path)
    if not os.path.isdir(where):
        raise Refused(f"there is no directory {where}", remedy="Make it, or name another place for the copy.")
    if where == os.path.realpath(state_dir):
        raise Refused(
            f"{path} would lie among the files in use",
            remedy=f"Leave the target out: it goes into {directory.BACKUPS}/.",
        )
    if os.path.lexists(path):
        raise backups.exists(path)
    directory.check_outside(path, homes)
    return path
