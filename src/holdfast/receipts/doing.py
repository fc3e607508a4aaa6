"""Carrying a receipt out, and undoing it: step by step, each noted on disk before the next begins."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from holdfast.changes import Rows, paths_of
from holdfast.errors import Busy, Full, HalfDone, HoldfastError, Refused, Stale
from holdfast.receipts import families, keeping, steps
from holdfast.receipts.model import Receipt, Standing, Step
from holdfast.receipts.standing import Databases, given, standing
from holdfast.receipts.steps import Hands, Replacing

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def carry_out(receipt: Receipt, databases: Databases | None = None, replacing: Replacing | None = None) -> Receipt:
    """Do what the receipt says, or the rest of it, and return it. Two to four syncs a step.

    Files and rows must be as they were planned on: else ``Stale``, nothing is
    changed, and the receipt is discarded; so, too, when rows, which ``databases``
    changes, cannot be changed now (``Busy``, ``Refused``). Raises ``HalfDone``
    when a step in the middle cannot be done; what was done stays, and is noted.
    A receipt once undone is not carried out again: ``Refused``.
    """
    with keeping.sole_hand(receipt):
        if any(step.undone for step in receipt.steps):
            raise Refused(f"the receipt {receipt.id} was undone", remedy="Make the change again.")
        began = any(step.done or step.put or (step.swap and step.swap.begun) for step in receipt.steps)
        if not began:
            began = _begun(receipt, databases)
        for number, step in enumerate(receipt.steps):
            if step.done:
                continue
            steps.clear_partial(receipt, step)
            try:
                now = standing(receipt.plan, step, databases)
            except HoldfastError as error:
                raise _half_done(receipt, number, str(error)) from error
            if now is Standing.CHANGED:
                raise _half_done(receipt, number, "it was changed by somebody else")
            if now is not Standing.AFTER:
                try:
                    steps.do(receipt, step, lambda: keeping.put(receipt), Hands(databases, replacing))
                except HoldfastError as error:
                    if not began and isinstance(error, Busy | Refused):  # else rows may have been changed
                        keeping.discard(receipt)
                        raise
                    raise _half_done(receipt, number, str(error)) from error
                except OSError as error:
                    if not began and standing(receipt.plan, step, databases) is Standing.BEFORE:
                        steps.clear_partial(receipt, step)
                        _remove_folders(receipt)
                        keeping.discard(receipt)
                        kind = Full if error.errno in _NO_ROOM else Refused
                        raise kind(f"could not {step.what}: {error.strerror}; nothing was changed") from error
                    raise _half_done(receipt, number, error.strerror or str(error)) from error
            began = True
            step.done = True
            keeping.put(receipt)
    return receipt


def undo(receipt: Receipt, databases: Databases | None = None, replacing: Replacing | None = None) -> Receipt:
    """Put everything back as it was before the receipt was carried out, as far as it was. Repeatable.

    Looks at all files first: when somebody changed one since, raises
    ``Refused`` naming it, and nothing is changed. Lines that others appended
    to a shared file stay. Raises ``HalfDone`` when it is stopped in the middle.
    """
    with keeping.sole_hand(receipt):
        changed = [
            path
            for step in receipt.steps
            if not step.undone and standing(receipt.plan, step, databases) is Standing.CHANGED
            for path in paths_of(step.change) or _rows_of(step)
        ]
        if changed:
            raise Refused(
                f"not undone: changed since, by somebody else: {', '.join(dict.fromkeys(changed))}",
                remedy=f"The copies of what was taken away lie in {receipt.at}.",
            )
        for number, step in reversed(list(enumerate(receipt.steps))):
            if step.undone:
                continue
            steps.clear_partial(receipt, step)
            try:
                if standing(receipt.plan, step, databases) is not Standing.BEFORE:
                    steps.undo(receipt, step, lambda: keeping.put(receipt), Hands(databases, replacing))
            except HoldfastError as error:
                if not any(each.undone for each in receipt.steps):
                    raise
                raise _half_done(receipt, number, str(error), doing="undoing") from error
            except OSError as error:
                raise _half_done(receipt, number, error.strerror or str(error), doing="undoing") from error
            step.undone = True
            keeping.put(receipt)
        _remove_folders(receipt)
        keeping.drop_copies(receipt)
    return receipt


def standings(receipt: Receipt, databases: Databases | None = None) -> list[Standing]:
    """Return how the files of each step stand now, whatever was noted. Only looks."""
    return [standing(receipt.plan, step, databases) for step in receipt.steps]


def _begun(receipt: Receipt, databases: Databases | None) -> bool:
    """Return True when a step was begun and its maker killed before that was noted; else check all that was seen."""
    first = standing(receipt.plan, receipt.steps[0], databases)
    if first is Standing.BETWEEN:
        return True
    first_done = first is Standing.AFTER
    others = {path for step in receipt.steps[1:] for path in paths_of(step.change)}
    for before in receipt.plan.seen:
        if families.seen(before.path) != before and not (first_done and before.path not in others):
            keeping.discard(receipt)
            raise Stale(
                f"{before.path} was changed after this was planned; nothing was done", remedy="Give the command again."
            )
    if not first_done:
        _check_rows(receipt, databases)
    return first_done


def _check_rows(receipt: Receipt, databases: Databases | None) -> None:
    """Have nothing begun that would stop at rows: they are somebody else's, who may be using them now."""
    try:
        for change in [step.change for step in receipt.steps]:
            if isinstance(change, Rows) and given(databases).standing(change, to_change=True) != "before":
                raise Stale(
                    f"{change.path} was changed after this was planned; nothing was done",
                    remedy="Give the command again.",
                )
    except HoldfastError:
        keeping.discard(receipt)
        raise


def _rows_of(step: Step) -> tuple[str, ...]:
    return (f"rows of {step.change.path}",) if isinstance(step.change, Rows) else ()


def _remove_folders(receipt: Receipt) -> None:
    for folder in reversed(receipt.folders):
        with suppress(OSError):  # somebody put something else into it
            os.rmdir(folder)


def _half_done(receipt: Receipt, number: int, why: str, *, doing: str = "carrying out") -> HalfDone:
    step: Step = receipt.steps[number]
    return HalfDone(
        f"stopped {doing} the receipt {receipt.id} at step {number + 1} of {len(receipt.steps)} "
        f"({step.what if doing == 'carrying out' else step.undo}): {why}",
        remedy=f"`holdfast receipts show {receipt.id}` says how far it is; `holdfast undo {receipt.id}` undoes it, "
        "with --finish it does the rest.",
    )
