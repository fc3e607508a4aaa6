"""What a parent means to its children. Pure: no clock, no database."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from holdfast.board.model import OPEN, BlockKind, Gate, Stage, Status

GATES: tuple[Gate, ...] = ("none", "done", "passed", "failed", "ended")
FAIL = "fail"
"""The verdict that a parent failed; every other one, and none, is that it passed."""


class State(Enum):
    """What a gate says: the child waits, may go on, or is not to be done at all."""

    OPEN = "open"
    MET = "met"
    VETO = "veto"


class Place(NamedTuple):
    """Where a task lies while nobody is at it."""

    status: Status
    block_kind: BlockKind | None


def gate(kind: Gate, status: Status, verdict: str | None, archived_from: Status | None = None) -> State:
    """Return what a parent in ``status`` means to a child behind a gate of this kind.

    ======== ============ =========== ===========
    kind     done, passed done, fail  cancelled
    ======== ============ =========== ===========
    none     met, whatever becomes of the parent
    done     met          met         veto
    passed   met          veto        veto
    failed   veto         met         met
    ended    met          met         met
    ======== ============ =========== ===========

    Everything else is open. An archived parent counts as what it was.
    """
    if kind == "none":
        return State.MET
    if status == Status.ARCHIVED and archived_from is not None:
        status = archived_from
    if status == Status.CANCELLED:
        return State.VETO if kind in ("done", "passed") else State.MET
    if status != Status.DONE:
        return State.OPEN
    failed = verdict == FAIL
    if (kind == "passed" and failed) or (kind == "failed" and not failed):
        return State.VETO
    return State.MET


def place(stage: Stage, gates_open: int, gates_vetoed: int) -> Place:
    """Return where a task belongs that nothing but its gates holds back. A review waits for no gates."""
    if stage == "review":
        return Place(Status.REVIEW, None)
    if gates_vetoed:
        return Place(Status.BLOCKED, BlockKind.VETO)
    return Place(Status.TODO if gates_open else Status.READY, None)


def settle(
    status: Status, block_kind: BlockKind | None, stage: Stage, gates_open: int, gates_vetoed: int, children_open: int
) -> Place:
    """Return where a task belongs once the counts have changed. Whatever waits for no gate stays where it is.

    An explicit block, a time, a worker and an end are not ended by a gate.
    """
    if status == Status.BLOCKED:
        ends = (block_kind == BlockKind.VETO and not gates_vetoed) or (
            block_kind == BlockKind.CHILDREN and not children_open
        )
        return place(stage, gates_open, gates_vetoed) if ends else Place(status, block_kind)
    if status in (Status.TODO, Status.READY):
        return place(stage, gates_open, gates_vetoed)
    return Place(status, None)


def is_open(status: Status) -> bool:
    """Return True while a task is not over, and so keeps a parent waiting that waits for its children."""
    return status in OPEN
