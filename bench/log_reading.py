"""Questions to a full log of 64 MiB, each in a process of its own on a cold cache, and how late a tail tells.

    PYTHONPATH=src python bench/log_reading.py [DIRECTORY] [--mib 64] [--rounds 5]

The store is written once, with the text of the recorded homes' log tables
where they can be found (``--words``: a made vocabulary instead). *Cold*: the pages
of the segments are dropped (``posix_fadvise``), and a new interpreter asks; ``in
process`` is the query alone, ``whole`` is the command from its start to its end.
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
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "logs"))

from log_segments import Segment, record

from holdfast.logs.matching import LogQuery
from holdfast.logs.tail import tail

QUESTIONS = {
    "ERROR, the last 100": {"min_level": "ERROR", "newest_first": True, "limit": 100},
    "WARN and worse, the last 500": {"min_level": "WARN", "newest_first": True, "limit": 500},
    "the last 200": {"newest_first": True, "limit": 200},
    "one thread": {"thread_ids": ["019df488-d910-7000-8000-000000000007"]},
    "one logger, the last 200": {"targets": ["app.rare"], "newest_first": True, "limit": 200},
    "the last minute": {"from_us": -60_000_000},
    "a text in the last minute": {"from_us": -60_000_000, "search": "turn"},
    "a text nobody said, in all of it": {"search": "zzqqzzqq"},
}
ASK = """
import json, sys, time
from holdfast.logs.matching import LogQuery
from holdfast.logs.query import query
from holdfast.logs.reading import zstd; zstd()
asked = LogQuery(**json.loads(sys.argv[2]))
began = time.perf_counter()
found = len(query(sys.argv[1], asked))
print((time.perf_counter() - began) * 1000, found)
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
    """Write segments of 4 MiB until the store is full; return records and bytes of text."""
    rng = random.Random(1)
    said = texts(words)
    threads = [f"019df488-d910-7000-8000-{number:012x}" for number in range(2_000)]
    records = text_bytes = size = number = 0
    while size < mib << 20:
        segment = Segment(directory, f"b0-7-{number}.jsonl.zst", frame_records=1 << 60)
        number += 1
        while segment.path.stat().st_size < 4 << 20:
            batch, some = 0, rng.sample(threads, 6)
            while batch < 256 << 10:
                level, target, text = rng.choice(said)
                level = "ERROR" if rng.random() < 0.000_05 else level
                target = "app.rare" if rng.random() < 0.000_1 else target
                made = [
                    record(
                        f"{text} {rng.randrange(10**9)}",
                        level=level,
                        target=target,
                        thread_id=rng.choice(some),
                        ts=records * 1_000,
                    )
                    for _ in range(1)
                ]
                segment.write(*made)
                records += 1
                batch += len(text) + 200
            text_bytes += batch
            segment.end_frame()
        segment.close()
        size += segment.path.stat().st_size
    return records, text_bytes


def drop(directory: Path) -> None:
    for path in directory.iterdir():
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", type=Path)
    parser.add_argument("--mib", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--words", action="store_true", help="a made vocabulary instead of recorded rows")
    given = parser.parse_args()
    directory = given.directory or Path(tempfile.mkdtemp(prefix="log-reading-")) / "logs"
    if not directory.exists():
        records, text_bytes = fill(directory, given.mib, given.words)
        print(f"{records:,} records, {text_bytes >> 20:,} MiB of text")
    size = sum(path.stat().st_size for path in directory.iterdir())
    print(f"{size / (1 << 20):.1f} MiB in {len(list(directory.iterdir()))} segments, {directory}\n")
    last_us = max(one.ts for one in tail(directory, LogQuery(limit=1), follow=False))
    print("| question | found | in process, ms (median, worst) | whole, ms |\n| --- | --- | --- | --- |")
    for name, fields in QUESTIONS.items():
        asked = {key: last_us + value if key == "from_us" else value for key, value in fields.items()}
        took, whole, found = [], [], 0
        for _ in range(given.rounds):
            drop(directory)
            began = time.perf_counter()
            out = subprocess.run(
                [sys.executable, "-c", ASK, str(directory), json.dumps(asked)],
                capture_output=True,
                text=True,
                check=True,
            ).stdout.split()
            whole.append((time.perf_counter() - began) * 1000)
            took.append(float(out[0]))
            found = int(out[1])
        print(
            f"| {name} | {found:,} | {statistics.median(took):.0f}, {max(took):.0f} | {statistics.median(whole):.0f} |"
        )
    late()


def late() -> None:
    """Print how long after its flush a record is told, while records come and after a second of silence."""
    with tempfile.TemporaryDirectory() as folder:
        segment = Segment(Path(folder), "b0-7-1.jsonl.zst")
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
                segment.write(record("x"))
                told.wait()
                took.append((time.perf_counter() - began) * 1000)
            print(f"\ntail, {name}: p50 {statistics.median(took):.0f} ms, worst {max(took):.0f} ms", end="")
        began_cpu = time.process_time()
        time.sleep(5)
        print(f"\ntail, idle: {(time.process_time() - began_cpu) / 5:.3%} of a core")
        stop.set()
        thread.join()
        segment.close()


if __name__ == "__main__":
    main()
