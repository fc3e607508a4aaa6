"""``release-leases``: leases and claims that the dead left behind end: Codex's, a Hermes board's, and our own.

Whose they are, ``codex_leases`` and ``hermes_claims`` decide. Rows of others change
in one transaction, and only if they still are as they were looked at.
"""

from __future__ import annotations

import os
import time

from holdfast import holds
from holdfast.changes import Row, Rows
from holdfast.doctor.homes import recognising
from holdfast.doctor.model import Finding, Target
from holdfast.doctor.repairs import codex_home, codex_leases, hermes_claims, own_state
from holdfast.doctor.repairs.repair import Action, Outcome, Work
from holdfast.engine import Read
from holdfast.errors import HoldfastError, Refused, Stale
from holdfast.holds import Hold
from holdfast.sqlite.locks import openers

_OWNERS = {"memories": "codex", "state": "codex", "board": "hermes"}
"""Whose database it is, by its role; a file on its own has one, too."""

_TRIES = 5
_TOLD_MAX = 20
_OWN = " A hold that is ended was its holder's, who is dead: there is nothing to undo."

_Found = tuple[list[Row], list[str], list[str]]
"""Rows, whose leases they end, and what is left alone with why."""


class ReleaseLeases:
    """For a finding about a database that has leases: of Codex ``state`` or ``memories``, a board, ``state.db``."""

    name = "release-leases"

    def propose(self, finding: Finding, target: Target) -> Action | None:
        """See ``Repair``."""
        if target.kind == "holdfast" and own_state.is_about(finding, target):
            path, kind = own_state.path_of(target, own_state.STATE_DB), "holdfast"
        else:
            named = [each for each in target.databases if each.path == finding.path and each.known]
            owner = _OWNERS.get(named[0].role) if named and target.kind != "holdfast" else None
            if owner is None:
                return None
            path, kind = finding.path, owner
        return Action(
            repair=self.name,
            path=path,
            what=f"End the leases and claims in {path} that nobody works under any more.",
            keeps="Every lease that may be somebody's, every count of tries, and what was done under them."
            + (_OWN if kind == "holdfast" else ""),
            live=True,
            can_undo=kind != "holdfast",
            finding=finding.id,
            arguments={"kind": kind, "root": target.path},
        )

    def carry_out(self, action: Action, work: Work) -> Outcome:
        """See ``Repair``."""
        kind = action.arguments.get("kind")
        if kind == "holdfast":
            return _own(action.path)
        root = codex_home.target_of(action, "root").path
        if kind not in _OWNERS.values():
            raise Refused(f"the plan asks for leases of {kind!r}, which has none")
        for _ in range(_TRIES):
            rows, released, left = _look(action.path, kind, root)
            if not rows:
                return Outcome(said="no lease of the dead is left", gone=not left, notes=tuple(left[:_TOLD_MAX]))
            title = f"release {codex_home.counted(len(released), 'lease')} in {action.path}"
            try:
                receipt = work.change(codex_home.plan(title, root, [Rows(action.path, tuple(rows))]))
            except Stale:
                continue  # somebody wrote in between: an event has the next number, or the task is done
            again, still, _ = _look(action.path, kind, root)
            return Outcome(
                said=f"ended: {codex_home.counted(len(released), 'lease')}: {', '.join(released[:_TOLD_MAX])}",
                gone=not again and not left,
                before={"stale": len(released) + len(left)},
                after={"stale": len(still) + len(left)},
                receipt=receipt,
                notes=tuple(left[:_TOLD_MAX]),
            )
        raise Stale(f"{action.path} changed each of {_TRIES} times it was looked at; nothing was done")


def _look(path: str, kind: object, root: str) -> _Found:
    now_s = int(time.time())
    # Of a file on its own, what lies around it is its home.
    used, last_used_s = _use(os.path.dirname(path) if root == path else root) if kind == "codex" else (False, 0)
    with codex_home.looking(path) as look:
        if kind == "hermes":
            return hermes_claims.stuck(look, now_s)
        return *codex_leases.stale(look, now_s, used=used, last_used_s=min(last_used_s, now_s)), []


def _use(home: str) -> tuple[bool, int]:
    """Return whether anybody has a database of the home open, and when a thread of it was last written, in s."""
    target = recognising.recognise(home)
    databases = target.databases if target is not None else ()
    used = any(who.pid != os.getpid() for each in databases for who in openers(each.path))
    last_s = 0
    for each in databases:
        if each.role == "state" and each.known:
            try:
                with codex_home.looking(each.path) as look:
                    last_s = max(last_s, look.largest("threads", "updated_at"))
            except HoldfastError:
                continue  # that it cannot be read is another finding's
    return used, last_s


def _dead(tx: Read) -> list[Hold]:
    return [each for each in holds.listing(tx) if holds.is_dead(each.owner)]


def _own(path: str) -> Outcome:
    """End holds whose holder is dead, as their next taker would."""
    with own_state.opened(path) as engine, engine.write() as tx:
        dead = _dead(tx)
        released = [each.resource for each in dead if holds.release(tx, each)]
        left = [each for each in _dead(tx) if not holds.over(each, now_ms=tx.now_ms)]
    return Outcome(
        said=f"ended: {codex_home.counted(len(released), 'hold')} of the dead"
        + (f": {', '.join(released)}" if released else ""),
        gone=not left,
        before={"stale": len(dead)},
        after={"stale": len(left)},
    )


REPAIR = ReleaseLeases()
