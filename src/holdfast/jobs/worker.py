"""Workers: threads or coroutines that claim jobs, do them under a keeper, and end them.

How the next job is found, and waited for, is in ``seeking.py``.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from holdfast.engine import Engine
from holdfast.errors import Refused
from holdfast.holds import Watch
from holdfast.jobs.draining import draining
from holdfast.jobs.model import Claimed, Kind, check_whole, kinds_of
from holdfast.jobs.seeking import Pause, Seeker
from holdfast.jobs.working import End, Later, Work

T = TypeVar("T")
POLL_MS = 50


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
        check_whole("poll_ms", poll_ms, 1)
        if not callable(fn):
            raise Refused(f"a worker is given a function of one argument, the work, not {fn!r}")
        self.stopping = threading.Event()
        """Set by ``stop``: no more jobs are claimed, those at hand go on."""
        self._engine = engine
        self._fn = fn
        self._seeker = Seeker(engine, kinds_of(kinds), label, poll_ms / 1000, self.stopping)
        self._ended: Counter[End] = Counter()
        self._counting = threading.Lock()
        self._error: BaseException | None = None
        self._looking = threading.Lock()
        self._looking_async = asyncio.Lock()

    @property
    def report(self) -> Report:
        """What became of the jobs so far."""
        ended = self._ended
        return Report(ended["done"], ended["failed"], ended["given up"], ended["released"], ended["lost"])

    def stop(self) -> None:
        """Drain: claim no more, let those at hand come to their end. From any thread, or a signal handler."""
        self.stopping.set()
        self._seeker.wake()

    # --- threads ---------------------------------------------------------------

    def run(self, *, threads: int = 1, until_idle: bool = False, jobs_max: int | None = None) -> Report:
        """Work until ``stop``, or until ``jobs_max`` were claimed, or ``until_idle``: until nothing can be claimed.

        In the main thread SIGTERM and SIGINT drain; a second one ends as
        always. Raises what the database raised, but for ``Busy``, which is
        waited out; ``Refused`` when ``fn`` is a coroutine function.
        """
        if _is_coroutine(self._fn):
            raise Refused(
                f"{self._fn!r} is a coroutine function, and threads cannot do it",
                remedy="`await worker.run_async()`, or make it a plain function.",
            )
        self._begin("threads", threads, jobs_max)
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
        self._seeker.end()
        if self._error is not None:
            raise self._error
        return self.report

    def _begin(self, what: str, number: int, jobs_max: int | None) -> None:
        check_whole(what, number, 1)
        if jobs_max is not None:
            check_whole("jobs_max", jobs_max, 0)
        self._seeker.begin(jobs_max)

    def _loop(self, until_idle: bool, watch: Watch) -> None:
        try:
            claim: Claimed | None = None
            while (claim := claim or self._next(until_idle)) is not None:
                work = Work(self._engine, claim, stopping=self.stopping, watch=watch)
                try:
                    answer = self._fn(work)
                    if inspect.iscoroutine(answer):
                        answer.close()
                        raise Refused("the function returned a coroutine, which nobody awaits: use run_async")
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
        goes_on = self._seeker.goes_on()
        claim = None
        try:
            ended, claim = work.end_and(answer, self._seeker.claim_ready if goes_on else None)
        finally:
            self._seeker.went_on(goes_on, claim)
        with self._counting:
            self._ended[ended] += 1
        return claim

    def _next(self, until_idle: bool) -> Claimed | None:
        """Return the next job, waiting for one; None when there is to be none any more."""
        with self._looking:
            while not self.stopping.is_set():
                found = self._seeker.ask(until_idle)
                if not isinstance(found, Pause):
                    return found
                if found.deaf:
                    self.stopping.wait(found.s)
                elif (changes := self._seeker.hear()) is not None:
                    changes.wait(self._seeker.pause_s(found, changes))
        return None

    # --- asyncio ---------------------------------------------------------------

    async def run_async(self, *, tasks: int = 1, until_idle: bool = False, jobs_max: int | None = None) -> Report:
        """Do as ``run``, with ``fn`` a coroutine function, ``tasks`` at a time. A job whose claim is lost is cancelled.

        Cancelling this gives the jobs at hand back, with their attempts. Raises
        ``Refused`` when ``fn`` is no coroutine function.
        """
        if not _is_coroutine(self._fn):
            raise Refused(
                f"{self._fn!r} is no coroutine function, and would stop the loop while it runs",
                remedy="`worker.run()` in a thread, or make it `async def`.",
            )
        self._begin("tasks", tasks, jobs_max)
        watch = Watch()
        self._looking_async = asyncio.Lock()  # of this loop
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(tasks):
                    group.create_task(self._loop_async(until_idle, watch))
        finally:
            watch.end()
            self._seeker.end()
        return self.report

    async def _loop_async(self, until_idle: bool, watch: Watch) -> None:
        claim: Claimed | None = None
        while (claim := claim or await self._next_async(until_idle)) is not None:
            claim = await self._do_async(claim, watch)

    async def _next_async(self, until_idle: bool) -> Claimed | None:
        async with self._looking_async:
            while not self.stopping.is_set():
                # Waiting is done here and not in a thread: those of the loop are few, and ends of jobs need them.
                found = await self._claiming(self._seeker.ask, until_idle)
                if not isinstance(found, Pause):
                    return found
                if found.deaf:
                    await asyncio.sleep(found.s)
                elif (changes := self._seeker.hear()) is not None:
                    await changes.wait_async(self._seeker.pause_s(found, changes))
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


def _is_coroutine(fn: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(type(fn).__call__)
