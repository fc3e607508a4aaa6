"""Roots of Hermes with nothing wrong: boards in the shape it made itself, with tasks in every column."""

from __future__ import annotations

import os
import random
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
from healthy_written import Healthy, sql_writer

import hermes_roots


def hermes(folder: Path, number: int, draw: random.Random) -> Iterator[Healthy]:
    """A root with one board up to five, in the shape of Hermes' own, with tasks in every column."""
    at = folder / f"hermes-{number}"
    boards = [at] + [at / "kanban" / "boards" / f"side-{n}" for n in range((0, 1, 4)[number % 3])]
    for board in boards:
        board.mkdir(parents=True)
        a_board(board / "kanban.db", draw, wal=number % 4 != 3)
        (board / "kanban.db.init.lock").touch()
    writer = ""
    if number in (2, 5):
        writer = sql_writer(
            "/kanban.db",
            "INSERT INTO task_events (task_id, kind, created_at) VALUES ('t_busy', 'heartbeat', strftime('%s'))",
            "DELETE FROM task_events WHERE task_id = 't_busy' AND id <= (SELECT max(id) FROM task_events) - 50",
            "UPDATE tasks SET last_heartbeat_at = strftime('%s'), claim_expires = strftime('%s') + 900"
            " WHERE id = 't_busy'",
            "UPDATE task_runs SET last_heartbeat_at = strftime('%s') WHERE ended_at IS NULL AND ? >= 0",
        )
    yield Healthy(f"hermes-{number}", at, writer)


def a_board(path: Path, draw: random.Random, *, wal: bool, tasks: int | None = None) -> None:
    """Make a board as a gateway and its workers would have left it a moment ago; this process works on one task."""
    now = int(time.time())
    connection = apsw.Connection(str(path))
    connection.execute(_HERMES_SCHEMA)
    if wal:
        connection.execute("PRAGMA journal_mode = WAL")
    with connection:
        made: list[tuple[str, str]] = []
        for n in range(draw.choice((0, 5, 60)) if tasks is None else tasks):
            parents = draw.sample(made, min(len(made), draw.choice((0, 0, 1, 2))))
            is_free = all(status in ("done", "archived") for _, status in parents)
            free = ("ready", "done", "done", "archived", "blocked", "triage", "review", "scheduled")
            status = draw.choice(free) if is_free else draw.choice(("todo", "blocked", "triage"))
            id, created = f"t_{draw.getrandbits(32):08x}", now - draw.randint(1, 9) * 86_400
            key = draw.choice((None, None, f"key {n}"))
            connection.execute(
                "INSERT INTO tasks (id, title, status, created_at, idempotency_key) VALUES (?, ?, ?, ?, ?)",
                (id, f"task {n}", status, created, key),
            )
            connection.execute(
                "INSERT INTO task_events (task_id, kind, created_at) VALUES (?, 'created', ?)", (id, created)
            )
            connection.executemany("INSERT INTO task_links VALUES (?, ?)", [(parent, id) for parent, _ in parents])
            if status == "done":
                connection.execute(
                    "INSERT INTO task_runs (task_id, status, started_at, ended_at, outcome)"
                    " VALUES (?, 'done', ?, ?, 'completed')", (id, created, created + 60),
                )  # fmt: skip
                connection.execute("UPDATE tasks SET completed_at = ? WHERE id = ?", (created + 60, id))
            made.append((id, status))
        # One is being worked on, by this very process.
        connection.execute(
            "INSERT INTO task_runs (task_id, status, started_at, claim_lock, worker_pid)"
            " VALUES ('t_busy', 'running', ?, ?, ?)",
            (now, f"{os.uname().nodename}:{os.getppid()}", os.getpid()),
        )
        connection.execute(
            "INSERT INTO tasks (id, title, status, created_at, claim_lock, claim_expires, worker_pid, current_run_id,"
            " last_heartbeat_at) VALUES ('t_busy', 'busy', 'running', ?, ?, ?, ?, ?, ?)",
            (now, f"{os.uname().nodename}:{os.getppid()}", now + 900, os.getpid(), connection.last_insert_rowid(), now),
        )
        connection.execute(
            "INSERT INTO kanban_notify_subs VALUES ('t_busy', 'telegram', '1', '', NULL, NULL, ?, 0)", (now,)
        )
    connection.close()


def _hermes_schema() -> str:
    """Return the shape of a board, as 0.19.0 made it."""
    with tarfile.open(hermes_roots.FIXTURES / "0.19.0.tar.gz") as packed:
        database = packed.extractfile("./kanban.db" if "./kanban.db" in packed.getnames() else "kanban.db")
        assert database is not None
        image = bytearray(database.read())
    image[18:20] = b"\1\1"  # out of WAL mode, which has no place in memory
    connection = apsw.Connection(":memory:")
    connection.deserialize("main", bytes(image))
    statements = connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'")
    return ";\n".join(sql for (sql,) in statements)


_HERMES_SCHEMA = _hermes_schema()
