"""A home of Codex, recorded from the real one, and each thing that goes wrong with one: a function for each.

The home is put where its rows say that it is. Each function damages the home it is given, as
whoever it happened to would have found it.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

from holdfast.doctor.homes.look import SqlLook
from holdfast.doctor.homes.recognising import recognise
from holdfast.doctor.model import Finding
from holdfast.doctor.probes.through_sqlite import SQLITE
from homes import MadeHome

DAY_S = 86_400
SECRET = "ghp_" + "Zx9" * 12


def home(folder: Path, version: str = "0.169") -> Path:
    """Return a home as that version of Codex left it, with its rows naming the files where they are."""
    MadeHome.recorded(version, folder)
    at = folder / ".codex"
    shutil.move(folder / f"codex-home-{version}", at)
    sql(
        at / "state_5.sqlite", "UPDATE threads SET rollout_path = replace(rollout_path, '/home/dev/.codex', ?)", str(at)
    )
    return at


def found(path: Path, *, deep: bool = False) -> list[Finding]:
    """Return what the probes through SQLite find at ``path``, in this process, which has no database open."""
    target = recognise(path)
    assert target is not None
    seen: list[Finding] = []
    with SqlLook(target, deep=deep) as look:
        for probe in SQLITE:
            if target.kind in probe.kinds:
                look.deadline_ns = time.monotonic_ns() + 20_000_000_000
                seen += probe.run(look)
    return seen


def sql(path: Path, text: str, *values: Any) -> list[tuple[Any, ...]]:
    """Do one thing to a database, as a program that comes and goes."""
    connection = apsw.Connection(str(path))
    try:
        return connection.execute(text, values).fetchall()
    finally:
        connection.close()


def rollouts(home: Path) -> list[Path]:
    return sorted((home / "sessions").rglob("rollout-*.jsonl"))


# --- the files of databases --------------------------------------------------


def overwritten(home: Path) -> None:
    """Pages in the middle of the threads are noise."""
    path = home / "state_5.sqlite"
    ((page,),) = sql(path, "SELECT max(pageno) FROM dbstat WHERE name = 'threads' AND pagetype = 'leaf'")
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(bytes(range(256)) * 16)


def no_database(home: Path) -> None:
    (home / "goals_1.sqlite").write_bytes(b"<html>not found</html>" * 100)


def cut_to_nothing(home: Path) -> None:
    os.truncate(home / "thread_history_1.sqlite", 0)
    os.utime(home / "thread_history_1.sqlite", (1, 1))


def mostly_free(home: Path) -> None:
    """Most of the log was deleted, and its pages kept."""
    path = home / "logs_2.sqlite"
    sql(path, "CREATE TABLE filled (a)")
    sql(path, "INSERT INTO filled SELECT zeroblob(1 << 20) FROM logs LIMIT 80")
    sql(path, "DELETE FROM filled")
    sql(path, "DROP TABLE filled")


def from_another_build(home: Path) -> None:
    """Built from files with other line ends: each checksum is another one."""
    sql(home / "state_5.sqlite", "UPDATE _sqlx_migrations SET checksum = randomblob(48)")


def renumbered(home: Path) -> None:
    sql(home / "state_5.sqlite", "UPDATE _sqlx_migrations SET checksum ="
        " (SELECT checksum FROM _sqlx_migrations WHERE version = 39) WHERE version = 38")  # fmt: skip


def step_undone(home: Path) -> None:
    sql(home / "memories_1.sqlite", "UPDATE _sqlx_migrations SET success = 0 WHERE version = 2")


def of_the_first_generation(home: Path) -> None:
    """State, logs and the work on memories are in one file, as Codex of February 2026 made it."""
    path = home / "state_4.sqlite"
    shutil.copy(home / "state_5.sqlite", path)
    sql(path, "DROP TABLE IF EXISTS jobs")
    sql(path, "CREATE TABLE memory_phase1_jobs (thread_id, scope_kind, scope_key, status, started_at)")
    sql(
        path,
        "CREATE TABLE IF NOT EXISTS logs (id INTEGER PRIMARY KEY AUTOINCREMENT, ts, ts_nanos, level, target, message)",
    )
    for name in ("state_5", "logs_2", "memories_1", "goals_1", "queue_1", "thread_history_1"):
        (home / f"{name}.sqlite").unlink()


# --- logs ------------------------------------------------------------------------


def log(home: Path, target: str, body: str, times: int = 1, *, level: str = "TRACE", ts: int | None = None) -> None:
    sql(
        home / "logs_2.sqlite",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
        " INSERT INTO logs (ts, ts_nanos, level, target, feedback_log_body, estimated_bytes)"
        " SELECT ?, i, ?, ?, ?, 100 FROM n",
        times, ts or int(time.time()), level, target, body,
    )  # fmt: skip


def churned(home: Path) -> None:
    """For an hour 10,000 rows came in each second, and a few are left."""
    path = home / "logs_2.sqlite"
    ((low, oldest),) = sql(path, "SELECT id, ts FROM logs ORDER BY id LIMIT 1")
    sql(
        path,
        "INSERT INTO logs (id, ts, ts_nanos, level, target, estimated_bytes) VALUES (?, ?, 0, 'TRACE', 'log', 10)",
        low + 36_000_000,
        oldest + 3_600,
    )


def watching_itself(home: Path) -> None:
    log(home, "log", f"inotify event: MODIFY {home}/logs_2.sqlite-wal", 5_000)


def told_a_secret(home: Path) -> None:
    log(home, "codex_client::transport", f"POST / authorization: Bearer {SECRET}", 3_000)


def kept_from_logging(home: Path) -> None:
    sql(
        home / "logs_2.sqlite",
        "CREATE TRIGGER block_log_inserts BEFORE INSERT ON logs BEGIN SELECT RAISE(IGNORE); END",
    )


# --- rows and rollouts -------------------------------------------------------


def rows_lost(home: Path) -> None:
    sql(home / "state_5.sqlite", "DELETE FROM threads WHERE rowid % 5 = 0")


def files_lost(home: Path) -> None:
    for file in rollouts(home)[:3]:
        file.unlink()


def file_twice(home: Path) -> None:
    file = rollouts(home)[0]
    shutil.copy2(file, home / "archived_sessions" / file.name)


def archived_past_codex(home: Path) -> None:
    file = rollouts(home)[0]
    file.rename(home / "archived_sessions" / file.name)


def moved(home: Path) -> None:
    """The home was at another place, and nothing is there any more."""
    sql(
        home / "state_5.sqlite", "UPDATE threads SET rollout_path = replace(rollout_path, ?, '/gone/.codex')", str(home)
    )


def name_lost(home: Path) -> None:
    sql(home / "state_5.sqlite", "UPDATE threads SET name = NULL")


def torn(home: Path) -> None:
    """The last line was cut in its middle."""
    file = rollouts(home)[0]
    os.truncate(file, file.stat().st_size - 20)
    os.utime(file, (1, 1))


def ends_in_nuls(home: Path) -> None:
    file = rollouts(home)[1]
    with file.open("ab") as out:
        out.write(bytes(300))
    os.utime(file, (1, 1))


def garbled(home: Path) -> None:
    """A line in the middle is none."""
    file = rollouts(home)[2]
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join((lines[0], b'{"timestamp":"2026-\n', *lines[1:])))
    os.utime(file, (1, 1))


# --- work ------------------------------------------------------------------------


def backfill(home: Path, status: str, at_s: int) -> None:
    sql(home / "state_5.sqlite", "UPDATE backfill_state SET status = ?, updated_at = ?", status, at_s)


def killed_in_backfill(home: Path) -> None:
    backfill(home, "running", int(time.time()) - 60)


def backfill_from_the_future(home: Path) -> None:
    backfill(home, "running", int(time.time()) + DAY_S)


def backfill_unheard_of(home: Path) -> None:
    backfill(home, "bogus", int(time.time()))


def job(home: Path, status: str, *, lease_until: int | None = None, since: int = 0) -> None:
    sql(
        home / "memories_1.sqlite",
        "INSERT INTO jobs (kind, job_key, status, lease_until, retry_remaining, input_watermark, finished_at)"
        " VALUES ('memory_stage1', hex(randomblob(8)), ?, ?, 3, ?, ?)",
        status, lease_until, since, since,
    )  # fmt: skip


def lease_expired(home: Path) -> None:
    job(home, "running", lease_until=int(time.time()) - DAY_S)


def lease_of_the_dead(home: Path) -> None:
    job(home, "running", lease_until=int(time.time()) + 1_800)


def lease_of_the_future(home: Path) -> None:
    job(home, "running", lease_until=int(time.time()) + 30 * DAY_S)


def waits_for_ever(home: Path) -> None:
    ((used,),) = sql(home / "state_5.sqlite", "SELECT max(updated_at) FROM threads")
    job(home, "pending", since=used - 3 * DAY_S)


# Each damage, the finding it must give, and the repair that finding offers.
DAMAGES: dict[Callable[[Path], None], tuple[str, str | None]] = {
    overwritten: ("malformed", "salvage"),
    no_database: ("malformed", "salvage"),
    cut_to_nothing: ("malformed", None),
    mostly_free: ("free-pages", "return-free-pages"),
    from_another_build: ("migration-drift", None),
    renumbered: ("migration-drift", None),
    step_undone: ("migration-drift", None),
    churned: ("log-churn", None),
    watching_itself: ("self-watch", "empty-logs"),
    told_a_secret: ("secrets-in-logs", "empty-logs"),
    kept_from_logging: ("strange-trigger", "drop-trigger"),
    rows_lost: ("files-without-threads", "rebuild-threads"),
    files_lost: ("threads-without-files", None),
    file_twice: ("duplicate-thread-ids", None),
    archived_past_codex: ("archive-mismatch", "rebuild-threads"),
    moved: ("stale-paths", "reroot"),
    name_lost: ("names-lost", "restore-names"),
    torn: ("torn-rollout", "mend-rollouts"),
    ends_in_nuls: ("torn-rollout", "mend-rollouts"),
    garbled: ("torn-rollout", "mend-rollouts"),
    killed_in_backfill: ("backfill-stuck", "release-leases"),
    backfill_from_the_future: ("backfill-stuck", "release-leases"),
    backfill_unheard_of: ("backfill-stuck", "release-leases"),
    lease_expired: ("stale-lease", "release-leases"),
    lease_of_the_dead: ("stale-lease", "release-leases"),
    lease_of_the_future: ("stale-lease", "release-leases"),
    waits_for_ever: ("pending-stuck", "release-leases"),
}
