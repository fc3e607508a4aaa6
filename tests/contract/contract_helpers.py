"""A clock a test sets, and real processes that talk over pipes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SRC = str(Path(__file__).parents[2] / "src")

PRELUDE = """
import os, sys
from holdfast import clock, holds, schema
from holdfast.holds import Denied, Hold
from holdfast.sqlite import Store
ARGS = sys.argv[1:]
def say(*words): os.write(1, (" ".join(str(word) for word in words) + "\\n").encode())
def hear(): return sys.stdin.readline().strip()
"""


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.ms

    def advance(self, ms: int) -> None:
        self.ms += ms


class Child:
    """Another process. It says lines and hears lines; ``line`` returns "" once it is dead."""

    def __init__(self, code: str, *args: object, command: tuple[str, ...] = ()) -> None:
        self.process = subprocess.Popen(
            [*command, sys.executable, "-c", PRELUDE + code, *map(str, args)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": SRC},
        )
        self.pid = self.process.pid

    def line(self) -> str:
        return self.process.stdout.readline().strip()

    def tell(self, text: str = "go") -> None:
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        """Kill it and collect it: no zombie is left."""
        self.process.kill()
        self.process.wait(30)

    def kill_only(self) -> None:
        """Kill it, and return when the kernel says it is dead but nobody collected it: a zombie."""
        self.process.kill()
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)
        self.process.stdin.close()
        self.process.stdout.close()
