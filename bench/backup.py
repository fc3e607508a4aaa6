"""A hot backup, and what it does to writers: p50 and p99 of a write with and without one, in the same run.

    PYTHONPATH=src python bench/backup.py [DIRECTORY] [--threads 100000] [--mib 200] [--seconds 3]

Two files are copied: a ``state.db`` of so many threads, and a database of ``--mib``
for what a large file does. Writers (1 thread of this process, then 4 processes)
commit one small row at a time under FULL. Beside ``VACUUM INTO``: SQLite's backup
API in one step, which cannot tell progress nor be interrupted. ``log`` is the
largest the write-ahead log was.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

import apsw

from holdfast import schema
from holdfast.clock import wall_ms
from holdfast.sql import Statement
from holdfast.sqlite import Store
from holdfast.state.backing_up import backup

MIB = 1 << 20


def statement(text: str, *params: str) -> Statement:
    return Statement("bench", text, text, frozenset(params), frozenset())


MAKE = "CREATE TABLE IF NOT EXISTS bench (id INTEGER PRIMARY KEY, text BLOB NOT NULL) STRICT"
ADD = statement("INSERT INTO bench (text) VALUES (randomblob(200))")


def large(path: str, mib: int) -> None:
    with Store.open(path, clock=wall_ms) as store:
        with store.write() as tx:
            tx.script(MAKE)
        fill = statement(
            "WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < 2000)"
            " INSERT INTO bench (text) SELECT randomblob(500) FROM up"
        )
        for _ in range(mib):
            with store.write() as tx:
                tx.run(fill)


def state_of(path: str, threads: int) -> None:
    """Make a state.db of so many threads: one home, a file and a thread each, a few labels."""
    with Store.open(path, clock=wall_ms) as store:
        schema.migrate(store)
        with store.write() as tx:
            tx.script(MAKE)
            tx.script(
                "INSERT INTO homes (home_id, host, path, added_ms, indexed_ms) VALUES (1, 'bench', '/bench', 1, 1);"
                "INSERT INTO labels (label_id, label) VALUES (1, 'cli');"
                f"WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < {threads})"
                " INSERT INTO files (file_id, home_id, path, zst, inode, size, mtime_ns, offset, status, attempts)"
                " SELECT n, 1, 'sessions/2026/11/25/rollout-2026-11-25T10-00-00-' || hex(randomblob(16)) || '.jsonl',"
                " 0, n, 5000, n, 5000, 'ok', 1 FROM up;"
                "INSERT INTO threads (n, home_id, thread_id, file_id, revision, created_ms, updated_ms, recency_ms,"
                " source_kind_id, first_user_message, tokens_used, lines_unread, archived_file)"
                " SELECT file_id, 1, randomblob(16), file_id, 1, file_id, file_id, file_id, 1,"
                " 'please mend module ' || file_id || ' and say what was wrong with it', 100, 0, 0 FROM files;"
            )


def write_for(path: str, stop: Any, told: Any) -> None:
    took = []
    with Store.open(path, clock=wall_ms) as store:
        store.status()
        told.put(None)  # it has begun
        while not stop.is_set():
            began = time.perf_counter()
            with store.write(wait_ms=60_000) as tx:
                tx.run(ADD)
            took.append((began, (time.perf_counter() - began) * 1000))
    told.put(took)


def with_writers(path: str, writers: int, during: Callable[[], None]) -> list[float]:
    """Return the ms of each write that began while ``during`` ran."""
    context = multiprocessing.get_context("spawn")
    stop: Any = threading.Event() if writers == 1 else context.Event()
    told: Any = context.Queue()
    make: Any = threading.Thread if writers == 1 else context.Process
    crowd = [make(target=write_for, args=(path, stop, told)) for _ in range(writers)]
    for each in crowd:
        each.start()
    for _ in crowd:
        told.get()
    began = time.perf_counter()
    during()
    ended = time.perf_counter()
    stop.set()
    took = [each for _ in crowd for each in told.get()]
    for each in crowd:
        each.join()
    return [ms for at, ms in took if began <= at <= ended]


def at(part: float, times: list[float]) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * part))] if times else float("nan")


def one_step(source: str, target: str) -> None:
    theirs, copy = apsw.Connection(source), apsw.Connection(target)
    with copy.backup("main", theirs, "main") as step:
        step.step(-1)
    copy.close()
    theirs.close()


def copied(path: str, writers: int, make: Callable[[], Any]) -> tuple[float, list[float], int]:
    """Return the seconds of ``make``, the ms of the writes meanwhile, and the most bytes the log had."""
    took = [0.0]
    log = [0]

    def during() -> None:
        began = time.perf_counter()
        work = threading.Thread(target=make)
        work.start()
        while work.is_alive():
            log[0] = max(log[0], os.stat(f"{path}-wal").st_size if os.path.exists(f"{path}-wal") else 0)
            work.join(0.01)
        took[0] = time.perf_counter() - began

    times = with_writers(path, writers, during)
    return took[0], times, log[0]


def measured(name: str, path: str, writers: int, seconds: float, ways: dict[str, Callable[[], Any]]) -> None:
    quiet = with_writers(path, writers, lambda: time.sleep(seconds))
    p50, p99 = at(0.5, quiet), at(0.99, quiet)
    print(f"{name}, {writers} writing: quiet p50 {p50:.2f} ms, p99 {p99:.2f} ms, {len(quiet)} writes", flush=True)
    for way, make in ways.items():
        rounds = [copied(path, writers, make) for _ in range(3)]
        busy = [ms for _, times, _ in rounds for ms in times]
        print(
            f"  {way:<34}{statistics.median(wall for wall, _, _ in rounds):>6.2f} s"
            f"   p50 {at(0.5, busy):>6.2f} ({at(0.5, busy) / p50:.2f}x)"
            f"   p99 {at(0.99, busy):>7.2f} ({at(0.99, busy) / p99:.2f}x)"
            f"   {len(busy):>6} writes   log {max(log for _, _, log in rounds) / MIB:.1f} MiB",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?")
    parser.add_argument("--threads", type=int, default=100_000)
    parser.add_argument("--mib", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=3.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.directory) as folder:
        state, big, target = f"{folder}/state/state.db", f"{folder}/big/big.db", f"{folder}/copy.db"
        state_of(state, given.threads)
        large(big, given.mib)

        def vacuum(source: str) -> None:
            open(target, "wb").close()
            with Store.open(source, clock=wall_ms) as store:
                store.copy_to(target)
            os.unlink(target)

        def step(source: str) -> None:
            one_step(source, target)
            os.unlink(target)

        def whole() -> None:
            backup(folder + "/copies", state_dir=os.path.dirname(state))

        os.mkdir(f"{folder}/copies")
        for name, path in ((f"state.db of {given.threads:,} threads", state), (f"{given.mib} MiB", big)):
            print(f"{name}: {os.stat(path).st_size / MIB:.0f} MiB on disk")
            for writers in (1, 4):
                ways: dict[str, Callable[[], Any]] = {
                    "copied with VACUUM INTO": lambda path=path: vacuum(path),
                    "copied by one backup step": lambda path=path: step(path),
                }
                if path == state:
                    ways = {"holdfast.backup (checked, synced)": whole, **ways}
                measured(name, path, writers, given.seconds, ways)
                shutil.rmtree(f"{folder}/copies")
                os.mkdir(f"{folder}/copies")


if __name__ == "__main__":
    main()
