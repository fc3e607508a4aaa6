"""A salvage of 100 MB with 40 random pages overwritten by noise: how long, and which rows come through.

    python -m bench salvage [--quick]          # --quick: 10 MB and 4 pages
    python -m bench.salvage [--quick] [--seed 1] [--rounds 3]

Four layouts: rows of 5 KB that go on in other pages, a million small rows, a table
WITHOUT ROWID, a table with two indexes. Every few bytes of a row say its number, so
the bytes that were overwritten tell which rows lay there: all others can come
through whole, and that is the most that anybody can reach. Rows are compared with
those of the file before the damage; one that is not among them was invented.

The peer is ``.recover`` of a sqlite3 shell, piped into another one: ``$HOLDFAST_SQLITE3``
or the one on the path. Where it was built without (Debian's), it is run with the
library that apsw ships for its tools, if there is a C compiler to tell it that the
two belong together. Where that cannot be had, there is no peer.

Beside it, for scale, on the file before the damage: reading all rows, and a dump of
the standard library into a new file.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import apsw

from bench import measure

PAGE = 4_096
MARK = re.compile(rb"<(\d{7})>")
SECONDS = 2.0
QUICK = {"quick": False}

OURS = """
import json, sys, time
from holdfast.doctor.salvage import salvage
began, own = time.perf_counter(), time.process_time()
found = salvage(sys.argv[1], sys.argv[2])
print(json.dumps([time.perf_counter() - began, time.process_time() - own, found.lost_and_found, found.integrity]))
"""
READ = """
import sys, time, apsw
connection = apsw.Connection(sys.argv[1])
began = time.perf_counter()
for row in connection.execute("SELECT * FROM t"): pass
print(time.perf_counter() - began)
"""
DUMP = """
import sqlite3, sys, time
began = time.perf_counter()
target = sqlite3.connect(sys.argv[2])
target.executescript("".join(line + "\\n" for line in sqlite3.connect(sys.argv[1]).iterdump()))
print(time.perf_counter() - began)
"""


@dataclass(frozen=True)
class Layout:
    name: str
    sql: str
    rows: int
    key: str
    body_bytes: int


LAYOUTS = (
    Layout("rows of 5 KB", "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, n INT, body TEXT)", 20_000, "id", 5_000),
    Layout("small rows", "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, n INT, body TEXT)", 1_000_000, "id", 72),
    Layout(
        "WITHOUT ROWID",
        "CREATE TABLE t (id TEXT PRIMARY KEY, name TEXT, n INT, body TEXT) WITHOUT ROWID",
        480_000, "id", 153,
    ),
    Layout(
        "two indexes",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, n INT, body TEXT);"
        "CREATE INDEX t_by_name ON t (name); CREATE INDEX t_by_n ON t (n)",
        500_000, "id", 108,
    ),
)  # fmt: skip


def fill(path: Path, layout: Layout, rows: int, rng: random.Random) -> None:
    is_text = "id TEXT" in layout.sql

    def made() -> Iterator[tuple[object, ...]]:
        for n in range(rows):
            key = f"key {n:09d}" if is_text else n
            yield key, f"name {n ^ 0x5A5A5}", rng.getrandbits(40), f"<{n:07d}>" * (layout.body_bytes // 9)

    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA page_size = {PAGE}; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF").fetchall()
    connection.execute(layout.sql)
    with connection:
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", made())
    connection.execute("VACUUM")  # no page shows a row that was moved away from it
    connection.close()


def overwrite(path: Path, pages: int, rng: random.Random) -> set[int]:
    """Put noise into so many pages, never the first; return the rows that lay there."""
    hit: set[int] = set()
    with open(path, "r+b") as file:
        for number in rng.sample(range(1, os.stat(path).st_size // PAGE), pages):
            file.seek(number * PAGE)
            hit |= {int(digits) for digits in MARK.findall(file.read(PAGE))}
            file.seek(number * PAGE)
            file.write(rng.randbytes(PAGE))
    return hit


def compared(whole: Path, saved: Path) -> tuple[int, int]:
    """Return how many rows came through as they were, and how many are no rows of before."""
    connection = apsw.Connection(str(whole), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.execute("ATTACH ? AS saved", (str(saved),))
        if not connection.execute("SELECT 1 FROM saved.sqlite_schema WHERE name = 't'").fetchall():
            return 0, 0
        ((all_of_them,),) = connection.execute("SELECT count(*) FROM saved.t").fetchall()
        same = "a.name IS b.name AND a.n IS b.n AND a.body IS b.body"
        ((true,),) = connection.execute(
            f"SELECT count(*) FROM saved.t AS a JOIN main.t AS b ON a.id = b.id AND {same}"
        ).fetchall()
        return int(str(true)), int(str(all_of_them)) - int(str(true))
    finally:
        connection.close()


# --- the peer --------------------------------------------------------------------


@dataclass(frozen=True)
class Shell:
    path: str
    env: dict[str, str]
    is_what: str

    def recover(self, source: Path, target: Path) -> measure.Cost:
        return measure.run(
            ["sh", "-c", '"$0" "$1" .recover | "$0" "$2" >/dev/null', self.path, str(source), str(target)],
            env={**os.environ, **self.env},
        )


def shell(folder: Path) -> Shell | None:
    """Return a sqlite3 shell whose ``.recover`` works; None when there is none."""
    path = os.environ.get("HOLDFAST_SQLITE3") or shutil.which("sqlite3")
    if path is None:
        return None
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout.split(" ")[0]
    plain = Shell(path, {}, f"sqlite3 {version}")
    if _recovers(plain, folder):
        return plain
    joined = _joined(path, version, folder)
    return joined if joined is not None and _recovers(joined, folder) else None


def _joined(path: str, version: str, folder: Path) -> Shell | None:
    """Return the shell with the library of apsw's tools, which has what ``.recover`` needs, and is newer than it."""
    compiler = shutil.which("cc")
    library = Path(apsw.__file__).parent / "sqlite_extra_binaries" / "libsqlite3_tool.so"
    if compiler is None or not library.exists():
        return None
    asked = [path, ":memory:", "SELECT sqlite_source_id()"]
    source_id = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    (folder / "id.c").write_text(f'const char *sqlite3_sourceid(void) {{ return "{source_id}"; }}\n')
    built = [compiler, "-shared", "-fPIC", "-o", str(folder / "id.so"), str(folder / "id.c")]
    if subprocess.run(built, capture_output=True, check=False).returncode:
        return None
    return Shell(
        path, {"LD_PRELOAD": f"{folder / 'id.so'}:{library}"}, f"shell {version} on {apsw.sqlite_lib_version()}"
    )


def _recovers(tried: Shell, folder: Path) -> bool:
    source, target = folder / "tried.db", folder / "recovered.db"
    for path in (source, target):
        path.unlink(missing_ok=True)
    connection = apsw.Connection(str(source))
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name, n, body); INSERT INTO t VALUES (1, 2, 3, 4)")
    connection.close()
    tried.recover(source, target)
    return target.exists() and compared(source, target) == (1, 0)


# --- what is measured ---------------------------------------------------------------


def child(script: str, *paths: Path) -> measure.Cost:
    cost = measure.run([sys.executable, "-c", script, *map(str, paths)])
    if cost.exit_code:
        raise RuntimeError(cost.stderr)
    return cost


def measured(_n: int, peer: bool, *, seed: int = 1, rounds: int = 3) -> list[measure.Result]:
    part = 10 if QUICK["quick"] else 1
    result = measure.Result(f"salvage: {100 // part} MB, {40 // part} pages of noise, seed {seed}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        beside = shell(folder) if peer else None
        if peer and beside is None:
            result.missing.append("no sqlite3 shell with .recover here; the peer column is a dump of the whole file")
        if beside is not None:
            result.notes.append(f"the peer is .recover of {beside.is_what}, piped into the same shell")
        for layout in LAYOUTS:
            _measure(result, folder, layout, part, beside, random.Random(seed), rounds)
    return [result]


def _measure(
    result: measure.Result,
    folder: Path,
    layout: Layout,
    part: int,
    beside: Shell | None,
    rng: random.Random,
    rounds: int,
) -> None:
    whole, damaged, target = folder / "whole.db", folder / "damaged.db", folder / "target.db"
    rows = layout.rows // part
    for path in (whole, damaged):
        path.unlink(missing_ok=True)
    fill(whole, layout, rows, rng)
    shutil.copy(whole, damaged)
    most = rows - len(overwrite(damaged, 40 // part, rng))

    took, cpu, peak = [], [], 0
    for _ in range(rounds):
        target.unlink(missing_ok=True)
        cost = child(OURS, damaged, target)
        seconds, cpu_seconds, kept, integrity = json.loads(cost.stdout)
        took.append(seconds)
        cpu.append(cpu_seconds)
        peak = max(peak, cost.pss_bytes)
        assert integrity == [], integrity
    true, invented = compared(whole, target)

    read = float(child(READ, whole).stdout)
    target.unlink()
    dump = float(child(DUMP, whole, target).stdout)
    peer_s: float | None = None if beside else dump
    peer_true: int | None = None
    peer_invented = 0
    if beside is not None:
        costs = []
        for _ in range(rounds):
            target.unlink(missing_ok=True)
            costs.append(beside.recover(damaged, target).wall_s)
        peer_s = statistics.median(costs)
        peer_true, peer_invented = compared(whole, target)
    target.unlink(missing_ok=True)
    result.add(
        f"{layout.name}: time", statistics.median(took), "s", SECONDS, peer_s,
        note=f"CPU {statistics.median(cpu):.2f} s; {peak >> 20} MiB at most; "
        f"all rows read: {read:.2f} s; dump into a new file: {dump:.2f} s",
        **({} if beside else {"peer_is": "a dump"}),
    )  # fmt: skip
    result.add(
        f"{layout.name}: rows lost", rows - true, "rows", rows - most,
        peer=None if peer_true is None else rows - peer_true,
        note=f"{100 * true / rows:.3f} % came through, {100 * most / rows:.3f} % could; {kept:,} more in part; "
        f"invented: {invented}" + ("" if peer_true is None else f", the peer {peer_invented}"),
    )  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    QUICK["quick"] = given.quick
    return measure.finish(measured(0, not given.no_peer, seed=given.seed, rounds=given.rounds))


if __name__ == "__main__":
    sys.exit(main())
