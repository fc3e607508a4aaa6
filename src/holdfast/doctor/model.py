"""What the doctor says: targets it recognised, findings, and the report that holds both. Values, kept as JSON."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

import msgspec

SCHEMA = 1
"""The number in a report and in a plan that names their keys; it changes when one of them changes its meaning."""

Json = Any
"""What JSON can hold: msgspec reads no type that names itself."""

Kind = Literal["holdfast", "codex", "hermes", "sqlite"]


class Status(StrEnum):
    """How bad it is. What could not be looked at (locked, slow, unreadable) is ``partial``, never ``fail``."""

    OK = "ok"
    PARTIAL = "partial"
    WARN = "warn"
    FAIL = "fail"


EXIT_CODES = {Status.OK: 0, Status.FAIL: 1, Status.WARN: 2, Status.PARTIAL: 3}

_WORST = (Status.FAIL, Status.WARN, Status.PARTIAL, Status.OK)


class Confidence(StrEnum):
    """How sure a probe is of the cause it names. What was measured is always measured."""

    CERTAIN = "certain"
    LIKELY = "likely"
    GUESS = "guess"


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """One thing that is not as it must be, or could not be looked at.

    ``id`` is stable and greppable (``wal-starved``); ``row`` is its row of the
    catalogue in ``docs/doctor.md`` (``F03a``), or empty. ``measured``,
    ``expected``, ``cause`` and ``remedy`` are sentences or figures with their
    units; a remedy never is a command that destroys something. ``repair``
    names a repair of ``doctor/repairs/`` that a plan may contain.
    ``details`` holds the figures behind the sentences, and the arguments of the repair.
    """

    id: str
    status: Status
    path: str
    measured: str
    expected: str
    confidence: Confidence
    cause: str
    remedy: str
    row: str = ""
    repair: str | None = None
    details: dict[str, Json] = {}


class Database(msgspec.Struct, frozen=True, kw_only=True):
    """A SQLite file of a target. ``role``: what it is for (``state``, ``logs``, ``goals``, ``memories``, ``board``,
    ``search``, ``other``). ``generation``: the number in its name; ``known``: False for one newer than what we know.
    """

    role: str
    path: str
    generation: int | None = None
    known: bool = True


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Something the doctor recognised. ``path``: the home, the state directory, or the file."""

    kind: Kind
    path: str
    databases: tuple[Database, ...] = ()
    notes: tuple[str, ...] = ()


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Where bytes are: ``bytes`` are those on the disk (sparse files count what they have)."""

    name: str
    path: str
    bytes: int


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """A probe that did not end: what it is called, what it looked at, and why."""

    probe: str
    path: str
    why: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. ``parts``: the picture of the bytes, per target path."""

    schema: int = SCHEMA
    overall: Status
    started_ms: int
    duration_ms: int
    deep: bool
    targets: tuple[Target, ...]
    findings: tuple[Finding, ...]
    cut: tuple[Cut, ...]
    parts: dict[str, tuple[Part, ...]]


def overall(findings: tuple[Finding, ...], cut: tuple[Cut, ...]) -> Status:
    """Return the worst of it: ``fail``, ``warn``, ``partial``, ``ok``, in this order."""
    met = {finding.status for finding in findings} | ({Status.PARTIAL} if cut else set())
    return next((status for status in _WORST if status in met), Status.OK)
