"""Claims on a board of Hermes that nobody works under any more, and what its own dispatcher would write about them.

As ``release_stale_claims`` of Hermes 0.19 does: the task is ready again without
its claim, its run ends ``reclaimed``, and an event says so. It is done to tasks only
whose claim ended long ago and whose worker is certainly gone; no process is ended here.
"""

from __future__ import annotations

import json
import platform

from holdfast import holds
from holdfast.changes import Row, Value
from holdfast.holds import owner as owners
from holdfast.sqlite import foreign

Record = dict[str, Value]

LATE_S = 300
"""Hermes' dispatcher looks every 60 s, and puts off what it cannot end by 120 s: what is older, nobody looks after."""

SILENT_S = 3_600
"""A worker without a heartbeat for so long is given up by Hermes itself; only this tells of one elsewhere."""

_TASK = {"id", "status", "claim_lock", "claim_expires", "worker_pid", "current_run_id", "last_heartbeat_at"}
_RUN = {
    "id",
    "status",
    "outcome",
    "error",
    "ended_at",
    "claim_lock",
    "claim_expires",
    "worker_pid",
    "summary",
    "metadata",
}
_EVENT = {"id", "task_id", "run_id", "kind", "payload", "created_at"}


def stuck(look: foreign.Look, now_s: int) -> tuple[list[Row], list[str], list[str]]:
    """Return the rows that release what is stuck, the tasks, and what is left to Hermes with why."""
    if not all(_has(look, table, columns) for table, columns in _TABLES.items()):
        return [], [], ["The board has not the tables of a Hermes that we know: left alone."]
    rows: list[Row] = []
    tasks: list[str] = []
    left: list[str] = []
    event_id = _last_event(look)
    for task in look.rows("tasks", {"status": "running"}):
        if (expires_s := _number(task["claim_expires"])) is None or now_s - expires_s <= LATE_S:
            continue
        if why := _may_live(task, now_s):
            left.append(f"{task['id']}: {why}")
            continue
        event_id += 1
        tasks.append(str(task["id"]))
        rows += _released(look, task, now_s, event_id)
    return rows, tasks, left


def _may_live(task: Record, now_s: int) -> str:
    """Return why the worker of a task may still be at it, in words; empty when it is certainly gone."""
    pid, lock = _number(task["worker_pid"]), str(task["claim_lock"] or "")
    if lock.rpartition(":")[0] != platform.node():
        beat_s = _number(task["last_heartbeat_at"])
        if beat_s is not None and now_s - beat_s <= SILENT_S:
            return f"its claim is of another machine, {lock}, and had a heartbeat within the hour"
        return ""
    if pid is None or not 0 < pid < 1 << 22:
        return ""
    return "" if holds.is_dead(owners.of(pid)) else f"its worker, pid {pid}, lives: Hermes itself extends or ends it"


def _released(look: foreign.Look, task: Record, now_s: int, event_id: int) -> list[Row]:
    after: Record = {"status": "ready", "claim_lock": None, "claim_expires": None, "worker_pid": None,
                     "current_run_id": None}  # fmt: skip
    before = {column: task[column] for column in after}
    rows = [Row("tasks", {"id": task["id"]}, before, after)]
    run_id = task["current_run_id"]
    for run in look.rows("task_runs", {"id": run_id, "ended_at": None}) if run_id else ():
        ended: Record = {"status": "reclaimed", "outcome": "reclaimed", "summary": None, "metadata": None,
                         "error": f"stale_lock={task['claim_lock']}", "ended_at": now_s, "claim_lock": None,
                         "claim_expires": None, "worker_pid": None}  # fmt: skip
        rows.append(Row("task_runs", {"id": run["id"]}, {column: run[column] for column in ended}, ended))
    payload = {
        "stale_lock": task["claim_lock"],
        "worker_pid": task["worker_pid"],
        "claim_expires": task["claim_expires"],
        "last_heartbeat_at": task["last_heartbeat_at"],
        "now": now_s,
        "reason": "holdfast doctor: nobody works under this claim",
    }
    event: Record = {"id": event_id, "task_id": task["id"], "run_id": run_id, "kind": "reclaimed",
                     "payload": json.dumps(payload, ensure_ascii=False), "created_at": now_s}  # fmt: skip
    return [*rows, Row("task_events", {"id": event_id}, None, event)]


_TABLES = {"tasks": _TASK, "task_runs": _RUN, "task_events": _EVENT}


def _has(look: foreign.Look, table: str, columns: set[str]) -> bool:
    # A column that a new row must be given, and that we do not know, is a newer Hermes'.
    return columns <= set(look.columns(table)) and (table != "task_events" or look.required(table) <= columns)


def _last_event(look: foreign.Look) -> int:
    """Return the number of the last event there ever was: AUTOINCREMENT keeps it."""
    for row in look.rows("sqlite_sequence", {"name": "task_events"}):
        return _number(row["seq"]) or 0
    return 0


def _number(value: Value) -> int | None:
    return value if isinstance(value, int) else None
