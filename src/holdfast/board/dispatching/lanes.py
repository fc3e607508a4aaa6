"""Which lanes of the boards are open: a lane is one assignee's tasks on one board."""

from __future__ import annotations

from collections.abc import Collection

from holdfast.board.dispatching.breaker import FAILURES, Breaker
from holdfast.board.dispatching.model import Paused
from holdfast.clock import boot_ms

Lane = tuple[str, str]


class Lanes:
    """The breakers of all lanes in which something could not be started."""

    def __init__(self) -> None:
        self._breakers: dict[Lane, Breaker] = {}

    def failed(self, lane: Lane, why: str) -> Breaker:
        """Note that nothing could be started in ``lane``."""
        self._breakers[lane] = self._breakers.get(lane, Breaker()).failed(why, boot_ms())
        return self._breakers[lane]

    def started(self, lane: Lane) -> None:
        """Note that something was: its failures are forgotten."""
        self._breakers.pop(lane, None)

    def closed(self, board: str, busy: Collection[Lane]) -> list[str]:
        """Return the assignees of ``board`` for whom nothing is to be started now.

        After a pause one is tried: ``busy`` are the lanes in which somebody is at work.
        """
        now_ms = boot_ms()
        return sorted(
            assignee
            for (slug, assignee), breaker in self._breakers.items()
            if slug == board
            and (not breaker.allows(now_ms) or (breaker.failures >= FAILURES and (slug, assignee) in busy))
        )

    def due_in_ms(self) -> list[int]:
        """Return when pauses end."""
        now_ms = boot_ms()
        return [each.until_ms - now_ms for each in self._breakers.values() if each.until_ms > now_ms]

    def paused(self) -> tuple[Paused, ...]:
        """Return what a leader tells of them."""
        now_ms = boot_ms()
        return tuple(
            Paused(slug, assignee, each.failures, max(0, each.until_ms - now_ms), each.why)
            for (slug, assignee), each in sorted(self._breakers.items())
            if each.failures >= FAILURES
        )
