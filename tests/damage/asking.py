"""Asks the probes themselves, in this process: for tests of what one of them finds. Nothing here has the files open."""

from __future__ import annotations

import time
from pathlib import Path

from holdfast.doctor.homes.look import SqlLook
from holdfast.doctor.homes.recognising import recognise
from holdfast.doctor.model import Finding
from holdfast.doctor.probes.damage import malformed
from holdfast.doctor.probes.hermes import HERMES
from holdfast.doctor.probes.own import OWN


def found_in(path: Path, *, deep: bool = False, limit_ms: int | None = None) -> list[Finding]:
    """Return what the probes of boards and of our own state find at ``path``."""
    target = recognise(path)
    assert target is not None
    found = []
    with SqlLook(target, deep=deep) as look:
        for probe in (*HERMES, *OWN):
            if target.kind in probe.kinds:
                look.deadline_ns = time.monotonic_ns() + (limit_ms or probe.limit_ms) * 1_000_000
                found += probe.run(look)
    return found


def damage_in(path: Path, *, deep: bool = False, limit_ms: int = 2_000) -> list[Finding]:
    """Return what is said of the databases at ``path`` as files: damaged, locked, slow, unreadable."""
    target = recognise(path)
    assert target is not None
    deadline_ns = time.monotonic_ns() + limit_ms * 1_000_000
    with SqlLook(target, deep=deep, deadline_ns=deadline_ns) as look:
        return list(malformed(look))
