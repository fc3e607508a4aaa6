"""Claim a job and finish it under its fence: how many a second, by how many workers, and how long one waited.

    python -m bench.claiming [DIRECTORY] [--workers 1,4,8,16] [--seconds 2] [--postgres URL] [--peers PYTHON]

Each worker is a process: it claims a job, does nothing, and finishes it, two
transactions, until the time is over. Jobs are never few. A double (one job
finished by two claims) ends the bench with an error. Beside it, in the same
run:

* ``plain``: the same two transactions written by hand with the standard
  library's sqlite3, without fences, attempts, leases or caps;
* ``huey``: SqliteHuey's storage; its dequeue is the whole claim: a worker that
  dies then has lost the job, and there is no fence;
* ``procrastinate`` on the same PostgreSQL, its own fetch and finish.

Peers run in a Python of their own, never in this project's: ``--peers``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

SRC = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src")

HEAD = """
import sys, time, os, json
where, seconds, mode = sys.argv[1], float(sys.argv[2]), sys.argv[3]
def ready():
    os.write(1, b"ready\\n"); os.read(0, 1)
def loop(one):
    ready()
    started, keys, waits = time.monotonic(), [], []
    while time.monotonic() < started + seconds:
        began = time.perf_counter()
        key = one()
        waits.append(time.perf_counter() - began)
        if key is None: break
        keys.append(key)
    print(json.dumps({"keys": keys, "worst_ms": max(waits) * 1000, "s": time.monotonic() - started}))
"""

OURS_OPEN = """
from holdfast import holds, jobs, schema, postgres
from holdfast.errors import Busy
from holdfast.clock import wall_ms
from holdfast.sqlite import Store
store = postgres.Store.open(where) if postgres.is_url(where) else Store.open(where, clock=wall_ms, durability=mode)
"""

WAYS = {
    "holdfast": (
        OURS_OPEN
        + """
me = holds.me("bench")
def one():
    with store.write(wait_ms=60_000) as tx: claim = jobs.claim_next(tx, ["k"], me)
    if not isinstance(claim, jobs.Claimed): return None
    with store.write(wait_ms=60_000) as tx: jobs.finish(tx, claim)
    return claim.job.key
loop(one)
""",
        OURS_OPEN
        + """
schema.migrate(store)
for first in range(0, int(sys.argv[4]), 1000):
    with store.write() as tx:
        for key in range(first, first + 1000): jobs.enqueue(tx, "k", str(key))
""",
    ),
    "plain": (
        """
import sqlite3
db = sqlite3.connect(where, isolation_level=None, timeout=60)
db.execute("PRAGMA synchronous = " + mode)
def one():
    db.execute("BEGIN IMMEDIATE")
    row = db.execute("UPDATE jobs SET status = 1 WHERE id = (SELECT id FROM jobs WHERE status = 0"
                     " ORDER BY priority DESC, id LIMIT 1) RETURNING id").fetchone()
    db.execute("COMMIT")
    if row is None: return None
    db.execute("BEGIN IMMEDIATE"); db.execute("UPDATE jobs SET status = 2 WHERE id = ?", row); db.execute("COMMIT")
    return row[0]
loop(one)
""",
        """
import sqlite3
db = sqlite3.connect(where)
db.executescript("PRAGMA journal_mode = WAL; CREATE TABLE jobs (id INTEGER PRIMARY KEY, status INT, priority INT);"
                 "CREATE INDEX ready ON jobs (priority DESC, id) WHERE status = 0")
db.executemany("INSERT INTO jobs (status, priority) VALUES (0, 0)", ((),) * int(sys.argv[4]))
db.commit()
""",
    ),
    "huey": (
        """
from huey import SqliteHuey
huey = SqliteHuey(filename=where, fsync=mode == "full", timeout=60)
def one():
    task = huey.dequeue()
    huey.put_result(task.id, 1)
    return task.id
@huey.task()
def k(key): pass
loop(one)
""",
        """
from huey import SqliteHuey
huey = SqliteHuey(filename=where, fsync=False)
@huey.task()
def k(key): pass
with huey.storage.db(commit=True) as cursor:
    cursor.executemany("insert into task (queue, data, priority) values (?, ?, ?)",
        ((huey.name, huey.serialize_task(k.s(key)), 0) for key in range(int(sys.argv[4]))))
""",
    ),
    "procrastinate": (
        """
import procrastinate
from procrastinate import jobs as pj
app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=where))
app.open()
from procrastinate.sql import queries
worker = app.connector.execute_query_one(queries["register_worker"])["worker_id"]
def one():
    row = app.connector.execute_query_one(queries["fetch_job"], queues=None, worker_id=worker)
    app.connector.execute_query(queries["finish_job"], job_id=row["id"], status="succeeded", delete_job=False)
    return row["id"]
loop(one)
""",
        """
import procrastinate
app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=where))
app.open()
app.schema_manager.apply_schema()
@app.task(name="k")
def k(key): pass
for first in range(0, int(sys.argv[4]), 1000):
    k.batch_defer(*({"key": key} for key in range(first, first + 1000)))
""",
    ),
}


def start(python: str, code: str, *args: object) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": SRC}
    command = [python, "-c", HEAD + code, *map(str, args)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)


def measured(way: str, python: str, where: str, workers: int, seconds: float, mode: str) -> tuple[float, float]:
    """Return claims with their finish per second of all workers, and the longest wait of one in ms."""
    work, _ = WAYS[way]
    running = [start(python, work, where, seconds, mode) for _ in range(workers)]
    for each in running:
        assert each.stdout is not None and each.stdout.readline() == b"ready\n", f"{way} did not start"
    for each in running:
        assert each.stdin is not None
        each.stdin.write(b".")
        each.stdin.flush()
    told = [json.loads(each.communicate()[0].splitlines()[-1]) for each in running]
    keys = [key for each in told for key in each["keys"]]
    if len(set(keys)) != len(keys):
        raise SystemExit(f"{way}, {workers} workers: {len(keys) - len(set(keys))} jobs were done twice")
    return sum(len(each["keys"]) / each["s"] for each in told), max(each["worst_ms"] for each in told)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", nargs="?")
    parser.add_argument("--workers", default="1,4,8,16")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--postgres", metavar="URL")
    parser.add_argument("--peers", metavar="PYTHON")
    given = parser.parse_args()
    ways = [("holdfast", sys.executable, mode) for mode in ("normal", "full")]
    ways += [("plain", sys.executable, mode) for mode in ("normal", "full")]
    ways += [("huey", given.peers, mode) for mode in ("normal", "full") if given.peers]
    if given.postgres:
        ways += [("holdfast", sys.executable, "postgres")]
        ways += [("procrastinate", given.peers, "postgres")] if given.peers else []
    print(f"{'':24}{'workers':>8}{'claims/s':>10}{'worst wait':>12}")
    for workers in map(int, given.workers.split(",")):
        found: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for number in range(given.rounds):
            for way, python, mode in ways:
                with tempfile.TemporaryDirectory(dir=given.directory) as folder:
                    where = os.path.join(folder, "jobs.db")
                    if mode == "postgres":
                        where = database(given.postgres, f"bench_{way}_{workers}_{number}_{time.time_ns()}")
                    made = start(python, WAYS[way][1], where, 0, "normal", given.jobs)
                    if made.wait():
                        raise SystemExit(f"{way} could not be prepared")
                    found.setdefault((way, mode), []).append(measured(way, python, where, workers, given.seconds, mode))
        for (way, mode), each in found.items():
            rate, worst = statistics.median(rate for rate, _ in each), max(worst for _, worst in each)
            print(f"{way + ', ' + mode:24}{workers:8}{rate:10,.0f}{worst:9,.0f} ms", flush=True)
    return 0


def database(url: str, name: str) -> str:
    """Make an empty database on the server and return its URL."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    head, _, tail = url.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{name}" + (f"?{tail}" if tail else "")


if __name__ == "__main__":
    sys.exit(main())
