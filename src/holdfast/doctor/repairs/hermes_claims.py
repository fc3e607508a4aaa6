"""Claims on a board of Hermes that nobody works under any more, and what its own dispatcher would write about them.

As ``release_stale_claims`` of Hermes 0.19 does: the task is ready again without
its claim, its run ends ``reclaimed``, and an event says so. What is stuck the probe
decides; one whose worker lives stays as it is, for no process is ended here.
"""

from __future__ import annotations

import json
import platform

from holdfast.changes import Row, Value
from holdfast.doctor.probes.hermes import rules
from holdfast.doctor.probes.hermes.tasks import process_of
from holdfast.sqlite import foreign

Record = dict[str, Value]

SILENT_S = 3_600
"""A worker without a heartbeat for so long is given up by Hermes itself; only this tells of one elsewhere."""

_TASK = {"id", "status", "claim_lock", "claim_expires", "worker_pid", "current_run_id", "last_heartbeat_at"}
_RUN = {
    "id",
    "status",
    "outcome",
    "error",
    "started_at",
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
        runs = look.rows("task_runs", {"id": task["current_run_id"]}) if task["current_run_id"] else []
        began_s = runs[0]["started_at"] if runs else None
        process = process_of(rules.host_of(task["claim_lock"]), task["worker_pid"], began_s)
        if rules.stuck({**task, "run_started_at": began_s}, process, now_s) is None:
            continue
        if why := _may_live(task, process, now_s):
            left.append(f"{task['id']}: {why}")
            continue
        event_id += 1
        tasks.append(str(task["id"]))
        rows += _released(task, runs, now_s, event_id)
    return rows, tasks, left


def _may_live(task: Record, process: rules.Process, now_s: int) -> str:
    """Return why somebody may still work under a claim, in words; empty when certainly nobody does."""
    if process == "lives":
        return f"its worker, pid {task['worker_pid']}, lives: Hermes itself extends its claim or ends it"
    beat_s = task["last_heartbeat_at"]
    if rules.host_of(task["claim_lock"]) in ("", platform.node()) or not isinstance(beat_s, int):
        return ""
    if now_s - beat_s > SILENT_S:
        return ""
    return f"its claim is of another machine, {task['claim_lock']}, and had a heartbeat within the hour"


def _released(task: Record, runs: list[Record], now_s: int, event_id: int) -> list[Row]:
    after: Record = {"status": "ready", "claim_lock": None, "claim_expires": None, "worker_pid": None,
                     "current_run_id": None}  # fmt: skip
    before = {column: task[column] for column in after}
    rows = [Row("tasks", {"id": task["id"]}, before, after)]
    for run in runs:
        if run["ended_at"] is not None:
            continue
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
    event: Record = {"id": event_id, "task_id": task["id"], "run_id": task["current_run_id"], "kind": "reclaimed",
                     "payload": json.dumps(payload, ensure_ascii=False), "created_at": now_s}  # fmt: skip
    return [*rows, Row("task_events", {"id": event_id}, None, event)]


_TABLES = {"tasks": _TASK, "task_runs": _RUN, "task_events": _EVENT}


def _has(look: foreign.Look, table: str, columns: set[str]) -> bool:
    # A column that a new row must be given, and that we do not know, is a newer Hermes'.
    return columns <= set(look.columns(table)) and (table != "task_events" or look.required(table) <= columns)


def _last_event(look: foreign.Look) -> int:
    """Return the number of the last event there ever was: AUTOINCREMENT keeps it."""
    for row in look.rows("sqlite_sequence", {"name": "task_events"}):
        return row["seq"] if isinstance(row["seq"], int) else 0
    return 0
