"""Many requests, answered by as many processes as there are cores; by this one when they are few.

One thread, the caller's, feeds the processes and reads their answers, so
requests may be made lazily by code that belongs to that thread.
"""

from __future__ import annotations

import os
import selectors
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from itertools import chain
from typing import Generic

from holdfast.rollouts.workers.process import Batch, Process
from holdfast.rollouts.workers.work import A, Q, Work

_ALONE_FILES_MAX = 1_000
_BATCH_FILES = 64
_DEATHS_MAX = 2
_LOOK_S = 0.05  # how long a stop may go unnoticed


def work_through(
    work: Work[Q, A],
    requests: Iterable[Q],
    *,
    workers: int | None,
    alone_bytes_max: int,
    stop: threading.Event | None = None,
) -> Generator[A, None, None]:
    """Yield the answers to every request, those to one request in order; end early when ``stop`` is set.

    ``workers`` is how many processes at most (None: one per core; 0: none). Up
    to ``alone_bytes_max`` in few files is done in this process, and so is
    everything when no other can be started. A request that two processes died
    of, with nothing else in hand, is given up. Closing the iterator ends them.
    """
    limit = _cores() if workers is None else workers
    waiting = iter(requests)
    first: list[Q] = []
    total = 0
    for request in waiting if limit else ():
        first.append(request)
        total += work.size(request)
        if total > alone_bytes_max or len(first) > _ALONE_FILES_MAX:
            break
    else:
        limit = 0
    todo = chain(first, waiting)
    if limit:
        crew = _Crew(work, todo, limit, stop)
        try:
            yield from crew.run()
        finally:
            crew.close()
        todo = chain(crew.left, todo)
    for request in todo:
        for answer in work.here(request):
            if stop is not None and stop.is_set():
                return
            yield answer


class _Crew(Generic[Q, A]):
    def __init__(self, work: Work[Q, A], todo: Iterator[Q], limit: int, stop: threading.Event | None) -> None:
        self._work = work
        self._todo = todo
        self._again: deque[Batch[Q]] = deque()
        self._limit = limit
        self._stop = stop
        self._workers: list[Process[Q, A]] = []
        self._selector = selectors.DefaultSelector()

    def run(self) -> Iterator[A]:
        """Yield answers until nothing is owed. Should no process start, or live, something is ``left``."""
        while self._hand_out():
            if self._stop is not None and self._stop.is_set():
                return
            for key, _ in self._selector.select(None if self._stop is None else _LOOK_S):
                worker: Process[Q, A] = key.data
                if worker not in self._workers:
                    continue  # died in this round
                if key.fd == worker.stdin:
                    self._send(worker)
                    continue
                answers = worker.receive()
                if answers is None:
                    yield from self._bury(worker)
                else:
                    yield from answers

    @property
    def left(self) -> list[Q]:
        """Requests that were taken and not answered."""
        return [request for batch in self._again for request in batch.owed]

    def close(self) -> None:
        """End every process."""
        for worker in self._workers:
            worker.close()
        self._workers.clear()
        self._selector.close()

    def _hand_out(self) -> bool:
        """Give each worker something to do, start more while there is more, let go the idle; False when none is."""
        for worker in list(self._workers):
            while len(worker.batches) < self._work.batches_ahead and (batch := self._next_batch()):
                worker.take(batch)
            if worker.unsent:
                self._send(worker)
            elif not worker.batches:
                self._forget(worker)
        while len(self._workers) < self._limit and (batch := self._next_batch()):
            try:
                worker = Process(self._work)
            except OSError:
                self._again.appendleft(batch)
                self._limit = len(self._workers)
                break
            self._workers.append(worker)
            self._selector.register(worker.stdout, selectors.EVENT_READ, worker)
            worker.take(batch)
            self._send(worker)
        return bool(self._workers)

    def _next_batch(self) -> Batch[Q] | None:
        if self._again:
            return self._again.popleft()
        owed: deque[Q] = deque()
        total = 0
        for request in self._todo:
            owed.append(request)
            total += self._work.size(request)
            if len(owed) >= _BATCH_FILES or total >= self._work.batch_bytes:
                break
        return Batch(len(owed), owed) if owed else None

    def _send(self, worker: Process[Q, A]) -> None:
        watched = worker.stdin in self._selector.get_map()
        worker.send()
        if worker.unsent and not watched:
            self._selector.register(worker.stdin, selectors.EVENT_WRITE, worker)
        elif watched and not worker.unsent:
            self._selector.unregister(worker.stdin)

    def _bury(self, worker: Process[Q, A]) -> Iterator[A]:
        """Take back what a dead worker owed; give up what several died of."""
        self._forget(worker)
        batches = worker.batches
        if not worker.started:  # a machine that starts no workers: no file is to blame
            self._limit = len(self._workers)
        elif batches and batches[0].asked == 1:
            batches[0].deaths += 1
            if batches[0].deaths == _DEATHS_MAX:
                suspect = batches.popleft().owed[0]
                yield self._work.given_up(suspect, f"{_DEATHS_MAX} {self._work.who} died of it")
        for batch in batches:  # each alone: should its worker die again, it is clear of what
            self._again.extend(Batch(1, deque([request]), batch.deaths) for request in batch.owed)

    def _forget(self, worker: Process[Q, A]) -> None:
        for fd in (worker.stdin, worker.stdout):
            if fd in self._selector.get_map():
                self._selector.unregister(fd)
        self._workers.remove(worker)
        worker.close()


def _cores() -> int:
    if not sys.executable or getattr(sys, "frozen", False):  # a bundled program would start itself again
        return 0
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
