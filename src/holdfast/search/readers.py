"""Reading many rollouts for the index of words: here when it is little, else in processes of our own.

In processes, because the texts are cut and folded in Python: a host program that
is at work must not wait for its own interpreter while we feed.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from itertools import chain

import holdfast.search
from holdfast.rollouts.frames import Unframer, framed
from holdfast.search.parts import Part, ReadRequest, read, unread
from holdfast.search.read_worker import decode_parts, encode

ALONE_BYTES_MAX = 16 * 1024 * 1024
"""Up to this much is read here: a worker takes 60 ms to start."""

_BATCH_BYTES = 2 * 1024 * 1024  # of rollout: 10 ms of work
_BATCH_PATH_CHARS = 4_096  # so that the requests a worker has not read yet fit into its pipe
_BATCHES_AHEAD = 3
_PIPE_BYTES = 1 << 18
_DEATHS_MAX = 2
_LOOK_S = 0.05  # how long a stop may go unnoticed


def read_many(
    requests: Iterable[ReadRequest], *, workers: int | None = None, stop: threading.Event | None = None
) -> Generator[Part, None, None]:
    """Yield the parts of every request, those of one rollout in order; stop early when ``stop`` is set.

    ``workers``: processes at most (default: one per core; 0 for none). At most
    three batches per worker are taken ahead. Closing the iterator ends them.
    """
    limit = _cores() if workers is None else workers
    waiting = iter(requests)
    first: list[ReadRequest] = []
    total = 0
    for request in waiting if limit else ():
        first.append(request)
        total += max(request.size - request.offset, 0)
        if total > ALONE_BYTES_MAX:
            break
    else:
        limit = 0
    todo = chain(first, waiting)
    if limit:
        pool = _Pool(todo, limit, stop)
        try:
            yield from pool.run()
        finally:
            pool.close()
    for request in todo:  # all of it, or what is left when no worker could be started
        for part in read(request):
            if stop is not None and stop.is_set():
                return
            yield part


class _Worker:
    """One process and what it still owes."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            # -P: the working directory is somebody's project, and may hold a `msgspec.py`.
            [sys.executable, "-P", "-m", "holdfast.search.read_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            bufsize=0,
        )
        assert self.process.stdin is not None  # both were asked for
        assert self.process.stdout is not None
        self.stdin = self.process.stdin
        self.stdout = self.process.stdout
        self.started = False
        self.unframer = Unframer()
        self.owed: deque[ReadRequest] = deque()
        self.batches: deque[tuple[int, int]] = deque()  # requests of each batch, and those not answered; oldest first

    def take(self, batch: list[ReadRequest]) -> None:
        """Hand out a batch. Raises ``OSError`` when the worker is dead."""
        self.owed.extend(batch)
        self.batches.append((len(batch), len(batch)))
        self.stdin.write(framed(encode(batch)))

    def answered(self, part: Part) -> None:
        """Note what came: should the worker die, another one goes on behind it."""
        request = self.owed[0]
        request.offset, request.inode, request.zst, request.mark = part.end, part.inode, part.zst, part.mark
        if not part.last:
            return
        self.owed.popleft()
        asked, left = self.batches.popleft()
        if left > 1:
            self.batches.appendleft((asked, left - 1))

    def close(self) -> None:
        """End it, whatever it is doing, and wait: it only reads, so nothing is lost."""
        self.process.kill()
        self.stdin.close()
        self.stdout.close()
        self.process.wait()


class _Pool:
    def __init__(self, todo: Iterator[ReadRequest], limit: int, stop: threading.Event | None) -> None:
        self._todo = todo
        self._again: deque[ReadRequest] = deque()
        self._deaths: dict[int, int] = {}
        self._limit = limit
        self._stop = stop
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()

    def run(self) -> Iterator[Part]:
        while self._hand_out():
            if self._stop is not None and self._stop.is_set():
                return
            for key, _ in self._selector.select(_LOOK_S):
                worker: _Worker = key.data
                piece = os.read(worker.stdout.fileno(), _PIPE_BYTES)
                if not piece:
                    yield from self._bury(worker)
                for body in worker.unframer.feed(piece):
                    worker.started = True
                    for part in decode_parts(body):
                        worker.answered(part)
                        yield part
        for request in self._again:
            yield from read(request)

    def close(self) -> None:
        for worker in self._workers:
            worker.close()
        self._workers.clear()
        self._selector.close()

    def _hand_out(self) -> bool:
        """Give every worker something to do, start some while there is more; False when nothing is owed."""
        while len(self._workers) < self._limit and (batch := self._next_batch()):
            try:
                worker = _Worker()
            except OSError:
                self._again.extendleft(reversed(batch))
                self._limit = len(self._workers)
                break
            self._workers.append(worker)
            self._selector.register(worker.stdout, selectors.EVENT_READ, worker)
            self._give(worker, batch)
        for worker in self._workers:
            while len(worker.batches) < _BATCHES_AHEAD and (batch := self._next_batch()):
                self._give(worker, batch)
        return any(worker.owed for worker in self._workers)

    def _give(self, worker: _Worker, batch: list[ReadRequest]) -> None:
        with suppress(OSError):  # it is dead: its stdout says so next, and what it owes is given to another
            worker.take(batch)

    def _next_batch(self) -> list[ReadRequest]:
        if self._limit == 0:
            return []
        if self._again:
            return [self._again.popleft()]  # alone: should its worker die again, it is clear of what
        batch: list[ReadRequest] = []
        size = chars = 0
        for request in self._todo:
            batch.append(request)
            size += max(request.size - request.offset, 0)
            chars += len(request.path) + 64
            if size >= _BATCH_BYTES or chars >= _BATCH_PATH_CHARS:
                break
        return batch

    def _bury(self, worker: _Worker) -> Iterator[Part]:
        """Take back what a dead worker owed, but for a rollout that several have died of."""
        self._selector.unregister(worker.stdout)
        self._workers.remove(worker)
        worker.close()
        if not worker.started:  # a machine that starts no workers: no rollout is to blame
            self._limit = len(self._workers)
        elif worker.batches and worker.batches[0][0] == 1:
            suspect = worker.owed[0].n
            self._deaths[suspect] = self._deaths.get(suspect, 0) + 1
            if self._deaths[suspect] == _DEATHS_MAX:
                yield unread(worker.owed.popleft(), f"{_DEATHS_MAX} readers died of it")
        self._again.extend(worker.owed)


def _cores() -> int:
    if not sys.executable or getattr(sys, "frozen", False):  # a bundled program would start itself again
        return 0
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _environment() -> dict[str, str]:
    root = os.path.dirname(os.path.dirname(os.path.abspath(holdfast.__file__)))
    others = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{others}" if others else root}
