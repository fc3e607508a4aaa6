"""Claim tasks, by number or the next one. Each function joins the caller's transaction; a claim costs four statements.

Caps are honoured here, so by everybody who claims. On PostgreSQL claims on a
board that has caps wait for each other at the board's row, or each would
count without the other; claims on any other board wait for nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from msgspec.structs import replace

from holdfast import holds
from holdfast.board import catalogue, rules, sweeping
from holdfast.board.model import (
    Board,
    Capped,
    Claimed,
    Idle,
    Stage,
    Status,
    Taken,
    Task,
    Waiting,
)
from holdfast.board.moves import Verb
from holdfast.board.rows import SQL, task
from holdfast.board.transition import become, get, locked, missing
from holdfast.engine import Read, Row, Write
from holdfast.errors import Refused
from holdfast.holds import Owner
from holdfast.holds import owner as owners
from holdfast.holds.store import EPOCH

IsDead = Callable[[Owner], bool]
STAGES: tuple[Stage, ...] = ("work", "review")
_STATUS = {"work": Status.READY, "review": Status.REVIEW}
_AT_ONCE = SQL["task_and_epoch"].fill(epoch=EPOCH, task=SQL["select_task"].fill(which=SQL["which_at_once"]))
_NEXT = {stage: SQL["select_task"].fill(which=SQL["which_next"].fill(status=_STATUS[stage])) for stage in STAGES}
_FREE = {stage: SQL["select_task"].fill(which=SQL["which_next_free"].fill(status=_STATUS[stage])) for stage in STAGES}
_IN_LANE = {
    stage: SQL["select_task"].fill(which=SQL["which_next_in_lane"].fill(status=_STATUS[stage])) for stage in STAGES
}
_HEADS = {stage: SQL["heads_of_lanes"].fill(status=_STATUS[stage]) for stage in STAGES}


def claim(
    tx: Write,
    task_id: int,
    owner: Owner,
    *,
    lease_ms: int = rules.LEASE_MS,
    stage: Stage | None = None,
    is_dead: IsDead = owners.is_dead,
) -> Claimed | Taken | Waiting | Capped:
    """Claim this one task, or learn why not. ``stage`` None: whichever it is up for.

    A worker that is certainly dead, and one whose lease is over, loses it
    first; then the task rests like after any failure. Raises ``Refused`` when
    there is no such task, or its board was put away.
    """
    rules.check_lease(task_id, lease_ms)
    seen = get(tx, task_id)
    if seen is None:
        raise missing(task_id)
    board = _in_use(tx, seen)
    limits = catalogue.caps(tx, board.board_id)
    if board.running_max is not None or limits:
        board = catalogue.locked(tx, board.slug)
        limits = catalogue.caps(tx, board.board_id)
    seen = locked(tx, task_id)
    if seen.status == Status.RUNNING and seen.owner is not None:
        dead = is_dead(seen.owner)
        if rules.is_lost(seen, tx.now_ms, dead):
            seen = sweeping.lose(tx, seen, dead=dead)
    outcome = rules.decide(seen, owner, now_ms=tx.now_ms, lease_ms=lease_ms, epoch=holds.epoch(tx), stage=stage)
    if not isinstance(outcome, Claimed):
        return outcome
    if capped := _reached(tx, board, limits, seen.assignee, is_dead):
        return capped
    return _take(tx, outcome)


def claim_next(
    tx: Write,
    board: str,
    owner: Owner,
    *,
    assignees: Collection[str] | None = None,
    tenants: Collection[str] | None = None,
    without: Collection[str] = (),
    stages: Collection[Stage] = STAGES,
    lease_ms: int = rules.LEASE_MS,
    is_dead: IsDead = owners.is_dead,
) -> Claimed | Idle:
    """Claim what is to be done next on a board: the largest priority, then what is ready longest.

    ``assignees`` and ``tenants`` None: any; '' is nobody's. ``without`` are
    assignees whose tasks are left for now. What is due is
    made ready first, and what was lost with its worker's lease is given up.
    Costs a few rows however many tasks there are; with filters, or a cap on
    an assignee, one more for each pair of assignee and tenant that has some.
    Raises ``Refused`` when there is no such board.
    """
    rules.check_lease(0, lease_ms)
    if unknown := set(stages) - set(STAGES):
        raise Refused(f"a stage is one of {', '.join(STAGES)}, not {', '.join(map(repr, sorted(unknown)))}")
    plain = assignees is None and tenants is None and not without
    if plain and "work" in stages:  # almost always there is nothing to see to first
        found = tx.row(_AT_ONCE, board=board, now_ms=tx.now_ms, reviews=int("review" in stages))
        if found is not None:
            words = dict(found)
            epoch = words.pop("epoch")
            return _decided(tx, words, owner, lease_ms, int(epoch))
    where = catalogue.there(tx, board)
    if where.archived_ms is not None:
        return Idle(None)
    limits = catalogue.caps(tx, where.board_id)
    if where.running_max is not None or limits:
        where = catalogue.locked(tx, board)
        limits = catalogue.caps(tx, where.board_id)
    sweeping.wake(tx, where.board_id)
    sweeping.expire(tx, where.board_id)
    epoch = holds.epoch(tx)
    wanted = _Wanted(stages, assignees, tenants, without)
    found, capped = _find(tx, where, limits, wanted)
    if found is None and sweeping.recover(tx, where.board_id, is_dead=is_dead) and capped:
        found, capped = _find(tx, where, limits, wanted)
    if found is None:
        return Idle(until_ms(tx, where.board_id), tuple(capped))
    return _decided(tx, found, owner, lease_ms, epoch)


def until_ms(tx: Read, board_id: int) -> int | None:
    """Return when something on the board changes by itself: a time that comes, or a lease that ends. None: never."""
    row = tx.row(SQL["next_change"], board_id=board_id)
    return min((at for at in (row or {}).values() if at is not None), default=None)


class _Wanted:
    """Which tasks a worker takes."""

    def __init__(
        self,
        stages: Collection[Stage],
        assignees: Collection[str] | None,
        tenants: Collection[str] | None,
        without: Collection[str],
    ) -> None:
        self.stages = tuple(stage for stage in STAGES if stage in stages)
        self.is_all = assignees is None and tenants is None and not without
        self._without = frozenset(without)
        self._assignees = None if assignees is None else frozenset(assignees)
        self._tenants = None if tenants is None else frozenset(tenants)

    def has(self, lane: Mapping[str, Any]) -> bool:
        return (
            (self._assignees is None or lane["assignee"] in self._assignees)
            and (self._tenants is None or lane["tenant"] in self._tenants)
            and lane["assignee"] not in self._without
        )


def _find(tx: Write, where: Board, limits: dict[str, int], wanted: _Wanted) -> tuple[Row | None, list[Capped]]:
    """Return the next task that is wanted and under no cap, and the caps that were in the way."""
    running = catalogue.count_running(tx, where.board_id) if limits or where.running_max is not None else {}
    if where.running_max is not None and sum(running.values()) >= where.running_max:
        return None, [Capped(None, sum(running.values()), where.running_max)]
    full = {
        name: Capped(name, running.get(name, 0), most) for name, most in limits.items() if running.get(name, 0) >= most
    }
    lanes: list[tuple[tuple[int, int, int], Stage, tuple[str, str] | None]]
    if wanted.is_all and not full:
        heads = [(stage, tx.row(_NEXT[stage], board_id=where.board_id)) for stage in wanted.stages]
        lanes = [(_place(head), stage, None) for stage, head in heads if head is not None]
    else:
        lanes = [
            (_place(head), stage, (head["assignee"], head["tenant"]))
            for stage in wanted.stages
            for head in tx.rows(_HEADS[stage], board_id=where.board_id)
            if wanted.has(head)
        ]
    capped: dict[str, Capped] = {}
    for _, stage, lane in sorted(lanes):
        if lane is None:
            found = tx.row(_FREE[stage], board_id=where.board_id)
        elif lane[0] in full:
            capped[lane[0]] = full[lane[0]]
            continue
        else:
            found = tx.row(_IN_LANE[stage], board_id=where.board_id, assignee=lane[0], tenant=lane[1])
        if found is not None:
            return found, list(capped.values())
    return None, list(capped.values())


def _place(head: Row) -> tuple[int, int, int]:
    return -head["priority"], head["ready_ms"], head["task_id"]


def _reached(tx: Write, board: Board, limits: dict[str, int], assignee: str, is_dead: IsDead) -> Capped | None:
    if board.running_max is None and assignee not in limits:
        return None
    for again in (True, False):  # a cap that seems to be reached is looked at again without the dead and the silent
        running = catalogue.count_running(tx, board.board_id)
        if board.running_max is not None and sum(running.values()) >= board.running_max:
            capped = Capped(None, sum(running.values()), board.running_max)
        elif assignee in limits and running.get(assignee, 0) >= limits[assignee]:
            capped = Capped(assignee, running.get(assignee, 0), limits[assignee])
        else:
            return None
        if not again or not sweeping.recover(tx, board.board_id, is_dead=is_dead):
            return capped
    return None


def _in_use(tx: Read, seen: Task) -> Board:
    board = catalogue.board_by_id(tx, seen.board_id)
    if board is None:
        raise Refused(f"the board of task {seen.task_id} is gone")
    return catalogue.in_use(tx, board.slug) if board.archived_ms is not None else board


def _decided(tx: Write, found: Row, owner: Owner, lease_ms: int, epoch: int) -> Claimed:
    outcome = rules.decide(task(found), owner, now_ms=tx.now_ms, lease_ms=lease_ms, epoch=epoch)
    assert isinstance(outcome, Claimed), outcome  # what was found is ready
    return _take(tx, outcome)


def _take(tx: Write, decided: Claimed) -> Claimed:
    seen, hold = decided.task, decided.hold
    row = tx.row(
        SQL["insert_run"],
        task_id=seen.task_id,
        attempt=decided.attempt,
        stage=seen.stage,
        assignee=seen.assignee,
        owner=owners.dump(hold.owner),
        fence=hold.fence,
        now_ms=tx.now_ms,
    )
    assert row is not None  # RETURNING
    run_id = int(row["run_id"])
    held = become(
        tx,
        seen,
        Verb.CLAIM,
        "claimed",
        payload={"attempt": decided.attempt, "stage": seen.stage, "pid": hold.owner.pid, "label": hold.owner.label},
        status=Status.RUNNING,
        attempts=decided.attempt,
        run_id=run_id,
        started_ms=seen.started_ms if seen.started_ms is not None else tx.now_ms,
        owner=hold.owner,
        fence=hold.fence,
        taken_ms=hold.taken_ms,
        renewed_ms=hold.renewed_ms,
        expires_ms=hold.expires_ms,
        note="",
    )
    return replace(decided, task=held, run=run_id)
