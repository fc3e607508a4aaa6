"""Time that does not jump: the machine's boot clock, anchored once to wall time.

A wall clock set back or forward would move every lease with it. So the first
process of a boot writes an anchor (wall time and boot time, read together) and
every process of that boot counts from it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

Clock = Callable[[], int]
"""Returns ms since the epoch."""

# CLOCK_BOOTTIME counts through suspend (clock_gettime(2)); a lease must, too.
_BOOT = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC_RAW", time.CLOCK_MONOTONIC))


def boot_ms() -> int:
    """Return ms since this machine booted, time asleep included."""
    return time.clock_gettime_ns(_BOOT) // 1_000_000


def wall_ms() -> int:
    """Return what the wall clock says, in ms since the epoch."""
    return time.time_ns() // 1_000_000


def boot_id() -> str:
    """Return a text that is different after every boot of this machine."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        # No /proc (macOS): the moment of boot, to the second, serves.
        return f"booted-{(wall_ms() - boot_ms()) // 1000}"


@dataclass(frozen=True, slots=True)
class Anchor:
    """Wall and boot time of one moment, and which boot that was."""

    boot_id: str
    wall_ms: int
    boot_ms: int

    def now_ms(self) -> int:
        """Return ms since the epoch, counted on the boot clock from the anchor."""
        return self.wall_ms + boot_ms() - self.boot_ms


def anchor(not_before_ms: int = 0) -> Anchor:
    """Return a new anchor for this boot.

    ``not_before_ms`` is the latest time already seen in the database: a wall
    clock that lost a day while the machine was off must not revive old leases.
    """
    return Anchor(boot_id(), max(wall_ms(), not_before_ms), boot_ms())
