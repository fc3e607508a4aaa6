"""A receipt of the doctor undone, or brought to its end: without a state, whatever is broken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from holdfast import receipts
from holdfast.changes import Append, Rewrite
from holdfast.doctor.replacing import Hand
from holdfast.receipts import Receipt
from holdfast.rollouts import names_lock, writer_lock
from holdfast.sqlite import foreign


def undo(receipt: Receipt) -> Receipt:
    """Give everything back that ``receipt`` changed. Raises as ``receipts.undo``, and ``Busy`` with names.

    For a process that has none of its databases open.
    """
    with _locked(receipt):
        return receipts.undo(receipt, foreign, Hand())


def finish(receipt: Receipt) -> Receipt:
    """Do the rest of ``receipt``. Raises as ``receipts.carry_out``, and ``Busy`` with names."""
    with _locked(receipt):
        return receipts.carry_out(receipt, foreign, Hand())


@contextmanager
def _locked(receipt: Receipt) -> Iterator[None]:
    """Hold the locks that its rollouts and names need, if it is about any."""
    plan = receipt.plan
    with ExitStack() as held:
        for subject in plan.subjects:
            held.enter_context(writer_lock(plan.folder, subject))
        if any(isinstance(change, Append | Rewrite) and change.shared for change in plan.changes):
            held.enter_context(names_lock(plan.folder))
        yield
