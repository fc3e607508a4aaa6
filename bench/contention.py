"""Many processes, and many threads, writing durably to one database: how much of the disk is left, and for whom.

    python -m bench.contention [DIRECTORY] [--processes 8,40] [--rounds 7] [--seconds 1] [--no-peer]

A commit under FULL is one fdatasync, so commits are told as a share of what the
disk does alone: 4,120 bytes (a WAL frame and its header) written and synced, in a loop of the
same length, by one process and by as many as write. Every round measures every
way once, in a new order; the medians over the rounds are told, and of waits the longest of all. The
peers are what a program would do with SQLite itself: its busy timeout, a busy
handler with jittered sleeps, and a blocking flock around each transaction.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bench import homes, measure, ours

FRAME = b"x" * 4_120
SHARE_LEAST, FAIR_LEAST, WAIT_MOST_MS = 0.4, 0.7, 200.0
GROUP_LEAST, GROUP_FAIR_LEAST = 1.5, 0.95
WAYS = {
    "holdfast": "Store.write",
    "timeout": "apsw, busy_timeout",
    "jitter": "apsw, busy handler sleeping 0.1 to 0.8 ms",
    "gate": "apsw, a blocking flock around it",
}
SCHEMA = "CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT"
SQL = "INSERT INTO notes (text) VALUES (:text)"
TEXT = {"text": "a note of some length"}


# --- what one process does -----------------------------------------------------


@contextlib.contextmanager
def writer(way: str, path: str) -> Iterator[Callable[[], None]]:
    """Yield what commits one row to the database at ``path`` and returns when it is durable."""
    if way == "disk":
        fd = os.open(f"{path}-{os.getpid()}", os.O_RDWR | os.O_CREAT, 0o600)
        os.pwrite(fd, b"\0" * (4 << 20), 0)
        os.fsync(fd)
        at = 0

        def sync() -> None:
            nonlocal at
            os.pwrite(fd, FRAME, at)
            os.fdatasync(fd)
            at = (at + len(FRAME)) % (4 << 20)

        yield sync
        os.close(fd)
    elif way == "holdfast":
        ours.library()
        from holdfast.clock import wall_ms
        from holdfast.sql import Statement
        from holdfast.sqlite import Store

        insert = Statement("insert", SQL, SQL, frozenset(("text",)), frozenset())
        with Store.open(path, clock=wall_ms, durability="full") as store:
            with store.write(wait_ms=60_000) as tx:
                tx.script(SCHEMA)

            def ours_() -> None:
                with store.write(wait_ms=60_000) as tx:
                    tx.run(insert, **TEXT)

            yield ours_
    else:
        yield from bare(way, path)


def bare(way: str, path: str) -> Iterator[Callable[[], None]]:
    import apsw

    gate = os.open(f"{path}.gate", os.O_RDWR | os.O_CREAT, 0o600)
    connection = apsw.Connection(path)
    connection.set_busy_timeout(60_000)
    connection.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;").fetchall()
    connection.execute("PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 4194304").fetchall()
    connection.execute(SCHEMA)
    if way == "jitter":
        connection.set_busy_handler(lambda _: time.sleep(random.uniform(0.0001, 0.0008)) is None)

    def plain() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(SQL, TEXT)
        connection.execute("COMMIT")

    def gated() -> None:
        fcntl.flock(gate, fcntl.LOCK_EX)
        try:
            plain()
        finally:
            fcntl.flock(gate, fcntl.LOCK_UN)

    yield gated if way == "gate" else plain
    connection.close()
    os.close(gate)


def work(one: Callable[[], None], seconds: float) -> tuple[int, list[float]]:
    """Call ``one`` for ``seconds``; return how often, and the time of each call in ms."""
    times: list[float] = []
    until = time.perf_counter() + seconds
    while (began := time.perf_counter()) < until:
        one()
        times.append((time.perf_counter() - began) * 1000)
    return len(times), times


def serve(way: str, path: str) -> None:
    """Write for so many seconds as each line of stdin says; answer each with a line of JSON."""
    with writer(way, path) as one:
        print("ready", flush=True)
        for line in sys.stdin:
            cpu = time.process_time()
            count, times = work(one, float(line))
            # A writer that got nothing at all waited for the whole round.
            told = {
                "count": count,
                "worst": max(times, default=float(line) * 1000),
                "p99": sorted(times)[len(times) * 99 // 100] if times else float(line) * 1000,
                "cpu": time.process_time() - cpu,
                "switches": resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw,
            }
            print(json.dumps(told), flush=True)


# --- processes -----------------------------------------------------------------


@dataclass(frozen=True)
class Round:
    """What some writers did in one round."""

    per_s: float
    fair: float
    worst_ms: float
    p99_ms: float
    cpu_us: float
    """Of all of them, per commit."""


class Crowd:
    """Processes that write one way, started once and told when."""

    def __init__(self, way: str, path: str, count: int) -> None:
        command = [sys.executable, "-m", "bench.contention", "--serve", way, path]
        self._all = [
            subprocess.Popen(
                command, cwd=homes.REPOSITORY, env=ours.environment(), text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )
            for _ in range(count)
        ]  # fmt: skip
        for process in self._all:
            if self._line(process) != "ready\n":
                raise ours.NotYetError(f"a writer of {way} did not come up")

    def round(self, seconds: float) -> Round:
        began = time.perf_counter()
        for process in self._all:
            assert process.stdin is not None
            process.stdin.write(f"{seconds}\n")
            process.stdin.flush()
        told: list[dict[str, Any]] = [json.loads(self._line(process)) for process in self._all]
        took = time.perf_counter() - began
        counts = [one["count"] for one in told]
        return Round(
            sum(counts) / took,
            min(counts) / max(counts),
            max(one["worst"] for one in told),
            max(one["p99"] for one in told),
            sum(one["cpu"] for one in told) * 1e6 / sum(counts),
        )

    def close(self) -> None:
        for process in self._all:
            process.communicate()

    @staticmethod
    def _line(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        return process.stdout.readline()


def processes(count: int, folder: str, rounds: int, seconds: float, peer: bool) -> measure.Result:
    """Measure ``count`` processes, one thread each, every way."""
    result = measure.Result(f"{count} processes writing under FULL, one thread each")
    ways = list(WAYS) if peer else ["holdfast"]
    with contextlib.ExitStack() as stack:
        crowds = {}
        disks = [("alone", "disk", 1), ("together", "disk", count), ("one", "holdfast", 1)]
        for name, way, many in [*disks, *((way, way, count) for way in ways)]:
            crowds[name] = Crowd(way, os.path.join(folder, f"{name}-{count}.db"), many)
            stack.callback(crowds[name].close)
        seen: dict[str, list[Round]] = {name: [] for name in crowds}
        for _ in range(rounds):
            for name in random.sample(list(crowds), len(crowds)):
                seen[name].append(crowds[name].round(seconds))
    disk = statistics.median(one.per_s for one in seen["alone"])
    result.notes.append(
        f"fdatasync of {len(FRAME)} bytes: {disk:,.0f}/s by one process, "
        f"{statistics.median(one.per_s for one in seen['together']):,.0f}/s by {count}; "
        f"Store.write of one process by itself: {median_ratio(seen['one'], seen['alone']):.2f} of the first"
    )
    for way in ways:
        mine = way == "holdfast"
        mid = median(seen[way])
        worst = max(one.worst_ms for one in seen[way])
        told = f"{WAYS[way]}: "
        judged = mine and count <= 8  # more than that is told: forty on two cores wait for the cores
        note = f"{mid.per_s:,.0f}/s, p99 {mid.p99_ms:.0f} ms, {mid.cpu_us:.0f} us CPU a commit"
        share = median_ratio(seen[way], seen["alone"])
        result.rows += [
            measure.Row(
                f"{told}share of one fdatasync loop", share, "", note=note, at_least=SHARE_LEAST if judged else None
            ),
            measure.Row(f"{told}least / most of a writer", mid.fair, "", at_least=FAIR_LEAST if judged else None),
            measure.Row(f"{told}longest wait", worst, "ms", WAIT_MOST_MS if judged else None),
        ]  # fmt: skip
    return result


def median(rounds: list[Round]) -> Round:
    fields = ("per_s", "fair", "worst_ms", "p99_ms", "cpu_us")
    return Round(*(statistics.median(getattr(one, name) for one in rounds) for name in fields))


def median_ratio(these: list[Round], those: list[Round]) -> float:
    """Return the median of the ratios of each round: a disk that slows down slows both."""
    return statistics.median(one.per_s / other.per_s for one, other in zip(these, those, strict=True))


# --- threads -------------------------------------------------------------------


def threads(count: int, folder: str, rounds: int, seconds: float) -> measure.Result:
    """Measure ``count`` threads of this process: one store, beside a connection each."""
    result = measure.Result(f"{count} threads of one process writing under FULL")
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(writer("holdfast", os.path.join(folder, f"threads-{count}.db")))
        each = [
            stack.enter_context(contextlib.contextmanager(bare)("timeout", os.path.join(folder, f"each-{count}.db")))
            for _ in range(count)
        ]
        disk = stack.enter_context(writer("disk", os.path.join(folder, "disk")))
        seen: dict[str, list[Round]] = {"disk": [], "each": [], "store": []}
        for _ in range(rounds):
            for name, doers in random.sample([("disk", [disk]), ("each", each), ("store", [store] * count)], 3):
                seen[name].append(crowd_of_threads(doers, seconds))
    mid, other = median(seen["store"]), median(seen["each"])
    note = f"{mid.per_s:,.0f}/s; {median_ratio(seen['store'], seen['disk']):.2f} of one fdatasync loop"
    result.rows += [
        measure.Row(
            "commits/s as a multiple of a connection each", median_ratio(seen["store"], seen["each"]), "x",
            at_least=GROUP_LEAST if count >= 8 else None, note=note,
        ),
        measure.Row("least / most of a thread", mid.fair, "", at_least=GROUP_FAIR_LEAST if count >= 8 else None),
        measure.Row("p99", mid.p99_ms, "ms", note=f"longest {max(one.worst_ms for one in seen['store']):.0f}"),
        measure.Row("a connection each: least / most", other.fair, "", note=f"{other.per_s:,.0f}/s"),
        measure.Row("a connection each: p99", other.p99_ms, "ms"),
    ]  # fmt: skip
    return result


def crowd_of_threads(doers: list[Callable[[], None]], seconds: float) -> Round:
    told: list[tuple[int, list[float]]] = [(0, [])] * len(doers)

    def run(at: int) -> None:
        told[at] = work(doers[at], seconds)

    began, cpu = time.perf_counter(), time.process_time()
    crowd = [threading.Thread(target=run, args=(at,)) for at in range(len(doers))]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    took, counts = time.perf_counter() - began, [count for count, _ in told]
    times = sorted(ms for _, each in told for ms in each)
    return Round(
        sum(counts) / took, min(counts) / max(counts), times[-1], times[len(times) * 99 // 100],
        (time.process_time() - cpu) * 1e6 / len(times),
    )  # fmt: skip


# --- the bench -----------------------------------------------------------------


def measured(
    sizes: list[int], rounds: int, seconds: float, peer: bool, directory: str | None = None
) -> list[measure.Result]:
    """Return a result for each number of processes, and those of threads."""
    with tempfile.TemporaryDirectory(dir=directory or homes.cache_dir(), prefix="contention-") as folder:
        results = [processes(count, folder, rounds, seconds, peer) for count in sizes]
        return results + [threads(count, folder, rounds, seconds) for count in (1, 8)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", help="where to write; the file system matters")
    parser.add_argument("--processes", default="8,40")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--serve", nargs=2, metavar=("WAY", "DB"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(*given.serve)
        return 0
    sizes = [int(size) for size in given.processes.split(",") if size]
    return measure.finish(measured(sizes, given.rounds, given.seconds, not given.no_peer, given.directory))


if __name__ == "__main__":
    sys.exit(main())
