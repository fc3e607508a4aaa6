"""Full text: what building the index costs, and how fast a word is found; the peer's thread/search beside it.

    python -m bench.search [--n 10000|50000] [--no-peer]

The peer has no index: it greps all rollouts, then pages through its list. The words
are in the generated titles at known places, so the hits are known too: 1 thread in
1,000 has "needle-zebra", 1 in 100 "quasar".
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from bench import codex_peer, homes, measure, ours, recorded

LIMIT = 20
AT_MOST_MS = 20.0
QUERIES = {
    "rare": "needle-zebra",
    "common": "parser",
    "phrase": '"lorem ipsum"',
    "prefix": "quas*",
    "cjk": "漢字",
    "none": "xyzzy-nowhere",
}


def measured(n: int, peer: bool) -> list[measure.Result]:
    home = homes.home(n)
    homes.warm(home)
    result = measure.Result(f"Search over {n:,} threads, {LIMIT} hits a page")
    mine: dict[str, tuple[measure.Latency, int]] = {}
    with ours.part(result, "search"), ours.empty_state(home.name) as path:
        build(result, home, path)
        with ours.library().open(home, state_dir=path) as state:
            for name, query in QUERIES.items():
                with ours.part(result, f"search {name}"):
                    mine[name] = ask(state, query)
    theirs, label = peer_side(result, home, n, peer)
    add_rows(result, mine, theirs, label)
    check(result, n, mine)
    return [result]


def build(result: measure.Result, home: Path, state: Path) -> None:
    """Index with search from nothing; its price is the difference to an index without."""
    os.sync()
    with ours.empty_state(home.name + "-plain") as plain_state:
        plain, _ = ours.index(home, plain_state, "--no-search")
    os.sync()
    cost, report = ours.index(home, state)
    threads, home_bytes = max(1, report["threads"]), homes.facts(home)["bytes"]
    text_bytes = sum(file.stat().st_size for file in state.glob("search.db*"))
    note = f"{cost.wall_s:.2f} s with, {plain.wall_s:.2f} s without; "
    note += f"CPU {cost.cpu_s:.1f} and {plain.cpu_s:.1f} s"
    result.add("building it, on top of the index", cost.wall_s - plain.wall_s, "s", note=note)
    result.add("written, per byte of rollout", cost.io.write_bytes / home_bytes, "bytes")
    note = f"{text_bytes / threads:,.0f} bytes a thread, {text_bytes / home_bytes:.1%} of the rollouts"
    result.add("search.db", text_bytes / 1e6, "MB", note=note)
    if not text_bytes:
        result.missing.append("no search.db was made")


def ask(state: Any, query: str) -> tuple[measure.Latency, int]:
    hits = count(state.threads.search(query, limit=LIMIT))
    call = lambda _: state.threads.search(query, limit=LIMIT)  # noqa: E731
    return measure.latency(call, most=200, budget_s=2.0), hits


def count(answer: Any) -> int:
    """Return how many hits an answer holds, whether it is a page or a plain sequence."""
    for name in ("hits", "threads", "items"):
        if hasattr(answer, name):
            return len(getattr(answer, name))
    return len(list(answer))


def peer_side(
    result: measure.Result, home: Path, n: int, peer: bool
) -> tuple[dict[str, tuple[float, float, str]], str]:
    """Return (p50, p99, remark) by kind of word, of this run or recorded."""
    if peer:
        with ours.part(result, "search"), codex_peer.running(codex_peer.ready_home(home)) as running:
            found = codex_peer.text_latencies(running)
            result.notes.append(f"peer: codex {codex_peer.VERSION}, thread/search, a literal substring")
            return {
                name: (times.p50, times.p99, f"peer {hits} hits, p99 {measure.number(times.p99)}")
                for name, (times, hits) in found.items()
            }, ""
    known = recorded.LATENCY_MS.get(n, {})
    texts = {name: known[key] for name in QUERIES if (key := (f"text {name}", "")) in known}
    return {name: (*times, "") for name, times in texts.items()}, recorded.LABEL


def add_rows(
    result: measure.Result,
    mine: dict[str, tuple[measure.Latency, int]],
    theirs: dict[str, tuple[float, float, str]],
    label: str,
) -> None:
    for name, query in QUERIES.items():
        times, hits = mine.get(name, (None, 0))
        beside = theirs.get(name)
        if not times and not beside:
            continue
        notes = [f"{times}; {hits} hits"] if times else []
        notes += [beside[2]] if beside and beside[2] else []
        p50 = times.p50 if times else None
        theirs_p50 = beside[0] if beside else None
        result.add(f"{name}: {query}", p50, "ms", AT_MOST_MS, theirs_p50, None, label, "; ".join(notes))


def check(result: measure.Result, n: int, mine: dict[str, tuple[measure.Latency, int]]) -> None:
    """Say when a word that is known to be there was not found, or one that is nowhere was."""
    # A generated message is written at most twice into a file, and archived threads may be left out.
    least = {"rare": min(LIMIT, n * 8 // 10 // 1000), "prefix": min(LIMIT, n * 8 // 10 // 100), "cjk": 1}
    for name, wanted in (least | {"common": 1, "phrase": 1}).items():
        if name in mine and mine[name][1] < wanted:
            result.missing.append(f"{QUERIES[name]} is in at least {wanted} threads, {mine[name][1]} were found")
    if mine.get("none", (None, 0))[1]:
        result.missing.append(f"{QUERIES['none']} is nowhere and was found")


if __name__ == "__main__":
    sys.exit(measure.main(measured, __doc__))
