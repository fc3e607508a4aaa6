"""``reroot``: a home or a project was moved, and the rows of its threads follow: ``rollout_path`` and ``cwd``.

Where to, the finding knows, or the user says: ``--map OLD=NEW``. Done only where it
is certain: at the new place lies the rollout of that very thread, or the folder; and
at the old one nothing any more, unless it is the user who says so.
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
from holdfast.rollouts import paths, verify, walk
from holdfast.threads import rules

Pair = tuple[str, str]

_TOLD_MAX = 20


class Reroot:
    """``details`` of a finding: ``roots`` are homes that rollouts were in, ``cwds`` projects with where they are now,
    ``maps`` what the user says, as ``OLD=NEW``.
    """

    name = "reroot"

    def propose(self, finding: Finding, target: Target) -> Action | None:
        """See ``Repair``."""
        if not codex_home.is_about(finding, target):
            return None
        database = codex_home.state_of(target)
        said = _pairs(_texts(finding.details.get("maps")))
        _check(said, is_said=True)
        seen = [pair for pair in _seen(finding, target.path) if not os.path.lexists(pair[0]) and os.path.isdir(pair[1])]
        if not said and not seen and not finding.details.get("rows"):
            raise Refused("nothing says where these went: give `--map OLD=NEW` when the plan is made")
        words = [f"{old} becomes {new}" for old, new in (*said, *seen)]
        words.append("a rollout that is at no such place is looked for in the home")
        return Action(
            repair=self.name,
            path=database.path,
            what=f"In the rows of {database.path}: {'; '.join(words)}.",
            keeps="Rows whose rollout is where they say, or not in this home. The rollouts are only read: they go on"
            " saying where the project was when they were written.",
            live=True,
            can_undo=True,
            finding=finding.id,
            arguments={"home": target.path, "said": _told(said), "seen": _told(seen)},
        )

    def carry_out(self, action: Action, work: Work) -> Outcome:
        """See ``Repair``."""
        home = codex_home.target_of(action).path
        said, seen = (_pairs(_texts(action.arguments.get(each))) for each in ("said", "seen"))
        _check(said, is_said=True)
        _check(seen)
        rows, left = _moved(action.path, home, said, seen)
        receipt = None
        if rows:
            plan = codex_home.plan(
                f"re-root {codex_home.counted(len(rows), 'thread')} of {home}", home, [Rows(action.path, tuple(rows))]
            )
            receipt = work.change(plan)
        again, _ = _moved(action.path, home, said, seen)
        more = () if len(left) <= _TOLD_MAX else (f"And {len(left) - _TOLD_MAX} more.",)
        return Outcome(
            said=f"the rows of {codex_home.counted(len(rows), 'thread')} follow",
            gone=not again and not left,
            before={"stale": len(rows) + len(left)},
            after={"stale": len(again) + len(left)},
            receipt=receipt,
            notes=(*left[:_TOLD_MAX], *more),
        )


def _seen(finding: Finding, home: str) -> list[Pair]:
    """Return what the finding itself says: old homes, whose files lie in this one, and projects that moved along."""
    roots, cwds = finding.details.get("roots"), finding.details.get("cwds")
    found = [(old, home) for old in roots if old] if isinstance(roots, dict) else []
    found += [(old, new) for old, new in cwds.items() if isinstance(new, str)] if isinstance(cwds, dict) else []
    return _longest_first((rules.normal_cwd(old), rules.normal_cwd(new)) for old, new in found)


def _told(pairs: Iterable[Pair]) -> list[Json]:
    return [f"{old}={new}" for old, new in pairs]


def _texts(value: Json) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _pairs(said: Iterable[str]) -> list[Pair]:
    """Return the pairs of ``OLD=NEW`` texts, the longest old ones first."""
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
    return _longest_first(found)


def _longest_first(pairs: Iterable[Pair]) -> list[Pair]:
    return sorted(dict.fromkeys(pairs), key=lambda pair: -len(pair[0]))  # so that the nearest counts


def _check(pairs: Iterable[Pair], *, is_said: bool = False) -> None:
    for old, new in pairs:
        if os.path.lexists(old) and not is_said:
            raise Refused(
                f"{old} is still there: the rows may be right",
                remedy="Only what is gone from its old place is re-rooted.",
            )
        if not os.path.isdir(new):
            raise Refused(f"{new} is no folder: nothing moved there")


def _moved(path: str, home: str, said: list[Pair], seen: list[Pair]) -> tuple[list[Row], list[str]]:
    """Return what makes the rows follow, and which are left, with why. Walks the home."""
    found: list[Row] = []
    left: list[str] = []
    with codex_home.looking_at_threads(path) as look:
        rows = codex_home.rows_by_id(look)
    here = {paths.name_id(entry.path): f"{home}/{entry.path}" for entry in walk(home)}
    for thread_id, row in rows.items():
        after: dict[str, Value] = {}
        target = _followed(row, "rollout_path", said)
        if target is None and not _lies_at(str(row["rollout_path"])):
            target = _followed(row, "rollout_path", seen)
            if target is None or not _lies_at(target):
                target = here.get(ids.parse(thread_id), target)
        if target is not None and target != row["rollout_path"]:
            if why := _not_it(thread_id, target):
                left.append(f"{thread_id}: its rollout is not at {target}: {why}")
            else:
                after["rollout_path"] = target
        if (target := _followed(row, "cwd", [*said, *seen])) is not None:
            if os.path.isdir(target):
                after["cwd"] = target
            else:
                left.append(f"{thread_id}: its folder is not at {target}")
        if after:
            found.append(codex_home.updated(row, after))
    return found, left


def _lies_at(path: str) -> bool:
    return os.path.lexists(path) or os.path.lexists(paths.logical(path) + paths.ZST)


def _followed(row: Record, column: str, pairs: list[Pair]) -> str | None:
    """Return where the path in this column is by now; None when it lies below nothing that was moved."""
    path = row.get(column)
    for old, new in pairs:
        if isinstance(path, str) and (path == old or path.startswith(f"{old}/")):
            return new + path[len(old) :]
    return None


def _not_it(thread_id: str, path: str) -> str:
    if not _lies_at(path):
        return "there is no such file"
    return "" if verify(path) == ids.parse(thread_id) else "the one there is another thread's, or cannot be read"


REPAIR = Reroot()
