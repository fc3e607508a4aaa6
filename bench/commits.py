"""Commits per second through ``Store.write``, beside bare apsw on the same disk in the same run.

    python bench/commits.py [DIRECTORY] [--rounds 5] [--seconds 0.5]

Rounds are interleaved and the median is told: a shared disk varies two- to
fourfold between runs, so only the ratio of one run means anything. Bare apsw
has one connection for one thread and a connection with a lock around it for eight.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable

import apsw

from holdfast.clock import wall_ms
from holdfast.sql import Statement
from holdfast.sqlite import Store
from holdfast.sqlite.settings import AUTOCHECKPOINT_PAGES, JOURNAL_BYTES_KEPT

SQL = "INSERT INTO notes (text) VALUES (:text)"
INSERT = Statement("insert", SQL, SQL, frozenset(("text",)), frozenset())
SCHEMA = "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT"
TARGETS = {("full", 1): 0.8, ("normal", 1): 0.4}


def per_second(one: Callable[[], None], threads: int, seconds: float) -> float:
    counts = [0] * threads
    deadline = time.perf_counter() + seconds

    def work(index: int) -> None:
        while time.perf_counter() < deadline:
            one()
            counts[index] += 1

    begun = time.perf_counter()
    crowd = [threading.Thread(target=work, args=(index,)) for index in range(threads)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    return sum(counts) / (time.perf_counter() - begun)


def bare(path: str, durability: str) -> tuple[Callable[[], None], Callable[[], None]]:
    connection = apsw.Connection(path)
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute(f"PRAGMA synchronous = {durability}")
    connection.wal_autocheckpoint(AUTOCHECKPOINT_PAGES)
    connection.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES_KEPT}").fetchall()
    connection.execute(SCHEMA)
    lock = threading.Lock()

    def one() -> None:
        with lock:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(SQL, {"text": "a note of some length"})
            connection.execute("COMMIT")

    return one, connection.close


def ours(path: str, durability: str) -> tuple[Callable[[], None], Callable[[], None]]:
    store = Store.open(path, clock=wall_ms, durability="full" if durability == "full" else "normal")
    with store.write() as tx:
        tx.script(SCHEMA)

    def one() -> None:
        with store.write() as tx:
            tx.run(INSERT, text="a note of some length")

    return one, store.close


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", help="where to write; the file system matters")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5)
    options = parser.parse_args()
    print(f"{'durability':<12}{'threads':>8}{'bare/s':>10}{'ours/s':>10}{'ratio':>8}{'target':>8}{'group':>7}")
    for durability in ("full", "normal"):
        for threads in (1, 8):
            with tempfile.TemporaryDirectory(dir=options.directory) as folder:
                theirs, close_theirs = bare(os.path.join(folder, "bare.db"), durability)
                mine, close_mine = ours(os.path.join(folder, "ours.db"), durability)
                pairs = [
                    (per_second(theirs, threads, options.seconds), per_second(mine, threads, options.seconds))
                    for _ in range(options.rounds)
                ]
                with Store.open(os.path.join(folder, "ours.db"), clock=wall_ms, durability=durability) as store:
                    status = store.status()
                close_mine()
                close_theirs()
            ratio = statistics.median(b / a for a, b in pairs)
            target = TARGETS.get((durability, threads))
            print(
                f"{durability:<12}{threads:>8}{statistics.median(a for a, _ in pairs):>10.0f}"
                f"{statistics.median(b for _, b in pairs):>10.0f}{ratio:>8.2f}"
                f"{f'>={target}' if target else '':>8}{status.transactions / status.groups:>7.1f}"
            )


if __name__ == "__main__":
    main()
