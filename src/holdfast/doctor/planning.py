"""What would be done about a report: a plan of numbered steps, kept as JSON that a person can read.

Only looks. A plan that is read back is somebody's file: its shape is checked here,
and everything it says again before it is done (``applying``).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import msgspec

from holdfast import folders
from holdfast.doctor.model import Finding, Json, Report, Target
from holdfast.doctor.repairs.repair import NAMES, SCHEMA, Action, LeftOut, RepairPlan, Step, repair
from holdfast.errors import HoldfastError, Refused, Unsupported
from holdfast.quantities import size_text

_FILE_BYTES_MAX = 64 << 20
_ROOM_BYTES = 8 << 20

# What another repair of the same file does, too.
_CONTAINED = {
    "compact": ("salvage", "prune-logs", "empty-logs", "drop-trigger"),
    "return-free-pages": ("salvage", "prune-logs", "empty-logs", "drop-trigger", "compact"),
    "checkpoint-truncate": ("salvage", "prune-logs", "empty-logs", "drop-trigger", "compact"),
    "prune-logs": ("empty-logs",),
}
# What does the same with less room, where that can be.
_SMALLER = {"compact": "return-free-pages"}


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What only the user can say.

    ``only``: findings or repairs, by name; empty: all. Of a log database ``keep_days``
    and ``keep_rows`` stay (the newest), or with ``empty_logs`` nothing. ``drop_triggers``:
    the triggers that may go. ``maps``: ``OLD=NEW``, where a home or a project went.
    """

    only: tuple[str, ...] = ()
    keep_days: float | None = 10
    keep_rows: int | None = None
    empty_logs: bool = False
    drop_triggers: tuple[str, ...] = ()
    maps: tuple[str, ...] = ()
    live: bool = False


def plan(report: Report, receipts_folder: str, wishes: Wishes | None = None) -> RepairPlan:
    """Return what would be done about the findings of ``report``, in the order in which it would be done.

    One action per file and repair. What does not fit on the disk of ``receipts_folder`` (with the copies that an
    undo needs) is left out, with the figures. Costs some ``stat`` calls and the header of each file.
    """
    wishes = wishes or Wishes()
    report = _resolved(report)
    left_out: list[LeftOut] = []
    actions: dict[tuple[str, str], Action] = {}
    for finding in report.findings:
        for name in _repairs(finding, wishes):
            for target in _targets(report, finding):
                if not _wanted(wishes, finding, name):
                    left_out.append(_left(finding, name, "not asked for"))
                    continue
                try:
                    proposed = _proposed(name, _with(finding, wishes), target)
                    if proposed is not None:
                        actions.setdefault((proposed.path, proposed.repair), proposed)
                    elif repair(name) is None:
                        left_out.append(_left(finding, name, "this version knows no such repair"))
                except HoldfastError as why:
                    left_out.append(_left(finding, name, str(why)))
                break
    fitting = [_fitting(action, report, receipts_folder, left_out) for action in actions.values()]
    kept = _ordered([action for action in fitting if action is not None], wishes)
    concerned = tuple(target for target in report.targets if any(is_within(each.path, target) for each in kept))
    return RepairPlan(
        made_ms=time.time_ns() // 1_000_000,
        targets=concerned,
        steps=tuple(Step(number=number, action=action) for number, action in enumerate(kept, start=1)),
        left_out=tuple(left_out),
    )


def save(made: RepairPlan, path: str) -> None:
    """Write a plan for people and for ``load``: 0600, whole or not at all. Raises ``OSError``."""
    folders.put(path, msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")


def load(path: str) -> RepairPlan:
    """Read a plan. Raises ``Refused`` for what is none, ``Unsupported`` for one of another version."""
    try:
        with open(path, "rb") as file:
            data = file.read(_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise Refused(f"the plan {path} cannot be read: {error.strerror}") from error
    if len(data) > _FILE_BYTES_MAX:
        raise Refused(f"{path} is no plan of ours: it is longer than {_FILE_BYTES_MAX} bytes")
    try:
        schema = msgspec.json.decode(data, type=_Numbered).schema
        if schema != SCHEMA:
            raise Unsupported(
                f"the plan {path} has the schema {schema}, this version knows {SCHEMA}", remedy="Make the plan again."
            )
        return msgspec.json.decode(data, type=RepairPlan)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f"{path} is no plan of ours: {error}", remedy="Make the plan again.") from error


def is_within(path: str, target: Target) -> bool:
    """Return True when ``path`` is the target, lies in it, or is one of the files of its databases."""
    databases = {each.path for each in target.databases} | ({target.path} if target.kind == "sqlite" else set())
    if path == target.path or path in {each + end for each in databases for end in ("", "-wal", "-shm", "-journal")}:
        return True
    return target.kind != "sqlite" and path.startswith(target.path.rstrip("/") + "/")


def _resolved(report: Report) -> Report:
    """Return the report with real paths: a plan follows no links, so that nobody can bend one meanwhile."""
    return msgspec.structs.replace(
        report,
        targets=tuple(
            msgspec.structs.replace(
                target,
                path=os.path.realpath(target.path),
                databases=tuple(
                    msgspec.structs.replace(each, path=os.path.realpath(each.path)) for each in target.databases
                ),
            )
            for target in report.targets
        ),
        findings=tuple(
            msgspec.structs.replace(finding, path=os.path.realpath(finding.path)) for finding in report.findings
        ),
    )


class _Numbered(msgspec.Struct):
    schema: int


def _repairs(finding: Finding, wishes: Wishes) -> Iterator[str]:
    if finding.repair is None:
        return
    yield "empty-logs" if finding.repair == "prune-logs" and wishes.empty_logs else finding.repair


def _targets(report: Report, finding: Finding) -> list[Target]:
    """Return the targets a finding is about, the narrowest first."""
    found = [target for target in report.targets if is_within(finding.path, target)]
    return sorted(found, key=lambda target: -len(target.path))


def _wanted(wishes: Wishes, finding: Finding, name: str) -> bool:
    return not wishes.only or finding.id in wishes.only or name in wishes.only


def _with(finding: Finding, wishes: Wishes) -> Finding:
    said: dict[str, Json] = {
        "keep_days": wishes.keep_days,
        "keep_rows": wishes.keep_rows,
        "drop_triggers": list(wishes.drop_triggers),
        "maps": list(wishes.maps),
    }
    return msgspec.structs.replace(finding, details=finding.details | said)


def _proposed(name: str, finding: Finding, target: Target) -> Action | None:
    known = repair(name)
    return None if known is None else known.propose(finding, target)


def _ordered(actions: list[Action], wishes: Wishes) -> list[Action]:
    """Return the actions in the order of ``NAMES``, without what another one does along the way."""
    planned = {(action.path, action.repair) for action in actions}
    alone = [
        action
        for action in actions
        # While others run only some are done: then the smaller one is worth its line.
        if wishes.live or not any((action.path, other) in planned for other in _CONTAINED.get(action.repair, ()))
    ]
    return sorted(alone, key=lambda action: (NAMES.index(action.repair), action.path))


def _fitting(action: Action, report: Report, folder: str, left_out: list[LeftOut]) -> Action | None:
    why = lacking_room(action, folder)
    if why is None:
        return action
    left_out.append(LeftOut(finding=action.finding, path=action.path, repair=action.repair, why=why))
    smaller = _SMALLER.get(action.repair)
    for finding in report.findings:
        if smaller is not None and (finding.id, finding.path) == (action.finding, action.path):
            for target in _targets(report, finding):
                try:
                    return _proposed(smaller, finding, target)
                except HoldfastError:
                    return None
    return None


def lacking_room(action: Action, folder: str) -> str | None:
    """Return why what ``action`` needs does not fit into ``folder``, which may be made yet; None when it does."""
    there = folder
    while not os.path.isdir(there):
        there = os.path.dirname(there)
    found = os.statvfs(there)
    free = found.f_bavail * found.f_frsize
    if not action.needs_bytes or action.needs_bytes + _ROOM_BYTES <= free:
        return None
    return (
        f"needs {size_text(action.needs_bytes)} in {folder} for copies and new content, "
        f"and {size_text(free)} are free there"
    )


def _left(finding: Finding, name: str, why: str) -> LeftOut:
    return LeftOut(finding=finding.id, path=finding.path, repair=name, why=why)
