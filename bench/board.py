"""A board of tasks that eight processes work off, beside hermes-agent's, on the same disk in the same run.

    python -m bench.board [DIRECTORY] [--sizes 1000,10000,100000] [--rounds 3] [--seconds 2] [--quick] [--no-peer]
                          [--postgres URL | --no-postgres]

In each round, in a new order (the peer in the first alone): eight of ours claim a task and complete it, each a
durable commit (FULL); eight of ours end one and claim the next in one commit; eight of the
peer's do as the first. Before and after those of ours one process writes and syncs as
fast as the disk lets it, and claims a second are also told as a share of that. A
worker's longest wait for one claim is told, how evenly the tasks fell, and what went
wrong, counted from what each process was told and what the tables say afterwards:

* a double: two were told that they claimed the same task;
* a ghost: the table says claimed, and nobody was told so;
* lost: somebody was told it is completed, and the table says otherwise.

One of these on our side ends the bench with 1, as does a missed target. Then each
call by itself, in one process, at each size: create, claim, comment, complete (durable),
the first 50 that are ready, statistics; and what a new process pays before it has its first page.

The peer is hermes-agent 0.19.0 from PyPI, in a Python of its own in the bench's
cache, made when it is missing (ordinary pip, about 20 s). It runs twice: as shipped, where eight workers
damage its file, and mended (see ``board_sides.Mended``). The peer's column has the mended one's speed, and
what went wrong as shipped. PostgreSQL is a server started for the bench, with fsync on.

About five minutes; ``--quick`` one, with the two smaller boards and one round.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import claiming, contention, homes, measure, ours

PEER = "hermes-agent==0.19.0"
DRIVER = str(Path(__file__).with_name("board_sides.py"))
WORKERS = 8
DISK_S = 0.5
SHARE_LEAST, WAIT_MOST_MS = 0.4, 250.0
LIST_MOST_MS, STATS_MOST_MS, COLD_MOST_MS = 2.0, 5.0, 10.0
GROWTH_MOST = 2.0
"""So much longer a call may take on the largest board than on the smallest: a disk is noisier than that."""
OPS_REPEATS = 60
DURABLE = ("create", "claim", "comment", "complete")


# --- the sides -----------------------------------------------------------------


@dataclass(frozen=True)
class Side:
    """One of the boards, and the Python that runs it."""

    name: str
    python: str
    environment: dict[str, str]

    def start(self, where: str, *does: object) -> subprocess.Popen[str]:
        command = [self.python, "-P", DRIVER, self.name, where, *map(str, does)]
        return subprocess.Popen(
            command, env=self.environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            cwd=tempfile.gettempdir(), stderr=None if self.name == "ours" else subprocess.DEVNULL,
        )  # fmt: skip

    def ask(self, where: str, *does: object) -> Any:
        process = self.start(where, *does)
        told = process.communicate("\n")[0]
        if process.returncode:
            raise ours.NotYetError(f"{self.name}: {does[0]} ended with {process.returncode}")
        return json.loads(told.splitlines()[-1])


def our_side() -> Side:
    return Side("ours", sys.executable, ours.environment())


def peer_sides(folder: str) -> dict[str, Side]:
    """Return the peer, as shipped and mended, fetched when it is not in the cache; its home is in ``folder``."""
    place = homes.cache_dir() / "peers-hermes"
    python = place / "bin" / "python"
    if not (place / "ready").exists():
        print(f"fetching {PEER}", file=sys.stderr, flush=True)
        venv.create(place, clear=True, with_pip=True)
        install = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", PEER]
        subprocess.run(install, check=True, timeout=600, stderr=subprocess.DEVNULL)
        (place / "ready").touch()
    home = os.path.join(folder, "hermes-home")
    os.makedirs(home, exist_ok=True)
    environment = {**os.environ, "HOME": home, "HERMES_HOME": home, "PYTHONPATH": ""}
    return {name: Side(name, str(python), environment) for name in ("mended", "hermes")}


# --- eight at once -------------------------------------------------------------


@dataclass(frozen=True)
class Crowd:
    """What eight processes did with one board in one round."""

    rate: float
    claims_ms: list[float]
    fair: float
    cpu_ms: float
    doubles: int
    ghosts: int
    lost: int
    errors: list[str]
    integrity: str
    syncs: float = 0.0
    """Of the disk alone, just before and after."""

    @property
    def wrong(self) -> int:
        return self.doubles + self.ghosts + self.lost + len(self.errors) + (self.integrity != "ok")


def crowd(side: Side, where: str, seconds: float, does: str = "work") -> Crowd:
    """Have eight processes of ``side`` work the board at ``where``, and look what is true afterwards."""
    running = [side.start(where, does, seconds) for _ in range(WORKERS)]
    for each in running:
        assert each.stdout is not None
        if each.stdout.readline() != "ready\n":
            raise ours.NotYetError(f"a worker of {side.name} did not come up")
    for each in running:
        assert each.stdin is not None
        each.stdin.write("\n")
        each.stdin.flush()
    told = [json.loads(each.communicate()[0].splitlines()[-1]) for each in running]
    tables = side.ask(where, "check")
    keys = [key for each in told for key in each["keys"]]
    done = {key for each in told for key in each["done"]}
    counts = [len(each["keys"]) for each in told]
    return Crowd(
        rate=len(keys) / max(each["s"] for each in told),
        claims_ms=sorted(ms for each in told for ms in each["claims_ms"]),
        fair=min(counts) / max(max(counts), 1),
        cpu_ms=sum(each["cpu_s"] for each in told) * 1000 / max(len(keys), 1),
        doubles=len(keys) - len(set(keys)),
        ghosts=0 if tables["running"] is None else len(set(tables["running"]) - set(keys)),
        lost=0 if tables["done"] is None else len(done - set(tables["done"])),
        errors=[error for each in told for error in each["errors"]],
        integrity=tables["integrity"],
    )


WAYS = {  # the side, what it does, how it is told
    "ours": ("ours", "work", "claim, complete"),
    "together": ("ours", "work-together", "complete and claim the next in one commit"),
    "mended": ("mended", "work", ""),
    "hermes": ("hermes", "work", ""),
}


def rounds_of(
    sides: dict[str, Side], boards: dict[str, str], folder: str, rounds: int, seconds: float
) -> dict[str, list[Crowd]]:
    """Return what each way came to, round by round; each works a fresh copy of its board."""
    ways = [way for way, (side, _, _) in WAYS.items() if side in sides]
    seen: dict[str, list[Crowd]] = {way: [] for way in ways}
    with disk_alone(folder) as syncs:
        for number in range(rounds):
            for way in random.sample(ways, len(ways)):
                side, does, _told = WAYS[way]
                if number and side != "ours":
                    continue  # a large board keeps the peer's eight busy for seconds before they can begin
                with tempfile.TemporaryDirectory(dir=folder) as copy:
                    where = shutil.copy(boards[side], copy)
                    before = syncs() if side == "ours" else 0.0
                    run = crowd(sides[side], where, seconds, does)
                    seen[way].append(replace(run, syncs=(before + syncs()) / 2) if side == "ours" else run)
    return seen


@contextlib.contextmanager
def disk_alone(folder: str) -> Iterator[Callable[[], float]]:
    """Yield what tells how many writes of a frame one process syncs a second, now."""
    disk = contention.Crowd("disk", os.path.join(folder, "disk"), 1)
    try:
        yield lambda: disk.round(DISK_S).per_s
    finally:
        disk.close()


def tell_crowds(result: measure.Result, size: int, seen: dict[str, list[Crowd]]) -> None:
    syncs = sorted(run.syncs for way in ("ours", "together") for run in seen[way])
    result.notes.append(f"{size:,}: the disk alone made {syncs[0]:,.0f} to {syncs[-1]:,.0f} syncs/s")
    peer, shipped = seen.get("mended"), seen.get("hermes")
    for way in ("ours", "together"):
        runs = seen[way]
        other = peer if way == "ours" else None
        share = statistics.median(run.rate / run.syncs for run in runs)
        told = f"{size:,}: {WAYS[way][2]}"
        cpu = statistics.median(run.cpu_ms for run in runs)
        result.add(f"{told}: claims/s", rate(runs), "/s", peer=rate(other), note=f"{cpu:.1f} ms CPU a task")
        result.add(f"{told}: share of the disk's syncs", share, "", at_least=SHARE_LEAST if way == "ours" else None)
        result.add(
            f"{told}: worst claim", worst(runs), "ms", WAIT_MOST_MS if way == "ours" else None, peer=worst(other),
            note=f"p50 {percentile(runs, 50):.1f}, p95 {percentile(runs, 95):.1f} ms",
        )  # fmt: skip
        result.add(f"{told}: least / most of a worker", fair(runs), "", peer=fair(other))
        result.add(
            f"{told}: doubles, ghosts, lost, errors", sum(run.wrong for run in runs), "", 0.0,
            peer=sum(run.wrong for run in shipped) if other and shipped else None,
            note=what_went_wrong(runs, shipped if other else None),
        )  # fmt: skip


def rate(runs: list[Crowd] | None) -> float | None:
    return statistics.median(run.rate for run in runs) if runs else None


def worst(runs: list[Crowd] | None) -> float | None:
    return max((run.claims_ms[-1] for run in runs if run.claims_ms), default=None) if runs else None


def fair(runs: list[Crowd] | None) -> float | None:
    return statistics.median(run.fair for run in runs) if runs else None


def percentile(runs: list[Crowd], percent: int) -> float:
    times = sorted(ms for run in runs for ms in run.claims_ms)
    return times[min(len(times) - 1, len(times) * percent // 100)]


def what_went_wrong(runs: list[Crowd], other: list[Crowd] | None) -> str:
    def told(who: str, found: list[Crowd]) -> list[str]:
        counts = {word: sum(getattr(run, word) for run in found) for word in ("doubles", "ghosts", "lost")}
        counts["errors"] = sum(len(run.errors) for run in found)
        said = [f"{who}: {count} {word}" for word, count in counts.items() if count]
        said += [f"{who}: {run.integrity}" for run in found if run.integrity != "ok"]
        return said + [f"{who}: {error}" for error in sorted({error for run in found for error in run.errors})[:1]]

    return "; ".join(told("ours", runs) + told("peer", other or []))


# --- one call at a time --------------------------------------------------------


def calls(sides: dict[str, Side], boards: dict[int, dict[str, str]], folder: str, rounds: int) -> measure.Result:
    """Measure each call by itself: the sizes in turn, so that a disk that slows down slows all of them."""
    result = measure.Result(f"one call at a time, one process, FULL, load {os.getloadavg()[0]:.0f}")
    times: dict[tuple[str, int, str], list[float]] = {}
    for number in range(rounds):
        for size, by_side in boards.items():
            for name in ("ours", "mended") if "mended" in sides and not number else ("ours",):
                side = sides[name]
                with tempfile.TemporaryDirectory(dir=folder) as copy:
                    where = os.path.join(copy, "state.db")
                    shutil.copy(by_side[name], where)
                    for call, ms in side.ask(where, "ops", OPS_REPEATS // rounds).items():
                        times.setdefault((name, size, call), []).extend(ms)
                    for _ in range(3):
                        cold = side.ask(where, "cold")["cold_ms"]
                        times.setdefault((name, size, "cold open"), []).append(cold)
    limits = {"list 50 ready": LIST_MOST_MS, "statistics": STATS_MOST_MS, "cold open": COLD_MOST_MS}
    small, large = min(boards), max(boards)
    for call in dict.fromkeys(call for name, _, call in times if name == "ours"):
        for size in boards:
            mine, theirs = times["ours", size, call], times.get(("mended", size, call))
            judged = limits.get(call) if size == large else None
            note = f"p95 {quantile(mine, 0.95):.2f}" + (f", peer {quantile(theirs, 0.95):.2f} ms" if theirs else " ms")
            peer = quantile(theirs, 0.5) if theirs else None
            result.add(f"{call}, {size:,}: p50", quantile(mine, 0.5), "ms", judged, peer=peer, note=note)
        if call in DURABLE and small < large:
            growth = quantile(times["ours", large, call], 0.5) / quantile(times["ours", small, call], 0.5)
            peer = None
            if ("mended", large, call) in times:
                peer = quantile(times["mended", large, call], 0.5) / quantile(times["mended", small, call], 0.5)
            result.add(f"{call}: p50 at {large:,} over {small:,}", growth, "x", GROWTH_MOST, peer=peer)
    return result


def quantile(times: list[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


# --- PostgreSQL ----------------------------------------------------------------


def on_postgres(url: str, sizes: list[int], folder: str, rounds: int, seconds: float) -> measure.Result:
    result = measure.Result(f"the same on PostgreSQL with fsync, load {os.getloadavg()[0]:.0f}")
    side = our_side()
    with disk_alone(folder) as syncs:
        for size in sizes:
            runs = []
            for number in range(rounds):
                where = claiming.database(url, f"board_{size}_{number}_{os.getpid()}")
                side.ask(where, "fill", size)
                before = syncs()
                run = crowd(side, where, seconds)
                runs.append(replace(run, syncs=(before + syncs()) / 2))
            share = statistics.median(run.rate / run.syncs for run in runs)
            result.add(f"{size:,}: claims/s", rate(runs), "/s", note=f"{share:.2f} of the disk's syncs alone")
            note = f"p50 {percentile(runs, 50):.1f}, p95 {percentile(runs, 95):.1f} ms"
            result.add(f"{size:,}: worst claim", worst(runs), "ms", note=note)
            result.add(f"{size:,}: least / most of a worker", fair(runs), "")
            bad = sum(run.wrong for run in runs)
            result.add(f"{size:,}: doubles, ghosts, lost, errors", bad, "", 0.0, note=what_went_wrong(runs, None))
            for call, ms in side.ask(where, "ops", OPS_REPEATS).items():
                result.add(f"{size:,}: {call}, p50", quantile(ms, 0.5), "ms", note=f"p95 {quantile(ms, 0.95):.2f} ms")
    return result


# --- the bench -----------------------------------------------------------------


def measured(
    sizes: list[int], rounds: int, seconds: float, peer: bool, postgres: str | None = "", directory: str | None = None
) -> list[measure.Result]:
    """Return a result for eight at once, one for single calls, and one for PostgreSQL (``None``: without; "": ours)."""
    eight = measure.Result(f"{WORKERS} processes on one board, FULL, load {os.getloadavg()[0]:.0f}")
    results = [eight]
    with tempfile.TemporaryDirectory(dir=directory or homes.cache_dir(), prefix="board-") as folder:
        sides = {"ours": our_side()}
        if peer:
            with ours.part(eight, "the peer"):
                sides |= peer_sides(folder)
        boards: dict[int, dict[str, str]] = {}
        with ours.part(eight, "filling"):
            for size in sizes:
                boards[size] = {}
                for name in ("ours", "mended") if "mended" in sides else ("ours",):
                    boards[size][name] = os.path.join(folder, f"{name}-{size}.db")
                    sides[name].ask(boards[size][name], "fill", size)
                if "mended" in sides:
                    boards[size]["hermes"] = boards[size]["mended"]
        for size in sizes:
            print(f"{size:,} tasks", file=sys.stderr, flush=True)
            with ours.part(eight, f"{size:,} tasks"):
                tell_crowds(eight, size, rounds_of(sides, boards[size], folder, rounds, seconds))
        with ours.part(eight, "single calls"):
            results.append(calls(sides, boards, folder, rounds))
        if postgres is not None:
            with (
                ours.part(eight, "PostgreSQL"),
                contextlib.nullcontext(postgres) if postgres else claiming.server() as url,
            ):
                results.append(on_postgres(url, sizes, folder, max(rounds // 3, 1), seconds))
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", help="where to write; the file system matters")
    parser.add_argument("--sizes", default="")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--postgres", metavar="URL", default="")
    parser.add_argument("--no-postgres", action="store_true")
    given = parser.parse_args()
    sizes = [int(size) for size in (given.sizes or ("1000,10000" if given.quick else "1000,10000,100000")).split(",")]
    rounds = given.rounds or (1 if given.quick else 3)
    seconds = given.seconds or (1.0 if given.quick else 2.0)
    url = None if given.no_postgres else given.postgres
    return measure.finish(measured(sizes, rounds, seconds, not given.no_peer, url, given.directory))


if __name__ == "__main__":
    sys.exit(main())
