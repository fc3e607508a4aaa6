"""When to start nothing in a lane for a while, because nothing could be started there. Pure: no clock."""

from __future__ import annotations

from dataclasses import dataclass

FAILURES = 3
"""In a row; then the lane is paused."""
PAUSE_MS = 60_000
PAUSE_MS_MAX = 600_000


@dataclass(frozen=True, slots=True)
class Breaker:
    """How starting went in one lane. ``until_ms`` 0: as nothing was paused yet."""

    failures: int = 0
    until_ms: int = 0
    why: str = ""

    def allows(self, now_ms: int) -> bool:
        """Return True when something may be started. After a pause it is one: the next failure pauses again."""
        return now_ms >= self.until_ms

    def failed(self, why: str, now_ms: int) -> Breaker:
        """Return how it stands after one more failure: from the third on, twice the pause each time."""
        failures = self.failures + 1
        if failures < FAILURES:
            return Breaker(failures, 0, why)
        pause_ms = min(PAUSE_MS << min(failures - FAILURES, 10), PAUSE_MS_MAX)
        return Breaker(failures, now_ms + pause_ms, why)
