"""Claim a job and finish it under its fence: how many a second, by how many workers, and how long one waited.

    python -m bench.claiming [DIRECTORY] [--workers 1,4,8,16] [--seconds 2] [--postgres URL] [--peers PYTHON]

Each worker is a process that does jobs which do nothing, until the time is
over. Jobs are never few. A double (one job finished by two claims) ends the
bench with an error. A wait is the time from the end of one job's work to the
beginning of the next one's: the finish, and the claim. CPU is that of the
workers, for each job; PostgreSQL's own is not in it.

* ``worker``: ``jobs.Worker``, which finishes and claims in one transaction;
* ``by hand``: ``claim_next`` and ``finish``, a transaction each;
* ``plain``: two transactions written by hand with the standard library's
  sqlite3, or with psycopg: no fences, attempts, leases or caps. No peer: what
  the engine gives at most to two commits;
* ``huey``: SqliteHuey's storage; its dequeue is the whole claim: a worker that
  dies then has lost the job, and there is no fence;
* ``procrastinate`` and ``pgqueuer`` on the same PostgreSQL: their own fetch and
  finish, one job at a time. Both notice dead workers by a heartbeat; neither has a fence.

Peers run in a Python of their own, never in this project's: ``--peers``, or
``peers/bin/python`` in the bench's cache, which is made with pip when it is not
there. Without ``--postgres`` a server is started for the bench, with fsync on.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import homes, measure

SRC = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src")

HEAD = """
import sys, time, os, json
where, seconds, mode = sys.argv[1], float(sys.argv[2]), sys.argv[3]
def ready():
    os.write(1, b"ready\\n"); os.read(0, 1)
def told(keys, waits, started, cpu):
    print(json.dumps({"keys": keys, "waits_ms": [each * 1000 for each in waits], "s": time.monotonic() - started,
                      "cpu_s": sum(os.times()[:2]) - cpu}))
def loop(one):
    ready()
    started, cpu, keys, waits = time.monotonic(), sum(os.times()[:2]), [], []
    while time.monotonic() < started + seconds:
        began = time.perf_counter()
        key = one()
        waits.append(time.perf_counter() - began)
        if key is None: break
        keys.append(key)
    told(keys, waits, started, cpu)
"""

OURS_OPEN = """
from holdfast import holds, jobs, schema, postgres
from holdfast.errors import Busy
from holdfast.clock import wall_ms
from holdfast.sqlite import Store
store = postgres.Store.open(where) if postgres.is_url(where) else Store.open(where, clock=wall_ms, durability=mode)
"""

# Peers connect before the time begins, and so do we.
OURS_OPEN_AND_CONNECT = (
    OURS_OPEN
    + """
with store.read() as tx: jobs.counts(tx)
"""
)

OURS_FILL = (
    OURS_OPEN
    + """
schema.migrate(store)
for first in range(0, int(sys.argv[4]), 1000):
    with store.write(wait_ms=60_000) as tx:
        for key in range(first, first + 1000): jobs.enqueue(tx, "k", str(key))
"""
)

WAYS = {
    "worker": (
        OURS_OPEN_AND_CONNECT
        + """
keys, waits = [], []
def fn(work):
    global before
    waits.append(time.perf_counter() - before)
    keys.append(work.job.key)
    if time.monotonic() > started + seconds: worker.stop()
    before = time.perf_counter()
worker = jobs.Worker(store, ["k"], fn, label="bench")
ready()
started, cpu, before = time.monotonic(), sum(os.times()[:2]), time.perf_counter()
worker.run(until_idle=True)
told(keys, waits, started, cpu)
""",
        OURS_FILL,
    ),
    "by hand": (
        OURS_OPEN_AND_CONNECT
        + """
me = holds.me("bench")
def one():
    with store.write(wait_ms=60_000) as tx: claim = jobs.claim_next(tx, ["k"], me)
    if not isinstance(claim, jobs.Claimed): return None
    with store.write(wait_ms=60_000) as tx: jobs.finish(tx, claim)
    return claim.job.key
loop(one)
""",
        OURS_FILL,
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
    if task is None: return None
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
    "plain on PostgreSQL": (
        """
import psycopg
db = psycopg.connect(where, autocommit=True)
def one():
    row = db.execute("UPDATE jobs SET status = 1 WHERE id = (SELECT id FROM jobs WHERE status = 0"
                     " ORDER BY priority DESC, id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id").fetchone()
    if row is None: return None
    db.execute("UPDATE jobs SET status = 2 WHERE id = %s", row)
    return row[0]
loop(one)
""",
        """
import psycopg
with psycopg.connect(where) as db:
    db.execute("CREATE TABLE jobs (id BIGINT PRIMARY KEY, status INT, priority INT)")
    db.execute("CREATE INDEX ready ON jobs (priority DESC, id) WHERE status = 0")
    db.execute("INSERT INTO jobs SELECT n, 0, 0 FROM generate_series(1, %s) AS n", [int(sys.argv[4])])
""",
    ),
    "pgqueuer": (
        """
import asyncio, uuid, datetime, psycopg
from pgqueuer.adapters.drivers.psycopg import PsycopgDriver
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.ports.repository import EntrypointExecutionParameter
async def main():
    db = await psycopg.AsyncConnection.connect(where, autocommit=True)
    queries, me = Queries(PsycopgDriver(db)), uuid.uuid4()
    kinds, timeout = {"k": EntrypointExecutionParameter(0)}, datetime.timedelta(seconds=30)
    ready()
    started, cpu, keys, waits = time.monotonic(), sum(os.times()[:2]), [], []
    while time.monotonic() < started + seconds:
        began = time.perf_counter()
        found = await queries.dequeue(1, kinds, me, None, timeout)
        if not found: break
        await queries.log_jobs([(found[0], "successful", None)])
        waits.append(time.perf_counter() - began)
        keys.append(int(found[0].id))
    told(keys, waits, started, cpu)
asyncio.run(main())
""",
        """
import asyncio, psycopg
from pgqueuer.adapters.drivers.psycopg import PsycopgDriver
from pgqueuer.adapters.persistence.queries import Queries
async def main():
    db = await psycopg.AsyncConnection.connect(where, autocommit=True)
    queries = Queries(PsycopgDriver(db))
    await queries.install()
    for first in range(0, int(sys.argv[4]), 1000):
        await queries.enqueue(["k"] * 1000, [b"1"] * 1000, [0] * 1000)
asyncio.run(main())
""",
    ),
}
PEERS = {"huey", "procrastinate", "pgqueuer"}
QUEUES = {"procrastinate", "pgqueuer"}  # a worker that dies has not lost its job: these we must be ahead of
PEER_PACKAGES = ("huey==3.5.4", "procrastinate==3.10.0", "pgqueuer==1.6.0", "psycopg[binary]==3.3.9")
OURS = {"worker", "by hand"}


@dataclass(frozen=True)
class Found:
    """One run of one way: jobs a second of all its workers, their CPU for each, and the sorted waits."""

    rate: float
    cpu_us: float
    waits_ms: list[float]


def start(python: str, code: str, *args: object) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": SRC}
    command = [python, "-c", HEAD + code, *map(str, args)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)


def run(way: str, python: str, where: str, workers: int, seconds: float, mode: str) -> Found:
    """Have ``workers`` processes do the jobs at ``where``; raise ``SystemExit`` when one was done twice."""
    running = [start(python, WAYS[way][0], where, seconds, mode) for _ in range(workers)]
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
    rate = sum(len(each["keys"]) / each["s"] for each in told)
    cpu_us = sum(each["cpu_s"] for each in told) / max(len(keys), 1) * 1e6
    return Found(rate, cpu_us, sorted(wait for each in told for wait in each["waits_ms"]))


def rounds_of(
    workers: int, rounds: int, seconds: float, jobs: int, url: str | None, peers: str | None, directory: str | None
) -> dict[tuple[str, str], list[Found]]:
    """Return what each way came to, by way and mode, one after the other in each round."""
    ways = [(way, mode) for way in ("worker", "by hand", "plain", "huey") for mode in ("normal", "full")]
    if url is not None:
        ways += [(way, "postgres") for way in ("worker", "by hand", "plain on PostgreSQL", "procrastinate", "pgqueuer")]
    found: dict[tuple[str, str], list[Found]] = {}
    for number in range(rounds):
        for way, mode in ways:
            if way in PEERS and peers is None:
                continue
            python = peers if way in PEERS and peers else sys.executable
            with tempfile.TemporaryDirectory(dir=directory) as folder:
                where = os.path.join(folder, "jobs.db")
                if mode == "postgres":
                    assert url is not None
                    where = database(url, f"bench_{way.replace(' ', '_').lower()}_{workers}_{number}_{time.time_ns()}")
                if start(python, WAYS[way][1], where, 0, "normal", jobs).wait():
                    raise SystemExit(f"{way} could not be prepared")
                found.setdefault((way, mode), []).append(run(way, python, where, workers, seconds, mode))
    return found


def measured(workers: list[int], rounds: int, seconds: float, peer: bool) -> list[measure.Result]:
    """Return a result for each number of workers: ms a job, so that a larger peer is a slower one."""
    python = peer_python() if peer else None
    results = []
    with server() as url:
        for count in workers:
            result = measure.Result(f"claim and finish, {count} workers, load {os.getloadavg()[0]:.0f}")
            found = rounds_of(count, rounds, seconds, 20_000, url, python, None)
            for (way, mode), each in found.items():
                if way not in OURS:
                    continue
                others = {other: ms_a_job(runs) for (other, m), runs in found.items() if m == mode and other in PEERS}
                best = min(others, key=others.__getitem__, default="")
                note = f"p99 {percentile(each, 99):.0f} ms, worst {percentile(each, 100):.0f} ms"
                least = 1.0 if way == "worker" and best in QUEUES else None
                result.add(
                    f"{way}, {mode}" + (f" against {best}" if best else ""),
                    ms_a_job(each),
                    "ms",
                    peer=others.get(best),
                    ratio_least=least,
                    note=note,
                )
            if peer and python is None:
                result.missing.append("peers: pip could not install them, see bench/claiming.py")
            results.append(result)
    return results


def ms_a_job(runs: list[Found]) -> float:
    """Return 1000 over the median rate."""
    return 1000 / statistics.median(each.rate for each in runs)


def percentile(runs: list[Found], percent: int) -> float:
    """Return a percentile of the waits of all rounds, in ms."""
    waits = sorted(wait for each in runs for wait in each.waits_ms)
    return waits[min(len(waits) - 1, len(waits) * percent // 100)]


def peer_python() -> str | None:
    """Return the Python that has the peers, made when it is not there; None when they cannot be had."""
    folder = homes.cache_dir() / "peers"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        make = [sys.executable, "-m", "venv", "--clear", str(folder)]
        install = [str(python), "-m", "pip", "install", "--quiet", *PEER_PACKAGES]
        if any(subprocess.run(command, stdout=sys.stderr).returncode for command in (make, install)):
            return None
        (folder / "complete").touch()
    return str(python)


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Start a PostgreSQL that syncs, and yield its URL."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    import servers

    one = servers.Server(fsync="on", shared_buffers="128MB", max_connections="100")
    try:
        yield one.url()
    finally:
        one.stop("fast")
        one.remove()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?")
    parser.add_argument("--workers", default="1,4,8,16")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--postgres", metavar="URL")
    parser.add_argument("--peers", metavar="PYTHON")
    parser.add_argument("--no-peer", action="store_true")
    given = parser.parse_args()
    print(f"{'':32}{'workers':>8}{'jobs/s':>10}{'CPU us':>8}{'p50 ms':>9}{'p99 ms':>9}{'worst ms':>10}")
    with contextlib.nullcontext(given.postgres) if given.postgres else server() as url:
        peers = None if given.no_peer else given.peers or peer_python()
        for workers in map(int, given.workers.split(",")):
            found = rounds_of(workers, given.rounds, given.seconds, given.jobs, url, peers, given.directory)
            for (way, mode), each in found.items():
                rate, cpu_us = (statistics.median(getattr(run, name) for run in each) for name in ("rate", "cpu_us"))
                p50, p99, worst = (percentile(each, percent) for percent in (50, 99, 100))
                name = f"{way}, {mode}"
                print(f"{name:32}{workers:8}{rate:10,.0f}{cpu_us:8,.0f}{p50:9.1f}{p99:9.1f}{worst:10.0f}", flush=True)
            for mode in ("normal", "full", "postgres"):
                told = [
                    f"{ms_a_job(found[way, mode]) / ms_a_job(found['worker', mode]):.2f} of {way}"
                    for way in sorted(PEERS)
                    if (way, mode) in found
                ]
                if told:
                    print(f"worker, {mode}: {', '.join(told)}")
            print(f"no doubles; load {os.getloadavg()[0]:.1f}", flush=True)
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
