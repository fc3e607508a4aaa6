"""The longest read snapshot of the doctor while others write, and what the writers feel of it.

    PYTHONPATH=src python bench/inspecting.py [--mib 600] [--writers 4] [--rounds 3] [--deep]

A log database of Codex's shape, of ``--mib`` rows; the writers are plain connections that
insert, delete and commit without a pause. All probes through SQLite look at it in
a process of their own. A snapshot is measured twice: as the look counts it, and by
the kernel's table of locks, asked each 2 ms, for how long the process held a read
lock at a time (reads that follow each other closely count as one).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

import apsw

from holdfast import lockfiles

MIB = 1 << 20
TARGET_MS = 250  # D03
READ_LOCKS = range(123, 128)  # of the index, WAL_READ_LOCK(0) to (4)

SCHEMA = """
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
CREATE TABLE logs (id INTEGER PRIMARY KEY AUTOINCREMENT, ts INTEGER NOT NULL, ts_nanos INTEGER NOT NULL,
    level TEXT NOT NULL, target TEXT NOT NULL, feedback_log_body TEXT, module_path TEXT, file TEXT, line INTEGER,
    thread_id TEXT, process_uuid TEXT, estimated_bytes INTEGER NOT NULL DEFAULT 0);
CREATE INDEX by_time ON logs (ts DESC, ts_nanos DESC, id DESC);
CREATE INDEX by_thread ON logs (thread_id, ts DESC, ts_nanos DESC, id DESC);
"""
FILL = """
WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < ?)
INSERT INTO logs (ts, ts_nanos, level, target, feedback_log_body, thread_id, estimated_bytes)
SELECT 1795000000 + n / 50, n, 'INFO', 'target ' || (n % 20), hex(randomblob(700)), 'thread ' || (n % 300), 1400 FROM up
"""
LOOK = """
import json, sys, time
from holdfast.doctor.homes.look import SqlLook
from holdfast.doctor.homes.recognising import recognise
from holdfast.doctor.probes.through_sqlite import SQLITE
from holdfast.sqlite import inspecting
longest, close = [0.0], inspecting.Inspection.close
def counted(self):
    longest[0] = max(longest[0], self.longest_ms)
    close(self)
inspecting.Inspection.close = counted
deep = sys.argv[2] == "deep"
began, found = time.monotonic(), []
with SqlLook(recognise(sys.argv[1]), deep=deep) as look:
    for probe in SQLITE:
        if look.target.kind in probe.kinds:
            look.deadline_ns = time.monotonic_ns() + probe.limit_ms * 1_000_000 * (10 if deep else 1)
            try:
                found += [each.id for each in probe.run(look)]
            except Exception as error:
                found.append(f"{probe.name}: {error}")
print(json.dumps({"longest_ms": longest[0], "s": time.monotonic() - began, "found": found}))
"""


def write_for(path: str, stop: Any, told: Any) -> None:
    connection = apsw.Connection(path)
    connection.set_busy_timeout(60_000)
    connection.execute("PRAGMA synchronous = NORMAL")
    took = []
    while not stop.is_set():
        began = time.perf_counter()
        with connection:
            connection.execute(FILL, (50,))
            connection.execute("DELETE FROM logs WHERE id IN (SELECT id FROM logs ORDER BY id LIMIT 50)")
        took.append((time.perf_counter() - began) * 1000)
    told.put(took)
    connection.close()


class Watched:
    """For how long at a time a process held a read lock on the index of ``path``."""

    def __init__(self, path: str, pid: int) -> None:
        self.longest_ms = 0.0
        self._path, self._pid = f"{path}-shm", pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        since: float | None = None
        while not self._stop.wait(0.002):
            locks = lockfiles.on(self._path)
            held = any(each.pid == self._pid and each.first in READ_LOCKS for each in locks)
            now = time.perf_counter()
            since = (since or now) if held else None
            if since is not None:
                self.longest_ms = max(self.longest_ms, (now - since) * 1000)

    def end(self) -> float:
        self._stop.set()
        self._thread.join()
        return self.longest_ms


def looked(path: str, *, deep: bool) -> tuple[dict[str, Any], float]:
    child = subprocess.Popen([sys.executable, "-c", LOOK, path, "deep" if deep else ""], stdout=subprocess.PIPE)
    watched = Watched(path, child.pid)
    said, _ = child.communicate()
    return json.loads(said), watched.end()


def at(part: float, times: list[float]) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * part))] if times else float("nan")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=600)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--deep", action="store_true")
    asked = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        path = os.path.join(folder, "logs_2.sqlite")
        connection = apsw.Connection(path)
        connection.execute(SCHEMA).fetchall()
        connection.execute("PRAGMA synchronous = OFF")
        for _ in range(asked.mib):
            connection.execute(FILL, (MIB // 1_600,))
        connection.close()
        worst = 0.0
        for doctor in (False, True):
            stop, told = context.Event(), context.Queue()
            crowd = [context.Process(target=write_for, args=(path, stop, told)) for _ in range(asked.writers)]
            for each in crowd:
                each.start()
            time.sleep(1.5)
            rounds = []
            log = 0
            for _ in range(asked.rounds):
                if doctor:
                    rounds.append(looked(path, deep=asked.deep))
                else:
                    time.sleep(2)
                log = max(log, os.stat(f"{path}-wal").st_size)
            stop.set()
            took = [ms for _ in crowd for ms in told.get()]
            for each in crowd:
                each.join()
            print(
                f"{'beside the doctor' if doctor else 'alone':<18} {len(took):>6} commits  p50 {at(0.5, took):.1f} ms"
                f"  p99 {at(0.99, took):.1f} ms  max {max(took):.0f} ms  log {log / MIB:.1f} MiB"
            )
            for said, locked_ms in rounds:
                worst = max(worst, said["longest_ms"])
                print(
                    f"    {said['s']:.2f} s, longest read {said['longest_ms']:.0f} ms, by the kernel's table"
                    f" {locked_ms:.0f} ms; {', '.join(said['found'])}"
                )
        print(f"longest read {worst:.0f} ms, target {TARGET_MS} ms")
    return 0 if worst <= TARGET_MS else 1


if __name__ == "__main__":
    sys.exit(main())
