"""A tick that opens a database, asks and closes it: ``holdfast.sqlite.connect`` beside ``sqlite3.connect``.

    python bench/connecting.py [DIRECTORY] [--rounds 7] [--ticks 400]

The same rows lie in a file for each library: two SQLites never share one in a
process. *held*: another connection of the process stays open. *alone*: none does,
so the standard library opens the WAL anew each time, and ours finds it lingering.
*torn down*: ours with the file closed after each tick (``close_idle``). Rounds are
interleaved and the median is told.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

from holdfast import sqlite

SCHEMA = "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"
QUESTION = "SELECT id, text FROM notes WHERE id = ?"
TARGET_US = 100


def tick(connect: Callable[[str], Any], path: str) -> Callable[[], None]:
    def one() -> None:
        conn = connect(path)
        conn.execute(QUESTION, (50,)).fetchall()
        conn.close()

    return one


def torn_down(path: str) -> Callable[[], None]:
    once = tick(sqlite.connect, path)

    def one() -> None:
        once()
        sqlite.close_idle()

    return one


def us_each(one: Callable[[], None], ticks: int) -> float:
    begun = time.perf_counter()
    for _ in range(ticks):
        one()
    return (time.perf_counter() - begun) / ticks * 1e6


def fill(conn: Any) -> None:
    conn.execute("PRAGMA journal_mode = WAL").fetchall()
    conn.execute(SCHEMA)
    conn.executemany("INSERT INTO notes (text) VALUES (?)", [(f"note {number}",) for number in range(100)])
    conn.commit()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", help="where to write; the file system matters")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--ticks", type=int, default=400)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as folder:
        ours, theirs = os.path.join(folder, "ours.db"), os.path.join(folder, "theirs.db")
        kept = [sqlite.connect(ours), sqlite3.connect(theirs)]
        for conn in kept:
            fill(conn)
        print(f"{'':<12}{'sqlite3 us':>12}{'ours us':>10}{'ratio':>8}{'target us':>11}")
        for name, mine in (
            ("held", tick(sqlite.connect, ours)),
            ("alone", tick(sqlite.connect, ours)),
            ("torn down", torn_down(ours)),
        ):
            if name == "alone":
                for conn in kept:
                    conn.close()
            pairs = [
                (us_each(tick(sqlite3.connect, theirs), options.ticks), us_each(mine, options.ticks))
                for _ in range(options.rounds)
            ]
            stdlib_us, ours_us = (statistics.median(side) for side in zip(*pairs, strict=True))
            print(
                f"{name:<12}{stdlib_us:>12.0f}{ours_us:>10.0f}"
                f"{statistics.median(b / a for a, b in pairs):>8.2f}{f'< {TARGET_US}' if name == 'held' else '':>11}"
            )


if __name__ == "__main__":
    main()
