"""Workers: threads or coroutines that claim jobs, do them under a keeper, and end them.

A worker looks for work with a short read, and takes the writer's seat only
when there is some. It looks when the engine says that something changed
(``engine.changes``), when a rest or a lease ends, and every now and then; every
``poll_ms`` where it hears of no changes. One of its threads looks and waits for all.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from holdfast import holds
from holdfast.clock import boot_ms
from holdfast.engine import Engine, Write
from holdfast.errors import Busy
from holdfast.holds import Watch
from holdfast.holds import owner as owners
from holdfast.jobs import store
from holdfast.jobs.model import Claimed, Idle, Kind
from holdfast.jobs.working import End, Later, Work
from holdfast.waking import Changes

T = TypeVar("T")
POLL_MS = 50
_RECOVER_MS = 1_000  # how often a worker looks for workers that died
_BUSY_S = 0.5
_BACKSTOP_S = 1.0  # between two looks of who hears of changes
_DEAD_S = 0.25  # the same, while somebody works: of its death nobody hears
_CAPPED_S = 0.25


@dataclass(frozen=True, slots=True)
class Pause:
    """How long nobody needs to look. ``deaf``: whatever is heard meanwhile. ``due_s``: then there may be a job."""

    s: float
    due_s: float = math.inf
    deaf: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """How many jobs ended in which way, since the worker began."""

    done: int = 0
    failed: int = 0
    given_up: int = 0
    released: int = 0
    lost: int = 0


class Worker:
    """Does jobs of ``kinds`` with ``fn(work)``: ``run`` in threads, ``run_async`` when ``fn`` is a coroutine function.

    What ``fn`` returns is the job's result (a JSON value), or ``GiveUp``,
    ``Later`` or ``Done``; what it raises is its failure.
    """

    def __init__(
        self,
        engine: Engine,
        kinds: Sequence[Kind | str],
        fn: Callable[[Work], Any],
        *,
        label: str = "",
        poll_ms: int = POLL_MS,
    ) -> None:
        self.stopping = threading.Event()
        """Set by ``stop``: no more jobs are claimed, those at hand go on."""
        self._engine = engine
        self._kinds = [store.kind_of(kind) for kind in kinds]
        self._names = [kind.name for kind in self._kinds]
        self._fn = fn
        self._label = label
        self._poll_s = poll_ms / 1000
        self._ended: Counter[End] = Counter()
        self._lock = threading.Lock()
        self._left = 0
        self._recovered_ms = -_RECOVER_MS
        self._error: BaseException | None = None
        self._looking = threading.Lock()
        self._looking_async = asyncio.Lock()
        self._changes: Changes | None = None

    @property
    def report(self) -> Report:
        """What became of the jobs so far."""
        ended = self._ended
        return Report(ended["done"], ended["failed"], ended["given up"], ended["released"], ended["lost"])

    def stop(self) -> None:
        """Drain: claim no more, let those at hand come to their end. From any thread, or a signal handler."""
        self.stopping.set()
        self._wake()

    def _wake(self) -> None:
        if changes := self._changes:
            changes.wake()

    # --- threads ---------------------------------------------------------------

    def run(self, *, threads: int = 1, until_idle: bool = False, jobs_max: int | None = None) -> Report:
        """Work until ``stop``, or until ``jobs_max`` were claimed, or ``until_idle``: until nothing can be claimed.

        In the main thread SIGTERM and SIGINT drain; a second one ends as
        always. Raises what the database raised, but for ``Busy``, which is
        waited out.
        """
        self._left = -1 if jobs_max is None else jobs_max
        watch = Watch()
        crew = [
            threading.Thread(target=self._loop, args=(until_idle, watch), name=f"holdfast-worker-{number}")
            for number in range(threads)
        ]
        with draining(self.stop):
            for each in crew:
                each.start()
            for each in crew:
                each.join()
        watch.end()
        self._hear_no_more()
        if self._error is not None:
            raise self._error
        return self.report

    def _loop(self, until_idle: bool, watch: Watch) -> None:
        try:
            claim: Claimed | None = None
            while (claim := claim or self._next(until_idle)) is not None:
                work = Work(self._engine, claim, stopping=self.stopping, watch=watch)
                try:
                    answer = self._fn(work)
                except Exception as error:
                    answer = error
                except BaseException:
                    work.give_back()
                    raise
                claim = self._end(work, answer)
        except BaseException as error:
            self._error = error
            self.stop()

    def _end(self, work: Work, answer: Any) -> Claimed | None:
        """End the job, and claim the next in the same transaction: one commit for both. None: ask for it."""
        goes_on = self._goes_on()
        claim = None
        try:
            ended, claim = work.end_and(answer, self._claim_ready if goes_on else None)
        finally:
            with self._lock:
                self._left += goes_on and claim is None
            if self._left == 0:
                self._wake()  # whoever waits for another
        self._count(ended)
        return claim

    def _goes_on(self) -> bool:
        if self.stopping.is_set() or boot_ms() - self._recovered_ms >= _RECOVER_MS:
            return False
        with self._lock:
            if self._left == 0:
                return False
            self._left -= 1
            return True

    def _claim_ready(self, tx: Write) -> Claimed | None:
        if self.stopping.is_set():
            return None
        return store.claim_ready(tx, self._kinds, holds.me(self._label))

    def _next(self, until_idle: bool) -> Claimed | None:
        """Return the next job, waiting for one; None when there is to be none any more."""
        with self._looking:
            while not self.stopping.is_set():
                found = self._ask(until_idle)
                if not isinstance(found, Pause):
                    return found
                if found.deaf:
                    self.stopping.wait(found.s)
                elif (changes := self._hear()) is not None:
                    changes.wait(self._pause_s(found, changes))
        return None

    def _ask(self, until_idle: bool) -> Claimed | Pause | None:
        """Return the next job, or how long to wait for one; None when there is to be none any more."""
        try:
            found = self._try()
        except Busy:
            return Pause(_BUSY_S, deaf=True)
        if until_idle and isinstance(found, Pause | Idle):
            return None
        if isinstance(found, Idle):  # there was some, and others had it, or may not have more at once
            return Pause(_CAPPED_S if found.capped else min(self._poll_s, _CAPPED_S), deaf=True)
        return found

    def _try(self) -> Claimed | Idle | Pause | None:
        if self._left == 0:
            return None
        if (pause := self._look()) is not None:
            return pause
        with self._lock:  # the ends of other threads claim, too
            if self._left == 0:
                return None
            with self._engine.write() as tx:
                found = store.claim_next(tx, self._kinds, holds.me(self._label))
            if isinstance(found, Claimed):
                self._left -= 1
            return found

    def _look(self) -> Pause | None:
        with self._engine.read() as tx:
            due_ms = store.due_in_ms(tx, self._names)
            if due_ms == 0 and boot_ms() - self._recovered_ms < _RECOVER_MS:
                return None
            others = store.owners_running(tx, self._names)
        dead = any(owners.is_dead(each) for each in others)
        if due_ms == 0 and dead:
            # With work at hand a claim does not look for the dead: their jobs would wait for the end of the queue.
            with self._engine.write() as tx:
                store.recover(tx, self._names)
        self._recovered_ms = boot_ms()
        if due_ms == 0 or dead:
            return None
        return Pause(_DEAD_S if others else _BACKSTOP_S, math.inf if due_ms is None else due_ms / 1000)

    def _hear(self) -> Changes | None:
        """Return what tells of changes; None: stop. What came before the first call of this, it tells at once."""
        if self._changes is None:
            self._changes = self._engine.changes()
        return None if self.stopping.is_set() else self._changes

    def _pause_s(self, pause: Pause, changes: Changes) -> float:
        return min(pause.due_s, max(pause.s, self._poll_s) if changes.hears else self._poll_s)

    def _hear_no_more(self) -> None:
        changes, self._changes = self._changes, None
        if changes is not None:
            changes.close()

    def _count(self, end: End) -> None:
        with self._lock:
            self._ended[end] += 1

    # --- asyncio ---------------------------------------------------------------

    async def run_async(self, *, tasks: int = 1, until_idle: bool = False, jobs_max: int | None = None) -> Report:
        """Do as ``run``, with ``fn`` a coroutine function, ``tasks`` at a time. A job whose claim is lost is cancelled.

        Cancelling this gives the jobs at hand back, with their attempts.
        """
        self._left = -1 if jobs_max is None else jobs_max
        watch = Watch()
        self._looking_async = asyncio.Lock()  # of this loop
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(tasks):
                    group.create_task(self._loop_async(until_idle, watch))
        finally:
            watch.end()
            self._hear_no_more()
        return self.report

    async def _loop_async(self, until_idle: bool, watch: Watch) -> None:
        claim: Claimed | None = None
        while (claim := claim or await self._next_async(until_idle)) is not None:
            claim = await self._do_async(claim, watch)

    async def _next_async(self, until_idle: bool) -> Claimed | None:
        async with self._looking_async:
            while not self.stopping.is_set():
                # Waiting is done here and not in a thread: those of the loop are few, and ends of jobs need them.
                found = await self._claiming(self._ask, until_idle)
                if not isinstance(found, Pause):
                    return found
                if found.deaf:
                    await asyncio.sleep(found.s)
                elif (changes := self._hear()) is not None:
                    await changes.wait_async(self._pause_s(found, changes))
        return None

    async def _claiming(self, ask: Callable[..., T], *given: Any) -> T:
        asking = asyncio.ensure_future(asyncio.to_thread(ask, *given))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            claimed = await asking  # it may have claimed one meanwhile, which nobody would do
            if isinstance(claimed, Claimed):
                await asyncio.to_thread(Work(self._engine, claimed).give_back)
            raise

    async def _do_async(self, claim: Claimed, watch: Watch) -> Claimed | None:
        loop = asyncio.get_running_loop()
        task: asyncio.Future[Any] | None = None

        def cancel() -> None:
            if task is not None:
                task.cancel()

        work = Work(
            self._engine,
            claim,
            stopping=self.stopping,
            on_lost=lambda: loop.call_soon_threadsafe(cancel),
            watch=watch,
        )
        fn: Callable[[Work], Awaitable[Any]] = self._fn
        try:
            task = asyncio.ensure_future(fn(work))
            answer = await asyncio.shield(task)
        except asyncio.CancelledError:
            if not work.lost.is_set():  # we are cancelled, not the job
                if task is not None:
                    task.cancel()
                    await asyncio.wait([task])
                await asyncio.to_thread(work.give_back)
                raise
            answer = Later()
        except Exception as error:
            answer = error
        return await self._claiming(self._end, work, answer)


@contextlib.contextmanager
def draining(stop: Callable[[], None]) -> Iterator[None]:
    """Have the first SIGTERM or SIGINT call ``stop``, and a second one do what it always did. Main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def first(_number: int, _frame: object) -> None:
        give_back()
        stop()

    def give_back() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, first)
    try:
        yield
    finally:
        give_back()
