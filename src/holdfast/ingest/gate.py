"""Only one process indexes a home; the others wait for it, but not for ever."""

from __future__ import annotations

import itertools
import os
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from holdfast import holds
from holdfast.engine import Engine, Read, Write
from holdfast.errors import Busy, Refused, Unsupported
from holdfast.holds import Denied, Hold, Owner
from holdfast.ingest import ledger, rules
from holdfast.ingest.indexing import AtFirst, Indexing
from holdfast.ingest.model import IndexReport, OnProgress, Progress
from holdfast.ingest.reading import Reading
from holdfast.ingest.survey import Survey, entry_at, glance, look
from holdfast.origin import internal
from holdfast.threads import homes, store
from holdfast.threads.model import Home

LEASE_MS = 15_000
"""A silent indexer is replaced after this long; a dead one at once."""

WAIT_MS = 30_000
"""How long an ``open()`` waits for another process's index of the home."""

_POLL_S = 0.05
_LABEL = "index-"
_attempts = itertools.count(1)
_running: set[Owner] = set()
"""The attempts of this process that may have a hold."""


def real_home(path: str | os.PathLike[str]) -> str:
    """Return the real path of the home at ``path``.

    Raises ``Refused`` unless it is a directory, ``Unsupported`` when its name is not UTF-8.
    """
    real = os.path.realpath(os.path.expanduser(path))
    try:
        mode = os.stat(real).st_mode
    except FileNotFoundError:
        raise Refused(f"there is no home at {real}", remedy="Name another with --home, or set CODEX_HOME.") from None
    except OSError as error:
        raise Refused(f"the home {real} cannot be looked at: {error.strerror}") from error
    if not stat.S_ISDIR(mode):
        raise Refused(f"{real} is not a directory, so it is no home", remedy="Name the directory that holds sessions/.")
    try:
        real.encode()
    except UnicodeEncodeError:
        raise Unsupported(
            f"the name of the home {real!r} is not UTF-8, and no database can hold it", remedy="Give it another name."
        ) from None
    return real


def resource(home: Home) -> str:
    """Return the name of the hold on indexing ``home``."""
    return f"index:{home.home_id}"


def index(
    engine: Engine,
    path: str | os.PathLike[str],
    *,
    full: bool = False,
    recent: bool = False,
    wait_ms: int = WAIT_MS,
    on_progress: OnProgress | None = None,
    workers: int | None = None,
    stop: threading.Event | None = None,
    at_first: AtFirst | None = None,
) -> IndexReport:
    """Index the home at ``path``, or wait for whoever is doing it. With nothing new, nothing is written.

    ``full`` folds every file again. ``recent`` looks only where new things mostly
    are (see ``survey.glance``), in a home that was indexed whole before; with nothing
    new there its report counts no threads. ``at_first`` is called in the transaction
    that first notes the home as indexed. Raises ``Busy`` when another process is
    still at it after ``wait_ms`` ("timed out waiting for the index of HOME
    (41 %, by pid N)") or when ``stop`` was set, ``Refused`` when there is no
    such home.
    """
    began = time.monotonic()
    real = real_home(path)
    waited = False

    def see() -> Survey:
        return glance(engine, real) if recent else look(engine, real, full=full)

    with _attempt() as owner:
        while True:
            with engine.read() as tx:
                before = _last(tx, homes.get(tx, real))
            survey = see()
            if recent and (survey.up_to_date or survey.home is None or survey.home.indexed_ms is None):
                return IndexReport(
                    home=real, unchanged=survey.plan.unchanged, scanned=len(survey.entries), complete=False
                )
            if survey.up_to_date:
                return _nothing_new(engine, survey, began, waited=waited)
            with engine.write(wait_ms=max(wait_ms, 1_000)) as tx:
                home = homes.ensure(tx, real)
                # Another was at work since we looked (and may have ended), or the home moved here with all its rows.
                outdated = _last(tx, home) != before or (before is not None and not holds.over(before, now_ms=0))
                outdated |= survey.home is None and ledger.counts(tx, home.home_id)["files"] > 0
                answer = _take(tx, home, owner)
            if isinstance(answer, Denied):
                _wait(engine, answer, home, began, wait_ms, on_progress, stop)
                waited = True
                continue
            with internal("indexer"), holds.kept(engine, answer, LEASE_MS) as keeper:
                if outdated:
                    survey = see()
                reading = Reading(
                    engine, home.path, keeper=keeper, full=full, on_progress=on_progress, workers=workers, stop=stop
                )
                return Indexing(engine, home, answer, reading, at_first=at_first).run(survey)


def refold(
    engine: Engine,
    path: str,
    files: Sequence[str],
    *,
    full: bool = True,
    wait_ms: int = WAIT_MS,
    stop: threading.Event | None = None,
) -> None:
    """Fold these files (relative to the home at ``path``) again, now: their rows were found to be wrong, or old.

    Unless ``full``, a long file goes on where it was. Raises ``Busy`` when
    another process is still indexing the home after ``wait_ms``, or when ``stop`` was set.
    """
    began = time.monotonic()
    with _attempt() as owner:
        while True:
            with engine.write() as tx:
                home = homes.ensure(tx, path)
                answer = _take(tx, home, owner)
            if isinstance(answer, Hold):
                with internal("indexer"), holds.kept(engine, answer, LEASE_MS) as keeper:
                    reading = Reading(engine, home.path, keeper=keeper, full=full, stop=stop)
                    Indexing(engine, home, answer, reading).refold(files)
                return
            _wait(engine, answer, home, began, wait_ms, None, stop)


def is_folded(engine: Engine, home: Home, file: str) -> bool:
    """Return True when nothing was written to this file (relative to ``home``) since it was folded. Only reads."""
    entry = entry_at(home.path, file)
    with engine.read() as tx:
        row = ledger.load_some(tx, home.home_id, [file]).get(file)
    return entry is not None and row is not None and row.status == "ok" and not rules.changed(entry, row)


@contextmanager
def _attempt() -> Iterator[Owner]:
    owner = holds.me(f"{_LABEL}{next(_attempts)}")
    _running.add(owner)
    try:
        yield owner
    finally:
        _running.discard(owner)


def is_over(hold: Hold, now_ms: int) -> bool:
    """Return True when nobody works on the index under ``hold`` any more."""
    return holds.over(hold, now_ms=now_ms, stale_after_ms=LEASE_MS) or _is_over(hold.owner)


def _is_over(owner: Owner) -> bool:
    """Return True for a dead owner, and for an attempt of ours that ended and could not say so: the disk was full."""
    if owner.label.startswith(_LABEL) and holds.me(owner.label) == owner:
        return owner not in _running
    return holds.is_dead(owner)


def _last(tx: Read, home: Home | None) -> Hold | None:
    """Return the last hold on indexing ``home``, in force or over."""
    return None if home is None else holds.get(tx, resource(home))


def _take(tx: Write, home: Home, owner: Owner) -> Hold | Denied:
    # Judged by its last renewal, not by the end it claims: a lease dated by a clock that ran
    # ahead, on another machine perhaps, would shut everybody out until that day.
    return holds.take(tx, resource(home), owner, lease_ms=LEASE_MS, stale_after_ms=LEASE_MS, is_dead=_is_over)


def _wait(
    engine: Engine,
    denied: Denied,
    home: Home,
    began: float,
    wait_ms: int,
    on_progress: OnProgress | None,
    stop: threading.Event | None,
) -> None:
    """Return once the hold is over, or its holder dead. Only reads: forty waiters cost the worker nothing."""
    who = holds.describe(denied.by)
    pause = stop or threading.Event()
    while True:
        with engine.read() as tx:
            held = holds.get(tx, resource(home))
            if held is None or is_over(held, tx.now_ms):
                return
        seen = rules.progress_of(held.note)
        waited_ms = round((time.monotonic() - began) * 1000)
        if waited_ms >= wait_ms:
            raise Busy(
                f"timed out waiting for the index of {home.path} ({seen.percent} %, by {who}) after {waited_ms} ms",
                remedy="It goes on without you. Try again later, or open with wait=False and read what is there.",
            )
        if on_progress is not None:
            on_progress(Progress(home.path, seen.files_done, seen.files, seen.percent, 100, by=who))
        if pause.wait(_POLL_S):
            raise Busy(f"stopped waiting for the index of {home.path}")


def _nothing_new(engine: Engine, survey: Survey, began: float, *, waited: bool) -> IndexReport:
    assert survey.home is not None  # a home never indexed is not up to date
    plan = survey.plan
    with engine.read() as tx:
        threads = store.count(tx, survey.home.home_id)
        problems = ledger.problems(tx, survey.home.home_id)
    return IndexReport(
        home=survey.home.path,
        scanned=len(survey.entries),
        unchanged=plan.unchanged,
        failed=len(plan.failed),
        threads=threads,
        duration_ms=round((time.monotonic() - began) * 1000),
        waited=waited,
        problems=(*survey.problems, *problems),
    )
