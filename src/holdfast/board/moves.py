"""What may become of a task, by what is done to it. The table makes the diagram in the docs, and every refusal.

Pure: no clock, no database. Which of several statuses it is, the gates, the
time and the failures decide (``gates.place``, ``rules``).
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from holdfast.board.model import Status
from holdfast.errors import Refused


class Verb(StrEnum):
    """What is done to a task; by a worker, by a person, or (``SETTLE``, ``LOSE``) by nobody."""

    SPECIFY = "specify"
    TRIAGE = "triage"
    SCHEDULE = "schedule"
    SETTLE = "settle"
    CLAIM = "claim"
    FINISH = "finish"
    HAND_IN = "hand in"
    ASK_CHANGES = "ask for changes"
    RELEASE = "release"
    FAIL = "fail"
    LOSE = "lose"
    RECLAIM = "reclaim"
    BLOCK = "block"
    UNBLOCK = "unblock"
    CANCEL = "cancel"
    REOPEN = "reopen"
    ARCHIVE = "archive"
    RESTORE = "restore"


_S = Status
_UP = frozenset({_S.TODO, _S.READY, _S.BLOCKED})  # where gates.place puts work; blocked: vetoed
_PLACED = _UP | {_S.REVIEW}
_AT_REST = (_S.TRIAGE, _S.TODO, _S.SCHEDULED, _S.READY, _S.BLOCKED, _S.REVIEW)  # open, and nobody is at it

CREATED = frozenset({_S.READY, _S.TODO, _S.SCHEDULED, _S.TRIAGE, _S.BLOCKED})

MOVES: dict[tuple[Status, Verb], frozenset[Status]] = {
    (_S.TRIAGE, Verb.SPECIFY): _UP,
    **{(seen, Verb.TRIAGE): frozenset({_S.TRIAGE}) for seen in _AT_REST if seen != _S.TRIAGE},
    **{(seen, Verb.SCHEDULE): frozenset({_S.SCHEDULED}) for seen in _AT_REST},
    (_S.TODO, Verb.SETTLE): frozenset({_S.READY, _S.BLOCKED}),
    (_S.READY, Verb.SETTLE): frozenset({_S.TODO, _S.BLOCKED}),
    (_S.SCHEDULED, Verb.SETTLE): _PLACED,
    (_S.BLOCKED, Verb.SETTLE): _PLACED,
    (_S.READY, Verb.CLAIM): frozenset({_S.RUNNING}),
    (_S.REVIEW, Verb.CLAIM): frozenset({_S.RUNNING}),
    **{(seen, Verb.FINISH): frozenset({_S.DONE}) for seen in (*_AT_REST, _S.RUNNING)},
    (_S.RUNNING, Verb.HAND_IN): frozenset({_S.REVIEW}),
    (_S.RUNNING, Verb.ASK_CHANGES): _UP,
    (_S.REVIEW, Verb.ASK_CHANGES): _UP,
    (_S.RUNNING, Verb.RELEASE): _PLACED | {_S.SCHEDULED},
    (_S.RUNNING, Verb.FAIL): frozenset({_S.SCHEDULED, _S.BLOCKED}),
    (_S.RUNNING, Verb.LOSE): frozenset({_S.SCHEDULED, _S.BLOCKED}),
    (_S.RUNNING, Verb.RECLAIM): _PLACED,
    # Triage: blocked for the same kind again. Up at once: what it waits for is there already.
    **{(seen, Verb.BLOCK): _PLACED | {_S.TRIAGE} for seen in (*_AT_REST, _S.RUNNING) if seen != _S.BLOCKED},
    (_S.BLOCKED, Verb.UNBLOCK): _PLACED,
    **{(seen, Verb.CANCEL): frozenset({_S.CANCELLED}) for seen in (*_AT_REST, _S.RUNNING)},
    (_S.DONE, Verb.REOPEN): _UP,
    (_S.CANCELLED, Verb.REOPEN): _UP,
    **{(seen, Verb.ARCHIVE): frozenset({_S.ARCHIVED}) for seen in (*_AT_REST, _S.DONE, _S.CANCELLED)},
    (_S.ARCHIVED, Verb.RESTORE): frozenset({*_AT_REST, _S.DONE, _S.CANCELLED}),
}

_REMEDIES = {
    _S.RUNNING: "Its worker ends it, with its fence. To take it from the worker, `reclaim` or `cancel` it.",
    _S.DONE: "It is over; `reopen` it first.",
    _S.CANCELLED: "It is over; `reopen` it first.",
    _S.ARCHIVED: "It was put away; `restore` it first.",
}


def targets(seen: Status, verb: Verb) -> frozenset[Status]:
    """Return what ``verb`` may make of a task in ``seen``; nothing when it is not allowed."""
    return MOVES.get((seen, verb), frozenset())


def check(task_id: int, seen: Status, verb: Verb) -> None:
    """Raise ``Refused`` unless the table lets ``verb`` be done to a task in ``seen``."""
    if targets(seen, verb):
        return
    may = ", ".join(status for status in Status if targets(status, verb))
    raise Refused(
        f"task {task_id} is {seen}: {verb} is for tasks that are {may}", remedy=_REMEDIES.get(seen, "Look at it first.")
    )


def edges() -> Iterator[tuple[Status, Status, tuple[Verb, ...]]]:
    """Yield every pair of statuses a task may go between, with the verbs that do it. For the diagram."""
    for seen in Status:
        for became in Status:
            verbs = tuple(verb for verb in Verb if became in targets(seen, verb))
            if verbs:
                yield seen, became, verbs
