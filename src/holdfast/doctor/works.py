"""What is done for a request, in which order: every probe for every target it is for."""

from __future__ import annotations

import os
from collections.abc import Sequence

from holdfast.doctor import wire
from holdfast.doctor.looking import Teller, Work
from holdfast.doctor.model import Target
from holdfast.doctor.weighing import weigh

WEIGHING_MS = 1_500


def planned(phase: str, request: wire.Request, tell: Teller) -> Sequence[Work]:
    """Return the works of ``phase``. The raw one recognises the paths first, and says what they are."""
    if phase == "sqlite":
        return []
    targets = tuple(Target(kind="codex", path=path) for path in request.paths if os.path.exists(path))
    tell(wire.Recognised(targets))
    return [weighing(target) for target in targets]


def weighing(target: Target) -> Work:
    """Return the unit that says where the bytes of ``target`` are."""
    unit = wire.Unit(probe="where-the-bytes-are", path=target.path, limit_ms=WEIGHING_MS)
    return Work(unit, lambda: weigh(target))
