"""Look at homes and files, in processes of their own, and say what was found within the time given.

Nothing is opened here: the first process reads files and ends, the second opens
databases. What one of them cannot do in time is cut and named; what was found by
then counts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from holdfast.doctor import redacting, wire
from holdfast.doctor.model import Cut, Finding, Part, Report, Status, Target, overall
from holdfast.doctor.process import Process
from holdfast.errors import Refused

LIMIT_MS = 5_000
DEEP_LIMIT_MS = 120_000
FINDINGS_MAX = 2_000

_OURS_MS = 400  # of the limit: the start of who asks, the last kill, and what is printed
_RAW_SHARE = 0.6  # of the time for the files; what it leaves goes to the databases
_GRACE_MS = 300  # a probe ends by itself at its limit; one that does not is ended with its process
_START_MS = 300  # a new process with less time than this would say nothing
_WORST = {status: rank for rank, status in enumerate((Status.FAIL, Status.WARN, Status.PARTIAL, Status.OK))}

Looked = Callable[[str, str, int, int], None]
"""``on_progress(probe, path, done, of)``."""


@dataclass(slots=True)
class _Seen:
    targets: tuple[Target, ...] = ()
    findings: list[Finding] = field(default_factory=list)
    told: set[tuple[str, str, str]] = field(default_factory=set)
    parts: dict[str, list[Part]] = field(default_factory=dict)
    cut: list[Cut] = field(default_factory=list)


def examine(
    paths: Sequence[str] = (),
    *,
    deep: bool = False,
    limit_ms: int | None = None,
    on_progress: Looked | None = None,
    module: str = "holdfast.doctor.looking",
) -> Report:
    """Look at ``paths`` (homes, state directories, files; without any, at the usual places).

    Changes nothing. Takes ``limit_ms`` at most (5,000; with ``deep`` 120,000), however many disks hang. Raises
    ``Refused`` for a path that is not there or is nothing we know, and ``Unsupported`` when no process can be
    started. Everything in the report went through ``redacting``. ``module`` is what the processes run.
    """
    began_ns = time.monotonic_ns()
    started_ms = time.time_ns() // 1_000_000
    limit_ms = (DEEP_LIMIT_MS if deep else LIMIT_MS) if limit_ms is None else limit_ms
    deadline_ns = began_ns + max(limit_ms - _OURS_MS, limit_ms // 2) * 1_000_000
    raw_ns = began_ns + int((deadline_ns - began_ns) * _RAW_SHARE)
    seen = _Seen()
    raw = 0
    named = tuple(os.path.abspath(os.path.expanduser(path)) for path in paths)
    for phase, until_ns in (("raw", raw_ns), ("sqlite", deadline_ns)):
        raw = len(seen.findings)
        _Phase(phase, module, seen, on_progress).run(
            wire.Request(
                paths=named,
                targets=seen.targets,
                deep=deep,
                patience=max(1.0, limit_ms / LIMIT_MS),
                deadline_ns=until_ns,
            )
        )
    joined = _joined(seen.findings[:raw], seen.findings[raw:])
    findings = tuple(sorted(joined, key=lambda finding: _WORST[finding.status]))
    cut = tuple(dict.fromkeys(seen.cut))
    return redacting.report(
        Report(
            overall=overall(findings, cut),
            started_ms=started_ms,
            duration_ms=(time.monotonic_ns() - began_ns) // 1_000_000,
            deep=deep,
            targets=seen.targets,
            findings=findings,
            cut=cut,
            parts={path: tuple(parts) for path, parts in seen.parts.items()},
        )
    )


def _joined(raw: Sequence[Finding], through_sqlite: Sequence[Finding]) -> list[Finding]:
    """Return all findings; what both phases found of one file is one finding, which says what each measured."""
    found = list(raw)
    places = {(finding.id, finding.path): number for number, finding in enumerate(raw)}
    for finding in through_sqlite:
        number = places.pop((finding.id, finding.path), None)
        if number is None:
            found.append(finding)
            continue
        first = found[number]
        main, other = (finding, first) if finding.repair or not first.repair else (first, finding)
        found[number] = msgspec.structs.replace(
            main,
            status=min(main.status, other.status, key=_WORST.__getitem__),
            measured=f"{first.measured} {finding.measured}",
            details=other.details | main.details,
        )
    return found


class _Phase:
    """The processes of one phase: one, and another for the units after one that would not end."""

    def __init__(self, phase: str, module: str, seen: _Seen, on_progress: Looked | None) -> None:
        self._phase, self._module, self._seen, self._on_progress = phase, module, seen, on_progress
        self._units: tuple[wire.Unit, ...] | None = None
        self._begun: int | None = None

    def run(self, request: wire.Request) -> None:
        if self._phase == "sqlite" and not request.targets:
            return  # nothing was recognised, and that was said
        first = 0
        while True:
            why = self._listen(msgspec.structs.replace(request, first=first))
            if why is None:
                return
            if self._units is None:
                where = request.paths or tuple(target.path for target in request.targets) or ("",)
                self._seen.cut += (Cut(probe=f"{self._phase} files", path=path, why=why) for path in where)
                return
            failed = first if self._begun is None else self._begun
            if failed < first:  # a unit that the others need, which this process had to do once more
                self._cut(self._units[first:], why)
                return
            self._cut(self._units[failed : failed + 1], why)
            first = failed + 1
            if self._units[failed].shared:
                self._cut(self._units[first:], wire.NOTHING_TO_GO_BY)
                return
            if request.deadline_ns - time.monotonic_ns() < _START_MS * 1_000_000:
                self._cut(self._units[first:], "there was no time left for it")
                return

    def _listen(self, request: wire.Request) -> str | None:
        """Run one process from ``request.first`` on. Return None when all is done, else why it was not."""
        self._begun = None
        process = Process(self._module, self._phase, request)
        late = ""
        until_ns = request.deadline_ns
        try:
            while (message := process.hear(until_ns)) is not None:
                if isinstance(message, wire.Done):
                    return None
                until_ns = min(request.deadline_ns, self._take(message, until_ns))
        except TimeoutError:
            late = self._late(request.deadline_ns)
        finally:
            ended = process.end()
        return late + ended

    def _late(self, deadline_ns: int) -> str:
        if self._units is None or self._begun is None or time.monotonic_ns() >= deadline_ns:
            return "the time for all of them was over, and "
        return f"it had {self._units[self._begun].limit_ms:,} ms, and "

    def _take(self, message: wire.Message, until_ns: int) -> int:
        """Keep what was said. Return until when the next word must come."""
        seen = self._seen
        match message:
            case wire.Recognised(targets):
                seen.targets = targets
            case wire.Units(units):
                self._units = units
            case wire.Begun(unit):
                self._begun = unit
                if self._units is not None:
                    self._tell(self._units, unit)
                    return time.monotonic_ns() + (self._units[unit].limit_ms + _GRACE_MS) * 1_000_000
            case wire.Found(finding):
                told = (finding.id, finding.path, finding.measured)
                if len(seen.findings) < FINDINGS_MAX and told not in seen.told:  # of the machine: once for each target
                    seen.findings.append(finding)
                seen.told.add(told)
            case wire.Weighed(target, part):
                seen.parts.setdefault(target, []).append(part)
            case wire.Stopped(cut):
                seen.cut.append(cut)
            case wire.Refusal(words, remedy):
                raise Refused(words, remedy=remedy)
        return until_ns

    def _tell(self, units: tuple[wire.Unit, ...], begun: int) -> None:
        if self._on_progress is not None:
            self._on_progress(units[begun].probe, units[begun].path, begun, len(units))

    def _cut(self, units: tuple[wire.Unit, ...], why: str) -> None:
        self._seen.cut += (Cut(probe=unit.probe, path=unit.path, why=why) for unit in units)
