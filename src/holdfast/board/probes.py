"""What must be true of the rows of the board's tables. Looks only.

A task whose worker died is no finding: the next claim or sweep ends it, as promised.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from holdfast import holds
from holdfast.board.gates import State, gate, is_open
from holdfast.board.model import Status
from holdfast.board.rows import SQL
from holdfast.board.telling import EVENTS_MAX
from holdfast.engine import Read
from holdfast.findings import Finding
from holdfast.holds.probes import epoch_to_come, times_out_of_order, unreadable_owner
from holdfast.holds.rules import COUNTER_BITS

_SHOWN_MAX = 100
_COUNTS = ("gates_open", "gates_vetoed", "children_open", "links")


def probes(tx: Read) -> list[Finding]:
    """Return what is wrong with the boards. Reads every task, link and event once; what is right is not fetched."""
    return [finding for part in PARTS for finding in part(tx)]


def _tasks(tx: Read) -> list[Finding]:
    epoch = holds.epoch(tx)
    odd = tx.rows(
        SQL["odd_tasks"],
        now_ms=tx.now_ms,
        fence_floor=1 << COUNTER_BITS,
        fence_ceiling=(epoch + 1) << COUNTER_BITS,
        limit=_SHOWN_MAX,
    )
    return [_of_task(row, epoch, tx.now_ms) for row in odd]


def _of_task(row: Mapping[str, Any], epoch: int, now_ms: int) -> Finding:
    subject, status = f"task {row['task_id']}", row["status"]
    held = f"status {status}, fence {row['fence']}, renewed {row['renewed_ms']}, expires {row['expires_ms']}"
    if status == Status.RUNNING and (not row["fence"] or not row["owner"] or row["expires_ms"] <= row["renewed_ms"]):
        return Finding("task-hold", subject, held, "an owner, a fence and a lease while it runs", _WROTE + _RECLAIM)
    if status != Status.RUNNING and row["expires_ms"] != row["renewed_ms"]:
        return Finding("task-hold", subject, held, "no lease unless it runs", _WROTE + _LOOK)
    if row["fence"] >> COUNTER_BITS > epoch:
        return epoch_to_come("task-epoch", subject, row["fence"], epoch)
    if row["fence"] and row["fence"] <= 1 << COUNTER_BITS:
        return Finding(
            "task-fence", subject, f"fence {row['fence']}", "an epoch, then a counter from 1", _WROTE + _LOOK
        )
    if (times := times_out_of_order("task-times", subject, row, now_ms)) is not None:
        return times
    return Finding(
        "task-place",
        subject,
        measured=f"status {status}, stage {row['stage']}, block {row['block_kind']}, {row['gates_open']} gates open,"
        f" {row['gates_vetoed']} vetoed, {row['children_open']} children open",
        expected="a board, and the status that the gates ask for",
        remedy=_WROTE + _LOOK,
    )


def _links(tx: Read) -> Iterator[Finding]:
    right: dict[int, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_COUNTS, 0))
    above: dict[int, list[int]] = defaultdict(list)
    for row in tx.rows(SQL["all_links"]):
        parent, child = row["parent_id"], row["child_id"]
        if row["parent_status"] is None or row["child_status"] is None or row["parent_board"] != row["child_board"]:
            yield Finding(
                "task-link",
                f"task {child}",
                measured=f"a link to its parent {parent}, which is not on its board or not there",
                expected="both ends on one board",
                remedy=f"{_WROTE}Delete this row of `task_links`, then `board.recount` both ends.",
            )
            continue
        state = gate(row["gate"], Status(row["parent_status"]), row["parent_verdict"], _status(row["parent_from"]))
        right[child]["gates_open"] += state == State.OPEN
        right[child]["gates_vetoed"] += state == State.VETO
        right[child]["links"] += 1
        right[parent]["links"] += 1
        right[parent]["children_open"] += is_open(Status(row["child_status"]))
        above[child].append(parent)
    counted = {row["task_id"]: {name: row[name] for name in _COUNTS} for row in tx.rows(SQL["all_counts"])}
    for task_id in sorted(right.keys() | counted.keys()):
        measured = counted.get(task_id, dict.fromkeys(_COUNTS, 0))
        if measured != right[task_id]:
            yield Finding(
                "task-counts",
                f"task {task_id}",
                measured=", ".join(f"{name} {measured[name]}" for name in _COUNTS),
                expected=", ".join(f"{name} {right[task_id][name]}" for name in _COUNTS),
                remedy=f"{_WROTE}`board.recount(tx, {task_id})` counts again, and moves the task where it belongs.",
            )
    for row in tx.rows(SQL["odd_waits"], limit=_SHOWN_MAX):
        yield Finding(
            "task-circle",
            f"task {row['parent_id']}",
            measured=f"it is blocked until its children are over, and its child {row['child_id']} waits for it",
            expected="no two that wait for each other",
            remedy=f"`unblock` task {row['parent_id']}, or link the two with the gate `none`.",
        )
    if circle := _circle(above):
        yield Finding(
            "task-circle",
            f"task {circle[0]}",
            measured=f"it waits for itself: {' <- '.join(map(str, circle))}",
            expected="no circle of links",
            remedy=f"{_WROTE}`unlink` one of them.",
        )


def _circle(above: Mapping[int, Iterable[int]]) -> list[int]:
    """Return tasks that wait for each other in a circle, or nothing."""
    left = {child: set(parents) for child, parents in above.items()}
    below: dict[int, list[int]] = defaultdict(list)
    for child, parents in left.items():
        for parent in parents:
            below[parent].append(child)
    free = [parent for parent in below if not left.get(parent)]
    while free:
        parent = free.pop()
        for child in below[parent]:
            left[child].discard(parent)
            if not left[child]:
                del left[child]
                free.append(child)
    if not left:
        return []
    path = [min(left)]  # whoever is left waits for one that is left
    while (after := min(parent for parent in left[path[-1]] if parent in left)) not in path:
        path.append(after)
    return [*path[path.index(after) :], after]


def _runs(tx: Read) -> Iterator[Finding]:
    for row in tx.rows(SQL["odd_runs"], limit=_SHOWN_MAX):
        yield Finding(
            "task-run",
            f"run {row['run_id']}",
            measured=f"of task {row['task_id']}, which is {row['status'] or 'not there'}, run {row['run_of_task']}",
            expected="a run that is over, or the one its task is at",
            remedy=_WROTE + _LOOK,
        )
    for row in tx.rows(SQL["running_without_run"], limit=_SHOWN_MAX):
        yield Finding(
            "task-run",
            f"task {row['task_id']}",
            measured="it runs, without a run under its fence that goes on",
            expected="one",
            remedy=_WROTE + _RECLAIM,
        )


def _owners(tx: Read) -> Iterator[Finding]:
    for row in tx.rows(SQL["list_owners"]):
        if row["owner"]:
            remedy = "Stop whoever works on it, then set its owner to that of another running task."
            yield from unreadable_owner("task-owner", f"task {row['task_id']}", row["owner"], remedy)


def _requests(tx: Read) -> Iterator[Finding]:
    for row in tx.rows(SQL["lost_requests"], limit=_SHOWN_MAX):
        yield Finding(
            "task-request",
            f"request {row['request']}",
            measured=f"its task {row['task_id']} has no row",
            expected="the task that was asked for",
            remedy="Somebody deleted the task's row. Delete this row of `board_requests`, too, or ask again.",
        )


def _events(tx: Read) -> Iterator[Finding]:
    for row in tx.rows(SQL["odd_events"], most=EVENTS_MAX, limit=_SHOWN_MAX):
        yield Finding(
            "task-events",
            f"task {row['task_id']}",
            measured=f"{row['events']} events, the last {row['last_seq']}, while it counted {row['counted']}",
            expected=f"at most {EVENTS_MAX}, and as many as it counted",
            remedy=_WROTE + _LOOK,
        )


def _board_counts(tx: Read) -> Iterator[Finding]:
    for row in tx.rows(SQL["odd_board_counts"]):
        yield Finding(
            "board-counts",
            f"board {row['board_id']}",
            measured=f"{row['counted']} tasks that are {row['status']} {row['kind']}".rstrip(),
            expected=str(row["tasks"]),
            remedy="Something changed tasks past the triggers that count. `board.recount_boards(tx)` counts again.",
        )


PARTS: Final = (_tasks, _links, _runs, _owners, _requests, _events, _board_counts)
"""What ``probes`` asks, each by itself: for who may not stay in one transaction for all of it."""


def _status(text: str | None) -> Status | None:
    return None if text is None else Status(text)


_WROTE = "Something else wrote this row. "
_RECLAIM = "`reclaim` the task: then it is up again."
_LOOK = "`archive` and `restore` the task puts it where it belongs."
