"""A clock a test sets, and what child processes begin with."""

from __future__ import annotations

from pathlib import Path

PRELUDE = f"""
TESTS = {str(Path(__file__).parents[1])!r}
from holdfast import clock, holds, schema
from holdfast.holds import Denied, Hold
sys.path.insert(0, TESTS)
from engines import open_engine
ARGS = sys.argv[1:]
"""


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.ms

    def advance(self, ms: int) -> None:
        self.ms += ms
