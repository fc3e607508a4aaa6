"""Real processes for tests: each runs a piece of code, says lines, and hears lines."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SRC = str(Path(__file__).parents[1] / "src")

# What every one of them can do. Lines are written whole, also by several threads; who hears no more, ends.
TALK = """
import os, sys
def say(*words): os.write(1, (" ".join(map(str, words)) + "\\n").encode())
def hear():
    line = b""
    while not line.endswith(b"\\n"):
        piece = os.read(0, 1)
        if not piece: os._exit(1)
        line += piece
    return line.decode().strip()
def pause(name):
    say(name)
    hear()
"""


def python(code: str, *args: object, command: Sequence[str] = (), **options: Any) -> subprocess.Popen[str]:
    """Start ``code``, which can ``say``, ``hear`` and ``pause``. ``command`` goes before it, ``args`` are its own."""
    return subprocess.Popen(
        [*command, sys.executable, "-c", TALK + code, *map(str, args)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": SRC},
        **options,
    )


class Child:
    """Another process. It says lines and hears lines; ``line`` returns "" once it is dead."""

    def __init__(self, code: str, *args: object, **options: Any) -> None:
        self.process = python(code, *args, **options)
        self.pid = self.process.pid

    def line(self) -> str:
        return self.process.stdout.readline().strip()

    def lines(self) -> list[str]:
        """Return everything it still says, until it ends."""
        return list(iter(self.line, ""))

    def tell(self, text: str = "go") -> None:
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def stop(self) -> None:
        """Stop it, and return when the kernel says that it is stopped."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def wait(self) -> int:
        return self.process.wait(60)

    def kill(self) -> None:
        """Kill it and collect it: no zombie is left."""
        self.process.kill()
        self.process.wait(60)

    def kill_only(self) -> None:
        """Kill it, and return when the kernel says it is dead but nobody collected it: a zombie."""
        self.process.kill()
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(60)
        self.process.stdin.close()
        self.process.stdout.close()


@contextmanager
def children(prelude: str) -> Iterator[Callable[..., Child]]:
    """Give a function that starts processes with ``prelude`` before their code; all are ended at the end."""
    started: list[Child] = []

    def start(code: str, *args: object, **options: Any) -> Child:
        started.append(Child(prelude + code, *args, **options))
        return started[-1]

    try:
        yield start
    finally:
        for each in started:
            each.end()
