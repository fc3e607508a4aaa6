"""The handle on everything holdfast keeps: what ``holdfast.open`` and ``holdfast.peek`` give."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from holdfast import holds
from holdfast.cache import BYTES_MAX, Cache
from holdfast.engine import Engine, Read, Submission, Write
from holdfast.errors import Busy, Refused, Unsupported
from holdfast.ingest import gate
from holdfast.ingest.model import IndexReport, OnProgress
from holdfast.sqlite import Store
from holdfast.state import backfill, said
from holdfast.state.backfill import Backfill
from holdfast.state.caches import Caches
from holdfast.state.chores import Background, Chores
from holdfast.state.status import Status, measure
from holdfast.state.threads import Threads
from holdfast.state.words import Words
from holdfast.threads import homes as home_rows
from holdfast.threads import lookup
from holdfast.threads.model import Found, Home, Thread

if TYPE_CHECKING:
    from holdfast.ingest.follow import Followed
    from holdfast.ingest.live import LiveThread
    from holdfast.search import FeedReport
    from holdfast.search.model import OnProgress as OnFed
    from holdfast.sqlite.copying import OnProgress as OnCopied
    from holdfast.state.backing_up import BackupReport
    from holdfast.state.board import BoardDoor
    from holdfast.state.compressing import CompressReport
    from holdfast.state.compressing import OnProgress as OnCompressed
    from holdfast.state.in_home import InHome
    from holdfast.state.jobs import Jobs
    from holdfast.state.logs import Logs
    from holdfast.state.memory import MemoryDoor
    from holdfast.watch import Watcher

T = TypeVar("T")
_SNAPSHOT_S = 0.25
_WORDS_S = 1.0


class State:
    """Threads, jobs, memories and logs, of some homes. Threads may share it; close it when done.

    ``engine`` is None for a ``peek`` where no state was ever kept: reads are
    then answered from the files.
    """

    def __init__(
        self,
        path: str,
        engine: Engine | None,
        homes: Sequence[Home],
        *,
        own: str | None = None,
        read_only: bool,
        search: bool,
    ) -> None:
        self.path = path
        """The state directory."""
        self.engine = engine
        self.read_only = read_only
        self.reports: tuple[IndexReport, ...] = ()
        """What indexing did when this handle was opened."""
        self.threads = Threads(self)
        self._on_server = engine is not None and engine.kind == "postgres"
        self.words = Words(path, read_only=read_only, feeding=search and not read_only and not self._on_server)
        self._caches = Caches(path, engine, read_only=read_only)
        self._homes = tuple(homes)
        self._own = own
        self._chores = Chores()
        self._indexing: Background | None = None
        self._said_at = (0, 0)
        self._closed = False
        self._live: weakref.WeakSet[LiveThread] = weakref.WeakSet()
        self._logs: Logs | None = None
        self._live_lock = threading.Lock()
        self._takes_live = True

    @property
    def homes(self) -> tuple[Home, ...]:
        """The homes this handle speaks of, as last seen."""
        return self._homes

    @property
    def finds_words(self) -> bool:
        """Whether ``threads.search`` finds words: not yet where the state is in a PostgreSQL database."""
        return not self._on_server

    @property
    def own_home(self) -> Home:
        """The home this program keeps its own transcripts in. Raises ``Refused`` when ``open`` was given none."""
        self.engine_to_write()
        for home in self._homes:
            if home.path == self._own:
                return home
        raise Refused(
            "this handle has no home of its own, and holdfast writes transcripts in no other",
            remedy="Name one: `holdfast.open(own=...)`.",
        )

    @property
    def in_home(self) -> InHome:
        """Changes in the homes themselves, with a receipt each. What only a person says needs none of it."""
        from holdfast.state.in_home import InHome  # for the few who ask for it

        return InHome(self)

    # --- transactions ----------------------------------------------------

    def read(self) -> AbstractContextManager[Read]:
        """Begin a read transaction in this thread; inside another of this thread, join it."""
        return self._kept().read()

    def write(self, *, wait_ms: int = 5_000) -> AbstractContextManager[Write]:
        """Begin a write transaction in this thread. Never retries; see ``Store.write``."""
        return self.engine_to_write().write(wait_ms=wait_ms)

    def submit(self, fn: Callable[[Write], T], *, wait_ms: int = 5_000) -> Submission[T]:
        """Run ``fn(tx)`` in a write on another thread, again while ``Busy``; ``await`` it or ask for ``result()``."""
        return self.engine_to_write().submit(fn, wait_ms=wait_ms)

    def submit_read(self, fn: Callable[[Read], T]) -> Submission[T]:
        """Run ``fn(tx)`` in a read on another thread; ``await`` it or ask for ``result()``."""
        return self._kept().submit_read(fn)

    # --- indexing ----------------------------------------------------------

    def index(
        self, *, full: bool = False, on_progress: OnProgress | None = None, wait_ms: int = gate.WAIT_MS
    ) -> tuple[IndexReport, ...]:
        """Look at the homes again and fold what is new; ``full`` folds every file again.

        With nothing new nothing is written: 10,000 files 0.07 s. Raises
        ``Busy`` when another process is at it for longer than ``wait_ms``.
        """
        return self._index(full=full, on_progress=on_progress, wait_ms=wait_ms, stop=None)

    def catch_up(self) -> int:
        """Fold what is new in the newest folders and in the threads written last; return how many files were read.

        A few milliseconds, however large the homes are.

        Finds all but the unusual (an old thread taken up again, a file put into
        an old folder): ``index`` finds that, too. Homes that somebody is
        indexing just now, or that were never indexed, are left out.
        """
        engine = self.engine_to_write()
        read = 0
        for home in self._homes:
            with suppress(Busy):
                read += gate.index(engine, home.path, recent=True, wait_ms=0).indexed
        return read

    def follow(self, *, stop: threading.Event | None = None) -> Iterator[Followed]:
        """Keep the index current while agents write, and yield each change once it is in: within half a second.

        ``for change in state.follow(): …`` goes on until ``stop`` is set or the
        loop is left. It begins with what an ``index`` would do, and waits for
        other processes that index. See ``ingest/follow.py``.
        """
        from holdfast.ingest.follow import follow

        engine = self.engine_to_write()
        with self.watcher() as watcher:
            paths = [home.path for home in self._homes]
            for change in follow(engine, paths, watcher, stop=stop, at_first=self._say_again):
                self.promise_words()
                yield change

    def watcher(self, *, protect: Iterable[str | os.PathLike[str]] = ()) -> Watcher:
        """Return a watcher for files of yours, that keeps away from this state and from ``protect``. Close it."""
        from holdfast.watch import Watcher

        return Watcher(self.path, protect=protect)

    def index_in_background(self, *, on_progress: OnProgress | None = None) -> None:
        """Start to index; reads are answered meanwhile. ``wait_for_index`` tells how it went."""

        def work(stop: threading.Event) -> None:
            self.reports = self._index(full=False, on_progress=on_progress, wait_ms=1 << 40, stop=stop)
            self.words.feed_in_background(self)

        self._indexing = Background("holdfast-index", work)

    def wait_for_index(self, timeout_s: float | None = None) -> tuple[IndexReport, ...]:
        """Wait for the index begun with ``wait=False``. Raises what it raised, ``Busy`` when the time is over."""
        if self._indexing is not None and not self._indexing.wait(timeout_s):
            raise Busy(f"the index of {', '.join(home.path for home in self._homes)} goes on after {timeout_s} s")
        return self.reports

    def wait_for_search(self, *, on_progress: OnFed | None = None, wait_ms: int = gate.WAIT_MS) -> FeedReport:
        """Put the words of what is new into the index of words now, and return how that went.

        ``report.complete`` False: ``report.by`` is at it for longer than
        ``wait_ms``, or ``report.problem`` says what stopped it.
        """
        return self.words.feed(self, on_progress=on_progress, wait_ms=wait_ms)

    async def ready(self) -> State:
        """Wait for the index begun with ``wait=False``, without holding up the event loop; return this handle."""
        import asyncio

        await asyncio.to_thread(self.wait_for_index)
        return self

    def index_thread(self, thread: Thread) -> None:
        """Fold the file of one thread now, so that it has a row."""
        relative = os.path.relpath(thread.rollout_path, thread.home)
        gate.refold(self.engine_to_write(), thread.home, [relative])

    def fold_again(self, home: Home, files: Sequence[str]) -> None:
        """Fold what was written to these files (relative to ``home``) since; of long ones only that."""
        gate.refold(self.engine_to_write(), home.path, files, full=False)

    def is_folded(self, home: Home, file: str) -> bool:
        """Return True when nothing was written to ``file`` (relative to ``home``) since it was folded."""
        return gate.is_folded(self.engine_to_write(), home, file)

    def _index(
        self, *, full: bool, on_progress: OnProgress | None, wait_ms: int, stop: threading.Event | None
    ) -> tuple[IndexReport, ...]:
        engine = self.engine_to_write()
        reports = tuple(
            gate.index(
                engine,
                home.path,
                full=full,
                on_progress=on_progress,
                wait_ms=wait_ms,
                stop=stop,
                at_first=self._say_again,
            )
            for home in self._homes
        )
        with engine.read() as tx:
            self.look_up_homes(tx, again=True)
        return reports

    def _say_again(self, tx: Write, home: Home) -> None:
        # A home that is new to this database need not be new: the database may have been lost.
        snapshot = None if self._on_server else said.newest(self.path)
        if snapshot is not None:
            said.restore(tx, snapshot, home)

    def look_up_homes(self, tx: Read | None, *, again: bool = False) -> tuple[Home, ...]:
        """Return the homes with what the database knows of them. No statement once all are indexed."""
        if tx is not None and (again or any(home.indexed_ms is None for home in self._homes)):
            self._homes = tuple(home_rows.get(tx, home.path) or home for home in self._homes)
        return self._homes

    # --- things beside the threads -------------------------------------------

    def cache(self, name: str, *, bytes_max: int = BYTES_MAX) -> Cache:
        """Return the cache of this name, in ``cache.db``: values that may go, never an error. See ``Cache``.

        ``bytes_max`` counts for the handle's first; ``Refused`` for a name of no or over 100 characters.
        """
        return self._caches.get(name, bytes_max)

    @property
    def memory(self) -> MemoryDoor:
        """What is remembered of threads, and how it comes about."""
        from holdfast.state.memory import MemoryDoor  # for those who ask for it

        return MemoryDoor(self)

    @property
    def jobs(self) -> Jobs:
        """Work that happens once per input: ask for it, claim it, do it. See ``Jobs``."""
        from holdfast.state.jobs import Jobs  # for those who ask for it

        return Jobs(self)

    @property
    def board(self) -> BoardDoor:
        """Boards of tasks that many workers share: make, claim and end them. See ``BoardDoor``."""
        from holdfast.state.board import BoardDoor  # for those who ask for it

        return BoardDoor(self)

    @property
    def logs(self) -> Logs:
        """The log in the state directory: ``query``, ``max_id``, ``tail``, ``stats``. Reading never writes."""
        if self._logs is None:
            from holdfast.state.logs import Logs  # for those who ask for it

            self._logs = Logs(self.path)
        return self._logs

    def backup(
        self, target: str | os.PathLike[str] | None = None, *, on_progress: OnCopied | None = None
    ) -> BackupReport:
        """Copy ``state.db`` while others write, check the copy, and only then give it its name.

        ``target`` is a file that is not there yet, or a directory; None:
        ``backups/`` in the state directory, where the newest 5 stay. See ``backing_up.py``.
        """
        from holdfast.state.backing_up import back_up

        engine = self._kept()
        if not isinstance(engine, Store):
            raise Unsupported(
                "a backup copies state.db; this state is in a PostgreSQL database", remedy="Use pg_dump --schema."
            )
        return back_up(engine, self.path, target, on_progress=on_progress)

    def compress(
        self,
        *,
        older_than_s: float = 7 * 24 * 3600,
        in_home: bool = False,
        dry_run: bool = False,
        on_progress: OnCompressed | None = None,
        stop: threading.Event | None = None,
    ) -> tuple[CompressReport, ...]:
        """Make rollouts small that nobody wrote to for ``older_than_s``, of the own home, or ``in_home`` of every one.

        ``.jsonl`` becomes ``.jsonl.zst``, as Codex does it; no content changes, so there is no receipt, and nothing is
        folded again. A thread that is being written is left out, and named. Set ``stop`` to end it after the file at
        hand; Ctrl-C may come at any time. ``dry_run`` only looks. Raises ``Refused`` without an own home.
        """
        from holdfast.state.compressing import compress  # for the few who ask for it

        return compress(
            self, older_than_s=older_than_s, in_home=in_home, dry_run=dry_run, on_progress=on_progress, stop=stop
        )

    # --- care ----------------------------------------------------------------

    def promise_repair(self, home: Home, thread_id: bytes, found: Found | None) -> None:
        """Have the row of this thread mended a moment later; a read that found it wrong never writes itself.

        ``found`` is where the thread lies; None: nowhere in ``home``, and its row, if any, should say so.
        """
        if self.read_only or self.engine is None or self._closed:
            return
        engine = self.engine

        def mend() -> None:
            files = [] if found is None else [os.path.relpath(found.path, home.path)]
            with engine.read() as tx:
                wrong = lookup.misled(tx, home, thread_id)
            if wrong is not None and wrong not in files:
                files.append(wrong)  # it has a thread of its own, or is gone
            if files:
                # Whoever indexes the home right now is not worth waiting for: the next read promises it again.
                with suppress(Busy):
                    gate.refold(engine, home.path, files, wait_ms=0)

        self._chores.promise(("repair", home.path, thread_id), mend)

    def promise_snapshot(self, said_at: tuple[int, int]) -> None:
        """Have what people said by this ``said.moment`` kept a second time, a moment later.

        One snapshot is enough for all that is said within that moment, by
        whichever process: forty agents that rename do not write forty files. A
        server's database has no snapshots: it has backups of its own.
        """
        if self._on_server:
            return
        engine = self.engine_to_write()
        self._said_at = max(self._said_at, said_at)

        def save() -> None:
            if not said.holds_all_of(self.path, self._said_at):
                said.save(engine, self.path)

        self._chores.promise("snapshot", save, in_s=_SNAPSHOT_S)

    def promise_words(self) -> None:
        """Have the words of what was written go into the index of words, a moment later."""

        def feed() -> None:
            if not self._chores.closing:  # the next to open does it
                self.words.feed_in_background(self)

        self._chores.promise("words", feed, in_s=_WORDS_S)

    def promise_missed_snapshot(self) -> None:
        """Have a snapshot made of what somebody said and was killed before it was kept a second time."""
        if self._on_server:
            return
        engine = self.engine_to_write()

        def save() -> None:
            if not said.is_kept(engine, self.path):
                said.save(engine, self.path)

        self._chores.promise("missed snapshot", save)

    def holds(self) -> list[holds.Hold]:
        """Return the holds in force, the oldest first."""
        if self.engine is None:
            return []
        with self.engine.read() as tx:
            return [hold for hold in holds.listing(tx) if not holds.over(hold, now_ms=tx.now_ms)]

    def backfill(self) -> tuple[Backfill, ...]:
        """Return how far the index of each home is: pending, running or complete, and by whom. One short read."""
        return backfill.measure(self)

    def status(self) -> Status:
        """Return what is kept here, how large it is, and who is at work. Some short reads."""
        return measure(self)

    @property
    def chores(self) -> Chores:
        """What was promised for later: repairs and snapshots."""
        return self._chores

    def keep_live(self, live: LiveThread) -> None:
        """Have ``live`` closed with this handle. Raises ``Refused``, and closes it, when that is over already."""
        with self._live_lock:
            if self._takes_live:
                self._live.add(live)
                return
        live.discard()
        raise Refused(f"the state at {self.path} was closed meanwhile")

    def live_threads(self) -> list[LiveThread]:
        """Return the threads that are written through this handle, and not closed."""
        with self._live_lock:
            return [live for live in self._live if not live.closed]

    # --- the end -------------------------------------------------------------

    def close(self) -> None:
        """Close the threads that are being written, finish what was promised, give the files up. Twice is fine.

        Raises ``Full`` or ``Unsupported`` when items of a live thread cannot
        be written; they are kept, and the handle stays open.
        """
        if self._closed:
            return
        while lives := self._last_live():
            for live in lives:
                live.close()
        if self._indexing is not None:
            self._indexing.close()
        self.words.stop()
        self._chores.close()
        self.words.close()
        self._caches.close()
        if self.engine is not None:
            self.engine.close()
        self._closed = True

    def __enter__(self) -> State:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> State:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        import asyncio

        await asyncio.to_thread(self.close)

    def _last_live(self) -> list[LiveThread]:
        """Return the threads still being written; when there is none, there will be none any more."""
        with self._live_lock:
            lives = [live for live in self._live if not live.closed]
            self._takes_live = bool(lives)
            return lives

    def _kept(self) -> Engine:
        if self.engine is None:
            raise Refused(
                f"nothing is kept at {self.path}: this handle reads files", remedy="Open it with `holdfast.open()`."
            )
        return self.engine

    def engine_to_write(self) -> Engine:
        """Return the engine. Raises ``Refused`` for a ``peek``."""
        engine = self._kept()
        if self.read_only:
            raise Refused("this handle was made by peek: it is for reading only", remedy="Use `holdfast.open()`.")
        return engine
