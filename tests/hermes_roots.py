"""Roots of Hermes: as it left them, and as no program should have left them."""

from __future__ import annotations

import tarfile
from pathlib import Path

from processes import children

FIXTURES = Path(__file__).parent / "fixtures" / "hermes"

MAKE = """
import sqlite3
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("PRAGMA journal_mode = WAL")
def run(text, *values): c.execute(text, values)
def table(name, columns): run(f"CREATE TABLE {name} ({columns})")
def tables(*leave_out):
    for name, columns in TABLES.items():
        if name not in leave_out: table(name, columns)
def task(id, title="a task", status="ready", **more):
    words = {"id": id, "title": title, "status": status, "created_at": 1700000000, "workspace_kind": "scratch", **more}
    run(f"INSERT INTO tasks ({', '.join(words)}) VALUES ({', '.join('?' * len(words))})", *words.values())
def row(table, *values): run(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", *values)
TABLES = {
    "tasks": "id TEXT, title TEXT, body TEXT, assignee TEXT, status TEXT, priority, created_by TEXT, created_at, "
             "started_at, completed_at, workspace_kind TEXT, workspace_path TEXT, branch_name TEXT, claim_lock TEXT, "
             "claim_expires, tenant TEXT, result TEXT, idempotency_key TEXT, consecutive_failures, worker_pid, "
             "last_failure_error TEXT, max_runtime_seconds, last_heartbeat_at, current_run_id, skills TEXT, "
             "max_retries, block_kind TEXT, block_recurrences",
    "task_links": "parent_id TEXT, child_id TEXT",
    "task_comments": "id, task_id TEXT, author TEXT, body TEXT, created_at",
    "task_events": "id, task_id TEXT, run_id, kind TEXT, payload TEXT, created_at",
    "task_runs": "id, task_id TEXT, profile TEXT, status TEXT, started_at, ended_at, outcome TEXT, summary TEXT, "
                 "metadata TEXT, error TEXT",
    "task_attachments": "id, task_id TEXT, filename TEXT, stored_path TEXT, content_type TEXT, size, uploaded_by TEXT, "
                        "created_at",
    "kanban_notify_subs": "task_id TEXT, platform TEXT, chat_id TEXT, thread_id TEXT",
}
"""


def recorded(name: str, where: Path) -> Path:
    """Return a root as that version left it."""
    with tarfile.open(FIXTURES / f"{name}.tar.gz") as packed:
        packed.extractall(where, filter="data")
    return where


def made(where: Path, code: str, *args: object) -> Path:
    """Return a root whose default board is what ``code`` makes, in a process of its own."""
    where.mkdir(parents=True, exist_ok=True)
    with children(MAKE) as start:
        assert start(code + "\nc.close(); say('made')", where / "kanban.db", *args).lines() == ["made"]
    return where
