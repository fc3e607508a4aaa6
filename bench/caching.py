"""``state.cache``: get, put and a miss, beside a plain apsw table and, where it is installed, diskcache.

    PYTHONPATH=src python bench/caching.py [DIRECTORY] [--rounds 5] [--n 3000]

Rounds are interleaved and medians told: believe the ratios. The table is what one
would write by hand (one connection, WAL, NORMAL, no cap, no expiry, no thread but
this one). diskcache pickles, keeps a cap and expiry, and raises what SQLite raises.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import apsw
import msgspec

import holdfast

VALUE = {"url": "https://example.org/page", "status": 200, "body": "x" * 400}
Peer = tuple[Callable[[str], Any], Callable[[str, Any], Any]]


@contextmanager
def ours(folder: str) -> Iterator[Peer]:
    os.makedirs(f"{folder}/home/sessions")
    with holdfast.open(f"{folder}/home", state_dir=f"{folder}/state", search=False) as state:
        cache = state.cache("bench")
        yield cache.get, lambda key, value: cache.put(key, value, ttl_s=3600)


@contextmanager
def plain(folder: str) -> Iterator[Peer]:
    db = apsw.Connection(f"{folder}/plain.db")
    db.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL").fetchall()
    db.execute("CREATE TABLE kept (key TEXT PRIMARY KEY, value BLOB)")

    def get(key: str) -> Any:
        for (value,) in db.execute("SELECT value FROM kept WHERE key = ?", (key,)):
            return msgspec.json.decode(value)
        return None

    def put(key: str, value: Any) -> None:
        db.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (key, msgspec.json.encode(value)))

    yield get, put
    db.close()


@contextmanager
def diskcache(folder: str) -> Iterator[Peer]:
    cache = importlib.import_module("diskcache").Cache(f"{folder}/diskcache")
    yield cache.get, lambda key, value: cache.set(key, value, expire=3600)
    cache.close()


def timed(one: Callable[[int], Any], n: int) -> float:
    """Return the us of one call."""
    began = time.perf_counter()
    for number in range(n):
        one(number)
    return (time.perf_counter() - began) / n * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--n", type=int, default=3_000)
    given = parser.parse_args()
    makers: dict[str, Callable[[str], Any]] = {"ours": ours, "plain table": plain}
    if importlib.util.find_spec("diskcache"):
        makers["diskcache"] = diskcache
    times: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory(dir=given.directory) as folder:
        peers = {name: make(folder) for name, make in makers.items()}
        doors: dict[str, Peer] = {name: peer.__enter__() for name, peer in peers.items()}
        for _ in range(given.rounds):
            for name, (get, put) in doors.items():
                works: dict[str, Callable[[int], Any]] = {
                    "put": lambda number, put=put: put(f"key {number % 1000}", VALUE),
                    "get": lambda number, get=get: get(f"key {number % 1000}"),
                    "miss": lambda number, get=get: get(f"none {number % 1000}"),
                }
                for what, work in works.items():
                    times.setdefault((name, what), []).append(timed(work, given.n))
        for peer in peers.values():
            peer.__exit__(None, None, None)
    print(f"{'us each':<14}{'get':>8}{'miss':>8}{'put':>8}    ours / it: get, miss, put")
    for name in makers:
        told = [statistics.median(times[name, what]) for what in ("get", "miss", "put")]
        ratios = [
            statistics.median(times["ours", what]) / us for what, us in zip(("get", "miss", "put"), told, strict=True)
        ]
        line = "".join(f"{us:>8.1f}" for us in told) + "    " + "".join(f"{ratio:>8.2f}" for ratio in ratios)
        print(f"{name:<14}{line}")


if __name__ == "__main__":
    main()
