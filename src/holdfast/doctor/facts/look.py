"""What a raw probe gets: one target, and what was read of it without a database being opened.

For a process of its own: files of databases are read by bytes, and the close of such a
descriptor would cancel the locks of everything else in the process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from holdfast.doctor.facts.model import Family, Place, Processes
from holdfast.doctor.model import Target

SCAN_MS = 1_200
"""The longest the look at all processes may take."""
SAMPLE_MS = 500
DEEP_SAMPLE_MS = 10_000


@dataclass(frozen=True, slots=True)
class RawLook:
    """One look. ``later`` is a second one, of the same files and of the processes that hold them."""

    target: Target
    families: tuple[Family, ...]
    processes: Processes
    at_ns: int
    """``time.monotonic_ns()`` when it was begun."""
    later: RawLook | None = None
    _places: dict[str, Place] = field(default_factory=dict, repr=False, compare=False)

    def place_of(self, path: str) -> Place | None:
        """Return where the file or folder at ``path`` lies; None when there is nothing."""
        raise NotImplementedError


def look(
    targets: Sequence[Target],
    *,
    scan_ms: int = SCAN_MS,
    sample_ms: int = SAMPLE_MS,
    between: Callable[[], object] | None = None,
) -> tuple[RawLook, ...]:
    """Look at ``targets`` twice, ``sample_ms`` apart, and return one look for each.

    Takes ``scan_ms + sample_ms`` at most, and a little for the files. ``between`` is
    called instead of waiting.
    """
    raise NotImplementedError
