"""What a plan says, looked at before anything of it is done. Nothing in it is believed.

A path outside of its targets is refused, and so is one that leads there through a
link; files must be as they were, and the copies must have room.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from holdfast.changes import Seen
from holdfast.doctor.model import Target
from holdfast.doctor.planning import is_within, lacking_room
from holdfast.doctor.repairs.repair import SCHEMA, Action, Repair, RepairPlan, repair
from holdfast.errors import Full, Refused, Stale, Unsupported
from holdfast.receipts import families

_AGAIN = "Run `holdfast doctor` again, and make a new plan."


def repairs_of(plan: RepairPlan) -> dict[int, Repair]:
    """Return the repair of each step. Raises for what no plan of ours says."""
    if plan.schema != SCHEMA:
        raise Unsupported(f"the plan has the schema {plan.schema}, this version knows {SCHEMA}", remedy=_AGAIN)
    for target in plan.targets:
        _check_target(target)
    known: dict[int, Repair] = {}
    for number, step in enumerate(plan.steps, start=1):
        if step.number != number:
            raise Refused(f"the steps of the plan are not numbered from 1: {step.number} is no. {number}")
        found = repair(step.action.repair)
        if found is None:
            raise Unsupported(f"step {number} is a repair that this version does not know: {step.action.repair!r}")
        for path in _paths(step.action):
            _check_path(path, plan.targets, number)
        known[number] = found
    return known


def _paths(action: Action) -> Sequence[str]:
    return (action.path, *action.exclusive, *(seen.path for seen in action.seen))


def _check_target(target: Target) -> None:
    _check_plain(target.path)
    if target.path in (os.sep, os.path.realpath(os.path.expanduser("~"))):
        raise Refused(f"{target.path} is no home of an agent: a plan does not reach so far")
    for database in target.databases:
        _check_plain(database.path)


def _check_path(path: str, targets: Sequence[Target], number: int) -> None:
    _check_plain(path)
    if not any(is_within(path, target) for target in targets):
        raise Refused(f"step {number} reaches outside of what was examined: {path}")


def _check_plain(path: str) -> None:
    if not os.path.isabs(path) or os.path.normpath(path) != path or "\0" in path:
        raise Refused(f"{path!r} is no plain path")
    if os.path.realpath(path) != path:
        raise Refused(f"{path} leads through a link to {os.path.realpath(path)}: left alone")


def check_seen(action: Action, touched: Mapping[str, Seen], *, live: bool) -> None:
    """Raise ``Stale`` when a file is other than when this was planned, or than a step before left it (``touched``)."""
    for before in action.seen:
        now, wanted = families.seen(before.path), touched.get(before.path, before)
        # While others run they write, and their sidecars come and go: that is what such a step is for.
        if now != wanted and not (live and (wanted.same_file(now) or before.path.endswith(families.ENDS[1:]))):
            raise Stale(f"{before.path} was changed after this was planned; nothing was done", remedy=_AGAIN)


def check_room(action: Action, folder: str) -> None:
    """Raise ``Full`` when what this action needs does not fit beside the receipts."""
    if why := lacking_room(action, folder):
        raise Full(
            f"{action.repair} of {action.path} {why}; nothing was changed",
            remedy="Make room there, or keep the receipts on another disk.",
        )
