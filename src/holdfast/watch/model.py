"""What a watcher tells. Pure: values only.

Paths are absolute and spelled as whoever subscribed spelled the root, through
whatever links that leads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Changed:
    """Something was made, written, renamed or deleted at each of these ``paths``: sorted, each once, 4,096 at most.

    What it was is not told: by the time it is read, it may be something else. Look.
    """

    paths: tuple[str, ...]
    kind: ClassVar[str] = "changed"


@dataclass(frozen=True, slots=True)
class Rescan:
    """More happened below ``root`` than can be told one by one, or unseen: look at all of it. ``why`` is a sentence."""

    root: str
    why: str
    kind: ClassVar[str] = "rescan"


@dataclass(frozen=True, slots=True)
class RootGone:
    """There is nothing at ``root`` (any more), or something else on the way to it. ``Rescan`` says when it is back."""

    root: str
    kind: ClassVar[str] = "root_gone"


@dataclass(frozen=True, slots=True)
class Degraded:
    """``root`` is watched less well than was asked for: polled, or in part not at all. ``why`` is a sentence."""

    root: str
    why: str
    kind: ClassVar[str] = "degraded"


Event = Changed | Rescan | RootGone | Degraded


@dataclass(frozen=True, slots=True)
class WatchStatus:
    """How a watcher is doing. ``roots`` are what was asked for; the rest counts directories, or events."""

    roots: tuple[str, ...]
    watches: int
    """Directories the kernel watches."""
    polled: int
    """Directories, or single files, that are looked at every so often instead."""
    missing: tuple[str, ...]
    """Roots that are not there now."""
    events: int
    """Events of the kernel so far, those that concerned nobody included."""
    overflows: int
    """How often the kernel's queue was full."""
