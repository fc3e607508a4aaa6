"""A gateway and eight workers on one board, each a process; some are killed; then everything is compared."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from pathlib import Path

import history
from history import Call, Run, Tables

from engines import open_engine
from holdfast.sql import statement
from processes import Child

WORKERS = 8
HERE = str(Path(__file__).parent)

PLAYER = """
sys.path.insert(0, sys.argv[1])
import players
role, kind, folder, who, seed, url = sys.argv[2:]
players.play(role, kind, folder, who, int(seed), url, hear)
"""

NAIVE_TABLES = """
import json
sys.path.insert(0, sys.argv[1])
import players
tables, sound = players.naive_tables(sys.argv[2])
runs = [[run.task, run.fence, run.who, run.outcome] for run in tables.runs]
say(json.dumps([tables.titles, tables.statuses, runs, sound]))
"""


class Crowd:
    """Processes on one board. ``play`` runs them; ``complaints`` is what is wrong afterwards."""

    def __init__(self, folder: Path, kind: str = "ours", url: str = "", seed: int = 1) -> None:
        (folder / "calls").mkdir()
        self.folder, self.kind, self.url = folder, kind, url
        self.killed: dict[str, int] = {}
        self.left: dict[str, int] = {}
        self.odd_ends: list[str] = []
        self.tables = Tables()
        self._chance = random.Random(seed)
        self._pause = threading.Event()
        self._playing: dict[str, Child] = {}
        self._started = 0

    def start(self, role: str, count: int = 1) -> None:
        """Start some more; they play as soon as all of them have opened the board."""
        fresh = []
        for _ in range(count):
            self._started += 1
            who = f"{role}-{self._started}"
            args = (HERE, role, self.kind, self.folder, who, self._chance.randrange(1 << 30), self.url)
            self._playing[who] = Child(PLAYER, *args)
            fresh.append(self._playing[who])
        for child in fresh:
            assert child.line() == "ready"
        for child in fresh:
            child.tell("begin")

    def kill(self, who: str) -> None:
        """Kill one for good, in whatever it does, and have another in its place."""
        self.killed[who] = time.monotonic_ns()
        child = self._playing.pop(who)
        child.kill()
        child.end()
        self.start(who.split("-")[0])

    def players(self, role: str) -> list[str]:
        return [who for who in self._playing if who.startswith(role)]

    def end(self, role: str) -> None:
        whom = self.players(role)
        for who in whom:
            self.left[who] = time.monotonic_ns()
            self._playing[who].tell("end")
        for who in whom:
            child = self._playing.pop(who)
            if code := child.wait():
                self.odd_ends.append(f"{who} ended with {code}")
            child.end()

    def play(self, seconds: float, *, shifts: int = 1, kills: int = 0, roles: tuple[str, ...] = ("worker",)) -> None:
        """Run a gateway and eight workers for so long, and kill one of ``roles`` so many times meanwhile.

        Between shifts the workers go home and others come: for a moment nobody but the gateway has the board open.
        """
        try:
            self.start("gateway")
            for _ in range(shifts):
                self.start("worker", WORKERS)
                for _ in range(kills):
                    self._pause.wait(seconds / shifts / (kills + 1))
                    self.kill(self._chance.choice(self.players(self._chance.choice(roles))))
                self._pause.wait(seconds / shifts / (kills + 1))
                self.end("worker")
            self.end("gateway")
        finally:
            for child in self._playing.values():
                child.end()

    @property
    def calls(self) -> list[Call]:
        return [
            call
            for path in sorted((self.folder / "calls").iterdir())
            for call in history.read(path.read_text(encoding="utf-8"))
        ]

    def done(self) -> int:
        return sum(call.what == "done" and call.acknowledged for call in self.calls)

    def complaints(self) -> list[str]:
        """Read the tables and compare; what SQLite finds, and who ended oddly, comes first."""
        self.tables, sound = self._naive() if self.kind != "ours" else self._ours()
        found = history.complaints(self.calls, self.tables, self.killed, self.left)
        return [f"the database: {sound}"] * (sound != "ok") + self.odd_ends + found

    def _ours(self) -> tuple[Tables, str]:
        with open_engine(self.url or str(self.folder / "state" / "state.db")) as engine, engine.read() as tx:
            tables = Tables()
            for row in tx.rows(statement("SELECT task_id, title, status FROM tasks")):
                tables.titles[row["task_id"]], tables.statuses[row["task_id"]] = row["title"], row["status"]
            tables.runs = [
                Run(row["task_id"], row["fence"], json.loads(row["owner"] or "{}").get("label", ""), row["outcome"])
                for row in tx.rows(statement("SELECT task_id, fence, owner, outcome FROM task_runs ORDER BY run_id"))
            ]
            links = tx.rows(statement("SELECT parent_id, child_id FROM task_links"))
            tables.links = [(row["parent_id"], row["child_id"]) for row in links]
            if self.url:
                return tables, "ok"
            return tables, str(tx.rows(statement("PRAGMA integrity_check(1)"))[0]["integrity_check"])

    def _naive(self) -> tuple[Tables, str]:
        child = Child(NAIVE_TABLES, HERE, os.path.join(self.folder, "naive.db"))
        titles, statuses, runs, sound = json.loads(child.line())
        child.end()
        tables = Tables(runs=[Run(*run) for run in runs])
        tables.titles = {int(task): title for task, title in titles.items()}
        tables.statuses = {int(task): status for task, status in statuses.items()}
        return tables, sound
