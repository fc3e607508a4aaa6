"""One process that works for us, as we see it: what it was told, what it still owes, whether it lives."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic

import holdfast.rollouts
from holdfast.rollouts.workers.frames import Unframer, framed
from holdfast.rollouts.workers.work import A, Q, Work

_PIPE_BYTES = 1024 * 1024  # the most an ordinary user may ask for (pipe(7))


@dataclass(slots=True)
class Batch(Generic[Q]):
    """``asked`` requests handed out together, and those not answered yet. ``deaths``: processes that died of it."""

    asked: int
    owed: deque[Q]
    deaths: int = 0


class Process(Generic[Q, A]):
    """One process and what it still owes. Raises ``OSError`` when it cannot be started."""

    def __init__(self, work: Work[Q, A]) -> None:
        self._work = work
        self._process = subprocess.Popen(
            # -P: the working directory is somebody's project, and may hold a `msgspec.py`.
            [sys.executable, "-P", "-m", work.module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(),
            bufsize=0,
        )
        assert self._process.stdin is not None  # both were asked for
        assert self._process.stdout is not None
        self.stdin = self._process.stdin.fileno()
        self.stdout = self._process.stdout.fileno()
        os.set_blocking(self.stdin, False)
        _widen(self.stdin)
        _widen(self.stdout)
        self.started = False
        self.unsent = b""
        self.batches: deque[Batch[Q]] = deque()
        """What it owes, oldest first."""
        self._unframer = Unframer()

    def take(self, batch: Batch[Q]) -> None:
        """Give it more to do; ``send`` tells it."""
        self.batches.append(batch)
        self.unsent += framed(self._work.encode(list(batch.owed)))

    def send(self) -> None:
        """Write what the pipe takes of what is unsent. Never waits."""
        try:
            self.unsent = self.unsent[os.write(self.stdin, self.unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self.unsent = b""  # it is dead: its stdout says so next

    def receive(self) -> list[A] | None:
        """Return the answers that have come; None when there will be no more. Waits for the next ones."""
        piece = os.read(self.stdout, _PIPE_BYTES)
        if not piece:
            return None
        answers: list[A] = []
        for body in self._unframer.feed(piece):
            self.started = True
            if body:
                answers += self._work.decode(body)
        for answer in answers:
            batch = self.batches[0]
            if self._work.answered(batch.owed[0], answer):
                batch.owed.popleft()
                if not batch.owed:
                    self.batches.popleft()
        return answers

    def close(self) -> None:
        """End it, whatever it is doing, and wait: it only reads files, so nothing is lost."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()


def environment() -> dict[str, str]:
    """Return the environment in which a process of ours finds this package."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(holdfast.rollouts.__path__[0])))
    others = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{others}" if others else root}


def _widen(fd: int) -> None:
    # Linux only, and refused when pipes of this user hold too much already (pipe(7)); slower, not wrong.
    with suppress(AttributeError, OSError):
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
