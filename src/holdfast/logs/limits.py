"""The limits of a log that all its writers keep to, wherever they run: ``caps.json`` in its directory.

A writer reads them whenever it reserves room, so they hold for those that are
running, too. What a writer is given itself (``handler(caps=...)``) can only be
stricter: then both hold.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypedDict, Unpack

import msgspec

from holdfast import folders, quantities
from holdfast.errors import Refused
from holdfast.logs import room
from holdfast.logs.caps import Caps

FILE = "caps.json"


class Limits(TypedDict, total=False):
    """What can be limited. None: as when nothing is said of it."""

    bytes: int | str | None
    """Bytes on the disk, or "50MB", "1GiB"."""
    records: int | None
    age: float | str | None
    """Seconds, or "10d", "12h"."""
    thread_share: float | None
    """Of ``bytes``, for one thread: 0.5 to 1; None: no limit."""
    keep_free: int | str | None
    """Of the disk, as ``bytes``; instead of a share of it."""
    bytes_per_day: int | str | None


def retention(directory: str | os.PathLike[str], **limits: Unpack[Limits]) -> Caps:
    """Set limits for every writer of the log in ``directory``, from its next reservation on; return all in force.

    ``retention(directory, bytes="50MB", records=10_000, age="10d")``; ``Limits`` says what else. What is not given
    stays as it was set. Without any it only tells. Nothing goes before a writer needs room or ``prune`` is called,
    which can say first what would.

    Raises ``Refused`` for what cannot be meant, ``Busy`` when others make room for longer than 400 ms, ``OSError``.
    """
    folder = os.fspath(directory)
    if not limits:
        return in_force(folder)
    instead(Caps(), **limits)  # refuses what cannot be meant before anything is made
    folders.make(folder)
    with room.locked(folder):
        caps = instead(_set(folder) or Caps(), **limits)
        room.replace(os.path.join(folder, FILE), msgspec.json.encode(caps))
    return in_force(folder)


def preview(directory: str, **limits: Unpack[Limits]) -> Caps:
    """Return what ``retention`` would, and set nothing. Raises ``Refused``."""
    return _on_disk(directory, instead(_set(directory) or Caps(), **limits))


def instead(caps: Caps, **limits: Unpack[Limits]) -> Caps:
    """Return ``caps`` with these in place of its own. Raises ``Refused``, and ``TypeError`` for an unknown one."""
    if unknown := limits.keys() - Limits.__annotations__.keys():
        raise TypeError(f"there is no limit called {', '.join(sorted(unknown))}")
    usual = Caps()
    given: dict[str, Any] = {}
    for name, limit in limits.items():
        field = _FIELDS.get(name, name)
        if limit is None and field in ("bytes", "age_s"):  # no log is without
            given[field] = getattr(usual, field)
        elif limit is None or name not in _READ:
            given[field] = limit
        else:
            given[field] = _READ[name](limit)
    return msgspec.structs.replace(caps, **given)


_FIELDS = {"age": "age_s", "keep_free": "free_bytes"}
_READ: dict[str, Callable[[Any], float]] = {
    "bytes": quantities.size_bytes,
    "keep_free": quantities.size_bytes,
    "bytes_per_day": quantities.size_bytes,
    "age": quantities.age_s,
}


def in_force(directory: str, own: Caps | None = None) -> Caps:
    """Return the limits that hold for this log: those set, a writer's ``own`` as well, and those of the disk."""
    caps = _set(directory)
    if own is not None:
        caps = own if caps is None else caps.and_also(own)
    return _on_disk(directory, caps or Caps())


def _set(directory: str) -> Caps | None:
    """Return what ``retention`` set; a list that is damaged sets nothing."""
    try:
        with open(os.path.join(directory, FILE), "rb") as file:
            return msgspec.json.decode(file.read(), type=Caps)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, Refused):
        return None


def _on_disk(directory: str, caps: Caps) -> Caps:
    try:
        disk = os.statvfs(directory)
    except OSError:
        return caps  # who writes there finds out
    ceiling = caps.ceiling(disk.f_blocks * disk.f_frsize)
    return caps if ceiling == caps.bytes else msgspec.structs.replace(caps, bytes=ceiling)
