"""How the files and rows of a step stand now, whatever was noted: only looked at."""

from __future__ import annotations

import os
import stat
from typing import Literal, Protocol

from holdfast.changes import Append, Mode, Move, Plan, Remove, Replace, Rewrite, Rows, Seen
from holdfast.errors import Refused
from holdfast.receipts import families
from holdfast.receipts.families import seen
from holdfast.receipts.model import Standing, Step


class Databases(Protocol):
    """Who changes rows. Raises ``HoldfastError``; with ``Busy`` and ``Refused`` nothing was changed for certain."""

    def standing(self, rows: Rows, *, to_change: bool = False) -> Literal["before", "after", "changed"]:
        """Return how the rows stand. ``to_change``: as one who could change them now; ``Busy`` when not."""

    def turn(self, rows: Rows, *, back: bool = False) -> None:
        """Have the rows as after, or ``back`` as before: all, and durably. ``Stale`` when they are neither."""


def standing(plan: Plan, step: Step, databases: Databases | None) -> Standing:
    """Return how the files of a step stand. Reads what was appended, or a shared file whole."""
    match step.change:
        case Move():
            return _of_move(plan, step.change)
        case Remove(path):
            now, before = seen(path), plan.before(path)
            if not now.is_there:
                return Standing.AFTER
            # Put back from a copy it is another file of the same size and time.
            return Standing.BEFORE if _alike(now, before) else Standing.CHANGED
        case Append():
            return _of_append(plan, step, step.change)
        case Rewrite():
            return _of_rewrite(plan, step, step.change)
        case Mode():
            return _of_mode(step.change)
        case Rows():
            return Standing(given(databases).standing(step.change))
        case Replace(path, rows=rows):
            found = families.standing(plan, step)
            if rows and found is Standing.CHANGED:  # somebody went on with it: only the rows are looked at
                return Standing(given(databases).standing(Rows(path, rows)))
            return found


def given(databases: Databases | None) -> Databases:
    """Return who changes rows, or raise ``Refused``."""
    if databases is None:
        raise Refused("this receipt changes rows of a database, and nobody was given who could")
    return databases


def _of_move(plan: Plan, move: Move) -> Standing:
    here, there, before = seen(move.source), seen(move.target), plan.before(move.source)
    after_ns = before.mtime_ns if move.mtime_ns is None else move.mtime_ns
    for now in (here, there):
        is_it = before.same_file(now) and now.size == before.size and now.mtime_ns in (before.mtime_ns, after_ns)
        if now.is_there and not is_it:
            return Standing.CHANGED
    if here.is_there and not there.is_there and here.mtime_ns == before.mtime_ns:
        return Standing.BEFORE
    if there.is_there and not here.is_there and there.mtime_ns == after_ns:
        return Standing.AFTER
    return Standing.BETWEEN if here.is_there or there.is_there else Standing.CHANGED


def _of_append(plan: Plan, step: Step, append: Append) -> Standing:
    now, before = seen(append.path), plan.before(append.path)
    if now == before or _is(step.put_back, now):
        return Standing.BEFORE
    if not now.is_there or (before.is_there and not append.shared and not before.same_file(now)):
        return Standing.CHANGED
    written = _read(append.path, before.size, len(append.data) + 1)
    if written == append.data or (append.shared and written.startswith(append.data)):
        return Standing.AFTER
    # A part of it: killed while writing, or while cutting it off again.
    return Standing.BETWEEN if append.data.startswith(written) and now.size >= before.size else Standing.CHANGED


def _of_rewrite(plan: Plan, step: Step, rewrite: Rewrite) -> Standing:
    now, before = seen(rewrite.path), plan.before(rewrite.path)
    if now == before or _is(step.put_back, now):
        return Standing.BEFORE
    if not now.is_there:
        return Standing.CHANGED
    found = content_of(rewrite.path)
    whole = found.startswith(rewrite.data) if rewrite.shared else found == rewrite.data
    return Standing.AFTER if whole else Standing.CHANGED


def _of_mode(mode: Mode) -> Standing:
    try:
        info = os.lstat(mode.path)
    except (FileNotFoundError, NotADirectoryError):
        return Standing.CHANGED
    now = stat.S_IMODE(info.st_mode)
    if stat.S_ISLNK(info.st_mode) or now not in (mode.before, mode.after):
        return Standing.CHANGED
    return Standing.BEFORE if now == mode.before else Standing.AFTER


def _is(noted: Seen | None, now: Seen) -> bool:
    # What others append afterwards is theirs, and changes nothing of whose file it is.
    return noted is not None and noted.same_file(now)


def _alike(now: Seen, before: Seen) -> bool:
    return (now.size, now.mtime_ns) == (before.size, before.mtime_ns)


def content_of(path: str) -> bytes:
    """Return what is in a file."""
    with open(path, "rb") as file:
        return file.read()


def _read(path: str, offset: int, bytes_max: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(offset)
        return file.read(bytes_max)
