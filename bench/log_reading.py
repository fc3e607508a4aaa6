"""Questions to a full log of 64 MiB, each in a process of its own, cold and warm, and how late a tail tells.

    python -m bench.log_reading [DIRECTORY] [--mib 64] [--rounds 5]

The store is written once by our writer, with the text of the recorded homes' log
tables where they can be found (``--words``: a made vocabulary instead), and beside
it a table shaped as Codex's with the same records (``--no-table`` leaves it out).
*Cold*: the pages are dropped (``posix_fadvise``), and a new interpreter asks, with
what decodes imported; *warm*: the same question once more in that process.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import apsw

from bench.log_writing import INSERT, TABLE
from holdfast.logs import Caps, Record, SegmentWriter
from holdfast.logs.matching import LogQuery
from holdfast.logs.query import iterate
from holdfast.logs.tail import tail

THREAD = "019df488-d910-7000-8000-000000000007"
# The question to our log; to the table, as Codex asks it. The times are before the last record.
QUESTIONS = {
    "first look: the last 10": ({"newest_first": True, "limit": 10}, "1 ORDER BY id DESC LIMIT 10"),
    "the last 50": ({"newest_first": True, "limit": 50}, "1 ORDER BY id DESC LIMIT 50"),
    "ERROR, the last 100": (
        {"min_level": "ERROR", "newest_first": True, "limit": 100},
        "UPPER(level) IN ('ERROR') ORDER BY id DESC LIMIT 100",
    ),
    "WARN and worse, the last 500": (
        {"min_level": "WARN", "newest_first": True, "limit": 500},
        "UPPER(level) IN ('WARN', 'ERROR') ORDER BY id DESC LIMIT 500",
    ),
    "one thread, all of it": ({"thread_ids": [THREAD]}, f"thread_id = '{THREAD}' ORDER BY id"),
    "one logger, the last 200": (
        {"targets": ["app.rare"], "newest_first": True, "limit": 200},
        "target = 'app.rare' ORDER BY id DESC LIMIT 200",
    ),
    "since a minute": ({"from_us": -60_000_000}, "ts >= {last_s} - 60 ORDER BY id"),
    "a text, since a minute": (
        {"from_us": -60_000_000, "search": "turn"},
        "ts >= {last_s} - 60 AND instr(feedback_log_body, 'turn') > 0 ORDER BY id",
    ),
    "a pattern, the last 50": ({"regex": "turn[0-9 ]", "newest_first": True, "limit": 50}, None),
    "the largest id of a thread": (
        {"thread_ids": [THREAD], "newest_first": True, "limit": 1},
        f"thread_id = '{THREAD}' ORDER BY id DESC LIMIT 1",
    ),
    "a text nobody said, in all of it": (
        {"search": "zzqqzzqq"},
        "instr(feedback_log_body, 'zzqqzzqq') > 0 ORDER BY id",
    ),
    "a pattern nobody said, in all of it": ({"regex": "zzqq[0-9]+"}, None),
}
ASK = """
import json, sys, time
from holdfast.logs.matching import LogQuery
from holdfast.logs.query import query
from holdfast.logs.frames import zstd; zstd()
asked = LogQuery(**json.loads(sys.argv[2]))
for _ in range(2):
    began = time.perf_counter()
    found = len(query(sys.argv[1], asked))
    print((time.perf_counter() - began) * 1000)
print(found)
"""
ASK_TABLE = """
import apsw, sys, time
db = apsw.Connection("file:" + sys.argv[1] + "?mode=ro", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
for _ in range(2):
    began = time.perf_counter()
    found = len(db.execute("SELECT * FROM logs WHERE " + sys.argv[2]).fetchall())
    print((time.perf_counter() - began) * 1000)
print(found)
"""


def texts(words: bool) -> list[tuple[str, str, str]]:
    """Return level, target and text of recorded rows; made ones when there are none."""
    found: list[tuple[str, str, str]] = []
    if not words:
        fixtures = Path(__file__).parent.parent / "tests" / "fixtures"
        with tempfile.TemporaryDirectory() as folder:
            for archive in fixtures.glob("codex-home-*.tar.gz"):
                with tarfile.open(archive) as opened:
                    opened.extractall(folder, filter="data")
            for path in glob.glob(f"{folder}/**/logs_*.sqlite", recursive=True):
                found += (
                    sqlite3.connect(path)
                    .execute("SELECT level, target, coalesce(feedback_log_body, '') FROM logs")
                    .fetchall()
                )
    if not found:
        rng = random.Random(7)
        vocabulary = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(3_000)]
        for _ in range(20_000):
            said = " ".join(rng.choices(vocabulary, k=rng.randint(4, 30)))
            found.append(
                (rng.choices(["DEBUG", "INFO", "WARN"], [30, 60, 10])[0], f"app.{rng.choice(vocabulary[:20])}", said)
            )
    return found


def fill(directory: Path, mib: int, words: bool) -> tuple[int, int]:
    """Write with our writer until the store is full; return records and bytes of text."""
    rng = random.Random(1)
    said = texts(words)
    threads = [f"019df488-d910-7000-8000-{number:012x}" for number in range(2_000)]
    writer = SegmentWriter(directory, Caps(bytes=2 * mib << 20, free_bytes=0))
    records = text_bytes = 0
    while size_of(directory) < mib << 20:
        some = rng.sample(threads, 6)
        for _ in range(6):
            batch = []
            for _ in range(256):
                level, target, text = rng.choice(said)
                batch.append(
                    Record(
                        id=0,
                        message=f"{text} {rng.randrange(10**9)}",
                        level="ERROR" if rng.random() < 0.000_05 else level,
                        target="app.rare" if rng.random() < 0.000_1 else target,
                        thread_id=rng.choice(some),
                        ts=(records + len(batch)) * 1_000,
                    )
                )
                text_bytes += len(text) + 200
            assert writer.append(batch).written == 256
            records += 256
    writer.close()
    return records, text_bytes


def fill_table(directory: Path, path: Path) -> None:
    """Put the same records into a table shaped as Codex's."""
    db = apsw.Connection(str(path))
    db.execute(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; {TABLE}").fetchall()
    rows = (
        (r.ts // 10**6, r.ts % 10**6, r.level, r.target, r.message, r.module, r.file, r.line, r.thread_id)
        for r in iterate(directory)
    )
    with db:
        db.executemany(INSERT, rows)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE").fetchall()
    db.close()


def size_of(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.glob("*.zst")) if directory.exists() else 0


def drop(*paths: Path) -> None:
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def asked(program: str, rounds: int, paths: Sequence[Path], *arguments: str) -> tuple[str, int]:
    """Return cold (median, worst) and warm (median) of a question in milliseconds, and how much was found."""
    cold, warm, found = [], [], 0
    for _ in range(rounds):
        drop(*paths)
        out = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
        first, second, count = out.stdout.split()
        cold.append(float(first))
        warm.append(float(second))
        found = int(count)
    return f"{statistics.median(cold):.0f} ({max(cold):.0f}), {statistics.median(warm):.0f}", found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", type=Path)
    parser.add_argument("--mib", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--words", action="store_true", help="a made vocabulary instead of recorded rows")
    parser.add_argument("--no-table", action="store_true", help="without the table beside it")
    given = parser.parse_args()
    directory = given.directory or Path(tempfile.mkdtemp(prefix="log-reading-")) / "logs"
    if not directory.exists():
        records, text_bytes = fill(directory, given.mib, given.words)
        print(f"{records:,} records, {text_bytes >> 20:,} MiB of text")
    segments = sorted(directory.glob("*.zst"))
    print(f"{size_of(directory) / (1 << 20):.1f} MiB in {len(segments)} segments, {directory}")
    table = directory.with_suffix(".sqlite")
    if not given.no_table and not table.exists():
        fill_table(directory, table)
    if table.exists():
        print(f"the table: {table.stat().st_size / (1 << 20):.1f} MiB, SQLite {apsw.sqlite_lib_version()}")
    [last_us] = {one.ts for one in tail(directory, LogQuery(limit=1), follow=False)}
    print("\nMilliseconds: cold, median (worst); warm, median.\n")
    print("| question | found | ours | the table |\n| --- | --- | --- | --- |")
    for name, (fields, where) in QUESTIONS.items():
        fields = {key: last_us + value if key == "from_us" else value for key, value in fields.items()}
        took, found = asked(ASK, given.rounds, segments, str(directory), json.dumps(fields))
        beside = "-"
        if where is not None and table.exists():
            beside, count = asked(ASK_TABLE, given.rounds, [table], str(table), where.format(last_s=last_us // 10**6))
            beside += "" if count == found else f" ({count:,} found)"
        print(f"| {name} | {found:,} | {took} | {beside} |", flush=True)
    late()


def late() -> None:
    """Print how long after its flush a record is told, while records come and after a second of silence."""
    with tempfile.TemporaryDirectory() as folder:
        writer = SegmentWriter(folder, Caps(free_bytes=0))
        told = threading.Event()
        stop = threading.Event()

        def follow() -> None:
            for _ in tail(folder, stop=stop):
                told.set()

        thread = threading.Thread(target=follow)
        thread.start()
        for name, pause_s, count in (("busy", 0.005, 200), ("after 1 s of silence", 1.0, 10)):
            took = []
            for _ in range(count):
                time.sleep(pause_s)
                told.clear()
                began = time.perf_counter()
                writer.append([Record(id=0, ts=0, level="INFO", target="app", message="x")])
                told.wait()
                took.append((time.perf_counter() - began) * 1000)
            print(f"\ntail, {name}: p50 {statistics.median(took):.0f} ms, worst {max(took):.0f} ms", end="")
        began_cpu = time.process_time()
        time.sleep(5)
        print(f"\ntail, idle: {(time.process_time() - began_cpu) / 5:.3%} of a core")
        stop.set()
        thread.join()
        writer.close()


if __name__ == "__main__":
    main()
