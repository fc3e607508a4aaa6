"""Leases in Codex's databases that nobody works under any more, and what ends them: decided on what was read of them.

They are dated and name no process: one is the dead's when its time is over, when it
lies further ahead than any is given for, or when nobody has a database of the home
open. Counts of tries stay as they are.
"""

from __future__ import annotations

from holdfast.changes import Row, Value
from holdfast.doctor.probes.codex_work import BACKFILL_LEASE_S, EXPIRED_S, LEASE_S_MAX, WAITS_S
from holdfast.sqlite import foreign

Record = dict[str, Value]
Leases = tuple[list[Row], list[str]]
"""The rows that end leases, and what the leases were on."""

_OVER = "its lease ended and nobody was at it (holdfast doctor)"
_TRIES = 3
_AHEAD_S = 60
_BACKFILL_WORDS = ("pending", "running", "complete")
_JOB = {"kind", "job_key", "status", "worker_id", "ownership_token", "lease_until", "finished_at", "last_error"} | {
    "retry_at", "retry_remaining", "started_at", "input_watermark"
}  # fmt: skip
_FIRST_JOB = {"thread_id", "scope_kind", "scope_key", "status", "started_at"}


def stale(look: foreign.Look, now_s: int, *, used: bool, last_used_s: int) -> Leases:
    """Return what ends the leases of the dead in one database.

    ``used``: somebody has a database of the home open. ``last_used_s``: when a thread
    was last written; work that waits since a day before that is due now.
    """
    rows: list[Row] = []
    names: list[str] = []
    for found, of_it in (
        _jobs(look, now_s, used=used),
        _waiting(look, now_s, last_used_s),
        _first_jobs(look, now_s, used=used),
        _backfill(look, now_s, used=used),
    ):
        rows += found
        names += of_it
    return rows, names


def _jobs(look: foreign.Look, now_s: int, *, used: bool) -> Leases:
    """As after any error, but to be tried again at once."""
    rows: list[Row] = []
    names: list[str] = []
    for job in look.rows("jobs", {"status": "running"}) if set(look.columns("jobs")) >= _JOB else ():
        until_s = job["lease_until"]
        if isinstance(until_s, int) and used and now_s - EXPIRED_S <= until_s <= now_s + LEASE_S_MAX:
            continue
        after: Record = {"status": "error", "worker_id": None, "ownership_token": None, "lease_until": None}
        after |= {"finished_at": now_s, "last_error": _OVER}
        rows.append(_changed("jobs", ("kind", "job_key"), job, after))
        names.append(f"{job['kind']} {job['job_key']}")
    return rows, names


def _waiting(look: foreign.Look, now_s: int, last_used_s: int) -> Leases:
    """What waits and was never begun is due now, with tries left."""
    rows: list[Row] = []
    names: list[str] = []
    for job in look.rows("jobs", {"status": "pending"}) if set(look.columns("jobs")) >= _JOB else ():
        times = [job[column] for column in ("finished_at", "started_at", "input_watermark", "retry_at")]
        since_s = max((each for each in times if isinstance(each, int)), default=0)
        if 0 < since_s < last_used_s - WAITS_S:
            tries = job["retry_remaining"]
            left = tries if isinstance(tries, int) and tries > 0 else _TRIES
            rows.append(_changed("jobs", ("kind", "job_key"), job, {"retry_at": now_s, "retry_remaining": left}))
            names.append(f"{job['kind']} {job['job_key']}")
    return rows, names


def _first_jobs(look: foreign.Look, now_s: int, *, used: bool) -> Leases:
    """Of the first generation, whose lease is counted from its start: without one, anybody may take it."""
    rows: list[Row] = []
    names: list[str] = []
    table = "memory_phase1_jobs"
    for job in look.rows(table, {"status": "running"}) if set(look.columns(table)) >= _FIRST_JOB else ():
        began_s = job["started_at"]
        if isinstance(began_s, int) and not (used and now_s - EXPIRED_S <= began_s + 3_600 <= now_s + LEASE_S_MAX):
            rows.append(_changed(table, ("thread_id", "scope_kind", "scope_key"), job, {"started_at": None}))
            names.append(f"memory of {job['thread_id']}")
    return rows, names


def _backfill(look: foreign.Look, now_s: int, *, used: bool) -> Leases:
    """The claim on reading all rollouts into the table of threads: the next start begins it again."""
    rows: list[Row] = []
    for row in (
        look.rows("backfill_state", {}) if {"id", "status", "updated_at"} <= set(look.columns("backfill_state")) else ()
    ):
        at_s = row["updated_at"]
        is_held = used and isinstance(at_s, int) and now_s - BACKFILL_LEASE_S <= at_s <= now_s + _AHEAD_S
        if row["status"] not in _BACKFILL_WORDS or (row["status"] == "running" and not is_held):
            rows.append(_changed("backfill_state", ("id",), row, {"status": "pending", "updated_at": now_s}))
    return rows, ["the reading of all rollouts"] * len(rows)


def _changed(table: str, key: tuple[str, ...], row: Record, after: Record) -> Row:
    return Row(table, {column: row[column] for column in key}, {column: row[column] for column in after}, after)
