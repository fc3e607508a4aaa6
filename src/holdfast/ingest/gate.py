"""Only one process indexes a home; the others wait for it, but not for ever."""

from __future__ import annotations

import itertools
import os
import stat
import threading
import time

from holdfast import holds
from holdfast.engine import Engine
from holdfast.errors import Busy, Refused
from holdfast.holds import Denied, Hold
from holdfast.ingest.indexing import Indexing
from holdfast.ingest.model import IndexReport, OnProgress, Progress
from holdfast.origin import internal
from holdfast.threads import homes, store
from holdfast.threads.model import Home

LEASE_MS = 15_000
"""A silent indexer is replaced after this long; a dead one at once."""

WAIT_MS = 30_000
"""How long an ``open()`` waits for another process's index of the home."""

_POLL_S = 0.1
_attempts = itertools.count(1)


def real_home(path: str) -> str:
    """Return the real path of the home at ``path``. Raises ``Refused`` unless it is a directory that can be entered."""
    real = os.path.realpath(os.path.expanduser(path))
    try:
        mode = os.stat(real).st_mode
    except FileNotFoundError:
        raise Refused(f"there is no home at {real}", remedy="Name another with --home, or set CODEX_HOME.") from None
    except OSError as error:
        raise Refused(f"the home {real} cannot be looked at: {error.strerror}") from error
    if not stat.S_ISDIR(mode):
        raise Refused(f"{real} is not a directory, so it is no home", remedy="Name the directory that holds sessions/.")
    return real


def resource(home: Home) -> str:
    """Return the name of the hold on indexing ``home``."""
    return f"index:{home.home_id}"


def index(
    engine: Engine,
    path: str,
    *,
    full: bool = False,
    wait_ms: int = WAIT_MS,
    on_progress: OnProgress | None = None,
    workers: int | None = None,
    stop: threading.Event | None = None,
) -> IndexReport:
    """Index the home at ``path``, or wait for whoever is doing it.

    ``full`` folds every file again. Raises ``Busy`` when another process is
    still at it after ``wait_ms`` ("timed out waiting for the index of HOME
    (41 %, by pid N)") or when ``stop`` was set, ``Refused`` when there is no
    such home.
    """
    began = time.monotonic()
    real = real_home(path)
    owner = holds.me(f"index-{next(_attempts)}")
    waited = False
    while True:
        with engine.write(wait_ms=max(wait_ms, 1_000)) as tx:
            home = homes.ensure(tx, real)
            answer = holds.take(tx, resource(home), owner, lease_ms=LEASE_MS)
            if waited and isinstance(answer, Hold) and not full and home.indexed_ms is not None:
                # Whoever we waited for finished while we did: their work is ours.
                holds.release(tx, answer)
                return _waited(store.counts(tx, home.home_id)["threads"], home, began)
        if isinstance(answer, Hold):
            with internal("indexer"), holds.kept(engine, answer, LEASE_MS) as keeper:
                return Indexing(
                    engine, home, answer, keeper=keeper, full=full, on_progress=on_progress, workers=workers
                ).run()
        waited = True
        _wait(answer, home, began, wait_ms, on_progress, stop)


def _wait(
    denied: Denied,
    home: Home,
    began: float,
    wait_ms: int,
    on_progress: OnProgress | None,
    stop: threading.Event | None,
) -> None:
    who = holds.describe(denied.by)
    how_far = denied.note or "0 %"
    waited_ms = round((time.monotonic() - began) * 1000)
    if waited_ms >= wait_ms:
        raise Busy(
            f"timed out waiting for the index of {home.path} ({how_far}, by {who}) after {waited_ms} ms",
            remedy="It goes on without you. Try again later, or open with wait=False and read what is there.",
        )
    if on_progress is not None:
        done = int(how_far.removesuffix(" %")) if how_far.removesuffix(" %").isdigit() else 0
        on_progress(Progress(home.path, 0, 0, done, 100, by=who))
    if stop is not None:
        if stop.wait(_POLL_S):
            raise Busy(f"stopped waiting for the index of {home.path}")
    else:
        time.sleep(_POLL_S)


def _waited(threads: int, home: Home, began: float) -> IndexReport:
    return IndexReport(
        home=home.path, threads=threads, waited=True, duration_ms=round((time.monotonic() - began) * 1000)
    )
