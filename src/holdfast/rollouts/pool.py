"""Scanning many files on all cores, in processes of our own.

One thread, the caller's, feeds the workers and reads their answers, so
requests may be made lazily by code that belongs to that thread.
"""

from __future__ import annotations

import fcntl
import os
import selectors
import subprocess
import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from itertools import chain

import holdfast.rollouts
from holdfast.rollouts import paths
from holdfast.rollouts.frames import Batch, ScanRequest, Unframer, decode_scans, encode, framed
from holdfast.rollouts.reading import Scan
from holdfast.rollouts.scan_worker import ANSWERS_AT_ONCE, answer

ALONE_BYTES_MAX = 32 * 1024 * 1024
"""Up to this much is scanned here: a worker takes 60 ms to start, in which 20 to 30 MB are read."""

_ALONE_FILES_MAX = 1_000
_BATCH_FILES = 64
_BATCH_BYTES = 4 * 1024 * 1024  # 10 to 20 ms of work: the last batches end together
_BATCHES_WAITING_MAX = 8  # per worker: enough that it works on while the caller writes 2,000 rows
_PIPE_BYTES = 1024 * 1024  # the most an ordinary user may ask for (pipe(7))
_DEATHS_MAX = 2
_SIZE_UNKNOWN = 64 * 1024


def scan_many(requests: Iterable[ScanRequest], *, workers: int | None = None) -> Generator[Scan, None, None]:
    """Yield one ``Scan`` for each request, in any order.

    ``workers`` is how many processes at most (default: one per core; 0 for
    none). Few files are scanned in this process, and so is everything when no
    worker can be started. A file that kills a worker twice is ``unreadable``.
    At most a few hundred requests are taken ahead of the answers. Closing
    the iterator ends the workers. 10,000 files of 583 MB take 1.1 s on two
    cores; a worker holds about 40 MB.
    """
    limit = _cores() if workers is None else workers
    waiting = iter(requests)
    first: list[ScanRequest] = []
    total = 0
    if limit > 0:
        for request in waiting:
            first.append(request)
            total += _size(request)
            if total > ALONE_BYTES_MAX or len(first) > _ALONE_FILES_MAX:
                break
        else:
            limit = 0
    todo = chain(first, waiting)
    if limit == 0:
        yield from map(answer, todo)
        return
    pool = _Pool(todo, limit)
    try:
        yield from pool.run()
    finally:
        pool.close()


class _Worker:
    """One process and what it still owes."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            # -P: the working directory is somebody's project, and may hold a `msgspec.py`.
            [sys.executable, "-P", "-m", "holdfast.rollouts.scan_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            bufsize=0,
            close_fds=True,
        )
        assert self.process.stdin is not None  # both were asked for
        assert self.process.stdout is not None
        self.stdin = self.process.stdin.fileno()
        self.stdout = self.process.stdout.fileno()
        os.set_blocking(self.stdin, False)
        _widen(self.stdin)
        _widen(self.stdout)
        self.started = False
        self.unframer = Unframer()
        self.unsent = b""
        self.owed: deque[ScanRequest] = deque()
        self.batches: deque[int] = deque()  # files in each batch not yet answered, oldest first

    def take(self, batch: list[ScanRequest]) -> None:
        self.owed.extend(batch)
        self.batches.append(len(batch))
        self.unsent += framed(encode(Batch(batch)))

    def answered(self, scans: int) -> None:
        for _ in range(scans):
            self.owed.popleft()
        while scans and self.batches:
            done = min(scans, self.batches[0])
            self.batches[0] -= done
            scans -= done
            if not self.batches[0]:
                self.batches.popleft()

    def close(self) -> None:
        """End it, whatever it is doing, and wait: it only reads files, so nothing is lost."""
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.process.wait()


class _Pool:
    def __init__(self, todo: Iterator[ScanRequest], workers_max: int) -> None:
        self._todo = todo
        self._again: deque[ScanRequest] = deque()
        self._deaths: dict[tuple[str, str], int] = {}
        self._workers: list[_Worker] = []
        self._workers_max = workers_max
        self._selector = selectors.DefaultSelector()

    def run(self) -> Iterator[Scan]:
        while True:
            self._hand_out()
            if not self._workers:
                break
            for key, _ in self._selector.select():
                worker: _Worker = key.data
                if worker not in self._workers:
                    continue  # died in this round
                if key.fd == worker.stdin:
                    self._send(worker)
                    continue
                scans = self._receive(worker)
                if scans is None:
                    yield from self._bury(worker)
                else:
                    yield from scans
        # No worker could be started, or the machine keeps killing them: then here.
        yield from map(answer, chain(self._again, self._todo))

    def close(self) -> None:
        for worker in self._workers:
            worker.close()
        self._workers.clear()
        self._selector.close()

    def _hand_out(self) -> None:
        """Give every worker something to do; start some while there is more; let go those without work."""
        for worker in list(self._workers):
            while len(worker.batches) < _BATCHES_WAITING_MAX and (batch := self._next_batch()):
                worker.take(batch)
            if worker.unsent:
                self._send(worker)
            elif not worker.owed:
                self._forget(worker)
        while len(self._workers) < self._workers_max and (batch := self._next_batch()):
            try:
                worker = _Worker()
            except OSError:
                self._again.extendleft(reversed(batch))
                self._workers_max = len(self._workers)
                break
            self._workers.append(worker)
            self._selector.register(worker.stdout, selectors.EVENT_READ, worker)
            worker.take(batch)
            self._send(worker)

    def _next_batch(self) -> list[ScanRequest]:
        if self._again:
            return [self._again.popleft()]  # alone: should its worker die again, it is clear of what
        batch: list[ScanRequest] = []
        total = 0
        for request in self._todo:
            batch.append(request)
            total += request.size if request.size is not None else _SIZE_UNKNOWN
            if len(batch) >= _BATCH_FILES or total >= _BATCH_BYTES:
                break
        return batch

    def _send(self, worker: _Worker) -> None:
        watched = worker.stdin in self._selector.get_map()
        try:
            worker.unsent = worker.unsent[os.write(worker.stdin, worker.unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            worker.unsent = b""  # it is dead: its stdout says so next
        if worker.unsent and not watched:
            self._selector.register(worker.stdin, selectors.EVENT_WRITE, worker)
        elif watched and not worker.unsent:
            self._selector.unregister(worker.stdin)

    def _receive(self, worker: _Worker) -> list[Scan] | None:
        """Return the answers that have come; None when there will be no more."""
        piece = os.read(worker.stdout, _PIPE_BYTES)
        if not piece:
            return None
        scans: list[Scan] = []
        for body in worker.unframer.feed(piece):
            worker.started = True
            scans += decode_scans(body)
        worker.answered(len(scans))
        return scans

    def _bury(self, worker: _Worker) -> Iterator[Scan]:
        """Take back what a dead worker owed; yield the files that are not worth another one."""
        self._forget(worker)
        if not worker.started:  # a machine that starts no workers: no file is to blame
            self._workers_max = len(self._workers)
            self._again.extend(worker.owed)
            return
        suspects = min(worker.batches[0], ANSWERS_AT_ONCE) if worker.batches else 0
        for n, request in enumerate(worker.owed):
            key = (request.home, request.path)
            if n < suspects:
                self._deaths[key] = self._deaths.get(key, 0) + 1
            if self._deaths.get(key, 0) < _DEATHS_MAX:
                self._again.append(request)
            else:
                yield Scan(
                    path=request.path,
                    status="unreadable",
                    zst=request.zst,
                    archived=paths.is_archived(request.path),
                    detail=f"{_DEATHS_MAX} workers died of it",
                )

    def _forget(self, worker: _Worker) -> None:
        for fd in (worker.stdin, worker.stdout):
            if fd in self._selector.get_map():
                self._selector.unregister(fd)
        self._workers.remove(worker)
        worker.close()


def _size(request: ScanRequest) -> int:
    if request.size is None:
        try:
            request.size = os.stat(f"{request.home}/{request.path}{paths.ZST if request.zst else ''}").st_size
        except OSError:
            request.size = 0
    return request.size


def _cores() -> int:
    if not sys.executable or getattr(sys, "frozen", False):  # a bundled program would start itself again
        return 0
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _environment() -> dict[str, str]:
    root = os.path.dirname(os.path.dirname(holdfast.rollouts.__path__[0]))
    others = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{others}" if others else root}


def _widen(fd: int) -> None:
    # Linux only, and refused when pipes of this user hold too much already (pipe(7)); slower, not wrong.
    with suppress(AttributeError, OSError):
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
