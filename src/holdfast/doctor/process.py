"""The process that looks, as we see it: started, listened to until a moment, and ended whatever it is doing.

It may be stopped, dead, or asleep in the kernel over a disk that does not answer:
nothing here waits for it longer than it was told to.
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from contextlib import suppress

import msgspec

from holdfast.doctor import wire
from holdfast.errors import Unsupported
from holdfast.rollouts.workers.process import environment

_PIPE_BYTES = 1 << 16
_TOLD_BYTES = 2_000
_END_MS = 200  # a killed process that is not gone by then sleeps in the kernel


class Process:
    """One process, in a session of its own: a Ctrl-C reaches only us, and a kill reaches all it started."""

    def __init__(self, module: str, phase: str, request: wire.Request) -> None:
        try:
            self._process = subprocess.Popen(
                # -P: the working directory is somebody's project, and may hold a `msgspec.py`.
                [sys.executable, "-P", "-m", module, phase],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment(),
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise Unsupported(f"no process could be started to look: {error.strerror}") from error
        assert self._process.stdin is not None  # all three were asked for
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._stdin, self._stdout, self._stderr = (
            self._process.stdin.fileno(),
            self._process.stdout.fileno(),
            self._process.stderr.fileno(),
        )
        self._folder = _scratch() if request.deep else ""
        self._unsent = wire.encode(msgspec.structs.replace(request, folder=self._folder))
        self._lines: deque[bytes] = deque()
        self._rest = b""
        self._told = b""
        self._selector = selectors.DefaultSelector()
        for fd, event in (
            (self._stdin, selectors.EVENT_WRITE),
            (self._stdout, selectors.EVENT_READ),
            (self._stderr, selectors.EVENT_READ),
        ):
            os.set_blocking(fd, False)
            self._selector.register(fd, event)

    def hear(self, until_ns: int) -> wire.Message | None:
        """Return the next thing it says; None when it says nothing more. Raises ``TimeoutError`` at ``until_ns``."""
        while not self._lines:
            if self._stdout not in self._selector.get_map():
                return None
            left_s = (until_ns - time.monotonic_ns()) / 1e9
            ready = self._selector.select(max(left_s, 0.0))
            if not ready and left_s <= 0:
                raise TimeoutError
            for key, _ in ready:
                self._move(key.fd)
        return wire.decode(self._lines.popleft())

    def end(self) -> str:
        """End it and everything it started. Return what became of it, for who reads why a probe was cut."""
        pid = self._process.pid
        code = self._own_end()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        try:
            self._process.wait(_END_MS / 1000)
        except subprocess.TimeoutExpired:
            threading.Thread(target=self._process.wait, daemon=True).start()  # so that no zombie stays of it
            return f"its process {pid} did not end: it waits in the kernel, mostly for a disk that does not answer"
        finally:
            if self._folder:
                shutil.rmtree(self._folder, ignore_errors=True)
            self._hear_last()
            self._selector.close()
            for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
                if pipe is not None:
                    pipe.close()
        if code is None:
            return "it was ended"
        told = self._told.decode(errors="replace").strip().rpartition("\n")[2]
        return f"its process ended with {code}" + (f": {told}" if told else "")

    def _own_end(self) -> int | None:
        """Return how it ended by itself; None when it did not."""
        if self._stdout in self._selector.get_map():
            return self._process.poll()
        try:
            return self._process.wait(_END_MS / 1000)  # it closed its stdout, so it is about to
        except subprocess.TimeoutExpired:
            return None

    def _move(self, fd: int) -> None:
        if fd == self._stdin:
            self._send()
            return
        try:
            piece = os.read(fd, _PIPE_BYTES)
        except BlockingIOError:
            return
        if not piece:
            self._selector.unregister(fd)
        elif fd == self._stderr:
            self._told = (self._told + piece)[-_TOLD_BYTES:]
        else:
            *whole, self._rest = (self._rest + piece).split(b"\n")
            self._lines.extend(whole)

    def _send(self) -> None:
        try:
            self._unsent = self._unsent[os.write(self._stdin, self._unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self._unsent = b""  # it is dead: its stdout says so next
        if not self._unsent:
            self._selector.unregister(self._stdin)  # and left open: its end is how the process learns of ours

    def _hear_last(self) -> None:
        with suppress(OSError):  # nothing there, or a neighbour of its session holds the pipe
            self._told = (self._told + os.read(self._stderr, _PIPE_BYTES))[-_TOLD_BYTES:]


def _scratch() -> str:
    """Return a new folder for copies; no name where none can be made: the disk may be full, and that is looked at."""
    with suppress(OSError):
        return tempfile.mkdtemp(prefix="holdfast-")
    return ""
