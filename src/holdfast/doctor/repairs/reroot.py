"""``reroot``: a home or a project was moved, and the rows of its threads follow: ``rollout_path`` and ``cwd``.

Where to is an argument, ``--map OLD=NEW``. Done only where it is certain: nothing
is at the old place any more, and at the new one lies the rollout of that very
thread, or the folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from holdfast import ids
from holdfast.changes import Row, Rows, Value
from holdfast.doctor.model import Finding, Json, Target
from holdfast.doctor.repairs import codex_home
from holdfast.doctor.repairs.codex_home import Record
from holdfast.doctor.repairs.repair import Action, Outcome, Work
from holdfast.errors import Refused
from holdfast.rollouts import paths, verify
from holdfast.threads import rules

Pair = tuple[str, str]

_TOLD_MAX = 20


class Reroot:
    """``details["map"]`` of a finding: a list of ``OLD=NEW``; ``details["maps"]`` is the user's, and comes first."""

    name = "reroot"

    def propose(self, finding: Finding, target: Target) -> Action | None:
        """See ``Repair``."""
        if not codex_home.is_about(finding, target):
            return None
        database = codex_home.state_of(target)
        said = [*_texts(finding.details.get("maps")), *_texts(finding.details.get("map"))]
        if not said:
            raise Refused("nothing says where these went: give `--map OLD=NEW` when the plan is made")
        pairs = _pairs(said)
        _check(pairs)
        named: list[Json] = [f"{old}={new}" for old, new in pairs]
        return Action(
            repair=self.name,
            path=database.path,
            what=f"In the rows of {database.path}: " + "; ".join(f"{old} becomes {new}" for old, new in pairs) + ".",
            keeps="Rows whose rollout is at the old place, or not the one at the new. The rollouts are only read: they"
            " go on saying where the project was when they were written.",
            live=True,
            can_undo=True,
            finding=finding.id,
            arguments={"home": target.path, "map": named},
        )

    def carry_out(self, action: Action, work: Work) -> Outcome:
        """See ``Repair``."""
        home = codex_home.text_of(action.arguments, "home")
        pairs = _pairs(_texts(action.arguments.get("map")))
        _check(pairs)
        rows, left = _moved(action.path, pairs)
        receipt = None
        if rows:
            plan = codex_home.plan(f"re-root {len(rows)} threads of {home}", home, [Rows(action.path, tuple(rows))])
            receipt = work.change(plan)
        again, _ = _moved(action.path, pairs)
        more = () if len(left) <= _TOLD_MAX else (f"And {len(left) - _TOLD_MAX} more.",)
        return Outcome(
            said=f"the rows of {len(rows)} threads follow",
            gone=not again and not left,
            before={"stale": len(rows) + len(left)},
            after={"stale": len(again) + len(left)},
            receipt=receipt,
            notes=(*left[:_TOLD_MAX], *more),
        )


def _texts(value: Json) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _pairs(said: Iterable[str]) -> list[Pair]:
    """Return the pairs of ``OLD=NEW`` texts; the longest old ones first, so that the nearest counts."""
    found: list[Pair] = []
    for text in said:
        # A path may hold a "=", too: the parting is where both sides are absolute.
        cuts = [at for at in range(len(text)) if text.startswith("=/", at)]
        if len(cuts) != 1 or not text.startswith("/"):
            raise Refused(f"{text!r} does not say OLD=NEW, two absolute paths")
        old, new = (rules.normal_cwd(each) for each in (text[: cuts[0]], text[cuts[0] + 1 :]))
        if old == "/" or new == "/" or old == new:
            raise Refused(f"{text!r} does not say which folder went where")
        found.append((old, new))
    return sorted(dict.fromkeys(found), key=lambda pair: -len(pair[0]))


def _check(pairs: Iterable[Pair]) -> None:
    for old, new in pairs:
        if os.path.lexists(old):
            raise Refused(
                f"{old} is still there: the rows may be right",
                remedy="Only what is gone from its old place is re-rooted.",
            )
        if not os.path.isdir(new):
            raise Refused(f"{new} is no folder: nothing moved there")


def _moved(path: str, pairs: list[Pair]) -> tuple[list[Row], list[str]]:
    """Return what makes the rows follow, and which are left, with why."""
    found: list[Row] = []
    left: list[str] = []
    with codex_home.looking(path) as look:
        rows = codex_home.rows_by_id(look)
    for thread_id, row in rows.items():
        after: dict[str, Value] = {}
        if (target := _followed(row, "rollout_path", pairs)) is not None:
            why = _not_it(thread_id, target)
            if why:
                left.append(f"{thread_id}: its rollout is not at {target}: {why}")
            else:
                after["rollout_path"] = target
        if (target := _followed(row, "cwd", pairs)) is not None:
            if os.path.isdir(target):
                after["cwd"] = target
            else:
                left.append(f"{thread_id}: its folder is not at {target}")
        if after:
            found.append(codex_home.updated(row, after))
    return found, left


def _followed(row: Record, column: str, pairs: list[Pair]) -> str | None:
    """Return where the path in this column is by now; None when it lies below nothing that was moved."""
    path = row.get(column)
    for old, new in pairs:
        if isinstance(path, str) and (path == old or path.startswith(f"{old}/")):
            return new + path[len(old) :]
    return None


def _not_it(thread_id: str, path: str) -> str:
    if not (os.path.isfile(path) or os.path.isfile(paths.logical(path) + paths.ZST)):
        return "there is no such file"
    return "" if verify(path) == ids.parse(thread_id) else "the one there is another thread's, or cannot be read"


REPAIR = Reroot()
