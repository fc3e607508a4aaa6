"""What is done for a request, in which order: every probe for every target it is for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from holdfast.doctor import wire
from holdfast.doctor.homes.recognising import recognise, usual_places
from holdfast.doctor.looking import Teller, Work
from holdfast.doctor.model import Target
from holdfast.doctor.weighing import weigh
from holdfast.errors import Refused

WEIGHING_MS = 1_500


def planned(phase: str, request: wire.Request, tell: Teller) -> Sequence[Work]:
    """Return the works of ``phase``. The raw one recognises the paths first, and says what they are."""
    if phase == "sqlite":
        return []
    targets = tuple(_recognised(request.paths))
    tell(wire.Recognised(targets))
    return [weighing(target) for target in targets]


def weighing(target: Target) -> Work:
    """Return the unit that says where the bytes of ``target`` are."""
    unit = wire.Unit(probe="where-the-bytes-are", path=target.path, limit_ms=WEIGHING_MS)
    return Work(unit, lambda: weigh(target))


def _recognised(paths: Sequence[str]) -> Iterator[Target]:
    """Yield the targets, each once. Raises ``Refused`` for a path that is nothing we know."""
    if not paths:
        yield from usual_places()
        return
    seen = set()
    for path in paths:
        target = recognise(path)
        if target is None:
            raise _unknown(path)
        if os.path.realpath(target.path) not in seen:
            seen.add(os.path.realpath(target.path))
            yield target


def _unknown(path: str) -> Refused:
    remedy = "Name a state directory of holdfast, a home of Codex or Hermes, or a SQLite file."
    if not os.path.lexists(path):
        return Refused(f"there is nothing at {path}", remedy=remedy)
    if os.path.isdir(path) and not os.access(path, os.R_OK | os.X_OK):
        return Refused(f"{path} may not be read by this user", remedy="Run it as the user whose home it is.")
    return Refused(f"{path} is nothing that the doctor knows", remedy=remedy)
