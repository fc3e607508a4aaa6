"""Boards of Hermes with one thing wrong: what its issues tell of, made on purpose."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import apsw
from healthy_hermes import a_board

from processes import python

Damage = Callable[[Path], None]
_DAY_S = 86_400


def board(root: Path, *, tasks: int = 60) -> Path:
    """Make a root whose default board has tasks in every column and nothing wrong."""
    root.mkdir(parents=True)
    a_board(root / "kanban.db", random.Random(1), wal=True, tasks=tasks)
    return root


def sql(root: Path, *statements: str, **values: object) -> None:
    connection = apsw.Connection(str(root / "kanban.db"))
    with connection:
        for statement in statements:
            connection.execute(statement, {"now": int(time.time()), "host": os.uname().nodename, **values})
    connection.close()


def claim_ended(root: Path) -> None:
    """The gateway was ended while a worker ran; nobody came back."""
    sql(root, "UPDATE tasks SET claim_expires = :now - 3600 WHERE id = 't_busy'")


def worker_gone(root: Path) -> None:
    """A worker of this host was killed; its claim has yet to end."""
    worker = python("pass")
    worker.communicate()
    sql(
        root,
        "UPDATE tasks SET worker_pid = :pid WHERE id = 't_busy'",
        "UPDATE task_runs SET started_at = :now - 3600 WHERE task_id = 't_busy'",
        pid=worker.pid,
    )


def pid_given_again(root: Path) -> None:
    """The pid of a worker belongs to a process that began a day after its run: this one."""
    sql(root, "UPDATE task_runs SET started_at = :now - 864000 WHERE task_id = 't_busy'")


def no_claim(root: Path) -> None:
    """Somebody moved a task to running by hand."""
    sql(root, "UPDATE tasks SET claim_lock = NULL, claim_expires = NULL WHERE id = 't_busy'")


def newer_status(root: Path) -> None:
    sql(root, "UPDATE tasks SET status = 'cancelled' WHERE status = 'triage'")


def doubled_keys(root: Path) -> None:
    """Four creators asked for one key at once."""
    sql(root, *("INSERT INTO tasks (id, title, status, created_at, idempotency_key)"
                f" VALUES ('t_twin{n}', 'twin', 'blocked', :now, 'once')" for n in range(4)))  # fmt: skip


def parents_lost(root: Path) -> None:
    """Rows were lost in a repair that kept the links."""
    sql(root, "DELETE FROM task_links", "INSERT INTO task_links SELECT 't_lost', id FROM tasks LIMIT 3")


def in_a_circle(root: Path) -> None:
    sql(
        root,
        *(f"INSERT INTO tasks (id, title, status, created_at) VALUES ('t_{n}', 'c', 'todo', :now)" for n in "abc"),
        "INSERT INTO task_links VALUES ('t_a', 't_b'), ('t_b', 't_c'), ('t_c', 't_a')",
    )


def forgotten_child(root: Path) -> None:
    """Whoever ended the parent was killed before it looked at the children."""
    sql(
        root,
        "INSERT INTO tasks (id, title, status, created_at) VALUES ('t_up', 'p', 'done', :now - 86400),"
        " ('t_down', 'c', 'todo', :now - 86400)",
        "INSERT INTO task_links VALUES ('t_up', 't_down')",
        "INSERT INTO task_events (task_id, kind, created_at) VALUES ('t_up', 'completed', :now - 80000)",
    )


def ready_below_open(root: Path) -> None:
    sql(
        root,
        "INSERT INTO tasks (id, title, status, created_at) VALUES ('t_up', 'p', 'todo', :now),"
        " ('t_down', 'c', 'ready', :now), ('t_top', 'p', 'blocked', :now)",
        "INSERT INTO task_links VALUES ('t_up', 't_down'), ('t_top', 't_up')",
    )


def open_run(root: Path) -> None:
    """The task was given back in one transaction, the run should have ended in another."""
    sql(root, "UPDATE tasks SET status = 'ready', claim_lock = NULL, current_run_id = NULL WHERE id = 't_busy'")


def no_run(root: Path) -> None:
    sql(root, "UPDATE task_runs SET ended_at = :now, status = 'crashed', outcome = 'crashed' WHERE task_id = 't_busy'")


def respawned(root: Path) -> None:
    ended = "('t_busy', 'rate_limited', :now - 60, :now - 50, 'rate_limited')"
    sql(
        root, "INSERT INTO task_runs (task_id, status, started_at, ended_at, outcome) VALUES " + ", ".join([ended] * 16)
    )


def guarded_for_days(root: Path) -> None:
    """A guard without an end notes itself at every tick."""
    sql(
        root,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000)"
        " INSERT INTO task_events (task_id, kind, created_at) SELECT 't_busy', 'respawn_guarded', :now - i * 60 FROM n",
    )


def task_deleted(root: Path) -> None:
    sql(
        root,
        "INSERT INTO task_comments (task_id, author, body, created_at) VALUES ('t_lost', 'ann', 'why?', :now)",
        "INSERT INTO kanban_notify_subs VALUES ('t_lost', 'telegram', '1', '', NULL, NULL, :now, 0)",
    )


def put_aside(root: Path) -> None:
    """It was called damaged three times."""
    for n in range(3):
        (root / f"kanban.db.corrupt.{n}ab34.bak").write_bytes(b"SQLite format 3\0" + bytes(100_000))
        (root / f"kanban.db.corrupt.{n}ab34.bak-wal").write_bytes(bytes(1_000))


FOUND: dict[Damage, set[str]] = {
    claim_ended: {"board-stuck-claims"},
    worker_gone: {"board-stuck-claims"},
    pid_given_again: {"board-stuck-claims"},
    no_claim: {"board-stuck-claims"},
    newer_status: {"board-unknown-status"},
    doubled_keys: {"board-duplicate-keys"},
    parents_lost: {"board-dangling-links"},
    in_a_circle: {"board-circle"},
    forgotten_child: {"board-never-promoted"},
    ready_below_open: {"board-ready-too-early"},
    open_run: {"board-runs-open"},
    no_run: {"board-running-without-run"},
    respawned: {"board-respawn-loop"},
    guarded_for_days: {"board-events"},
    task_deleted: {"board-rows-without-task"},
    put_aside: {"board-quarantine"},
}
"""What each of them must be found as, and nothing else."""
