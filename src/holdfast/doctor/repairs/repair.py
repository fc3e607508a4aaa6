"""What a plan is made of: numbered actions, each of one repair; and what every repair must be able to do.

A plan is kept as JSON, read by people, and carried out later, maybe by another
process: so it holds what must still be true, and nothing in it is believed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Protocol, cast

import msgspec

from holdfast.changes import Plan, Seen
from holdfast.doctor.model import Finding, Json, Target

SCHEMA = 1
"""The number in a plan that names its keys; it changes when one of them changes its meaning."""

NAMES = (
    "checkpoint-truncate",
    "salvage",
    "drop-trigger",
    "empty-logs",
    "prune-logs",
    "compact",
    "return-free-pages",
    "mend-rollouts",
    "release-leases",
    "reroot",
    "restore-names",
    "rebuild-threads",
    "refold",
    "rebuild-search",
    "private-modes",
)
"""Every repair, in the order in which a plan does them. The one called ``mend-rollouts`` is ``REPAIR`` in the
module ``mend_rollouts`` of this folder."""


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a plan.

    ``what``: a sentence, what is done to which file, with figures. ``keeps``: a
    sentence, what stays as it is, or is kept and where. ``frees_bytes``: what the
    disk gets back, as far as it can be told before; None: it cannot. ``needs_bytes``:
    room it takes in the folder of the receipts while it is done (copies, new content).
    ``live``: safe while others have the files open. ``can_undo``: undo gives the bytes
    back. ``seen``: the files it was decided on, as they were; they must be so still.
    ``exclusive``: databases that nobody else may have open, held while this is done;
    empty for a repair that works as a polite neighbour, or on no database.
    ``arguments`` are the repair's own; it checks them again before it believes them.
    """

    repair: str
    path: str
    what: str
    keeps: str
    live: bool
    can_undo: bool
    finding: str = ""
    frees_bytes: int | None = None
    needs_bytes: int = 0
    exclusive: tuple[str, ...] = ()
    arguments: dict[str, Json] = {}
    seen: tuple[Seen, ...] = ()


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """An action with its number in the plan, from 1."""

    number: int
    action: Action


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """A finding that has a repair, and why the plan does not contain it."""

    finding: str
    path: str
    repair: str
    why: str


class RepairPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What would be done, step by step. ``targets``: nothing outside of them is touched."""

    schema: int = SCHEMA
    made_ms: int
    targets: tuple[Target, ...]
    steps: tuple[Step, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def frees_bytes(self) -> int:
        """What all steps together give back, as far as it can be told."""
        return sum(step.action.frees_bytes or 0 for step in self.steps)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one action.

    ``said``: a sentence. ``before`` and ``after``: the same figures, measured on the
    file before and after; ``gone``: what was found is there no more. ``receipt``: the
    id to undo it by; None when nothing was taken away, so there is nothing to undo.
    ``notes``: more for a person, such as the rows a salvage could not read.
    """

    said: str
    gone: bool
    before: dict[str, Json] = {}
    after: dict[str, Json] = {}
    receipt: str | None = None
    notes: tuple[str, ...] = ()


class Work(Protocol):
    """What ``applying`` gives a repair to work with. The files of ``Action.seen`` and ``exclusive`` are checked."""

    @property
    def live(self) -> bool:
        """Others may have the files open: only what is safe then may be done."""

    @property
    def receipts_folder(self) -> str:
        """Where receipts lie. Files that are made for a moment lie in ``scratch``."""

    @property
    def scratch(self) -> str:
        """Return a folder that is empty, private, on the disk of the receipts, and gone when the action ended."""

    def change(self, plan: Plan) -> str:
        """Write the receipt of ``plan``, carry it out, and return the id of the receipt.

        Raises ``Stale`` (something changed since it was planned), ``Busy``, ``Full``, ``Refused``: nothing was
        changed. ``HalfDone``: stopped in the middle; the receipt finishes or undoes it.
        """

    def replace(self, path: str, make: Callable[[str, str], None], what: str) -> str:
        """Give the database ``path``, one of ``Action.exclusive``, other content; return the id of the receipt.

        ``what`` names it in the receipt, as in "compact PATH". ``make(copy, new)`` makes the new content as the file
        ``new`` out of a copy that it may read, not write. Raises as ``change`` does.
        """

    def tell(self, point: str, done: int = 0, total: int = 0) -> None:
        """Say how far it is."""


class Repair(Protocol):
    """One kind of repair: the object ``REPAIR`` of its module. It keeps nothing between two calls."""

    name: str

    def propose(self, finding: Finding, target: Target) -> Action | None:
        """Return what would be done about ``finding``; None: nothing can be, or nothing need be any more.

        Only looks, and at no more than it must: ``stat``, and what the finding's ``details`` say. Raises
        ``Refused`` with why when it would have to be done otherwise; the plan tells.
        """

    def carry_out(self, action: Action, work: Work) -> Outcome:
        """Do it, and measure again. Raises ``HoldfastError``; all but ``HalfDone`` mean that nothing was changed."""


def repair(name: str) -> Repair | None:
    """Return the repair of this name; None when there is none (a plan may say anything)."""
    if name not in NAMES:
        return None
    try:
        module = importlib.import_module(f"holdfast.doctor.repairs.{name.replace('-', '_')}")
    except ModuleNotFoundError:
        return None
    return cast("Repair", module.REPAIR)
