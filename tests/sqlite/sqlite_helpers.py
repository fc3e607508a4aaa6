"""Real processes that talk over pipes, and the statements most tests need."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from holdfast.sql import Statement
from holdfast.sqlite import Store

SRC = str(Path(__file__).parents[2] / "src")

PRELUDE = """
import os, signal, sys
import apsw
from holdfast.clock import wall_ms
from holdfast.errors import *
from holdfast.sql import Statement
from holdfast.sqlite import *
PATH = sys.argv[1]
def q(text): return Statement("q", text, text, frozenset(), frozenset())
def say(*words): print(*words, flush=True)
def hear(): return sys.stdin.readline().strip()
"""


class Child:
    """Another process. It says lines and hears lines; ``line`` returns "" once it is dead."""

    def __init__(self, code: str, path: str, *args: str, **options: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + code, path, *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": SRC},
            **options,
        )
        self.pid = self.process.pid

    def line(self) -> str:
        return self.process.stdout.readline().strip()

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
        return self.process.wait(30)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)
        self.process.stdin.close()
        self.process.stdout.close()


def q(text: str) -> Statement:
    return Statement("q", text, text, frozenset(re.findall(r":(\w+)", text)), frozenset())


INSERT = q("INSERT INTO notes (text) VALUES (:text)")
TEXTS = q("SELECT text FROM notes ORDER BY id")


def texts(store: Store) -> list[str]:
    with store.read() as tx:
        return [row["text"] for row in tx.rows(TEXTS)]
