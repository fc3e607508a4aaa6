"""The two boards that ``bench.board`` compares, each behind the same words; also run by the peer's own Python.

    PYTHON board_sides.py SIDE WHERE DOES [ARGUMENT]

``DOES`` is ``fill N`` (a board of N tasks), ``work SECONDS`` (claim and complete
until then; says ``ready``, waits for a line), ``ops REPEATS`` (each call by
itself), ``cold`` (what a new process pays before it has its first page) or
``check`` (what the tables say afterwards). The last line of its output is JSON.

A hundred tasks are made by the board's own calls: 50 ready, 30 waiting for one of
those, 10 blocked, 10 done. The rest are copies of their rows with other ids, so
that a board of 100,000 is there in seconds and no call has seen it before.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SET = 100
READY, WAITING, BLOCKED = 50, 30, 10
ASSIGNEES = 4
LEASE_MS = 60_000
OPS_S = 5.0
WAIT_MS = 60_000


def asks(at: int) -> dict[str, Any]:
    """Return what task ``at`` of the first hundred is created with."""
    return {"title": f"task {at}", "body": "what there is to do, " * 10, "assignee": f"agent-{at % ASSIGNEES}"}


class Hermes:
    """hermes-agent's ``kanban_db``: one connection for the life of the process, which is its faster way.

    It has no call that claims the next task. A worker lists 50 that are ready, tries
    them in an order of its own, and lists again; so eight rarely want the same one.
    """

    def __init__(self, where: str) -> None:
        from hermes_cli import kanban_db

        self.kanban = kanban_db
        self.conn = kanban_db.connect(db_path=Path(where))
        self.found: list[Any] = []

    def fill(self, count: int) -> None:
        self.conn.execute("PRAGMA synchronous = OFF")
        made: list[str] = []
        for at in range(SET):
            behind = [made[at - READY]] if READY <= at < READY + WAITING else []
            made.append(self.kanban.create_task(self.conn, **asks(at), priority=at % 3, parents=behind))
        for one in made[READY + WAITING : READY + WAITING + BLOCKED]:
            self.kanban.block_task(self.conn, one, reason="waits for a person")
        for one in made[READY + WAITING + BLOCKED :]:
            self.kanban.complete_task(self.conn, one, summary="nothing to do")
        self.conn.execute("BEGIN IMMEDIATE")
        for copy in range(1, count // SET):
            by = f"_{copy}"
            for table, ids in (
                ("tasks", ("id",)), ("task_links", ("parent_id", "child_id")), ("task_events", ("task_id",)),
                ("task_runs", ("task_id",)),
            ):  # fmt: skip
                named = [row["name"] for row in self.conn.execute(f"PRAGMA table_info({table})")]
                named = [name for name in named if name != "id" or table == "tasks"]
                taken = ", ".join(f"{name} || '{by}'" if name in ids else name for name in named)
                marks = ", ".join("?" * SET)
                self.conn.execute(
                    f"INSERT INTO {table} ({', '.join(named)}) SELECT {taken} FROM {table} WHERE {ids[0]} IN ({marks})",
                    made,
                )
        self.conn.execute("COMMIT")
        self.conn.close()

    def claim(self) -> Any:
        while True:
            if not self.found:
                self.found = self.kanban.list_tasks(self.conn, status="ready", limit=50)
                random.shuffle(self.found)
                if not self.found:
                    return None
            if task := self.kanban.claim_task(self.conn, self.found.pop().id):
                return task

    @staticmethod
    def key(claimed: Any) -> str:
        return str(claimed.id)

    def done(self, claimed: Any) -> None:
        done = self.kanban.complete_task(self.conn, claimed.id, summary="done", expected_run_id=claimed.current_run_id)
        if not done:
            raise RuntimeError(f"{claimed.id} was not completed")

    def create(self, at: int) -> Any:
        return self.kanban.create_task(self.conn, **asks(at))

    def comment(self, key: str) -> None:
        self.kanban.add_comment(self.conn, key, "bench", "a word about it")

    def listing(self) -> int:
        return len(self.kanban.list_tasks(self.conn, status="ready", limit=50))

    def stats(self) -> None:
        self.kanban.board_stats(self.conn)

    @staticmethod
    def check(where: str) -> dict[str, Any]:
        """Read the tables past ``kanban_db``, which refuses a file it has damaged."""
        import sqlite3

        told: dict[str, Any] = {"running": None, "done": None}
        conn = sqlite3.connect(where)
        try:
            for status in ("running", "done"):
                told[status] = [row[0] for row in conn.execute("SELECT id FROM tasks WHERE status = ?", (status,))]
            told["integrity"] = conn.execute("PRAGMA integrity_check(1)").fetchone()[0]
        except sqlite3.Error as error:
            told["integrity"] = str(error)
        conn.close()
        return told


class Mended(Hermes):
    """The same without its look at the file after each commit, so that there is a speed to compare with.

    As shipped, ``write_txn`` opens and closes the database past SQLite after every
    commit, which gives up the locks its process has on it: eight workers damage the file within a second.
    """

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.kanban._check_file_length_invariant = lambda _conn: None


class Ours:
    """``holdfast.board`` over a store of its own, which is what ``state.board`` calls."""

    def __init__(self, where: str) -> None:
        from holdfast import board, holds, postgres
        from holdfast.clock import wall_ms
        from holdfast.sqlite import Store

        self.board, self.is_postgres = board, postgres.is_url(where)
        self.store: Any = (
            postgres.Store.open(where) if self.is_postgres else Store.open(where, clock=wall_ms, durability="full")
        )
        self.me = holds.me("bench")

    def fill(self, count: int) -> None:
        from holdfast import schema

        schema.migrate(self.store)
        made: list[int] = []
        with self.store.write(wait_ms=WAIT_MS) as tx:
            for at in range(SET):
                behind = [made[at - READY]] if READY <= at < READY + WAITING else []
                created = self.board.create(tx, **asks(at), priority=at % 3, parents=behind)
                made.append(created.task.task_id)
            for one in made[READY + WAITING : READY + WAITING + BLOCKED]:
                self.board.block(tx, one, "waits for a person")
            for one in made[READY + WAITING + BLOCKED :]:
                self.board.done(tx, one, summary="nothing to do")
            runs = self._number(tx, "SELECT count(*) AS n FROM task_runs")
        assert made == list(range(1, SET + 1)), "the first hundred tasks of a new database"
        tables = {
            "tasks": {"task_id": SET, "run_id": runs},
            "task_links": {"parent_id": SET, "child_id": SET},
            "task_runs": {"run_id": runs, "task_id": SET},
            "task_events": {"task_id": SET, "run_id": runs},
        }
        for first in range(1, count // SET, 100):
            with self.store.write(wait_ms=WAIT_MS) as tx:
                for copy in range(first, min(first + 100, count // SET)):
                    for table, by in tables.items():
                        self._copy(tx, table, by, copy)
        with self.store.write(wait_ms=WAIT_MS) as tx:
            for table, column in (("tasks", "task_id"), ("task_runs", "run_id")) if self.is_postgres else ():
                self._number(tx, f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), max({column})) AS n"
                                 f" FROM {table}")  # fmt: skip
        self.store.close()

    @staticmethod
    def _copy(tx: Any, table: str, by: dict[str, int], copy: int) -> None:
        from holdfast.sql import statement

        first = tx.row(statement(f"SELECT * FROM {table} LIMIT 1"))
        named = [name for name in first if name not in ("event_id", "txid")]
        taken = ", ".join(f"{name} + {by[name] * copy}" if name in by else name for name in named)
        old = next(iter(by)) if table != "task_runs" else "task_id"
        tx.run(statement(f"INSERT INTO {table} ({', '.join(named)}) SELECT {taken} FROM {table} WHERE {old} <= {SET}"))

    @staticmethod
    def _number(tx: Any, sql: str) -> int:
        from holdfast.sql import statement

        return int(tx.row(statement(sql))["n"])

    def claim(self) -> Any:
        with self.store.write(wait_ms=WAIT_MS) as tx:
            found = self.board.claim_next(tx, "default", self.me, lease_ms=LEASE_MS)
        return found if isinstance(found, self.board.Claimed) else None

    @staticmethod
    def key(claimed: Any) -> str:
        return str(claimed.task.task_id)

    def done(self, claimed: Any) -> None:
        with self.store.write(wait_ms=WAIT_MS) as tx:
            self.board.done(tx, claimed.task.task_id, fence=claimed.fence, summary="done")

    def done_and_claim(self, claimed: Any) -> Any:
        """End one and take the next in one commit, as a worker of many tasks may."""
        with self.store.write(wait_ms=WAIT_MS) as tx:
            self.board.done(tx, claimed.task.task_id, fence=claimed.fence, summary="done")
            found = self.board.claim_next(tx, "default", self.me, lease_ms=LEASE_MS)
        return found if isinstance(found, self.board.Claimed) else None

    def create(self, at: int) -> Any:
        with self.store.write(wait_ms=WAIT_MS) as tx:
            return self.board.create(tx, **asks(at)).task.task_id

    def comment(self, key: Any) -> None:
        with self.store.write(wait_ms=WAIT_MS) as tx:
            self.board.comment(tx, int(key), "a word about it", author="bench")

    def listing(self) -> int:
        with self.store.read() as tx:
            return len(self.board.listing(tx, "default", status="ready", limit=50).tasks)

    def stats(self) -> None:
        with self.store.read() as tx:
            self.board.stats(tx, "default")

    @classmethod
    def check(cls, where: str) -> dict[str, Any]:
        from holdfast.sql import statement

        told: dict[str, Any] = {}
        ours = cls(where)
        with ours.store.read() as tx:
            for status in ("running", "done"):
                rows = tx.rows(statement(f"SELECT task_id FROM tasks WHERE status = '{status}'"))
                told[status] = [str(row["task_id"]) for row in rows]
            sound = "ok" if ours.is_postgres else tx.rows(statement("PRAGMA integrity_check(1)"))[0]["integrity_check"]
        ours.store.close()
        return {**told, "integrity": sound}


SIDES = {"ours": Ours, "hermes": Hermes, "mended": Mended}


# --- what a process does -------------------------------------------------------


def work(side: Any, seconds: float, together: bool) -> dict[str, Any]:
    """Claim and complete until the time is over or nothing is ready; ``together``: both in one commit."""
    os.write(1, b"ready\n")
    os.read(0, 1)
    claims_ms: list[float] = []
    dones_ms: list[float] = []
    keys: list[str] = []
    done: list[str] = []
    errors: list[str] = []
    began, cpu = time.monotonic(), time.process_time()
    until = began + seconds
    claimed = None
    while time.monotonic() < until:
        at = time.perf_counter()
        try:
            claimed = side.done_and_claim(claimed) if together and claimed else side.claim()
            claims_ms.append((time.perf_counter() - at) * 1000)
            if claimed is None:
                break
            keys.append(side.key(claimed))
            if together:
                done.append(side.key(claimed))
                continue
            at = time.perf_counter()
            side.done(claimed)
            dones_ms.append((time.perf_counter() - at) * 1000)
            done.append(side.key(claimed))
        except Exception as error:
            claimed = None
            errors.append(f"{type(error).__name__}: {error}"[:200])
    took = time.monotonic() - began
    if together and claimed is not None:
        side.done(claimed)
    return {
        "keys": keys, "done": done, "errors": errors, "claims_ms": claims_ms, "dones_ms": dones_ms, "s": took,
        "cpu_s": time.process_time() - cpu,
    }  # fmt: skip


def ops(side: Any, repeats: int) -> dict[str, list[float]]:
    """Return the times of each call in ms, in this process alone."""
    times: dict[str, list[float]] = {}

    def timed(name: str, call: Callable[..., Any], *args: Any) -> Any:
        began = time.perf_counter()
        result = call(*args)
        times.setdefault(name, []).append((time.perf_counter() - began) * 1000)
        return result

    until = time.perf_counter() + OPS_S
    for at in range(repeats):
        timed("create", side.create, at)
        claimed = timed("claim", side.claim)
        timed("comment", side.comment, side.key(claimed))
        timed("complete", side.done, claimed)
        timed("list 50 ready", side.listing)
        timed("statistics", side.stats)
        if time.perf_counter() > until and at >= 10:
            break
    return times


def cold(side: str, where: str) -> dict[str, float]:
    """Return what a process pays that never saw this board: opening it, and its first page.

    An empty board is opened before, so that what is imported on the way is not in it.
    """
    if side != "ours":
        from hermes_cli import kanban_db

        def opened(place: str) -> Any:
            conn = kanban_db.connect(db_path=Path(place))
            return kanban_db.list_tasks(conn, status="ready", limit=50)
    else:
        import holdfast

        def opened(place: str) -> Any:
            state = holdfast.open([], state_dir=os.path.dirname(place), search=False)
            return state.board.listing("default", status="ready", limit=50)

    with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.dirname(where)), ignore_cleanup_errors=True) as empty:
        opened(os.path.join(empty, os.path.basename(where)))
        began = time.perf_counter()
        opened(where)
        return {"cold_ms": (time.perf_counter() - began) * 1000}


def main() -> None:
    name, where, does, *rest = sys.argv[1:]
    kind: Any = SIDES[name]
    if does in ("cold", "check"):
        print(json.dumps(cold(name, where) if does == "cold" else kind.check(where)))
        return
    side = kind(where)
    match does:
        case "fill":
            side.fill(int(rest[0]))
            told: Any = {}
        case "work":
            told = work(side, float(rest[0]), together=False)
        case "work-together":
            told = work(side, float(rest[0]), together=True)
        case "ops":
            told = ops(side, int(rest[0]))
    print(json.dumps(told))


if __name__ == "__main__":
    main()
