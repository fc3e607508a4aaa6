"""What is done for a request, in which order: every probe for every target it is for."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from holdfast.doctor import wire
from holdfast.doctor.looking import Teller, Work
from holdfast.doctor.model import Finding, Part, Target
from holdfast.errors import Refused

if TYPE_CHECKING:
    from holdfast.doctor.homes.look import SqlLook
    from holdfast.doctor.probes.probe import Probe

_WEIGHING_MS = 1_500
_FILES_MS = 700  # to read what lies beside the databases, apart from processes and the wait between two samples


def planned(phase: str, request: wire.Request, tell: Teller) -> Sequence[Work]:
    """Return the works of ``phase``. The raw one recognises the paths first, and says what they are."""
    if phase == "sqlite":
        return list(_through_sqlite(request))
    targets = tuple(_recognised(request.paths))
    tell(wire.Recognised(targets))
    return list(_raw(targets, request))


def _raw(targets: Sequence[Target], request: wire.Request) -> Iterator[Work]:
    from holdfast.doctor.facts import look
    from holdfast.doctor.probes.raw import RAW
    from holdfast.doctor.weighing import weigh

    left_ms = max(0, request.deadline_ns - time.monotonic_ns()) // 1_000_000
    scan_ms = min(int(look.SCAN_MS * request.patience), left_ms // 2)
    sample_ms = min(look.DEEP_SAMPLE_MS if request.deep else look.SAMPLE_MS, left_ms // 4)
    looks = functools.cache(lambda: look.look(targets, scan_ms=scan_ms, sample_ms=sample_ms))

    def gather() -> Iterable[Finding | Part]:
        looks()
        return ()

    if targets and RAW:
        limit_ms = scan_ms + sample_ms + int(_FILES_MS * request.patience)
        yield Work(wire.Unit(probe="processes-and-files", path="", limit_ms=limit_ms, shared=True), gather)
    for number, target in enumerate(targets):
        for probe in RAW:
            if target.kind in probe.kinds:
                yield Work(
                    wire.Unit(probe=probe.name, path=target.path, limit_ms=int(probe.limit_ms * request.patience)),
                    lambda probe=probe, number=number: probe.run(looks()[number]),  # type: ignore[misc]
                )
    for target in targets:
        unit = wire.Unit(probe="where-the-bytes-are", path=target.path, limit_ms=int(_WEIGHING_MS * request.patience))
        yield Work(unit, functools.partial(weigh, target))


def _through_sqlite(request: wire.Request) -> Iterator[Work]:
    from holdfast.doctor.homes.look import SqlLook
    from holdfast.doctor.probes.through_sqlite import SQLITE
    from holdfast.sqlite.taking import leave_owners

    leave_owners()
    looks: list[SqlLook] = []
    for target in request.targets:
        looks.append(SqlLook(target, deep=request.deep, deadline_ns=request.deadline_ns))
        for probe in SQLITE:
            if target.kind in probe.kinds:
                limit_ms = int(probe.limit_ms * request.patience)
                unit = wire.Unit(probe=probe.name, path=target.path, limit_ms=limit_ms)
                yield Work(unit, functools.partial(_asked, probe, tuple(looks), limit_ms, request.deadline_ns))


def _asked(probe: Probe[SqlLook], looks: Sequence[SqlLook], limit_ms: int, deadline_ns: int) -> Iterator[Finding]:
    """Ask ``probe`` about the last of ``looks``; nothing of the targets before it stays open."""
    *others, look = looks
    for other in others:
        other.close()
    look.deadline_ns = min(deadline_ns, time.monotonic_ns() + limit_ms * 1_000_000)
    try:
        yield from probe.run(look)
    except BaseException:
        look.close()  # it may be in the middle of a read, which would hold the log back for all others
        raise


def _recognised(paths: Sequence[str]) -> Iterator[Target]:
    """Yield the targets, each once. Raises ``Refused`` for a path that is nothing we know."""
    from holdfast.doctor.homes.recognising import recognise, usual_places

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
