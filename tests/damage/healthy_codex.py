"""Homes of Codex with nothing wrong: databases it made itself, with rows for the rollouts that lie there."""

from __future__ import annotations

import os
import random
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
from healthy_written import Healthy, sql_writer

from homes import FIXTURES, MadeHome, thread_id


def codex(folder: Path, number: int, draw: random.Random) -> Iterator[Healthy]:
    """A home with the databases of 0.141 or 0.169, or none yet; as many rows as rollouts."""
    at = folder / f"codex-{number}"
    home = MadeHome(at)
    ids = [
        home.thread(f"words {n}", id=thread_id(n), archived=n % 5 == 4, cwd=str(folder), paginated=n % 3 == 1)
        for n in range((0, 1, 7, 40)[number % 4])
    ]
    (at / "config.toml").write_text('model = "mock"\n')
    (at / "sessions").mkdir(exist_ok=True)
    version = "0.169" if number % 2 else "0.141"
    if number != 8:  # one never ran a Codex that had a database
        with tarfile.open(FIXTURES / f"codex-home-{version}.tar.gz") as packed:
            for member in packed.getmembers():
                if member.name.endswith(".sqlite"):
                    member.name = os.path.basename(member.name)
                    packed.extract(member, at, filter="data")
        names = {ids[0]: "a name"} if ids and draw.random() < 0.5 else {}
        for id, name in names.items():
            home.name(id, name)
        _fill_codex(at, home, ids, draw, names, wal=number % 3 != 2)
    writer = ""
    if number in (3, 6):
        writer = sql_writer(
            "/logs_2.sqlite",
            "INSERT INTO logs (ts, ts_nanos, level, target, feedback_log_body, estimated_bytes)"
            " VALUES (strftime('%s'), ?, 'INFO', 'busy', 'said', 40)",
            "DELETE FROM logs WHERE target = 'busy' AND id <= (SELECT max(id) FROM logs) - 500",
        )
    elif number == 7:
        writer = sql_writer("/state_5.sqlite", "UPDATE threads SET updated_at = updated_at, tokens_used = ?")
    yield Healthy(f"codex-{number}", at, writer)


def _fill_codex(
    at: Path, home: MadeHome, ids: list[str], draw: random.Random, names: dict[str, str], *, wal: bool
) -> None:
    """Make the databases of somebody else those of this home."""
    for database in sorted(at.glob("*.sqlite")):
        database.chmod(0o600)
        connection = apsw.Connection(str(database))
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        with connection:
            for table in tables - {"_sqlx_migrations", "backfill_state", "sqlite_sequence", "logs", "threads"}:
                connection.execute(f'DELETE FROM "{table}"')
            if "threads" in tables:
                _rows_of_threads(connection, home, ids, names)
            if "logs" in tables:
                keep = draw.choice((0, 10, 1_000))
                connection.execute("DELETE FROM logs WHERE id <= (SELECT max(id) FROM logs) - ?", (keep,))
                connection.execute("UPDATE logs SET ts = ts + ?", (int(time.time()) - _last(connection),))
        connection.execute("VACUUM")
        if wal:
            connection.execute("PRAGMA journal_mode = WAL")
        connection.close()


def _last(connection: apsw.Connection) -> int:
    return connection.execute("SELECT coalesce(max(ts), 0) FROM logs").fetchall()[0][0]


def _rows_of_threads(connection: apsw.Connection, home: MadeHome, ids: list[str], said: dict[str, str]) -> None:
    connection.execute("CREATE TEMP TABLE pattern AS SELECT * FROM threads LIMIT 1")
    names = [row[1] for row in connection.execute("PRAGMA table_info(threads)")]
    connection.execute("DELETE FROM threads")
    for n, id in enumerate(ids):
        file = home.file(id)
        meta = file.stat().st_mtime_ns // 1_000_000
        archived = "archived_sessions" in file.parts
        values = {
            "id": id, "rollout_path": str(file), "cwd": str(home.path.parent), "title": f"words {n}",
            "first_user_message": f"words {n}", "preview": f"words {n}", "archived": int(archived),
            "archived_at": meta // 1000 if archived else None, "created_at": meta // 1000, "updated_at": meta // 1000,
            "created_at_ms": meta, "updated_at_ms": meta, "recency_at": meta // 1000, "recency_at_ms": meta,
            "history_mode": "paginated" if n % 3 == 1 else "legacy", "project_id": None, "thread_section_id": None,
            "section_position": None, "section_entered_at_ms": None, "name": said.get(id),
        }  # fmt: skip
        made = ", ".join(f":{name} AS {name}" if name in values else name for name in names)
        connection.execute(f"INSERT INTO threads SELECT {made} FROM pattern", {**values})
