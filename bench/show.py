"""One thread with all its turns: a hundred typical ones and the ten biggest; the peer's beside it.

    python -m bench.show [--n 10000] [--no-peer]

Each thread is read once in a round, three rounds, and its median counts. The peer
gives no turns for about two in five of these threads (paginated ones it has not
resumed), which flatters its times: how many is told.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

from bench import codex_peer, homes, measure, ours, recorded

ROUNDS = 3
TYPICAL_MS = 5.0


def measured(n: int, peer: bool) -> list[measure.Result]:
    home = homes.home(n)
    homes.warm(home)
    result = measure.Result(f"A thread with all its turns, home of {n:,}")
    groups = dict(zip(("typical", "biggest"), codex_peer.typical_and_biggest(home), strict=True))
    mine: dict[str, tuple[measure.Latency, int]] = {}
    with ours.part(result, "reading"), ours.indexed(home, "--no-search") as state:
        for name, thread_ids in groups.items():
            mine[name] = read(state, thread_ids)
    theirs: dict[str, codex_peer.Reading] = {}
    if peer:
        with ours.part(result, "reads"), codex_peer.running(codex_peer.ready_home(home)) as running:
            theirs = {name: codex_peer.read_latencies(running, ids) for name, ids in groups.items()}
            result.notes.append(f"peer: codex {codex_peer.VERSION}, thread/read with includeTurns")
    for name in groups:
        add_row(result, n, name, mine.get(name), theirs.get(name))
    return [result]


def read(state: Any, thread_ids: list[str]) -> tuple[measure.Latency, int]:
    """Return the medians of reading each thread, and how many had no turns."""
    times: dict[str, list[float]] = {one: [] for one in thread_ids}
    empty = 0
    for round_ in range(ROUNDS):
        for one in thread_ids:
            began = time.perf_counter()
            turns = list(turns_of(state.threads.read(one)))
            times[one].append((time.perf_counter() - began) * 1000)
            empty += not turns and not round_
    return measure.Latency(tuple(sorted(statistics.median(some) for some in times.values()))), empty


def turns_of(answer: Any) -> Any:
    """Return the turns of an answer; timed too, in case they are only read when asked for."""
    if not hasattr(answer, "turns"):
        raise ours.NotYetError(f"threads.read returned {type(answer).__name__}, which has no turns")
    return answer.turns() if callable(answer.turns) else answer.turns


def add_row(
    result: measure.Result,
    n: int,
    name: str,
    mine: tuple[measure.Latency, int] | None,
    theirs: codex_peer.Reading | None,
) -> None:
    notes = [f"{mine[0]}, {mine[1]} without turns"] if mine else []
    peer_p50, label = (theirs.latency.p50, "") if theirs else (None, "")
    if theirs:
        notes.append(f"peer {theirs.latency}, {theirs.without_turns} without turns, {theirs.failed} failed")
    else:
        key = ("read with turns" if name == "typical" else "read biggest", "")
        if known := recorded.LATENCY_MS.get(n, {}).get(key):
            peer_p50, label = known[0], recorded.LABEL
    target = TYPICAL_MS if name == "typical" else None
    result.add(name, mine[0].p50 if mine else None, "ms", target, peer_p50, None, label, "; ".join(notes))


if __name__ == "__main__":
    sys.exit(measure.main(measured, __doc__))
