"""What the processes of a crowd do to a board, and the boards they do it to: ours, and two that are naive.

Each writes down every call before it makes it and after it was answered, in a
file of its own; ``history.py`` reads them. A process plays until it is told to end, or is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from history import Run, Tables

PRELUDE = f"""
sys.path.insert(0, {os.path.dirname(__file__)!r})
import gc, json, players, threading
FOLDER, URL, *ARGS = sys.argv[1:]
def descriptors():
    return len(os.listdir("/proc/self/fd"))
def take_all():
    taken = []
    try:
        while True: taken.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        return taken
"""
"""What a process begins with that plays by itself."""

LEASE_MS = 60_000
READY_LEAST = 60
"""The gateway creates tasks until so many are ready."""
CARELESS_MS = 20


class Record:
    """The file one process writes its calls to. A line is one ``write``: what was written is there after a kill."""

    def __init__(self, folder: str, who: str) -> None:
        self.who = who
        self._fd = os.open(os.path.join(folder, who), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._number = 0

    def call(self, what: str, fn: Callable[[], Any], told: Callable[[Any], dict[str, Any]], **about: Any) -> Any:
        """Make the call and return what it returned; None when it raised, which is written down."""
        self._number += 1
        number = self._number
        self._write({"n": number, "who": self.who, "what": what, "began_ns": time.monotonic_ns(), **about})
        try:
            result = fn()
        except Exception as error:
            self._write({"n": number, "answered_ns": time.monotonic_ns(), "error": f"{type(error).__name__}: {error}"})
            return None
        self._write({"n": number, "answered_ns": time.monotonic_ns(), "said": "ok", **told(result)})
        return result

    def _write(self, line: dict[str, Any]) -> None:
        os.write(self._fd, json.dumps(line).encode() + b"\n")


# --- the boards ----------------------------------------------------------------


class Ours:
    """``state.board`` as a harness has it."""

    def __init__(self, folder: str, who: str, url: str = "") -> None:
        import holdfast
        from holdfast import board, holds

        where = {"state": url} if url else {}
        self.state = holdfast.open([], state_dir=os.path.join(folder, "state"), search=False, **where)
        self.database = "" if url else os.path.join(folder, "state", "state.db")
        self._claimed, self._me = board.Claimed, holds.me(who)

    def create(self, title: str, parents: list[int]) -> int:
        return self.state.board.create(title, parents=parents, failures_max=1_000).task.task_id

    def claim(self) -> tuple[int, int] | None:
        found = self.state.board.claim_next("default", self._me, lease_ms=LEASE_MS)
        return (found.task.task_id, found.fence) if isinstance(found, self._claimed) else None

    def done(self, task: int, fence: int) -> None:
        self.state.board.done(task, fence=fence, summary="done")

    def release(self, task: int, fence: int) -> None:
        self.state.board.release(task, fence=fence)

    def block(self, task: int, fence: int) -> None:
        self.state.board.block(task, "a question", kind="transient", fence=fence)

    def tick(self) -> int:
        """Do what a gateway does in each round; return how many tasks are ready."""
        self.state.board.sweep()
        for task in self.state.board.listing(status="blocked", limit=50).tasks:
            self.state.board.unblock(task.task_id, "answered")
        for task in self.state.board.listing(status="triage", limit=50).tasks:
            self.state.board.move(task.task_id, "ready")
        self.state.board.events(limit=100)
        return int(self.state.board.stats().counts["ready"])


class Racy:
    """A board on the standard library's sqlite3 that looks first and claims afterwards, with nothing in between."""

    def __init__(self, folder: str, who: str, _url: str = "") -> None:
        import sqlite3

        self.database = os.path.join(folder, "naive.db")
        self.who, self._sqlite3 = who, sqlite3
        with self.connection() as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(
                "CREATE TABLE IF NOT EXISTS tasks (task INTEGER PRIMARY KEY, title TEXT, status TEXT, fence INT);"
                "CREATE TABLE IF NOT EXISTS links (parent INT, child INT);"
                "CREATE TABLE IF NOT EXISTS runs (run INTEGER PRIMARY KEY, task INT, fence INT, who TEXT, outcome TEXT)"
            )

    @contextlib.contextmanager
    def connection(self) -> Iterator[Any]:
        """A connection for each call, closed after it: no descriptor is leaked here."""
        with contextlib.closing(self._sqlite3.connect(self.database, timeout=30, isolation_level=None)) as db:
            yield db

    def create(self, title: str, parents: list[int]) -> int:
        with self.connection() as db:
            task = db.execute("INSERT INTO tasks (title, status, fence) VALUES (?, 'ready', 0)", (title,)).lastrowid
            return int(task)

    def claim(self) -> tuple[int, int] | None:
        with self.connection() as db:
            found = db.execute("SELECT task, fence FROM tasks WHERE status = 'ready' ORDER BY task LIMIT 1").fetchone()
            if found is None:
                return None
            task, fence = found[0], found[1] + 1
            db.execute("UPDATE tasks SET status = 'running', fence = ? WHERE task = ?", (fence, task))
            db.execute("INSERT INTO runs (task, fence, who) VALUES (?, ?, ?)", (task, fence, self.who))
            return task, fence

    def _end(self, task: int, fence: int, status: str, outcome: str) -> None:
        with self.connection() as db:
            db.execute("BEGIN IMMEDIATE")
            db.execute("UPDATE tasks SET status = ? WHERE task = ? AND fence = ?", (status, task, fence))
            db.execute("UPDATE runs SET outcome = ? WHERE task = ? AND fence = ? AND who = ?",
                       (outcome, task, fence, self.who))  # fmt: skip
            db.execute("COMMIT")

    def done(self, task: int, fence: int) -> None:
        self._end(task, fence, "done", "completed")

    def release(self, task: int, fence: int) -> None:
        self._end(task, fence, "ready", "released")

    def block(self, task: int, fence: int) -> None:
        self._end(task, fence, "ready", "blocked")

    def tick(self) -> int:
        """Look, and have more created in every round."""
        with self.connection() as db:
            db.execute("SELECT count(*) FROM tasks WHERE status = 'ready'").fetchone()
        return 0


class Careless(Racy):
    """Claims rightly, in one transaction, and its gateway keeps one connection. Only nothing guards the file.

    A close past SQLite in the gateway gives up its locks, the next worker that
    closes believes it is the last, and takes the log with it.
    """

    _kept: Any = None

    @contextlib.contextmanager
    def connection(self) -> Iterator[Any]:
        if not self.who.startswith("gateway"):
            with super().connection() as db:
                yield db
            return
        if self._kept is None:
            self._kept = self._sqlite3.connect(self.database, timeout=30, isolation_level=None)
        yield self._kept

    def claim(self) -> tuple[int, int] | None:
        with self.connection() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                found = db.execute("UPDATE tasks SET status = 'running', fence = fence + 1 WHERE task ="
                    " (SELECT task FROM tasks WHERE status = 'ready' ORDER BY task LIMIT 1) RETURNING task, fence"
                ).fetchone()  # fmt: skip
                if found is not None:
                    db.execute("INSERT INTO runs (task, fence, who) VALUES (?, ?, ?)", (*found, self.who))
                db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(self._sqlite3.Error):
                    db.execute("ROLLBACK")
                raise
            return found


BOARDS = {"ours": Ours, "racy": Racy, "careless": Careless}


# --- the players ---------------------------------------------------------------


def work(board: Any, record: Record, over: threading.Event, seed: int) -> None:
    """Claim a task and end it: most are completed, some given back, some blocked with a question."""
    chance = random.Random(seed)
    while not over.is_set():
        claimed = record.call("claim", board.claim, lambda found: (
            {"said": "claimed", "task": found[0], "fence": found[1]} if found else {"said": "idle"}
        ))  # fmt: skip
        if claimed is None:
            over.wait(0.005)  # let the gateway create some
            continue
        task, fence = claimed
        what = chance.choices(("done", "release", "block"), (8, 1, 1))[0]
        end = partial(getattr(board, what), task, fence)
        record.call(what, end, lambda _: {}, task=task, fence=fence)


def gateway(board: Any, record: Record, over: threading.Event, seed: int) -> None:
    """Sweep, look, answer what is blocked, create; meanwhile a thread opens and closes the file past SQLite."""
    chance = random.Random(seed)

    def neighbour() -> None:
        while board.database and not over.wait(CARELESS_MS / 1000):
            open(board.database, "rb").close()

    careless = threading.Thread(target=neighbour, daemon=True)
    careless.start()
    number, last = 0, None
    while not over.is_set():
        ready = record.call("tick", board.tick, lambda ready: {"said": f"{ready} ready"})
        for _ in range(0 if ready is None or ready > READY_LEAST else 20):
            number += 1
            title = f"{record.who} {number}"
            parents = [last] if last is not None and chance.random() < 0.3 else []
            last = record.call(
                "create",
                lambda title=title, parents=parents: board.create(title, parents),
                lambda task: {"task": task},
                title=title,
            )
    careless.join()


def play(role: str, kind: str, folder: str, who: str, seed: int, url: str, hear: Callable[[], str]) -> None:
    """Open the board, say so, and play from the first line that is heard to the second."""
    board, over = BOARDS[kind](folder, who, url), threading.Event()
    record = Record(os.path.join(folder, "calls"), who)
    os.write(1, b"ready\n")
    hear()

    def listen() -> None:
        hear()
        over.set()

    threading.Thread(target=listen, daemon=True).start()
    {"worker": work, "gateway": gateway}[role](board, record, over, seed)


# --- what the tables say ---------------------------------------------------------


def naive_tables(database: str) -> tuple[Tables, str]:
    """Read a naive board, and whether SQLite finds it sound. Runs in a process of its own: it imports sqlite3."""
    import sqlite3

    tables = Tables()
    try:
        with contextlib.closing(sqlite3.connect(database)) as db:
            for task, title, status in db.execute("SELECT task, title, status FROM tasks"):
                tables.titles[task], tables.statuses[task] = title, status
            rows = db.execute("SELECT task, fence, who, outcome FROM runs ORDER BY run")
            tables.runs = [Run(*row) for row in rows]
            return tables, db.execute("PRAGMA integrity_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        return tables, str(error)
