"""Pages of threads, in process, at 1k, 10k and 100k threads; the peer beside it at 10k.

    python -m bench.listing [--sizes 1000,10000,100000] [--no-peer] [--scan]

The first page of 25 of every question, and the pages at 50 and at 95 % of the
questions that walk an index. Homes are indexed with search, as they are unless told
otherwise: a list that looks for a title asks the trigrams in search.db. The peer answers over stdio JSON-RPC, ours in
process: some tenths of a millisecond of the peer's are the pipe and the JSON. It
is asked with useStateDbOnly, its fast way; ``--scan`` times its default too, which
reads files and takes seconds for a search.
"""

from __future__ import annotations

import argparse
import collections
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import codex_peer, homes, measure, ours, recorded

PEER_SIZE = 10_000  # a full home, the one of bench/index.py; the other sizes are tiny rollouts
FAST_MS, SLOW_MS = 1.0, 20.0
FLAT = 2.0


@dataclass(frozen=True)
class Question:
    """One list: what is passed to ``threads.list``, its target, and whether deep pages are asked for."""

    name: str
    params: dict[str, Any]
    at_most_ms: float = FAST_MS
    deep: bool = False


QUESTIONS = (
    Question("first page", {}, deep=True),
    Question("created order", {"sort": "created"}, deep=True),
    Question("recency order", {"sort": "recency"}, deep=True),
    Question("oldest first", {"direction": "asc"}, deep=True),
    Question("archived", {"archived": True}, deep=True),
    Question("archived or not", {"archived": None}, deep=True),
    Question("cwd", {"cwds": ["/srv/repo01"]}, deep=True),
    Question("provider", {"providers": ["openai"]}, deep=True),
    Question("source", {"sources": ["exec"]}, deep=True),
    Question("parent", {"parent": "the busiest"}),
    Question("cwd + source", {"cwds": ["/srv/repo01"], "sources": ["exec"]}, SLOW_MS),
    Question("provider + source", {"providers": ["openai"], "sources": ["exec"]}, SLOW_MS),
    Question("search common", {"search": "parser"}, SLOW_MS),
    Question("search rare", {"search": "needle-zebra"}, SLOW_MS),
    Question("search none", {"search": "xyzzy-nowhere"}, SLOW_MS),
    Question("search + cwd", {"search": "parser", "cwds": ["/srv/repo01"]}, SLOW_MS),
    Question("search rare + source", {"search": "needle-zebra", "sources": ["exec"]}, SLOW_MS),
)


@dataclass(frozen=True)
class Answer:
    """What one question took and how many threads its page held."""

    latency: measure.Latency
    threads: int
    at_most_ms: float


def measured(sizes: list[int], peer: bool, scan: bool) -> list[measure.Result]:
    """Return a result per size, and one that sets the smallest beside the largest."""
    results, answers = [], {}
    for n in sizes:
        home = homes.home(n, tiny=n != PEER_SIZE)
        result = measure.Result(f"Listing, {n:,} threads, 25 a page")
        mine: dict[str, Answer] = {}
        with ours.part(result, "listing"), ours.indexed(home) as state:
            state.wait_for_search()
            behind = state.status().search_behind
            result.notes.append(f"indexed with search; {behind} threads behind" if behind else "indexed with search")
            for question in QUESTIONS:
                with ours.part(result, question.name):
                    mine |= ask(state, home, question)
        theirs, label = peer_side(result, home, n, peer, scan)
        add_rows(result, mine, theirs, label)
        answers[n] = mine
        results.append(result)
    return [*results, flatness(answers)] if len(sizes) > 1 else results


# --- ours --------------------------------------------------------------------


def ask(state: Any, home: Path, question: Question) -> dict[str, Answer]:
    """Time the first page of ``question``, and its deep ones."""
    params = dict(question.params)
    if "parent" in params:
        params["parent"] = busiest_parent(home)
    found = {question.name: timed(state, params, None, question.at_most_ms)}
    if question.deep:
        cursors = deep_cursors(state, params)
        for share, cursor in cursors.items():
            found[f"{question.name}, {share}"] = timed(state, params, cursor, question.at_most_ms)
    return found


def timed(state: Any, params: dict[str, Any], cursor: str | None, at_most_ms: float) -> Answer:
    def call(_: int) -> Any:
        return state.threads.list(limit=25, cursor=cursor, **params)

    return Answer(measure.latency(call, most=300, budget_s=1.0, warmup=5), len(call(0).threads), at_most_ms)


def deep_cursors(state: Any, params: dict[str, Any]) -> dict[str, str]:
    """Walk ``params`` to its end by hundreds and return the cursors at 50 and 95 %, if it is long enough."""
    cursors: list[str] = []
    page = state.threads.list(limit=100, **params)
    while page.next_cursor:
        cursors.append(page.next_cursor)
        page = state.threads.list(limit=100, cursor=page.next_cursor, **params)
    if len(cursors) < 3:
        return {}
    return {"deep 50 %": cursors[len(cursors) // 2], "deep 95 %": cursors[len(cursors) * 95 // 100]}


def busiest_parent(home: Path) -> str:
    """Return the thread with the most sub-agents in a sample of the files of ``home``."""
    seen: collections.Counter[str] = collections.Counter()
    for path in homes.rollouts(home)[:5000]:
        with path.open("rb") as file:
            line = file.readline()
        if b'"parent_thread_id"' in line:
            seen[json.loads(line)["payload"]["parent_thread_id"]] += 1
    return seen.most_common(1)[0][0]


# --- the peer ----------------------------------------------------------------

Theirs = dict[tuple[str, str], measure.Latency | tuple[float, float]]


def peer_side(result: measure.Result, home: Path, n: int, peer: bool, scan: bool) -> tuple[Theirs, str]:
    """Return the peer's latencies at its size: of this run, or the recorded ones and their label."""
    if n != PEER_SIZE:
        return {}, ""
    if peer:
        with ours.part(result, "lists"), codex_peer.running(codex_peer.ready_home(home)) as running:
            modes = ("db", "scan") if scan else ("db",)
            result.notes.append(f"peer: codex {codex_peer.VERSION}, useStateDbOnly, over stdio JSON-RPC")
            return dict(codex_peer.list_latencies(running, modes)), ""
    return dict(recorded.LATENCY_MS[n]), recorded.LABEL


def peer_name(name: str) -> str:
    """Return the peer's name of a question: its deep pages are of the first one."""
    return name.removeprefix("first page, ")


def add_rows(result: measure.Result, mine: dict[str, Answer], theirs: Theirs, label: str) -> None:
    names = list(mine) or [name for name, mode in theirs if mode == "db"]
    for name in names:
        answer = mine.get(name)
        beside = pair(theirs.get((peer_name(name), "db")))
        scan = pair(theirs.get((peer_name(name), "scan")))
        notes = [str(answer.latency), f"{answer.threads} threads"] if answer else []
        notes += [f"peer p99 {measure.number(beside[1])}"] if beside else []
        notes += [f"its default {measure.number(scan[0])}"] if scan else []
        result.add(
            name,
            answer.latency.p50 if answer else None,
            "ms",
            answer.at_most_ms if answer else None,
            beside[0] if beside else None,
            None,
            label,
            "; ".join(notes),
        )


def pair(one: measure.Latency | tuple[float, float] | None) -> tuple[float, float] | None:
    return (one.p50, one.p99) if isinstance(one, measure.Latency) else one


# --- flat or not -------------------------------------------------------------


def flatness(answers: dict[int, dict[str, Answer]]) -> measure.Result:
    """Return how much slower the largest size is than the smallest, question by question.

    The target holds for what walks an index and fills its page at both sizes. A
    search that finds less than a page has to look everywhere, or in an index of
    its own: that is only told.
    """
    small, large = min(answers), max(answers)
    result = measure.Result(f"Listing, p50 at {large:,} threads as a multiple of {small:,}")
    for name, at_large in answers[large].items():
        if at_small := answers[small].get(name):
            grown = at_large.latency.p50 / at_small.latency.p50
            same = at_small.threads == at_large.threads
            target = FLAT if at_large.at_most_ms == FAST_MS and same else None
            note = "" if same else f"{at_small.threads} and {at_large.threads} threads on the page"
            result.add(name, grown, "x", target, note=note)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1000,10000,100000")
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--scan", action="store_true", help="time the peer's default mode too")
    given = parser.parse_args()
    sizes = [int(size) for size in given.sizes.split(",")]
    return measure.finish(measured(sizes, not given.no_peer, given.scan))


if __name__ == "__main__":
    sys.exit(main())
