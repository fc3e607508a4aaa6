"""How long a person waits: help, import, and a list of 50k threads from a cold process.

    python -m bench.startup [--n 50000] [--rounds 15] [--no-peer]

Rounds are interleaved with ``python -c pass``, so what the interpreter itself takes
that minute stands beside. Cold is the process, not the page cache. The peer's rows
are its own help, and its recorded time to a first page with a finished database.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from bench import codex_peer, homes, measure, ours, recorded

HELP_MS, LIST_MS = 100.0, 200.0
TARGETS = {"holdfast --help": HELP_MS, "holdfast threads list": LIST_MS}


def measured(n: int, rounds: int, peer: bool) -> list[measure.Result]:
    result = measure.Result(f"Starting up, median of {rounds} interleaved rounds")
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import holdfast": [sys.executable, "-c", "import holdfast"],
        "holdfast --help": ours.command("--help"),
    }
    theirs: dict[str, tuple[float, str]] = {}
    if peer:
        with ours.part(result, "help"):
            commands["codex --help"] = [*codex_peer.cut_off(), str(codex_peer.binary()), "--help"]
    if n in recorded.WARM_INITIALIZE_S:
        theirs["holdfast threads list"] = (recorded.WARM_INITIALIZE_S[n] * 1000, recorded.LABEL)
    home = homes.home(n, tiny=True)
    with ours.empty_state(home.name) as state:
        with ours.part(result, f"threads list, {n:,} threads"):
            ours.index(home, state, "--no-search")
            commands["holdfast threads list"] = ours.command("--state", state, "threads", "list")
        times = interleaved(result, commands, rounds, home)
    if (codex_help := times.pop("codex --help", None)) is not None:
        theirs["holdfast --help"] = (codex_help.p50, "its --help")
    for name, latency in times.items():
        beside, label = theirs.get(name, (None, ""))
        what = f"{name}, {n:,} threads" if name.endswith("list") else name
        result.add(what, latency.p50, "ms", TARGETS.get(name), beside, None, label, str(latency))
    return [result]


def interleaved(
    result: measure.Result, commands: dict[str, list[str]], rounds: int, home: Path
) -> dict[str, measure.Latency]:
    """Run every command once a round; one that fails is told and left out."""
    env = ours.environment(CODEX_HOME=str(home))
    times: dict[str, list[float]] = {}
    for name, command in commands.items():
        done = subprocess.run(command, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            result.missing.append(f"{name}: ended with {done.returncode}: {ours.last_line(done.stderr)}")
        else:
            times[name] = []
    for _ in range(rounds):
        for name, taken in times.items():
            began = time.perf_counter()
            subprocess.run(commands[name], env=env, capture_output=True, stdin=subprocess.DEVNULL)
            taken.append((time.perf_counter() - began) * 1000)
    return {name: measure.Latency(tuple(sorted(taken))) for name, taken in times.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--no-peer", action="store_true")
    given = parser.parse_args()
    return measure.finish(measured(given.n, given.rounds, not given.no_peer))


if __name__ == "__main__":
    sys.exit(main())
