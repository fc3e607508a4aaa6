"""Two dispatchers and their workers on one board; both kinds are killed; then everything is compared."""

from __future__ import annotations

import contextlib
import os
import random
import shlex
import signal
import sys
import threading
import time
from pathlib import Path

import history
from history import Call, Run, Tables

from engines import open_engine
from holdfast import board, schema
from holdfast.sql import statement
from processes import SRC, Child

HERE = Path(__file__).parent
DISPATCHERS, AT_ONCE = 2, 4

DISPATCHER = f"""
sys.path[:0] = [{str(HERE.parent)!r}]
from engines import open_engine
from holdfast.board.dispatching import Dispatcher, How
database, folder, command, most, first = sys.argv[1:]
exec(first)
with open_engine(database) as engine:
    how = How(running_max=int(most), kill_after_s=0.2)
    dispatcher = Dispatcher(engine, command, folder=folder, named=database, how=how)
    say("ready")
    dispatcher.run()
"""


class Dispatched:
    """Tasks that dispatchers have done by processes. ``play`` runs until all are; ``complaints`` is what is wrong.

    ``first`` is code that dispatchers run before anything else: to break them on purpose.
    """

    def __init__(self, folder: Path, url: str = "", seed: int = 1, first: str = "") -> None:
        for name in ("calls", "pids", "locks", "here"):
            (folder / name).mkdir()
        self.folder = folder
        self.database = url or str(folder / "state.db")
        self.killed: dict[str, int] = {}
        self.dispatchers_killed = 0
        self._chance = random.Random(seed)
        self._first = first
        self._pause = threading.Event()
        self._dispatchers: list[Child] = []

    def start(self) -> None:
        worker = ["env", f"PYTHONPATH={SRC}", sys.executable, str(HERE / "does_task.py"), str(self.folder)]
        child = Child(DISPATCHER, self.database, self.folder / "here", shlex.join(worker), AT_ONCE, self._first)
        self._dispatchers.append(child)
        assert child.line() == "ready"

    def play(self, tasks: int, kills: int, every_s: float) -> None:
        """Create tasks, half of them behind another; kill so often; return when all are done."""
        with open_engine(self.database) as engine:
            schema.migrate(engine)
            with engine.write() as tx:
                last = 0
                for number in range(tasks):
                    parents = [last] if number % 2 else []
                    made = board.create(tx, f"task {number}", parents=parents, failures_max=1_000)
                    last = made.task.task_id
            try:
                for _ in range(DISPATCHERS):
                    self.start()
                for number in range(kills):
                    self._pause.wait(every_s)
                    self.kill_a_worker() if number % 2 else self.kill_a_dispatcher()
                self._wait_for_the_end(engine)
                for child in self._dispatchers:
                    child.process.send_signal(signal.SIGTERM)
                for child in self._dispatchers:
                    assert child.wait() == 0
            finally:
                for child in self._dispatchers:
                    child.end()

    def _wait_for_the_end(self, engine: object, at_most_s: float = 120) -> None:
        until = time.monotonic() + at_most_s
        while time.monotonic() < until:
            with engine.read() as tx:  # type: ignore[attr-defined]
                counts = board.stats(tx, "default").counts
            if counts["done"] == sum(counts.values()):
                return
            self._pause.wait(0.1)
        raise AssertionError(f"not all are done after {at_most_s} s: {counts}")

    def kill_a_dispatcher(self) -> None:
        """Whichever: one leads, the other stands by."""
        child = self._dispatchers.pop(self._chance.randrange(len(self._dispatchers)))
        child.kill()
        child.end()
        self.dispatchers_killed += 1
        self.start()

    def kill_a_worker(self) -> None:
        living = [(path.name, pid) for path in (self.folder / "pids").iterdir() if (pid := _ours(path)) is not None]
        if living:
            who, pid = self._chance.choice(living)
            self.killed[who] = time.monotonic_ns()
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @property
    def calls(self) -> list[Call]:
        paths = sorted((self.folder / "calls").iterdir())
        return [call for path in paths for call in history.read(path.read_text(encoding="utf-8"))]

    def complaints(self) -> list[str]:
        tables = Tables()
        with open_engine(self.database) as engine, engine.read() as tx:
            for row in tx.rows(statement("SELECT task_id, title, status FROM tasks")):
                tables.titles[row["task_id"]], tables.statuses[row["task_id"]] = row["title"], row["status"]
            rows = tx.rows(statement("SELECT task_id, fence, outcome FROM task_runs ORDER BY run_id"))
            links = tx.rows(statement("SELECT parent_id, child_id FROM task_links"))
        # A worker is called after its task and fence; a run whose dispatcher died before it began keeps no record.
        tables.runs = [
            Run(row["task_id"], row["fence"], f"{row['task_id']}.{row['fence']}", row["outcome"]) for row in rows
        ]
        tables.links = [(row["parent_id"], row["child_id"]) for row in links]
        return history.complaints(self.calls, tables, self.killed)


def _ours(path: Path) -> int | None:
    """Return the pid that a worker wrote, while it is still that of a worker."""
    with contextlib.suppress(OSError, ValueError):
        pid = int(path.read_text())
        if b"does_task.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return None
