"""A backup put in the place of ``state.db``, without losing what is there now.

Everything is done on a copy beside it; then one rename makes the copy the
state. A process killed before the rename leaves the old state, after it the
new one. What was there is kept in ``backups/replaced-…``, and restoring that
file is the undo.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec

from holdfast import folders, holds, jobs, schema
from holdfast.clock import wall_ms
from holdfast.engine import Write
from holdfast.errors import Busy, Damaged, HoldfastError, Refused, Unsupported
from holdfast.ingest import gate
from holdfast.ingest.model import OnProgress
from holdfast.sqlite import Store, alone, reading_copy
from holdfast.state import aside, backups, directory, said
from holdfast.state.backing_up import check_sound, found_by_probes
from holdfast.threads import homes as home_rows
from holdfast.threads import store as threads

_WORK = ".restoring-"
_HALFWAY = ".replacing"
_IN_USE = "End those processes, then run `holdfast restore` again."


class RestoreReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a restore did."""

    backup: str
    moved_to: str | None
    """Where the file is kept that was ``state.db`` before; restoring it is the undo. None: there was none."""
    homes: tuple[str, ...]
    threads: int
    migrations: int
    """How many the backup lacked, and got."""
    epoch: int
    """Fences go on from here: above all that the backup or the file before it ever gave."""
    holds_ended: int
    said: int
    """Threads of which was said again what people said since the backup."""
    said_from: str
    """``database`` (the file before it), ``snapshot``, ``nowhere``, or ``backup``: nothing newer was taken."""
    findings: tuple[str, ...]
    """What the probes find in the state as it is now. Empty: it is sound."""
    duration_ms: int


def restore(
    backup: str | os.PathLike[str],
    *,
    state_dir: str | os.PathLike[str] | None = None,
    exact: bool = False,
    on_progress: OnProgress | None = None,
) -> RestoreReport:
    """Put ``backup`` in the place of ``state.db``, after checking it; what was there is moved aside.

    The homes are looked at again, and what people said since the backup is
    said again, unless ``exact``. Every hold ends, and the epoch rises, so
    that no fence from before is good. Takes as long as copying and checking
    the file twice, and a rescan.

    Raises ``Refused`` (no such file, not ours), ``Damaged`` (the backup is
    not sound), ``Unsupported`` (the backup or ``state.db`` is of a newer
    holdfast), ``Busy`` (somebody has ``state.db`` open), ``Full``. After
    each of them the state is as it was.
    """
    began = time.monotonic()
    directory.refuse_database(state_dir, "restore", "Use pg_restore.")
    path = directory.real(state_dir)
    directory.prepare(path)
    db = os.path.join(path, directory.STATE_DB)
    source = _source(backup, db)
    aside.refuse_when_in_use(db, remedy=_IN_USE)
    aside.refuse_when_not_ours(db, schema.check)
    tidy(path, db)
    with _work_folder(path) as work:
        prepared = os.path.join(work, directory.STATE_DB)
        lacked = _copy(source, prepared)
        check_sound(prepared)
        report = _prepare(prepared, path, db, exact=exact, on_progress=on_progress)
        moved_to = _swap(prepared, db, path)
    backups.prune_replaced(path, moved_to)
    return msgspec.structs.replace(
        report,
        backup=source,
        moved_to=moved_to,
        migrations=lacked,
        duration_ms=round((time.monotonic() - began) * 1000),
    )


def _source(backup: str | os.PathLike[str], db: str) -> str:
    source = os.path.realpath(os.path.expanduser(os.fspath(backup)))
    if not os.path.isfile(source):
        raise Refused(f"there is no backup at {source}", remedy="`holdfast status` names the newest one.")
    if os.path.exists(db) and os.path.samefile(source, db):
        raise Refused(f"{source} is the state itself, no backup of it")
    return source


def _copy(source: str, prepared: str) -> int:
    """Copy the backup to ``prepared``, if it is one of ours; return how many migrations it lacks."""
    # O_EXCL: nobody has it open in SQLite, so this close cancels nobody's locks.
    os.close(os.open(prepared, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    try:
        if os.path.exists(f"{source}-wal") and os.stat(f"{source}-wal").st_size:
            # Moved aside as it was left by a killed process: the end of it is in its log.
            with Store.peek(source, clock=wall_ms) as engine:
                engine.copy_to(prepared)
        else:
            with reading_copy(source, wall_ms) as tx:
                _applied(schema.applied(tx, source), source)
            before = os.stat(source)
            shutil.copyfile(source, prepared)
            after = os.stat(source)
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise Busy(f"{source} was written while it was copied")
        with reading_copy(prepared, wall_ms) as tx:
            return len(schema.migrations("sqlite")) - _applied(schema.applied(tx, source), source)
    except Damaged as error:
        raise Damaged(f"{source} cannot be restored: {error}", remedy="Restore an older backup.") from error


def _applied(count: int, source: str) -> int:
    if not count:
        raise Refused(f"{source} is a database without any table of ours, no backup")
    return count


def _prepare(prepared: str, path: str, db: str, *, exact: bool, on_progress: OnProgress | None) -> RestoreReport:
    """Make of the copy what is to be the state: today's shape, an epoch above all, and what was said since."""
    from holdfast import board  # which no state needs to be opened

    now, came_from = aside.salvage(db, path)
    with Store.open(prepared, clock=wall_ms) as engine:
        schema.migrate(engine)
        engine.clock = schema.anchored_clock(engine)
        with engine.write() as tx:
            backed_up_at = said.moment(tx)
            ended = holds.end_all(tx) + jobs.end_all(tx) + board.end_all(tx)
        homes = [] if exact else _index(engine, on_progress)
        with engine.write() as tx:
            if exact or now is None or (now.epoch, now.revision) <= backed_up_at:
                again, came_from = 0, "backup" if now is not None or exact else "nowhere"
            else:
                again = sum(said.replace(tx, now, home) for home in home_rows.listing(tx))
            _raise_epoch(tx, db, now)
            epoch = holds.epoch(tx)
        # Before the swap: from here on the newest snapshot knows the epoch, whatever becomes of us.
        said.save(engine, path, before=now)
        with engine.read() as tx:
            known = home_rows.listing(tx)
            return RestoreReport(
                backup="",
                moved_to=None,
                homes=tuple(homes or (home.path for home in known)),
                threads=sum(threads.count(tx, home.home_id) for home in known),
                migrations=0,
                epoch=epoch,
                holds_ended=ended,
                said=again,
                said_from=came_from,
                findings=found_by_probes(tx),
                duration_ms=0,
            )


def _index(engine: Store, on_progress: OnProgress | None) -> list[str]:
    """Look at the homes again, so that threads younger than the backup have rows; return those that are there."""
    with engine.read() as tx:
        known = [home.path for home in home_rows.listing(tx) if os.path.isdir(home.path)]
    for home in known:
        # A home that cannot be read now is no reason to be without a state.
        with suppress(Refused, Unsupported):
            gate.index(engine, home, on_progress=on_progress)
    return known


def _raise_epoch(tx: Write, db: str, now: said.Snapshot | None) -> None:
    said.raise_epoch(tx, now)
    with suppress(HoldfastError, FileNotFoundError), Store.peek(db, clock=wall_ms) as engine, engine.read() as old:
        if (least := holds.epoch(old) + 1) > holds.epoch(tx):  # it could not be read to its end, but this far
            holds.raise_epoch(tx, least)


def _swap(prepared: str, db: str, state_dir: str) -> str | None:
    """Make ``prepared`` the state, in one rename; return where what was there is kept."""
    _sync_file(prepared)
    try:
        if os.path.exists(db) and os.stat(db).st_size:
            with alone(db):
                halfway = aside.new_folder(state_dir, _HALFWAY)
                _keep(db, os.path.join(halfway, directory.STATE_DB))
                os.rename(prepared, db)
                folders.sync(state_dir)
            return _settle(halfway)
    except Damaged:
        pass  # there is nothing to be exclusive about: it was not openable before either
    moved_to = aside.move(db, state_dir, "replaced")
    os.rename(prepared, db)
    folders.sync(state_dir)
    return moved_to


def _keep(db: str, kept: str) -> None:
    """Give the file a second name, or a copy where there are none; on disk when this returns."""
    try:
        os.link(db, kept)
    except OSError:
        shutil.copyfile(db, kept)
        os.chmod(kept, 0o600)
        _sync_file(kept)
    folders.sync(os.path.dirname(kept))


def _settle(halfway: str) -> str:
    folder, name = os.path.split(halfway)
    moved_to = os.path.join(folder, f"replaced-{name.removeprefix(f'{_HALFWAY}-')}")
    os.rename(halfway, moved_to)
    folders.sync(folder)
    return moved_to


def tidy(state_dir: str, db: str) -> None:
    """Finish or undo what a killed restore left: its work goes, what it had moved aside gets its name.

    Does nothing while another restore is at work.
    """
    for name in os.listdir(state_dir):
        if name.startswith(_WORK):
            try:
                with _locked(os.path.join(state_dir, name)) as folder:
                    shutil.rmtree(folder)
            except OSError:
                return  # what lies there is somebody's who lives
    where = backups.folder(state_dir)
    for name in os.listdir(where):
        if name.startswith(_HALFWAY):
            kept = os.path.join(where, name, directory.STATE_DB)
            if os.path.exists(kept) and not (os.path.exists(db) and os.path.samefile(kept, db)):
                _settle(os.path.join(where, name))
            else:  # killed before the rename: it is still the state itself, under its own name, too
                shutil.rmtree(os.path.join(where, name), ignore_errors=True)


@contextmanager
def _work_folder(state_dir: str) -> Iterator[str]:
    path = os.path.join(state_dir, f"{_WORK}{os.urandom(6).hex()}")
    os.mkdir(path, mode=0o700)
    with _locked(path) as folder:
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: str) -> Iterator[str]:
    """Hold a kernel lock on a folder, so that others see its maker lives. Raises ``OSError`` when somebody has it."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield folder
    finally:
        os.close(fd)


def _sync_file(path: str) -> None:
    # Nobody has it open in SQLite, so this close cancels nobody's locks.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
