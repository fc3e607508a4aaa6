"""Runs the benches one after the other and writes one Markdown table.

    python -m bench [all | index listing search show startup contention million claiming salvage]
                    [--n 10000] [--rounds 3] [--quick] [--no-peer] [--out FILE]

Exits 1 when a target was missed or something could not be measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from bench import board, claiming, contention, homes, index, listing, measure, million, salvage, search, show, startup

Bench = Callable[[int, bool], list[measure.Result]]
ROUNDS = {"claiming": 3}
BENCHES: dict[str, Bench] = {
    "index": lambda n, peer: index.measured(n, 1, peer),
    "listing": lambda _, peer: listing.measured([1_000, 10_000, 100_000], peer, scan=False),
    "search": search.measured,
    "show": show.measured,
    "contention": lambda _, peer: contention.measured([8, 40], 7, 1.0, peer),
    "million": lambda _n, _peer: million.measured([1_000, 100_000, 1_000_000], 5),
    "board": lambda _, peer: board.measured([1_000, 10_000, 100_000], 3, 2.0, peer),
    "claiming": lambda _, peer: claiming.measured([1, 4, 8, 16], ROUNDS["claiming"], 2.0, peer),
    "salvage": salvage.measured,
    "startup": lambda _, peer: startup.measured(50_000, 15, peer),
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=["all"], help=f"all, or some of: {', '.join(BENCHES)}")
    parser.add_argument("--n", type=int, default=10_000, help="size of the home for index, search and show")
    parser.add_argument("--rounds", type=int, help="rounds of claiming; 3 when not given")
    parser.add_argument("--quick", action="store_true", help="a tenth of the file for salvage")
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--out", type=Path, help="the Markdown file; in the cache when not given")
    given = parser.parse_args()
    names = list(BENCHES) if "all" in given.names else given.names
    if unknown := set(names) - set(BENCHES):
        parser.error(f"no such bench: {', '.join(sorted(unknown))}")
    if given.rounds:
        ROUNDS["claiming"] = given.rounds
    salvage.QUICK["quick"] = given.quick
    results = []
    for name in names:
        print(f"running {name}", file=sys.stderr, flush=True)
        results += BENCHES[name](given.n, not given.no_peer)
    out = given.out or homes.cache_dir() / "results.md"
    out.write_text(measure.markdown(results), encoding="utf-8")
    code = measure.finish(results)
    print(f"written to {out}")
    return code


if __name__ == "__main__":
    sys.exit(main())
