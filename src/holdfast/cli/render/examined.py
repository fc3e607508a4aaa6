"""A report of the doctor, sorted for whoever reads it: each target with what was found there, the worst first. Pure."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from holdfast.cli.render import words
from holdfast.doctor.model import Cut, Finding, Part, Report, Status, Target

KINDS = {"holdfast": "holdfast state", "codex": "Codex home", "hermes": "Hermes home", "sqlite": "SQLite file"}
TITLES = {
    Status.FAIL: ("failure", "failures"),
    Status.WARN: ("warning", "warnings"),
    Status.PARTIAL: ("could not be looked at", "could not be looked at"),
}
KEYS = ("schema", "overall", "findings", "targets", "cut", "parts", "duration_ms")


@dataclass(slots=True)
class Section:
    """A target with what belongs to it. ``target``: None for what is true of the whole machine."""

    target: Target | None
    findings: list[Finding] = field(default_factory=list)
    cut: list[Cut] = field(default_factory=list)
    parts: Sequence[Part] = ()

    @property
    def title(self) -> str:
        """What it is, in words."""
        return "This machine" if self.target is None else KINDS[self.target.kind]

    @property
    def path(self) -> str:
        """Where it is, or an empty text."""
        return "" if self.target is None else self.target.path

    @property
    def bytes(self) -> int:
        """All its bytes on the disk."""
        return sum(part.bytes for part in self.parts)

    def with_status(self, status: Status) -> list[Finding]:
        """Return its findings of this status."""
        return [finding for finding in self.findings if finding.status == status]


def report_document(report: Report) -> dict[str, Any]:
    """Return ``report`` as plain values."""
    document = msgspec.to_builtins(report)
    return {key: document[key] for key in KEYS}


def sections(report: Report) -> list[Section]:
    """Return what was looked at, in the order of the targets; last what belongs to none of them, if anything does."""
    found = [Section(target, parts=report.parts.get(target.path, ())) for target in report.targets]
    machine = Section(None)
    for finding in report.findings:
        _of(found, finding.path, machine).findings.append(finding)
    for cut in report.cut:
        _of(found, cut.path, machine).cut.append(cut)
    return [*found, *([machine] if machine.findings or machine.cut else [])]


def counted(report: Report) -> str:
    """Return how it is overall in a few words: ``1 failure, 2 warnings``."""
    said = []
    for status, (one, many) in TITLES.items():
        number = sum(finding.status == status for finding in report.findings)
        number += len(report.cut) if status is Status.PARTIAL else 0
        if number:
            said.append(f"{number:,} {one if number == 1 else many}")
    return ", ".join(said) or "Nothing is wrong"


def shown_path(path: str, section: Section) -> str:
    """Return ``path`` as it is called inside of ``section``."""
    if section.path and path.startswith(section.path.rstrip("/") + "/"):
        return path[len(section.path.rstrip("/")) + 1 :]
    return "" if path == section.path else words.tilde(path)


def largest(parts: Sequence[Part], shown: int) -> list[tuple[str, int]]:
    """Return name and bytes of the ``shown`` largest parts, and of the rest together."""
    ordered = sorted(parts, key=lambda part: -part.bytes)
    rest = sum(part.bytes for part in ordered[shown:])
    named = [(part.name, part.bytes) for part in ordered[:shown]]
    return [*named, *([(f"{len(ordered) - shown} more", rest)] if rest else [])]


def _of(found: list[Section], path: str, machine: Section) -> Section:
    """Return the section of a path: the deepest target above it, else one whose database it is part of."""
    above = [each for each in found if path == each.path or path.startswith(each.path.rstrip("/") + "/")]
    if above:
        return max(above, key=lambda each: len(each.path))
    for each in found:
        if each.target is not None and any(_is_of(path, database.path) for database in each.target.databases):
            return each
    return machine


def _is_of(path: str, database: str) -> bool:
    return path == database or (path.startswith(database + "-") and os.path.dirname(path) == os.path.dirname(database))
