"""``private-modes``: what only its owner should read is no more for the group and for others. Nothing is opened."""

from __future__ import annotations

import os
import stat

from holdfast.changes import Mode
from holdfast.doctor.model import Finding, Json, Target
from holdfast.doctor.repairs import codex_home
from holdfast.doctor.repairs.repair import Action, Outcome, Work
from holdfast.errors import Refused

_OTHERS = 0o077
_ENDS = ("", "-wal", "-shm", "-journal")


class PrivateModes:
    """``path`` of a finding, or ``files`` of its ``details``; of a database, what lies beside it, too."""

    name = "private-modes"

    def propose(self, finding: Finding, target: Target) -> Action | None:
        """See ``Repair``."""
        named = finding.details.get("files")
        asked = [each for each in named if isinstance(each, str)] if isinstance(named, list) else []
        real = {os.path.realpath(os.path.join(target.path, each)) for each in asked or [finding.path]}
        files = {f"{each}{end}" for each in real for end in _ENDS if _is_of(target.path, each)}
        open_ones = {each: mode for each in sorted(files) if (mode := _mode(each)) is not None and mode & _OTHERS}
        if not open_ones:
            return None
        modes: dict[str, Json] = dict(open_ones)
        first = ", ".join(f"{each} ({mode:04o})" for each, mode in list(open_ones.items())[:3])
        return Action(
            repair=self.name,
            path=finding.path,
            what=f"Take the group's and others' rights from {codex_home.counted(len(open_ones), 'path')}: {first}"
            + (f" and {len(open_ones) - 3} more." if len(open_ones) > 3 else "."),
            keeps="What is in them, and the owner's rights. A process of another user can open them no more.",
            live=True,
            can_undo=True,
            finding=finding.id,
            arguments={"root": target.path, "modes": modes},
        )

    def carry_out(self, action: Action, work: Work) -> Outcome:
        """See ``Repair``."""
        root = codex_home.target_of(action, "root").path
        planned = action.arguments.get("modes")
        if not isinstance(planned, dict):
            raise Refused("the plan names no files")
        changes = []
        for path, was in planned.items():
            if os.path.realpath(path) != path or not _is_of(root, path):
                raise Refused(f"{path} lies outside of {root}, or leads there through a link")
            now = _mode(path)
            if now is not None and now == was and now & _OTHERS:
                changes.append(Mode(path, now, now & ~_OTHERS))
        receipt = None
        if changes:
            receipt = work.change(codex_home.plan(f"take others' rights from {len(changes)} files", root, changes))
        left = [path for path in planned if (_mode(path) or 0) & _OTHERS]
        return Outcome(
            said=f"{len(changes)} files and folders are their owner's alone",
            gone=not left,
            before={"readable_by_others": len(planned)},
            after={"readable_by_others": len(left)},
            receipt=receipt,
        )


def _is_of(root: str, path: str) -> bool:
    return path in {root + end for end in _ENDS} or path.startswith(f"{root}/")


def _mode(path: str) -> int | None:
    try:
        info = os.lstat(path)
    except OSError:
        return None
    return stat.S_IMODE(info.st_mode) if stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode) else None


REPAIR = PrivateModes()
