"""Asks the probes themselves, in this process: for tests of what one of them finds. Nothing here has the files open."""

from __future__ import annotations

import time
from pathlib import Path

from holdfast.doctor.homes.look import SqlLook
from holdfast.doctor.homes.recognising import recognise
from holdfast.doctor.model import Finding
from holdfast.doctor.probes.damage import malformed
from holdfast.doctor.probes.through_sqlite import SQLITE

LIMIT_MS = 10_000
"""Of each probe. How soon it must be done is for the bench; here it is to say all it has to say."""


def found_in(path: Path, *, deep: bool = False) -> list[Finding]:
    """Return what all probes that open databases find at ``path``."""
    target = recognise(path)
    assert target is not None
    found = []
    with SqlLook(target, deep=deep) as look:
        for probe in SQLITE:
            if target.kind in probe.kinds:
                look.deadline_ns = time.monotonic_ns() + LIMIT_MS * 1_000_000
                found += probe.run(look)
    return found


def damage_in(path: Path, *, deep: bool = False, limit_ms: int = 2_000) -> list[Finding]:
    """Return what is said of the databases at ``path`` as files: damaged, locked, slow, unreadable."""
    target = recognise(path)
    assert target is not None
    deadline_ns = time.monotonic_ns() + limit_ms * 1_000_000
    with SqlLook(target, deep=deep, deadline_ns=deadline_ns) as look:
        return list(malformed(look))
