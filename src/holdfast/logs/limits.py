"""The limits of a log that all its writers keep to, wherever they run: ``caps.json`` in its directory.

A writer reads them whenever it reserves room, so they hold for those that are
running, too. What a writer is given itself (``handler(caps=...)``) can only be
stricter: then both hold.
"""

from __future__ import annotations

import os
from types import EllipsisType

import msgspec

from holdfast import folders, quantities
from holdfast.errors import Refused
from holdfast.logs import room
from holdfast.logs.caps import Caps

FILE = "caps.json"


def retention(
    directory: str | os.PathLike[str],
    *,
    bytes: int | str | None | EllipsisType = ...,
    records: int | None | EllipsisType = ...,
    age: float | str | None | EllipsisType = ...,
    thread_share: float | None | EllipsisType = ...,
    keep_free: int | str | None | EllipsisType = ...,
    bytes_per_day: int | str | None | EllipsisType = ...,
) -> Caps:
    """Set limits for every writer of the log in ``directory``, from its next reservation on; return all in force.

    What is not given stays as it was set; None takes it back. Without any it only tells. Nothing
    goes before a writer needs room or ``prune`` is called, which can say first what would.

    bytes, keep_free, bytes_per_day: bytes, or "50MB", "1GiB".
    age: seconds, or "10d", "12h".
    records: at most so many, in whole segments of a sixteenth.
    thread_share: of ``bytes`` for one thread, 0.5 to 1; None: no limit.

    Raises ``Refused`` for what cannot be meant, ``Busy`` when others make room for longer than
    40 ms, ``OSError``.
    """
    given: dict[str, object] = {}
    for name, size in (("bytes", bytes), ("free_bytes", keep_free), ("bytes_per_day", bytes_per_day)):
        if size is not ...:
            given[name] = None if size is None else quantities.size_bytes(size)
    if age is not ...:
        given["age_s"] = None if age is None else quantities.age_s(age)
    if records is not ...:
        given["records"] = records
    if thread_share is not ...:
        given["thread_share"] = thread_share
    return put(os.fspath(directory), given)


def put(directory: str, given: dict[str, object]) -> Caps:
    """As ``retention``, with fields of ``Caps``; where None is no limit it says so, elsewhere it is the default."""
    if not given:
        return in_force(directory)
    usual = msgspec.structs.asdict(Caps())
    meant = {
        name: usual[name] if value is None and name in ("bytes", "age_s") else value for name, value in given.items()
    }
    msgspec.structs.replace(Caps(), **meant)  # refuses what cannot be meant before anything is made
    folders.make(directory)
    with room.locked(directory):
        caps = msgspec.structs.replace(in_force(directory), **meant)
        room.replace(os.path.join(directory, FILE), msgspec.json.encode(caps))
    return caps


def in_force(directory: str, own: Caps | None = None) -> Caps:
    """Return the limits set for this log and, when a writer has its ``own``, both. A list that is damaged sets none."""
    try:
        with open(os.path.join(directory, FILE), "rb") as file:
            caps = msgspec.json.decode(file.read(), type=Caps)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, Refused):
        return own or Caps()
    return caps if own is None else caps.and_also(own)
