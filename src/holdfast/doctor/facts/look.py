"""What a raw probe gets: one target, and what was read of it without a database being opened.

For a process of its own: files of databases are read by bytes, and the close of such a
descriptor would cancel the locks of everything else in the process.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from holdfast.doctor.facts import families, places, processes, schedules
from holdfast.doctor.facts.model import Family, Key, Place, Processes
from holdfast.doctor.facts.schedules import Scheduled
from holdfast.doctor.model import Target

SCAN_MS = 1_200
"""The longest the look at all processes may take."""
SAMPLE_MS = 500
DEEP_SAMPLE_MS = 10_000

WIDE = ("/", "/etc", "/home", "/tmp", "/usr", "/var")
"""Folders that nobody should watch for one file in them. So is the user's own."""


@dataclass(frozen=True, slots=True)
class RawLook:
    """One look. ``later`` is a second one, of the same files and of the processes that had to do with them."""

    target: Target
    families: tuple[Family, ...]
    processes: Processes
    at_ns: int
    """``time.monotonic_ns()`` when it was begun."""
    later: RawLook | None = None
    is_first: bool = True
    """Of all targets: what is to be said of the machine is said for this one."""
    scheduled: tuple[Scheduled, ...] = ()
    """Lines that take away logs of databases, run by the clock. Of the machine, too."""
    _places: dict[str, Place | None] = field(default_factory=dict, repr=False, compare=False)

    def place_of(self, path: str) -> Place | None:
        """Return where the file or folder at ``path`` lies; None when there is nothing."""
        real = os.path.realpath(path)
        folder = real if os.path.isdir(real) else os.path.dirname(real)
        if folder not in self._places:
            self._places[folder] = places.place(folder)
        return self._places[folder]

    @property
    def seconds(self) -> float:
        """How long after this look the second one was begun; 0 without one."""
        return 0.0 if self.later is None else (self.later.at_ns - self.at_ns) / 1e9


def look(
    targets: Sequence[Target],
    *,
    scan_ms: int = SCAN_MS,
    sample_ms: int = SAMPLE_MS,
    between: Callable[[], object] | None = None,
    scheduled_in: Sequence[str] = schedules.PLACES,
) -> tuple[RawLook, ...]:
    """Look at ``targets`` twice, at least ``sample_ms`` apart, and return one look for each.

    Takes ``scan_ms`` for the processes or ``sample_ms``, whichever is longer, and some milliseconds for
    the files. ``between`` is called instead of waiting.
    """
    at_ns = time.monotonic_ns()
    first = [tuple(map(families.family, target.databases)) for target in targets]
    found = processes.scan([each for some in first for each in some], wide_folders(), at_ns + scan_ms * 1_000_000)
    lines = schedules.taking_away(scheduled_in)
    if between is not None:
        between()
    else:
        time.sleep(max(0.0, (at_ns - time.monotonic_ns()) / 1e9 + sample_ms / 1e3))
    later_ns = time.monotonic_ns()
    second = [tuple(map(families.family, target.databases)) for target in targets]
    since = processes.again(found, [each for some in second for each in some])
    return tuple(
        RawLook(
            target, before, found, at_ns,
            later=RawLook(target, after, since, later_ns, is_first=not number),
            is_first=not number, scheduled=() if number else lines,
        )
        for number, (target, before, after) in enumerate(zip(targets, first, second, strict=True))
    )  # fmt: skip


def wide_folders() -> dict[Key, str]:
    """Return the folders that are too wide to be watched for the sake of one file, by their identity."""
    found = {}
    for path in (*WIDE, os.path.expanduser("~")):
        try:
            seen = os.stat(path)
        except OSError:
            continue
        found[seen.st_dev, seen.st_ino] = path
    return found
