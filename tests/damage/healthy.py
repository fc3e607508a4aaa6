"""Fifty homes with nothing wrong, made from a seed, and the homes that real programs left.

A third each of what holdfast, Codex and Hermes leave, the rest bare SQLite files; some
are written by a process of their own while they are looked at. Whatever a probe
says of any of them is false.
"""

from __future__ import annotations

import logging
import os
import random
import shutil
import tarfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw

import board_made
import hermes_roots
import holdfast
from holdfast.memory.model import Settings
from homes import FIXTURES, MadeHome, thread_id
from memory_models import Parrot
from processes import Child, children

SEED = 20_261_126


@dataclass(frozen=True)
class Healthy:
    """A home, the path by which the doctor is asked for it, and the code of who writes it meanwhile."""

    name: str
    path: Path
    writer: str = ""


def make(folder: Path, seed: int = SEED) -> list[Healthy]:
    """Make the fifty below ``folder``, and unpack the four that were recorded."""
    draw = random.Random(seed)
    mask = os.umask(0o077)
    try:
        made = [
            each
            for maker, count in ((ours, 14), (codex, 14), (hermes, 10), (bare, 12))
            for number in range(count)
            for each in maker(folder, number, random.Random(draw.random()))
        ]
        assert len(made) == 50
        return made + recorded(folder)
    finally:
        os.umask(mask)


@contextmanager
def written(homes: list[Healthy]) -> Iterator[dict[str, Child]]:
    """Have those that are busy written by their processes; each has begun when this is entered, and ends well."""
    with ExitStack() as stack:
        start = stack.enter_context(children(_WRITES))
        busy = {home.name: start(home.writer, home.path) for home in homes if home.writer}
        for child in busy.values():
            assert child.line() == "writing"
        yield busy
        for child in busy.values():
            child.tell("enough")
        for name, child in busy.items():
            assert child.line() == "done", name
            assert child.wait() == 0, name


# Each says "writing" after its first commit, goes on until it is told "enough", and counts what it committed.
_WRITES = """
import select
def enough(): return bool(select.select([0], [], [], 0)[0])
def write(commit, close):
    done = 0
    while not done or not enough():
        commit(done)
        done += 1
        if done == 1: say("writing")
    close()
    say("done")
"""
_OURS = """
import holdfast
from holdfast import holds, jobs
state = holdfast.open([], state_dir=sys.argv[1], search=False)
def commit(number):
    state.jobs.enqueue("busy", str(number % 50))
    claimed = state.jobs.claim("busy", str(number % 50))
    if isinstance(claimed, jobs.Claimed): state.jobs.finish(claimed)
    task = state.board.create(f"task {number % 50}", request=str(number % 50)).task
    claim = state.board.claim(task.task_id)
    if hasattr(claim, "fence"): state.board.release(task.task_id, fence=claim.fence)
write(commit, state.close)
"""
_SQL = """
import sqlite3
c = sqlite3.connect(sys.argv[1] + FILE, isolation_level=None, timeout=30)
def commit(number):
    c.execute("BEGIN IMMEDIATE")
    STATEMENTS
    c.execute("COMMIT")
write(commit, c.close)
"""


def sql_writer(file: str, *statements: str) -> str:
    """Return the code of a program that commits these again and again, ``?`` being the number of the commit."""
    said = "; ".join(f"c.execute({text!r}, (number % 500,) * {text.count('?')})" for text in statements)
    return _SQL.replace("FILE", repr(file)).replace("STATEMENTS", said)


# --- holdfast ----------------------------------------------------------------


def ours(folder: Path, number: int, draw: random.Random) -> Iterator[Healthy]:
    """A state directory: of no thread up to 60, with all that can be in one, closed, killed, or written meanwhile."""
    at = folder / f"ours-{number}"
    home = MadeHome(at / "home")
    for n in range((0, 1, 3, 20, 60)[number % 5]):
        home.thread(f"words {n}", archived=n % 7 == 3, paginated=n % 3 == 1, cwd=str(at))
    with holdfast.open(home, state_dir=at / "state", search=number % 2 == 0) as state:
        for thread in state.threads.list(limit=3):
            state.threads.rename(thread.id, "said here")
        if number % 2 == 0:
            state.wait_for_search()
        for step in (_jobs, _tasks, _logs, _memories, _copies, _cached, _changed):
            if draw.random() < 0.6:
                step(state, home, draw)
    if number == 5:
        _killed(at / "state")
    yield Healthy(f"ours-{number}", at / "state", _OURS if number in (1, 8) else "")


def _jobs(state: holdfast.State, _home: MadeHome, draw: random.Random) -> None:
    for n in range(draw.randint(1, 30)):
        state.jobs.enqueue("sum", str(n), payload={"n": n})
        if n % 3:
            claim = state.jobs.claim("sum", str(n))
            (state.jobs.finish if n % 3 == 1 else lambda claim: state.jobs.fail(claim, "boom"))(claim)


def _tasks(state: holdfast.State, _home: MadeHome, draw: random.Random) -> None:
    board_made.fill(state.engine, "default", draw.randint(1, 99))


def _logs(state: holdfast.State, _home: MadeHome, draw: random.Random) -> None:
    logger = logging.Logger("healthy")
    handler = state.logs.handler("DEBUG")
    logger.addHandler(handler)
    for n in range(draw.choice((1, 100, 3_000))):
        logger.info("said %d, and that is %s", n, draw.random())
    handler.close()


def _memories(state: holdfast.State, _home: MadeHome, _draw: random.Random) -> None:
    state.memory.run(Parrot(), Settings(workers=1, idle_ms=0))


def _copies(state: holdfast.State, _home: MadeHome, _draw: random.Random) -> None:
    state.backup()


def _cached(state: holdfast.State, _home: MadeHome, draw: random.Random) -> None:
    cache = state.cache("web")
    for n in range(20):
        cache.put(f"key {n}", draw.randbytes(100))


def _changed(state: holdfast.State, home: MadeHome, _draw: random.Random) -> None:
    """Change the home itself, which leaves a receipt."""
    ids = [thread.id for thread in state.threads.list(limit=1)]
    home.change(lambda: [state.in_home.archive(id) for id in ids])


def _killed(state: Path) -> None:
    """Kill a process in the middle of its work. What it committed is there, and nobody has the files open."""
    with children(_WRITES) as start:
        child = start(_OURS, state)
        assert child.line() == "writing"
        child.kill()


# --- Codex -------------------------------------------------------------------


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


# --- Hermes ------------------------------------------------------------------


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


# --- bare files --------------------------------------------------------------

_BARE: list[tuple[str, str, str]] = [
    # PRAGMAs before the first table, journal mode, and what is in it.
    ("", "wal", "CREATE TABLE t (a, b); INSERT INTO t SELECT value, hex(randomblob(40)) FROM generate;"),
    ("", "delete", "CREATE TABLE t (a, b); CREATE INDEX i ON t (b); INSERT INTO t SELECT value, value FROM generate;"),
    ("PRAGMA page_size = 512", "truncate", "CREATE TABLE t (a PRIMARY KEY, b) WITHOUT ROWID;"),
    ("PRAGMA page_size = 65536", "wal", "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT CHECK (length(b) < 9));"),
    ("PRAGMA encoding = 'UTF-16le'", "delete", "CREATE TABLE t (a TEXT, b); INSERT INTO t VALUES ('é€😀', 1);"),
    ("PRAGMA auto_vacuum = FULL", "persist", "CREATE TABLE t (a, b); INSERT INTO t SELECT value, 0 FROM generate;"),
    ("PRAGMA auto_vacuum = INCREMENTAL", "wal", "CREATE TABLE t (a, b); INSERT INTO t SELECT value, 0 FROM generate;"),
    (
        "",
        "wal",
        "CREATE TABLE t (a, b); CREATE VIRTUAL TABLE words USING fts5(text); INSERT INTO words VALUES ('a b c');",
    ),
    ("", "delete", "CREATE TABLE t (a, b, c AS (a + b) STORED); CREATE VIEW v AS SELECT c FROM t;"),
    ("PRAGMA encoding = 'UTF-16be'", "wal", "CREATE TABLE t (a TEXT, b) STRICT;".replace(", b)", ", b ANY)")),
    ("", "wal", "CREATE TABLE t (a, b); CREATE TRIGGER counts AFTER INSERT ON t BEGIN DELETE FROM t WHERE b < 0; END;"),
    ("", "delete", ""),
]


def bare(folder: Path, number: int, _draw: random.Random) -> Iterator[Healthy]:
    """A SQLite file of no program we know, of every page size, encoding and journal mode.

    Those that are written are in WAL mode: without it a writer keeps readers out, which is said.
    """
    before, mode, tables = _BARE[number]
    path = folder / f"bare-{number}" / ("data.db", "things.sqlite", "x.sqlite3")[number % 3]
    path.parent.mkdir(parents=True)
    connection = apsw.Connection(str(path))
    connection.execute(before)
    connection.execute(f"PRAGMA journal_mode = {mode}").fetchall()
    connection.execute("CREATE TEMP TABLE generate AS WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1"
                       " FROM n LIMIT 2000) SELECT value FROM n")  # fmt: skip
    connection.execute(tables or "PRAGMA user_version = 3")
    connection.close()
    writer = sql_writer(
        "", "INSERT INTO t VALUES (?, ?)", "DELETE FROM t WHERE rowid <= (SELECT max(rowid) FROM t) - 500"
    )
    yield Healthy(f"bare-{number}", path, writer if number in (0, 6, 7) else "")


# --- what real programs left ---------------------------------------------------


def recorded(folder: Path) -> list[Healthy]:
    """Unpack the recorded homes where they are homes again: paths lead here, and claims are renewed as they were."""
    made = []
    for version in ("0.141", "0.169"):
        at = folder / f"recorded-{version}"
        MadeHome.recorded(version, at)
        home = at / ".codex"
        shutil.move(at / f"codex-home-{version}", home)
        connection = apsw.Connection(str(home / "state_5.sqlite"))
        connection.execute(
            "UPDATE threads SET rollout_path = replace(rollout_path, '/home/dev/.codex', ?)", (str(home),)
        )
        connection.close()
        made.append(Healthy(f"recorded-{version}", home))
    for version in ("0.13.0-killed", "0.19.0"):
        root = hermes_roots.recorded(version, folder / f"recorded-{version}")
        with children(_RENEWS) as start:
            for board in sorted(root.rglob("kanban.db")):
                assert (
                    start("renew(sys.argv[1], KILLED)".replace("KILLED", str("killed" in version)), board).line()
                    == "renewed"
                )
        made.append(Healthy(f"recorded-{version}", root))
    for home in made:
        home.path.chmod(0o700)
    return made


# As its worker would; who was killed is killed again, and leaves the log as large as it was.
_RENEWS = """
import sqlite3
def renew(path, killed):
    c = sqlite3.connect(path, isolation_level=None)
    c.execute("UPDATE tasks SET claim_expires = strftime('%s') + 900 WHERE status = 'running'")
    if not killed: c.close()
    say("renewed")
    if killed: hear()
"""
