"""What is wrong with what a board of Hermes remembers: runs, events, rows of no task, copies put aside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from holdfast.clock import wall_ms
from holdfast.doctor.model import Confidence, Finding
from holdfast.doctor.probes.hermes import rules
from holdfast.doctor.probes.hermes.boards import SQL, Board
from holdfast.doctor.probes.wording import some

_RUNS = ("id", "task_id", "status", "started_at", "ended_at")
# Not of `task_attachments`: Hermes itself leaves those of a task that is deleted.
_BELONGINGS = {
    "task_comments": "comments_without_task",
    "task_runs": "runs_without_task",
    "kanban_notify_subs": "subscriptions_without_task",
}
_HOUR_S = 3_600
_MIB = 1 << 20
_QUARANTINE_BYTES = 64 * _MIB
_QUARANTINE_FILES = 10


def runs(board: Board) -> Iterator[Finding]:
    """Find runs that go on without their task, tasks that run without a run, and tasks started again and again."""
    if not (board.has("tasks", "id", "status", "current_run_id") and board.has("task_runs", *_RUNS)):
        return
    left = board.ask(SQL["runs_left_open"], limit=board.LISTED)
    if left:
        yield board.finding(
            "board-runs-open",
            measured=f"runs without an end, whose task is not at them, {len(left)} in all: "
            + some([f"run {row['id']} of {row['task_id']}, which is {row['status']}" for row in left]),
            expected="one open run for each running task, and no other",
            cause="A transaction of Hermes was lost in part, or a worker ended a task it no longer had.",
            remedy="Nothing waits for them: they only count as running. Compare them with what the worker's log says.",
            runs=[row["id"] for row in left[: board.SHOWN]],
            count=len(left),
        )
    without = [str(row["id"]) for row in board.ask(SQL["running_without_run"], limit=board.LISTED)]
    if without:
        yield board.finding(
            "board-running-without-run",
            measured=f"tasks that run without an open run: {some(without)}",
            expected="one open run for each running task",
            cause="A transaction of Hermes was lost in part, or somebody moved the task by hand.",
            remedy="Their worker's end may be refused: it names no run. `hermes kanban reclaim` puts them back.",
            tasks=board.first(without),
            count=len(without),
        )
    after_s = int(wall_ms() / 1000) - _HOUR_S
    again = board.ask(SQL["respawned"], after_s=after_s, most=rules.RUNS_PER_HOUR_MAX, limit=board.LISTED)
    if again:
        yield board.finding(
            "board-respawn-loop",
            measured="tasks that were started again and again within the last hour: "
            + some([f"{row['task_id']} ({row['runs']} runs)" for row in again]),
            expected=f"at most {rules.RUNS_PER_HOUR_MAX} runs an hour; the breaker opens after 2 failures",
            cause="Each worker ends in a way that is not counted as a failure (a rate limit, a guard without an end).",
            remedy="Block the task in Hermes (`hermes kanban block`), and read the log of its last run.",
            confidence=Confidence.LIKELY,
            tasks={str(row["task_id"]): row["runs"] for row in again[: board.SHOWN]},
            count=len(again),
        )


def events(board: Board) -> Iterator[Finding]:
    """Find tasks whose events grow without a bound."""
    if not board.has("task_events", "task_id", "kind"):
        return
    many = board.ask(SQL["many_events"], most=rules.EVENTS_MAX, limit=board.LISTED)
    if many:
        kinds = board.ask(SQL["kinds_of_events"], task=many[0]["task_id"])
        yield board.finding(
            "board-events",
            measured=f"{sum(row['events'] for row in many)} events of tasks with more than {rules.EVENTS_MAX}: "
            + some([f"{row['task_id']} ({row['events']})" for row in many])
            + f"; of the first mostly {some([str(row['kind']) for row in kinds])}",
            expected=f"at most {rules.EVENTS_MAX} a task",
            cause="Something is noted at every tick (a guard, a heartbeat), and only events of tasks that are over"
            " are ever collected.",
            remedy="End or archive those tasks: `hermes kanban gc` then takes their events after 30 days.",
            tasks={str(row["task_id"]): row["events"] for row in many[: board.SHOWN]},
            kinds={str(row["kind"]): row["events"] for row in kinds},
        )


def belongings(board: Board) -> Iterator[Finding]:
    """Find rows of tasks that are not there."""
    if not board.has("tasks", "id"):
        return
    found = {}
    for table, name in _BELONGINGS.items():
        if board.has(table, "task_id"):
            for row in board.ask(SQL[name]):
                if row["found"]:
                    found[table] = (row["found"], row["one"])
    if found:
        yield board.finding(
            "board-rows-without-task",
            measured="rows of tasks that are not there: "
            + some([f"{count} in {table} (such as of {one})" for table, (count, one) in found.items()]),
            expected="a task for each row",
            cause="The task was lost when a damaged board was repaired, or deleted past Hermes.",
            remedy="They hold nobody up. What they say may be all that is left of the task: look at it before it goes.",
            confidence=Confidence.LIKELY,
            rows={table: count for table, (count, _one) in found.items()},
        )


def quarantine(board: Board) -> Iterator[Finding]:
    """Find copies that Hermes put aside when it took the board for damaged."""
    folder = os.path.dirname(board.path)
    copies, size = list[str](), 0
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if rules.QUARANTINED.match(entry.name)]
    for name in names:
        with suppress(FileNotFoundError):  # Hermes lets the oldest go
            size += os.lstat(os.path.join(folder, name)).st_blocks * 512
            if not name.endswith(("-wal", "-shm")):
                copies.append(name)
    if copies:
        large = size > _QUARANTINE_BYTES or len(copies) > _QUARANTINE_FILES
        yield board.finding(
            "board-quarantine",
            measured=f"{len(copies)} copies of a board that was called damaged, {size / _MIB:.1f} MiB: "
            + some(sorted(copies)),
            expected="none, or a few while somebody looks at them",
            cause="Hermes copies a board each time it takes it for damaged."
            + (" It has done so again and again: what damages it is still at work." if large else ""),
            remedy="Look first whether the board in use has all tasks; a copy may have those it lost. What is no longer"
            " needed can go by hand.",
            confidence=Confidence.CERTAIN,
            files=sorted(copies)[: board.SHOWN],
            bytes=size,
            count=len(copies),
        )
