"""Play every act, and exit with 1 when a claim failed: `make demo`."""

from __future__ import annotations

import sys

from demo import board, doctor, once, storm, threads, trouble, writing
from demo.stage import Stage


def main() -> int:
    with Stage() as stage:
        threads.play(stage)
        writing.play(stage)
        storm.play(stage)
        trouble.play(stage)
        once.play(stage)
        board.play(stage)
        doctor.play(stage)
    return stage.finish()


if __name__ == "__main__":
    sys.exit(main())
