"""Indexing a home from nothing, beside the peer's backfill of the same home.

    python -m bench.index [--n 10000|50000] [--runs 1] [--no-peer]

A cold process on an empty state directory, with the rollouts in the page cache.
Then the same again with nothing new, and once more with a second process that
asks for the first page while the index is being made.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import codex_peer, homes, measure, ours, recorded

POLL_S = 0.005
POLL_MOST_S = 120.0


def measured(n: int, runs: int, peer: bool) -> list[measure.Result]:
    """Return the whole comparison for ``n`` rollouts, the best of ``runs`` for each side."""
    home = homes.home(n)
    result = measure.Result(f"Indexing {n:,} rollouts ({homes.facts(home)['bytes'] / 1e6:,.0f} MB)")
    began = time.monotonic()
    homes.warm(home)
    result.notes.append(f"reading every byte of the home once, warmed or not: {time.monotonic() - began:.2f} s")
    theirs, peer_is = peer_side(result, home, n, runs) if peer else recorded_side(n)
    add_rows(result, our_side(result, home, n, runs), theirs, peer_is)
    with ours.part(result, "first page while indexing"):
        first_page(result, home, theirs, peer_is)
    return [result]


# --- the peer ----------------------------------------------------------------


def peer_side(result: measure.Result, home: Path, n: int, runs: int) -> tuple[dict[str, float], str]:
    """Return the peer's numbers of this run, or the recorded ones and their label."""
    with ours.part(result, "the cold start"):
        copy = codex_peer.peer_home(home)
        cold = min((codex_peer.cold_start(copy) for _ in range(runs)), key=lambda one: one.initialize_s)
        result.notes.append(
            f"peer: codex {codex_peer.VERSION}, {cold.rows:,} rows, backfill {cold.status}, "
            f"rollouts {'untouched' if cold.rollouts_untouched else 'CHANGED'}, "
            f"state_5 with WAL {cold.database_bytes / 1e6:.1f} MB, {cold.read_bytes / 1e9:.2f} GB read"
        )
        if cold.status != "complete" or cold.rows != n:
            result.notes.append("the peer did not index everything: its times are not comparable")
        return {
            "wall_s": cold.initialize_s,
            "first_page_s": cold.first_page_s,
            "cpu_s": cold.cpu_s,
            "written_bytes": cold.written_bytes,
            "peak_bytes": cold.peak_bytes,
            "rows": cold.rows,
        }, ""
    return recorded_side(n)


def recorded_side(n: int) -> tuple[dict[str, float], str]:
    """Return what was once measured for ``n`` rollouts, if it was, and the label that says so."""
    if not (known := recorded.COLD.get(n)):
        return {}, ""
    first = {"wall_s": known["initialize_s"], "first_page_s": known["initialize_s"], "rows": float(n)}
    return known | first, recorded.LABEL


# --- ours --------------------------------------------------------------------


@dataclass(frozen=True)
class Indexed:
    """An index from nothing, and the one after it with nothing new."""

    cost: measure.Cost
    report: dict[str, Any]
    state_bytes: int
    again: measure.Cost
    again_report: dict[str, Any]


def our_side(result: measure.Result, home: Path, n: int, runs: int) -> Indexed | None:
    """Index from nothing ``runs`` times and return the fastest; None when that does not work yet."""
    done: list[Indexed] = []
    with ours.part(result, "indexing"):
        for _ in range(runs):
            with ours.empty_state(home.name) as state:
                os.sync()
                cost, report = ours.index(home, state, "--no-search")
                state_bytes = ours.size_bytes(state)
                again, second = ours.index(home, state, "--no-search")
                done.append(Indexed(cost, report, state_bytes, again, second))
                check(result, n, report, second)
    return min(done, key=lambda one: one.cost.wall_s, default=None)


def add_rows(result: measure.Result, mine: Indexed | None, theirs: dict[str, float], peer_is: str) -> None:
    """Set ours beside the peer's; a side that could not be measured leaves its cells empty."""
    add, peer = functools.partial(result.add, peer_is=peer_is), theirs.get
    per_row = theirs["written_bytes"] / theirs["rows"] if theirs else None
    peak_mb = theirs["peak_bytes"] / 1e6 if theirs else None
    if mine is None:
        add("cold start to complete", None, "s", peer=peer("wall_s"), ratio_least=5.0)
        add("CPU, all processes", None, "s", peer=peer("cpu_s"))
        add("written per thread", None, "bytes", 2048, peer=per_row)
        add("peak memory", None, "MB", 150, peer=peak_mb)
        return
    cost, again, threads = mine.cost, mine.again, max(1, mine.report["threads"])
    add("cold start to complete", cost.wall_s, "s", peer=peer("wall_s"), ratio_least=5.0, note="aim 10x")
    add("CPU, all processes", cost.cpu_s, "s", peer=peer("cpu_s"))
    note = f"state directory {mine.state_bytes / 1e6:.1f} MB, "
    note += f"{cost.io.wchar / threads:,.0f} bytes passed to write"
    add("written per thread", cost.io.write_bytes / threads, "bytes", 2048, peer=per_row, note=note)
    note = f"PSS summed; RSS summed {cost.rss_bytes / 1e6:.0f} MB, {cost.processes} processes"
    add("peak memory", cost.pss_bytes / 1e6, "MB", 150, peer=peak_mb, note=note)
    inside = 100 * mine.again_report["duration_ms"] / max(1, mine.report["duration_ms"])
    note = f"whole process, {again.wall_s:.2f} s; by its own duration_ms {inside:.1f} %; "
    note += f"{again.io.write_bytes / threads:.0f} bytes written per thread"
    result.add("rescan, nothing new, of the first", 100 * again.wall_s / cost.wall_s, "%", 5, note=note)


def check(result: measure.Result, n: int, first: dict[str, Any], second: dict[str, Any]) -> None:
    """Say what makes the times worthless: threads that are not there, files read twice."""
    told = ", ".join(f"{key} {first[key]:,}" for key in ours.REPORT_KEYS)
    result.notes.append(f"ours: {told}; again: unchanged {second['unchanged']:,}, indexed {second['indexed']:,}")
    if first["threads"] != n or first["failed"]:
        result.missing.append(f"{n:,} threads expected, {first['threads']:,} indexed, {first['failed']:,} failed")
    if second["indexed"] or second["unchanged"] != n:
        result.missing.append("the rescan read files again that had not changed")


# --- the first page while indexing goes on -----------------------------------


def first_page(result: measure.Result, home: Path, theirs: dict[str, float], peer_is: str) -> None:
    """Start an index; a second process, imports done, asks for 25 threads until it gets them."""
    ours.library()
    with ours.empty_state(home.name) as state:
        poller = subprocess.Popen(
            [sys.executable, "-m", "bench.index", "--poll", str(home), str(state)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=homes.REPOSITORY,
            env=ours.environment(),
        )  # fmt: skip
        try:
            ready = poller.stdout.readline()  # type: ignore[union-attr]
            if ready != "ready\n":
                raise ours.NotYetError("the polling process did not start")
            cost, _ = ours.index(home, state, "--no-search", on_start=lambda _: go(poller))
            seen = json.loads(poller.communicate(timeout=POLL_MOST_S + 10)[0])
        finally:
            if poller.poll() is None:
                poller.kill()
            poller.wait()
    for source in ("index", "files"):
        at = seen["first"].get(source)
        if at is None and source == "files":
            continue
        if at is None:
            raise ours.NotYetError(f"no page came from the index; last answer: {seen['last']}")
        after_s = at - cost.started
        target = 1.0 if source == "index" else None
        note = f"{100 * after_s / cost.wall_s:.0f} % of that index's {cost.wall_s:.2f} s"
        what = f"first page during it, from the {source}"
        result.add(what, after_s, "s", target, theirs.get("first_page_s"), None, peer_is, note)


def go(poller: subprocess.Popen[str]) -> None:
    poller.stdin.write("go\n")  # type: ignore[union-attr]
    poller.stdin.flush()  # type: ignore[union-attr]


def poll(home: Path, state_dir: Path) -> None:
    """Wait for "go" and a database, then list until 25 threads come from the index; print the moments."""
    holdfast = ours.library()
    print("ready", flush=True)
    sys.stdin.readline()
    deadline = time.monotonic() + POLL_MOST_S
    first: dict[str, float] = {}
    last = "no state.db"
    while not (state_dir / "state.db").exists() and time.monotonic() < deadline:
        time.sleep(POLL_S / 5)  # opening earlier would make this process the one that indexes
    while "index" not in first and time.monotonic() < deadline:
        try:
            with holdfast.open(home, state_dir=state_dir, wait=False) as state:
                while "index" not in first and time.monotonic() < deadline:
                    page = state.threads.list(limit=25)
                    source = getattr(page, "source", "index")
                    last = f"{len(page.threads)} threads from the {source}"
                    if len(page.threads) == 25:
                        first.setdefault(source, time.monotonic())
                    time.sleep(POLL_S)
        except Exception as why:  # the state is being made: ask again, and tell the last reason
            last = f"{type(why).__name__}: {why}"
            time.sleep(POLL_S)
    print(json.dumps({"first": first, "last": last}))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--poll", nargs=2, metavar=("HOME", "STATE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.poll:
        poll(*map(Path, given.poll))
        return 0
    return measure.finish(measured(given.n, given.runs, not given.no_peer))


if __name__ == "__main__":
    sys.exit(main())
