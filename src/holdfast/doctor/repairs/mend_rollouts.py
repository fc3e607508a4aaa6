"""``mend-rollouts``: a rollout that was cut in the middle of a line, or holds what is no line, is whole again.

What is taken out is copied first, with the receipt. A rollout that somebody has
open, or whose writer's lock somebody has, is left alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack

import msgspec

from holdfast import ids
from holdfast.changes import Rewrite
from holdfast.doctor.model import Finding, Json, Target
from holdfast.doctor.repairs import codex_home
from holdfast.doctor.repairs.repair import Action, Outcome, Work
from holdfast.errors import Busy, Damaged, HoldfastError, Refused
from holdfast.quantities import size_text
from holdfast.receipts import families
from holdfast.rollouts import paths, scan, verify, writer_lock
from holdfast.rollouts.mending import BYTES_MAX, Mended, mended_file
from holdfast.rollouts.opening import NotRegular

_TOLD_MAX = 20


class _Torn(msgspec.Struct, frozen=True):
    """A rollout that is to be mended, and how."""

    path: str
    thread_id: str
    mended: Mended
    mtime_ns: int


class MendRollouts:
    """``path`` of a finding is the rollout, or the home with its ``files`` in the ``details``, absolute or relative."""

    name = "mend-rollouts"

    def propose(self, finding: Finding, target: Target) -> Action | None:
        """See ``Repair``."""
        if not codex_home.is_about(finding, target):
            return None
        there = [each for each in _files(finding, target.path) if os.path.isfile(each)]
        files = [each for each in there if os.path.realpath(each) == each]
        if there and not files:
            raise Refused(f"{there[0]} is reached through a link, and a plan follows none")
        if not files:
            return None
        size = sum(os.stat(each).st_size for each in files)
        count = finding.details.get("count")
        more = count - len(files) if isinstance(count, int) else 0
        first = ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
        named: list[Json] = list(files)
        return Action(
            repair=self.name,
            path=finding.path,
            what=f"Make {codex_home.counted(len(files), 'torn rollout')} ({size_text(size)}) whole lines again:"
            f" {first}. What is half a line at an end is cut off; what is no line in between becomes blanks."
            + (f" {more} more are for the next plan." if more > 0 else ""),
            keeps="Every line that can be read, where it is, and the time of the file. A copy of each file as it was is"
            " kept with the receipt.",
            live=True,
            can_undo=True,
            finding=finding.id,
            needs_bytes=3 * size,
            arguments={"home": target.path, "files": named, "count": len(files) + max(more, 0)},
            seen=tuple(families.seen(each) for each in files),
        )

    def carry_out(self, action: Action, work: Work) -> Outcome:
        """See ``Repair``."""
        home = codex_home.target_of(action).path
        files = action.arguments.get("files")
        if not isinstance(files, list):
            raise Refused("the plan names no rollouts")
        torn, notes = _torn(home, [each for each in files if isinstance(each, str)])
        with ExitStack() as held:
            torn, in_use = _held(home, torn, held)
            notes += in_use
            if not torn:
                if in_use:
                    raise Busy(f"no rollout was mended: {in_use[0]}", remedy="End the agents that are named.")
                if notes:
                    raise Refused(f"no rollout was mended: {notes[0]}")
                return Outcome(said="no rollout is torn any more", gone=True)
            changes = [Rewrite(each.path, each.mended.data, mtime_ns=each.mtime_ns) for each in torn]
            plan = codex_home.plan(
                f"mend {codex_home.counted(len(torn), 'rollout')} of {home}",
                home,
                changes,
                [each.thread_id for each in torn],
            )
            work.tell("copied")
            receipt = work.change(plan)
        notes += [_told(each) for each in torn[:_TOLD_MAX]]
        still = [each.path for each in torn if _is_torn(each.path)]
        places = sum(len(each.mended.mends) for each in torn)
        return Outcome(
            said=f"mended: {codex_home.counted(len(torn), 'rollout')}, {codex_home.counted(places, 'place')} in all",
            gone=not still and len(torn) == len(files) == action.arguments.get("count", len(files)),
            before={"torn": len(files)},
            after={"torn": len(files) - len(torn) + len(still)},
            receipt=receipt,
            notes=tuple(notes),
        )


def _files(finding: Finding, home: str) -> list[str]:
    if paths.is_rollout(os.path.basename(finding.path)):
        return [finding.path]
    named = finding.details.get("files")
    found = [os.path.join(home, each) for each in named if isinstance(each, str)] if isinstance(named, list) else []
    return [each for each in dict.fromkeys(found) if _is_of(home, each)]


def _is_of(home: str, path: str) -> bool:
    """Whether this is a rollout of the home, and no way around leads out of it."""
    return (
        paths.is_rollout(os.path.basename(path))
        and path.startswith((f"{home}/{paths.SESSIONS}/", f"{home}/{paths.ARCHIVED}/"))
        and os.path.normpath(path) == path
        and not os.path.islink(path)
    )


def _torn(home: str, files: Iterable[str]) -> tuple[list[_Torn], list[str]]:
    """Return what is to be mended, and why some are left alone."""
    found: list[_Torn] = []
    notes: list[str] = []
    size = 0
    for path in files:
        if not _is_of(home, path):
            raise Refused(f"{path} is no rollout of {home}")
        try:
            began = os.stat(path)
            mended = mended_file(path)
            if mended is None:
                continue
            id16 = verify(path)
            if id16 is None:
                raise Damaged(
                    f"{path} has no line that says whose it is", remedy="Keep it; no agent can go on with it."
                )
        except (OSError, NotRegular, HoldfastError) as error:
            notes.append(f"{path} was left as it is: {error}")
            continue
        size += len(mended.data)
        if size > BYTES_MAX and found:
            notes.append(f"{path} was left for another time: one receipt holds {BYTES_MAX >> 20} MiB")
            continue
        found.append(_Torn(path, ids.text(id16), mended, began.st_mtime_ns))
    return found, notes


def _held(home: str, torn: list[_Torn], held: ExitStack) -> tuple[list[_Torn], list[str]]:
    """Hold the writer's lock of each thread; return those that nobody is writing, and who is at the others."""
    notes: list[str] = []
    free: list[_Torn] = []
    locked: set[str] = set()
    for each in torn:
        try:
            if each.thread_id not in locked:
                held.enter_context(writer_lock(home, each.thread_id))
                locked.add(each.thread_id)
        except Busy as busy:
            notes.append(f"{each.path} was left as it is: {busy}")
            continue
        free.append(each)
    # An older Codex takes no lock; and who has the old file open would go on writing into it.
    openers = codex_home.openers(each.path for each in free)
    found = []
    for each in free:
        if each.path in openers:
            notes.append(f"{each.path} was left as it is: {openers[each.path]} has it open")
        elif os.stat(each.path).st_mtime_ns != each.mtime_ns:
            notes.append(f"{each.path} was left as it is: somebody wrote to it just now")
        else:
            found.append(each)
    return found, notes


def _is_torn(path: str) -> bool:
    try:
        return mended_file(path) is not None or scan(path).status != "ok"
    except (OSError, NotRegular, HoldfastError):
        return True


def _told(torn: _Torn) -> str:
    places = "; ".join(f"{mend.what} ({mend.length} bytes at {mend.offset})" for mend in torn.mended.mends[:5])
    more = len(torn.mended.mends) - 5
    moved = " Lines behind it moved: a reader that keeps offsets reads this thread anew." if torn.mended.moved else ""
    return f"{torn.path}: {places}{f' and {more} more' if more > 0 else ''}.{moved}"


REPAIR = MendRollouts()
