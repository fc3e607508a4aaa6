"""Bytes written for each byte said, and records a second, on the records a real Codex logged.

    python -m bench.log_writing

Beside it in the same run: plain lines of JSON, flushed as often; and a table
shaped as Codex's, with its two indexes, in WAL mode. Bytes are what the process
passed to write(2) (`/proc/self/io`, wchar). The records are those of the log
database in tests/fixtures, told again until there are 20,000; payload is their
texts (message, target, level, module, file). Then 200 random characters each,
which do not pack: hexadecimal ones hold 0.5 of their bytes, letters and digits 0.74.
"""

from __future__ import annotations

import os
import random
import string
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import apsw
import msgspec

from holdfast.logs import Caps, Record, SegmentWriter

FIXTURE = Path(__file__).parent.parent / "tests" / "fixtures" / "codex-home-0.169.tar.gz"
COUNT = 20_000
BATCHES = (1, 16, 256)
TARGET, RANDOM_TARGET = 0.1, 0.8

TABLE = """
CREATE TABLE logs (id INTEGER PRIMARY KEY AUTOINCREMENT, ts INTEGER, ts_nanos INTEGER, level TEXT, target TEXT,
    feedback_log_body TEXT, module_path TEXT, file TEXT, line INTEGER, thread_id TEXT);
CREATE INDEX logs_by_ts ON logs (ts DESC, ts_nanos DESC, id DESC);
CREATE INDEX logs_by_thread ON logs (thread_id);
"""
INSERT = "INSERT INTO logs VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def recorded(folder: str) -> list[Record]:
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(folder, filter="data")
    connection = apsw.Connection(f"{folder}/codex-home-0.169/logs_2.sqlite")
    rows = connection.execute(
        "SELECT ts, ts_nanos, level, target, feedback_log_body, module_path, file, line, thread_id FROM logs"
    ).fetchall()
    connection.close()
    return [
        Record(
            id=0, ts=ts * 1_000_000 + nanos // 1_000, level=level, target=target, message=body or "",
            module=module, file=file, line=line, thread_id=thread,
        )
        for ts, nanos, level, target, body, module, file, line, thread in rows
    ]  # fmt: skip


def payload(records: list[Record]) -> int:
    return sum(len("".join(filter(None, (r.message, r.target, r.level, r.module, r.file))).encode()) for r in records)


def ours(folder: str) -> Callable[[list[Record]], object]:
    return SegmentWriter(folder, Caps(free_bytes=0)).append


def lines(folder: str) -> Callable[[list[Record]], object]:
    fd = os.open(f"{folder}/log.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    return lambda batch: os.write(fd, b"".join(msgspec.json.encode(record) + b"\n" for record in batch))


def table(folder: str) -> Callable[[list[Record]], object]:
    connection = apsw.Connection(f"{folder}/logs.sqlite")
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(TABLE)

    def put(batch: list[Record]) -> None:
        with connection:
            connection.executemany(
                INSERT,
                [(r.ts // 10**6, r.ts % 10**6, r.level, r.target, r.message, r.module, r.file, r.line, r.thread_id)
                 for r in batch],
            )  # fmt: skip

    return put


def handed_over() -> int:
    with open("/proc/self/io", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("wchar"))


def measure(make: Callable[[str], Callable[[list[Record]], object]], records: list[Record], batch: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        put = make(folder)
        said = payload(records)
        before, begun = handed_over(), time.perf_counter()
        for at in range(0, len(records), batch):
            put(records[at : at + batch])
        took = time.perf_counter() - begun
        ratio = (handed_over() - before) / said
    return f"{ratio:8.3f} {len(records) / took:12,.0f}/s"


def random_text(characters: str) -> list[Record]:
    draw = random.Random(1)
    said = {"id": 0, "level": "INFO", "target": "bench.random"}
    return [
        Record(**said, ts=1_764_000_000_000_000 + n * 997, message="".join(draw.choices(characters, k=200)))
        for n in range(COUNT)
    ]


def table_of(title: str, records: list[Record], target: float) -> None:
    print(f"{title}, {payload(records):,} bytes of text")
    print(f"{'batch':>6} {'ours':>22} {'lines of JSON':>22} {'a table':>22}   target {target}")
    for batch in BATCHES:
        told = [measure(make, records, batch) for make in (ours, lines, table)]
        print(f"{batch:>6} " + " ".join(f"{each:>22}" for each in told), flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        known = recorded(folder)
    records = [msgspec.structs.replace(known[n % len(known)]) for n in range(COUNT)]
    table_of(f"{COUNT} records of {len(known)} that Codex 0.169 wrote", records, TARGET)
    table_of("random, hexadecimal", random_text("0123456789abcdef"), RANDOM_TARGET)
    table_of("random, letters and digits", random_text(string.ascii_letters + string.digits), RANDOM_TARGET)


if __name__ == "__main__":
    main()
