"""When a task may be claimed, when it may be tried again, and which words are refused. Pure."""

from __future__ import annotations

import re
from dataclasses import replace

from holdfast import backoff
from holdfast.board.model import BlockKind, Capped, Claimed, Stage, Status, Taken, Task, Waiting, resource
from holdfast.errors import Refused
from holdfast.holds import rules as hold_rules
from holdfast.holds.model import Hold, Owner

LEASE_MS = 60_000
FAILURES_MAX = 3
BACKOFF_MS = 1_000
BACKOFF_MAX_MS = 3_600_000
NAME_MAX = 200
REQUEST_MAX = 1_000
TITLE_MAX = 1_000
BODY_BYTES_MAX = 256 * 1024
WHY_MAX = 4_000
NUMBER_MAX = (1 << 62) - 1
SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

LOOPING = frozenset({BlockKind.NEEDS_INPUT, BlockKind.DEPENDENCY, BlockKind.CAPABILITY, BlockKind.TRANSIENT})
"""The kinds somebody says: blocked for the same one again, right after it was unblocked, somebody must look."""
SAID_KINDS = (*sorted(LOOPING), BlockKind.CHILDREN)
_RECURRENCES_MAX = 2


def decide(
    task: Task,
    owner: Owner,
    *,
    now_ms: int,
    lease_ms: int,
    epoch: int,
    stage: Stage | None = None,
    holder_is_dead: bool = False,
    capped: tuple[Capped, ...] = (),
) -> Claimed | Taken | Waiting | Capped:
    """Return the claim ``owner`` gets of ``task``, or why it gets none. The first line that holds decides.

    =====================================================  =========
    somebody's claim on it is in force                     Taken
    it is not ready, nor to be reviewed; the other stage   Waiting
    as many run as may                                     Capped
    else                                                   Claimed
    =====================================================  =========

    A running task is taken for its own owner, too: two threads of one process
    must not do it twice. ``Claimed.run`` is 0 until the run has its row.
    Raises ``Refused`` unless ``lease_ms`` is positive.
    """
    check_lease(task.task_id, lease_ms)
    if task.status == Status.RUNNING and task.owner is not None and not is_lost(task, now_ms, holder_is_dead):
        return Taken(task, task.owner, task.expires_ms)
    if task.status not in (Status.READY, Status.REVIEW) or (stage is not None and stage != task.stage):
        return Waiting(task, task.due_ms if task.status == Status.SCHEDULED else None)
    if capped:
        return capped[0]
    ended = None if task.hold is None else replace(task.hold, expires_ms=task.renewed_ms, note="")
    hold = hold_rules.decide(ended, resource(task.task_id), owner, now_ms=now_ms, lease_ms=lease_ms, epoch=epoch)
    assert isinstance(hold, Hold)  # what is released changes hands
    return Claimed(task, hold, 0, task.attempts + 1)


def is_lost(task: Task, now_ms: int, holder_is_dead: bool) -> bool:
    """Return True when whoever runs ``task`` certainly lost it: dead, or silent for longer than the lease."""
    return holder_is_dead or task.expires_ms <= now_ms


def backoff_ms(task_id: int, failures: int) -> int:
    """Return how long a task rests after its ``failures``-th failure in a row. See ``holdfast.backoff``."""
    return backoff.backoff_ms(BACKOFF_MS, BACKOFF_MAX_MS, failures, f"{task_id}/{failures}")


def recurrences(task: Task, kind: BlockKind) -> int:
    """Return how many times in a row ``task`` will have been blocked for ``kind``."""
    return task.block_recurrences + 1 if task.block_kind == kind else 1


def is_loop(kind: BlockKind, recurrences: int) -> bool:
    """Return True when a task was blocked, unblocked, and is blocked for the same kind again."""
    return kind in LOOPING and recurrences >= _RECURRENCES_MAX


def check_lease(task_id: int, lease_ms: int) -> None:
    """Raise ``Refused`` unless ``lease_ms`` is positive."""
    if not 0 < lease_ms <= NUMBER_MAX:
        raise Refused(f"{resource(task_id)}: to end a claim, release it; a lease of {lease_ms} ms is none")


def check_slug(slug: str) -> None:
    """Raise ``Refused`` unless ``slug`` can be a board's."""
    if not SLUG.fullmatch(slug):
        raise Refused(f"a board is called by 1 to 64 of a-z, 0-9, - and _, the first a letter or digit, not {slug!r}")


def check_text(what: str, text: str, most: int, *, least: int = 0) -> None:
    """Raise ``Refused`` unless ``text`` has ``least`` to ``most`` characters that both engines keep."""
    if not least <= len(text) <= most:
        raise Refused(f"a task's {what} has {least} to {most} characters, this one {len(text)}")
    if "\0" in text:  # PostgreSQL keeps none, and two names must not become one
        raise Refused(f"a task's {what} holds no NUL character, as this one does: {text[:60]!r}")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Refused(f"a task's {what} is Unicode without lone surrogates, not {text[:60]!r}") from None


def check_number(what: str, number: int | None, *, least: int = -NUMBER_MAX) -> None:
    """Raise ``Refused`` for a number that makes no sense, or that no database holds."""
    if number is not None and not least <= number <= NUMBER_MAX:
        raise Refused(f"a task's {what} is {least} to {NUMBER_MAX}, not {number}")


def block_kind(kind: str) -> BlockKind:
    """Return the kind a block may be given. Raises ``Refused`` for another."""
    if kind not in SAID_KINDS:
        raise Refused(f"a task is blocked for {', '.join(SAID_KINDS)}, not for {kind!r}")
    return BlockKind(kind)
