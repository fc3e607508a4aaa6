"""How many power cuts are looked at per second, workload by workload: see tests/power/README.md.

    python -m bench.power [--seeds 2]

A point is one way to cut at one step: its image is made, hashed and judged. Images
that differ are also written, opened through ``Store`` (or ``holdfast.open``),
checked and compared; that is what takes the time. All of it is one thread: on a
machine that does other things, too, what it makes of a second of CPU is the number.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "power")]

import replay  # noqa: E402
from test_power_cuts import WORKLOADS  # noqa: E402

POINTS_PER_SECOND = 500


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2, help="how often what is left to chance is drawn")
    given = parser.parse_args()
    print(f"{'workload':<28}{'steps':>7}{'points':>9}{'images':>9}{'points/s':>10}{'images/s':>10}{'points/CPU s':>14}")
    total = replay.Report()
    for name, run in WORKLOADS.items():
        with replay.memory_folder() as folder:
            root, image = f"{folder}/root", f"{folder}/image"
            os.mkdir(root)
            os.mkdir(image)
            done = run(root, Path(folder) / "home")
            report = replay.replay(done.log, done.examine, done.judge, folder=image, seeds=given.seeds)
        assert not report.violations, report.violations
        steps = replay.io_steps(done.log.ops[done.log.begin :])
        told(name, steps, report)
        total.points += report.points
        total.distinct += report.distinct
        total.seconds += report.seconds
        total.cpu_seconds += report.cpu_seconds
    told("all", None, total)
    print(f"target: {POINTS_PER_SECOND} points per second of one core, over all")
    return 0 if total.points / total.cpu_seconds >= POINTS_PER_SECOND else 1


def told(name: str, steps: int | None, report: replay.Report) -> None:
    print(
        f"{name:<28}{'' if steps is None else steps:>7}{report.points:>9}{report.distinct:>9}"
        f"{report.points / report.seconds:>10.0f}{report.distinct / report.seconds:>10.0f}"
        f"{report.points / report.cpu_seconds:>14.0f}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
