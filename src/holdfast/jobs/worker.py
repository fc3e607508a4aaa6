"""Workers: threads or coroutines that claim jobs, do them under a keeper, and end them.

A worker looks for work with a short read, and takes the writer's seat only
when there is some. It looks every ``poll_ms``, so it hears within that time of
what any process asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
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
from holdfast.jobs import store
from holdfast.jobs.model import Claimed, Idle, Kind
from holdfast.jobs.working import End, Later, Work

T = TypeVar("T")
POLL_MS = 50
_RECOVER_MS = 1_000  # how often a worker looks for workers that died
_BUSY_S = 0.5


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

    @property
    def report(self) -> Report:
        """What became of the jobs so far."""
        ended = self._ended
        return Report(ended["done"], ended["failed"], ended["given up"], ended["released"], ended["lost"])

    def stop(self) -> None:
        """Drain: claim no more, let those at hand come to their end. From any thread, or a signal handler."""
        self.stopping.set()

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
                    work.end(Later())
                    raise
                claim = self._end(work, answer)
        except BaseException as error:
            self._error = error
            self.stopping.set()

    def _end(self, work: Work, answer: Any) -> Claimed | None:
        """End the job, and claim the next in the same transaction: one commit for both. None: ask for it."""
        goes_on = self._goes_on()
        claim = None
        try:
            ended, claim = work.end_and(answer, self._claim_ready if goes_on else None)
        finally:
            with self._lock:
                self._left += goes_on and claim is None
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
        while not self.stopping.is_set():
            found = self._ask(until_idle)
            if not isinstance(found, float):
                return found
            self.stopping.wait(found)
        return None

    def _ask(self, until_idle: bool) -> Claimed | float | None:
        """Return the next job, or after how many seconds to ask again; None when there is to be none any more."""
        try:
            match self._try():
                case Idle(capped=capped):
                    if until_idle:
                        return None
                    return self._poll_s * (5 if capped else 1)
                case found:
                    return found
        except Busy:
            return _BUSY_S

    def _try(self) -> Claimed | Idle | None:
        if self._left == 0:
            return None
        if not self._look():
            return Idle(None)
        with self._lock:  # one claim at a time per process: threads that race for the seat only wait for each other
            if self._left == 0:
                return None
            with self._engine.write() as tx:
                found = store.claim_next(tx, self._kinds, holds.me(self._label))
            if isinstance(found, Claimed):
                self._left -= 1
            return found

    def _look(self) -> bool:
        with self._engine.read() as tx:
            due = store.is_any_due(tx, self._names)
            if due and boot_ms() - self._recovered_ms < _RECOVER_MS:
                return True
            dead = store.is_any_dead(tx, self._names)
        if due and dead:
            # With work at hand a claim does not look for the dead: their jobs would wait for the end of the queue.
            with self._engine.write() as tx:
                store.recover(tx, self._names)
        self._recovered_ms = boot_ms()
        return due or dead

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
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(tasks):
                    group.create_task(self._loop_async(until_idle, watch))
        finally:
            watch.end()
        return self.report

    async def _loop_async(self, until_idle: bool, watch: Watch) -> None:
        claim: Claimed | None = None
        while (claim := claim or await self._next_async(until_idle)) is not None:
            claim = await self._do_async(claim, watch)

    async def _next_async(self, until_idle: bool) -> Claimed | None:
        while not self.stopping.is_set():
            # Waiting is done here and not in a thread: those of the loop are few, and ends of jobs need them.
            found = await self._claiming(self._ask, until_idle)
            if not isinstance(found, float):
                return found
            await asyncio.sleep(found)
        return None

    async def _claiming(self, ask: Callable[..., T], *given: Any) -> T:
        asking = asyncio.ensure_future(asyncio.to_thread(ask, *given))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            claimed = await asking  # it may have claimed one meanwhile, which nobody would do
            if isinstance(claimed, Claimed):
                await asyncio.to_thread(Work(self._engine, claimed).end, Later())
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
                await asyncio.to_thread(work.end, Later())
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
