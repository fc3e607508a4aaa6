"""Feeding the index: follow the threads that changed, read what is new in their rollouts, put it in.

One process at a time, under a hold. Everything here can be killed at any point:
texts and the place up to which a rollout was read commit together, and a part
goes in only where the one before it ended. So nothing is lost, and nothing is
in twice, even should two processes feed at once.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing

from holdfast import holds
from holdfast.engine import Engine
from holdfast.errors import Damaged, HoldfastError, Stale
from holdfast.holds import Denied, Hold
from holdfast.origin import internal
from holdfast.search import store
from holdfast.search.batch import Batch
from holdfast.search.index import Index
from holdfast.search.model import FeedProgress, FeedReport, OnProgress
from holdfast.search.parts import ReadRequest
from holdfast.search.rows import ROW_ID_MAX, Identity, Place
from holdfast.threads import store as threads
from holdfast.threads.model import Home

RESOURCE = "search"
LEASE_MS = 15_000

_PAGE = 500  # threads asked of state.db at once: 2 ms
_WAIT_S = 0.1
_attempts = itertools.count(1)


class _Stopped(Exception):
    """``stop`` was set: leave the transaction."""


def feed(
    engine: Engine,
    index: Index,
    homes: Sequence[Home],
    *,
    on_progress: OnProgress | None = None,
    stop: threading.Event | None = None,
    wait_ms: int = 0,
    workers: int | None = None,
) -> FeedReport:
    """Put in what is missing of ``homes``, or say who is at it, after waiting up to ``wait_ms`` for them.

    With nothing missing nothing is written, and nobody is waited for.

    ``stop`` ends it within about 50 ms; what was put in stays. Never raises a
    ``HoldfastError``: a damaged index is made again, and a full disk and the
    like is the ``problem`` of the report.
    """
    began = time.monotonic()
    stop = stop or threading.Event()
    try:
        with internal("search"):
            if _has_all(engine, index, homes):
                return FeedReport(complete=True, duration_ms=_ms_since(began))
            answer = _take(engine, stop, wait_ms)
            if isinstance(answer, Denied):
                return FeedReport(by=_who(answer), duration_ms=_ms_since(began))
            with holds.kept(engine, answer, LEASE_MS) as keeper:
                feeding = _Feeding(engine, index, homes, keeper, on_progress, stop, workers)
                return feeding.report(feeding.run_and_mend(), _ms_since(began))
    except HoldfastError as error:  # of state.db: whoever works with it is told by their own calls
        return FeedReport(problem=str(error), duration_ms=_ms_since(began))


def _has_all(engine: Engine, index: Index, homes: Sequence[Home]) -> bool:
    if index.damaged:
        return False
    try:
        with store.reading(engine) as state, index.read() as tx:
            places = store.places(tx, [home.home_id for home in homes]).items()
            return store.fed_identity(tx) == store.identity(state) and not any(
                store.is_behind(state, home_id, place) for home_id, place in places
            )
    except store.StateDamaged:
        raise
    except Damaged:
        index.suspect()
        return False


def _take(engine: Engine, stop: threading.Event, wait_ms: int) -> Hold | Denied:
    owner = holds.me(f"search-{next(_attempts)}")
    until = time.monotonic() + wait_ms / 1000
    while True:
        with engine.write() as tx:
            answer = holds.take(tx, RESOURCE, owner, lease_ms=LEASE_MS)
        while isinstance(answer, Denied) and _is_held(engine):
            if time.monotonic() >= until or stop.wait(_WAIT_S):
                return answer
        if isinstance(answer, Hold):
            return answer


def _is_held(engine: Engine) -> bool:
    # Only reads: whoever waits does not take the writer's seat from whoever works.
    with engine.read() as tx:
        held = holds.get(tx, RESOURCE)
        return held is not None and not holds.over(held, now_ms=tx.now_ms) and not holds.is_dead(held.owner)


def _who(denied: Denied) -> str:
    return f"{holds.describe(denied.by)}{f' ({denied.note})' if denied.note else ''}"


class _Feeding:
    """One run, by the process that has the hold."""

    def __init__(
        self,
        engine: Engine,
        index: Index,
        homes: Sequence[Home],
        keeper: holds.Keeper,
        on_progress: OnProgress | None,
        stop: threading.Event,
        workers: int | None,
    ) -> None:
        self._engine = engine
        self._index = index
        self._homes = homes
        self._keeper = keeper
        self._on_progress = on_progress
        self._stop = stop
        self._workers = workers
        self._identity: Identity = (0, 0)
        self._upto = 0
        self._total = self._threads = self._removed = self._messages = self._bytes = 0
        self._unread: list[tuple[str, str]] = []

    def run_and_mend(self) -> str:
        """Run; when the index is damaged make it anew and run again. Return why it did not get to the end."""
        for again in (False, True):
            try:
                if self._index.damaged or again:
                    self._index.remake()
                self._run()
                return ""
            except _Stopped:
                return "stopped"
            except store.StateDamaged as error:
                return str(error)
            except Damaged as error:
                self._index.suspect()
                if again:
                    return str(error)
            except (HoldfastError, OSError) as error:
                return str(error)
        return ""

    def report(self, problem: str, duration_ms: int) -> FeedReport:
        return FeedReport(
            threads=self._threads,
            removed=self._removed,
            messages=self._messages,
            bytes_read=self._bytes,
            duration_ms=duration_ms,
            complete=not problem,
            problem=problem,
            unread=tuple(self._unread),
        )

    def _run(self) -> None:
        self._tie()
        with store.reading(self._engine) as tx:
            upto = self._upto = threads.revision(tx)
        with self._index.read() as tx:
            places = store.places(tx, [home.home_id for home in self._homes])
        if any(place[0] > upto for place in places.values()):
            raise Damaged("the index is ahead of state.db")  # it went back in time; row ids may mean other threads now
        with store.reading(self._engine) as tx:
            behind = {home_id: store.count_behind(tx, home_id, place) for home_id, place in places.items()}
        self._threads, self._total = 0, sum(behind.values())
        for home in self._homes:
            self._home(home, places[home.home_id], upto)

    def _tie(self) -> None:
        """Make sure that what is in the index comes from this state.db."""
        with store.reading(self._engine) as tx:
            identity = store.identity(tx)
        if not identity[0]:
            with self._engine.write() as writing:
                identity = store.name_state(writing, 1 + int.from_bytes(os.urandom(7), "big"))
        self._identity = identity
        with self._index.read() as tx:
            seen = store.fed_identity(tx)
        if seen != identity:
            with self._index.write() as writing:
                store.begin_anew(writing, identity)

    def _home(self, home: Home, place: Place, upto: int) -> None:
        from holdfast.search.readers import read_many  # late: it brings subprocess and selectors

        batch = Batch(home, place)
        with closing(read_many(self._requests(batch, upto), workers=self._workers, stop=self._stop)) as parts:
            for part in parts:
                batch.add(part)
                if batch.is_full:
                    self._put(batch)
        self._look()
        self._put(batch, upto)

    def _requests(self, batch: Batch, upto: int) -> Iterator[ReadRequest]:
        """Yield what must be read. What needs no reading goes into ``batch`` right away."""
        place = batch.place
        while True:
            with store.reading(self._engine) as tx:
                page = store.behind(tx, batch.home.home_id, place, upto, _PAGE)
            if not page:
                return
            place = page[-1].revision, page[-1].n
            with self._index.read() as tx:
                fed = store.fed(tx, [thread.n for thread in page])
            for thread in page:
                request = batch.expect(thread, fed.get(thread.n))
                if request is not None:
                    yield request
            if batch.is_full:  # of threads that need no reading
                self._put(batch)

    def _put(self, batch: Batch, upto: int | None = None) -> None:
        """Write one batch whole, or not at all. ``upto`` after the last one: every thread up to it is in."""
        self._look()
        with self._index.write() as tx:
            if store.fed_identity(tx) != self._identity:
                raise Stale("another process began the index anew")
            batch.settle(store.fed(tx, batch.ns))
            store.forget(tx, batch.gone)
            store.delete_rows(tx, batch.outdated)
            rows = store.rows_for(tx, batch.new)
            batch.placed(rows)
            store.put(tx, rows, batch.new, between=self._look)
            store.put_titles(tx, batch.titles, self._upto, between=self._look)
            store.put_fed(tx, batch.fed.values())
            store.set_place(tx, batch.home.home_id, batch.place if upto is None else (upto, ROW_ID_MAX))
        self._threads += batch.threads
        self._removed += batch.removed
        self._messages += sum(each.line.role > 0 for each in batch.new)
        self._bytes += batch.bytes
        self._unread += batch.unread
        batch.clear()
        self._tell()

    def _look(self) -> None:
        self._keeper.check()
        if self._stop.is_set():
            raise _Stopped

    def _tell(self) -> None:
        progress = FeedProgress(min(self._threads, self._total), self._total)
        self._keeper.note = f"{progress.percent} %"
        if self._on_progress is not None:
            self._on_progress(progress)


def _ms_since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
