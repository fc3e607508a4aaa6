"""``release-leases``: leases and claims that the dead left behind end: Codex's, a Hermes board's, and our own.

Codex's are dated, and name no process: they count as the dead's when their time is
over, or when it lies so far ahead that a clock must have been wrong. Rows of others
change in one transaction, and only if they still are as they were looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from holdfast import holds
from holdfast.changes import Row, Rows
from holdfast.doctor.model import Finding, Target
from holdfast.doctor.repairs import codex_home, hermes_claims, own_state
from holdfast.doctor.repairs.codex_home import Record
from holdfast.doctor.repairs.repair import Action, Outcome, Work
from holdfast.engine import Read
from holdfast.errors import Refused, Stale
from holdfast.holds import Hold
from holdfast.sqlite import foreign

_OVER = "its lease ended and nobody was at it (holdfast doctor)"
_GRACE_S = 60
_BACKFILL_S = 900
"""As long as Codex's lease on reading all rollouts."""
_AHEAD_S = 86_400
"""Its longest lease is an hour: one that ends later than this was dated by a clock that ran ahead."""
_TRIES = 5
_OWN = " A hold that is ended was its holder's, who is dead: there is nothing to undo."
_TOLD_MAX = 20

_Found = tuple[list[Row], list[str], list[str]]
"""Rows, whose leases they end, and what is left alone with why."""


class ReleaseLeases:
    """For a finding about a database that has leases: of Codex ``state`` or ``memories``, a board, ``state.db``."""

    name = "release-leases"

    def propose(self, finding: Finding, target: Target) -> Action | None:
        """See ``Repair``."""
        if target.kind == "holdfast" and own_state.is_about(finding, target):
            path, role = own_state.path_of(target, own_state.STATE_DB), "holds"
        else:
            wanted = {"codex": ("memories", "state"), "hermes": ("board",)}.get(target.kind, ())
            known = [each for each in target.databases if each.role in wanted and each.known]
            named = [each for each in known if each.path == finding.path]
            if not named and finding.path == target.path:
                named = sorted(known, key=lambda each: each.role)
            if not named:
                return None
            path, role = named[0].path, named[0].role
        return Action(
            repair=self.name,
            path=path,
            what=f"End the leases and claims in {path} that nobody works under any more.",
            keeps="Every lease that may be somebody's, every count of tries, and what was done under them."
            + (
                " A hold that is ended was its holder's, who is dead: there is nothing to undo."
                if role == "holds"
                else ""
            ),
            live=True,
            can_undo=role != "holds",
            finding=finding.id,
            arguments={"role": role, "root": target.path},
        )

    def carry_out(self, action: Action, work: Work) -> Outcome:
        """See ``Repair``."""
        role = action.arguments.get("role")
        if role == "holds":
            return _own(action.path)
        judge = _JUDGES.get(role) if isinstance(role, str) else None
        if judge is None:
            raise Refused(f"the plan asks for leases of {role!r}, which there are none of")
        root = codex_home.text_of(action.arguments, "root")
        for _ in range(_TRIES):
            rows, released, left = _look(action.path, judge)
            if not rows:
                break
            plan = codex_home.plan(
                f"release {len(released)} leases in {action.path}", root, [Rows(action.path, tuple(rows))]
            )
            try:
                receipt = work.change(plan)
            except Stale:
                continue  # somebody wrote in between: an event has the next number, or the task is done
            again, still, _ = _look(action.path, judge)
            return Outcome(
                said=f"{len(released)} leases were ended: {', '.join(released[:_TOLD_MAX])}",
                gone=not again,
                before={"stale": len(released)},
                after={"stale": len(still)},
                receipt=receipt,
                notes=tuple(left[:_TOLD_MAX]),
            )
        else:
            raise Stale(f"{action.path} changed each time it was looked at; nothing was done")
        return Outcome(said="no lease of the dead is left", gone=not left, notes=tuple(left[:_TOLD_MAX]))


def _look(path: str, judge: Callable[[foreign.Look, int], _Found]) -> _Found:
    with foreign.looking(path) as look:
        return judge(look, int(time.time()))


def _memories(look: foreign.Look, now_s: int) -> _Found:
    """Jobs of Codex's memory pipeline: as after any error, but to be tried at once, and with no try counted."""
    needed = {"kind", "job_key", "status", "worker_id", "ownership_token", "lease_until", "finished_at", "last_error"}
    if not needed <= set(look.columns("jobs")):
        return [], [], []
    rows: list[Row] = []
    names = []
    for job in look.rows("jobs", {"status": "running"}):
        if not _is_over(job["lease_until"], now_s, _GRACE_S):
            continue
        after: Record = {"status": "error", "worker_id": None, "ownership_token": None, "lease_until": None,
                         "finished_at": now_s, "last_error": _OVER}  # fmt: skip
        key = {"kind": job["kind"], "job_key": job["job_key"]}
        rows.append(Row("jobs", key, {column: job[column] for column in after}, after))
        names.append(f"{job['kind']} {job['job_key']}")
    return rows, names, []


def _backfill(look: foreign.Look, now_s: int) -> _Found:
    """The claim on reading all rollouts into the table of threads."""
    if not {"id", "status", "updated_at"} <= set(look.columns("backfill_state")):
        return [], [], []
    rows: list[Row] = []
    for row in look.rows("backfill_state", {"status": "running"}):
        if _is_over(row["updated_at"], now_s, _BACKFILL_S):
            after: Record = {"status": "pending", "updated_at": now_s}
            rows.append(Row("backfill_state", {"id": row["id"]}, {column: row[column] for column in after}, after))
    return rows, ["backfill"] * len(rows), []


def _is_over(end: object, now_s: int, late_s: int) -> bool:
    return not isinstance(end, int) or end < now_s - late_s or end > now_s + _AHEAD_S


_JUDGES: dict[str, Callable[[foreign.Look, int], _Found]] = {
    "memories": _memories,
    "state": _backfill,
    "board": hermes_claims.stuck,
}


def _dead(tx: Read) -> list[Hold]:
    return [each for each in holds.listing(tx) if holds.is_dead(each.owner)]


def _own(path: str) -> Outcome:
    """End holds whose holder is dead, as their next taker would."""
    with own_state.opened(path) as engine, engine.write() as tx:
        dead = _dead(tx)
        released = [each.resource for each in dead if holds.release(tx, each)]
        left = [
            each for each in holds.listing(tx) if holds.is_dead(each.owner) and not holds.over(each, now_ms=tx.now_ms)
        ]
    return Outcome(
        said=f"{len(released)} holds of the dead were ended" + (f": {', '.join(released)}" if released else ""),
        gone=not left,
        before={"stale": len(dead)},
        after={"stale": len(left)},
    )


REPAIR = ReleaseLeases()
