"""Work of Codex that does not end: the backfill at its start, leases nobody gives back, what waits and is not begun."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

from holdfast.doctor.homes.look import SqlLook
from holdfast.doctor.model import Confidence, Database, Finding, Json, Status
from holdfast.doctor.probes import unread
from holdfast.quantities import duration
from holdfast.sqlite.inspecting import Inspection, Row
from holdfast.sqlite.locks import openers

BACKFILL_LEASE_S = 900
_BACKFILL_WORDS = ("pending", "running", "complete")
_SKEW_S = 60
EXPIRED_S = 900
"""A lease that ended so long ago was not given back: the process that had it is gone, or hangs."""
LEASE_S_MAX = 2 * 3_600  # they are for 3,600 s
WAITS_S = 86_400
"""Work that waits while Codex is used for a day more is not going to be begun."""
_SHOWN = 5


# --- F16 ---------------------------------------------------------------------------


@unread.probe
def backfill_stuck(look: SqlLook) -> Iterator[Finding]:
    """Find a backfill that keeps Codex from starting: of a process that is gone, of the future, or of no known kind."""
    state = look.database("state")
    inspection = None if state is None else look.open(state)
    if inspection is None or not {"id", "status", "updated_at"} <= inspection.columns("backfill_state").keys():
        return
    rows = inspection.rows("SELECT status, updated_at FROM backfill_state WHERE id = 1")
    if not rows:
        return
    status, at_s = str(rows[0]["status"]), _whole(rows[0]["updated_at"])
    age_s = int(time.time()) - at_s
    details: dict[str, Json] = {"status": status, "updated_at": at_s, "age_s": age_s}
    if status not in _BACKFILL_WORDS:
        yield _backfill(
            inspection.path, Status.FAIL, Confidence.CERTAIN, f"Its status is {status!r}.",
            "Something else than Codex wrote it, or a version that is not known. Codex ends at once.", details,
        )  # fmt: skip
    elif status == "running" and age_s < -_SKEW_S:
        yield _backfill(
            inspection.path, Status.FAIL, Confidence.CERTAIN,
            f"It is said to be running since a time that is {duration(-age_s * 1000)} ahead of this clock.",
            "A clock was wrong. Codex waits for a lease that does not end, and never starts.", details,
        )  # fmt: skip
    elif status == "running" and not _is_used(look):
        fresh = age_s < BACKFILL_LEASE_S
        yield _backfill(
            inspection.path,
            Status.FAIL if fresh else Status.WARN,
            Confidence.LIKELY,
            f"It is running since {duration(age_s * 1000)}, and no process has a database of the home open.",
            "The process that did it was ended. "
            + (
                f"Each Codex waits 30 s and ends, for {duration((BACKFILL_LEASE_S - age_s) * 1000)} more."
                if fresh
                else "The next Codex takes it over; until then some threads have no row."
            ),
            details,
        )


def _backfill(
    path: str, status: Status, confidence: Confidence, measured: str, cause: str, details: dict[str, Json]
) -> Finding:
    return Finding(
        id="backfill-stuck",
        row="F16",
        status=status,
        path=path,
        measured=measured,
        expected="`complete`; `pending` before the first start; `running` only while a process is at it.",
        confidence=confidence,
        cause=cause,
        remedy="`holdfast doctor --plan` makes a plan that lets the next start begin it again.",
        repair="release-leases",
        details=details,
    )


def _is_used(look: SqlLook) -> bool:
    """Whether anybody else has a database of the home open, by the kernel's table of locks."""
    look.close()  # our own lock would be one of them
    return any(openers(database.path) for database in look.target.databases)


# --- leases, and what waits ----------------------------------------------------------


class _Jobs(NamedTuple):
    """A table of jobs: ``until`` is when a lease ends, as SQL; ``key`` names one."""

    roles: tuple[str, ...]
    table: str
    needs: tuple[str, ...]
    key: str
    until: str


_JOB = "kind || ' ' || job_key"
_TABLES = (
    _Jobs(("memories", "state"), "jobs", ("kind", "job_key", "status", "lease_until"), _JOB, "lease_until"),
    _Jobs(("state",), "memory_phase1_jobs", ("thread_id", "status", "started_at"), "thread_id", "started_at + 3600"),
)


@unread.probe
def stale_leases(look: SqlLook) -> Iterator[Finding]:
    """Find jobs that run by a lease that ended long ago, of nobody who is there, or of the future."""
    now_s = int(time.time())
    for jobs, database in _job_tables(look):
        inspection = look.open(database)
        if inspection is None or not set(jobs.needs) <= inspection.columns(jobs.table).keys():
            continue
        text = (
            f"SELECT {jobs.key} AS job, {jobs.until} AS until FROM {jobs.table}"
            f" WHERE status = 'running' AND {jobs.until} IS NOT NULL ORDER BY 2 LIMIT 10000"
        )
        rows = inspection.rows(text)
        expired = [row for row in rows if _whole(row["until"]) < now_s - EXPIRED_S]
        ahead = [row for row in rows if _whole(row["until"]) > now_s + LEASE_S_MAX]
        held = [row for row in rows if row not in expired and row not in ahead]
        left = [] if not held or _is_used(look) else held
        if expired or ahead or left:
            yield _stale(database.path, jobs.table, now_s, expired, ahead, left)


def _stale(path: str, table: str, now_s: int, expired: list[Row], ahead: list[Row], left: list[Row]) -> Finding:
    said = []
    if expired:
        oldest_s = now_s - _whole(expired[0]["until"])
        said.append(
            f"{len(expired):,} leases ended without being given back, the first {duration(oldest_s * 1000)} ago"
        )
    if left:
        said.append(f"{len(left):,} leases still run, and no process has a database of the home open")
    if ahead:
        said.append(f"{len(ahead):,} leases run for longer than any is given for")
    jobs: list[Json] = [str(row["job"]) for row in (*left, *ahead, *expired)[:_SHOWN]]
    return Finding(
        id="stale-lease",
        status=Status.WARN,
        path=path,
        measured="; ".join(said) + ".",
        expected="A job is running only while a process works on it.",
        confidence=Confidence.CERTAIN if not left else Confidence.LIKELY,
        cause="The process was ended at its work, or a clock was wrong. Leases that still run count against the few "
        "(2 by default) that may run at once.",
        remedy="`holdfast doctor --plan` makes a plan that gives them back, so that the work is done again.",
        repair="release-leases",
        details={"table": table, "expired": len(expired), "ahead": len(ahead), "left": len(left), "jobs": jobs},
    )


@unread.probe
def pending_stuck(look: SqlLook) -> Iterator[Finding]:
    """Find jobs that wait without a reason while Codex was used for a day and more."""
    used_s = _last_used_s(look)
    for database in look.target.databases:
        if database.role not in ("memories", "state") or not database.known or not used_s:
            continue
        inspection = look.open(database)
        needs = {"kind", "job_key", "status", "retry_at", "started_at", "finished_at", "input_watermark"}
        if inspection is None or not needs <= inspection.columns("jobs").keys():
            continue
        rows = inspection.rows(
            f"SELECT {_JOB} AS job, max(ifnull(finished_at, 0), ifnull(started_at, 0),"
            " ifnull(input_watermark, 0), ifnull(retry_at, 0)) AS since FROM jobs WHERE status = 'pending' LIMIT 10000"
        )
        stuck = [row for row in rows if 0 < _whole(row["since"]) < used_s - WAITS_S]
        if not stuck:
            continue
        oldest_s = used_s - min(_whole(row["since"]) for row in stuck)
        jobs: list[Json] = [str(row["job"]) for row in stuck[:_SHOWN]]
        yield Finding(
            id="pending-stuck",
            status=Status.WARN,
            path=database.path,
            measured=f"{len(stuck):,} jobs wait to be begun, the first since {duration(oldest_s * 1000)} before Codex "
            f"was last used, without a lease or a time to try again: {jobs[0]}.",
            expected="What waits is begun within a day of use.",
            confidence=Confidence.GUESS,
            cause="Work that came in during the pause after a success, or whose tries are used up, is not begun again.",
            remedy="`holdfast doctor --plan` makes a plan that lets them be tried at once.",
            repair="release-leases",
            details={"pending": len(stuck), "jobs": jobs, "last_used": used_s},
        )


def _job_tables(look: SqlLook) -> Iterator[tuple[_Jobs, Database]]:
    for database in look.target.databases:
        for jobs in _TABLES:
            if database.role in jobs.roles and database.known:
                yield jobs, database


def _last_used_s(look: SqlLook) -> int:
    state = look.database("state")
    inspection = None if state is None else look.open(state)
    if inspection is None or "updated_at" not in inspection.columns("threads"):
        return 0
    return min(_newest(inspection), int(time.time()))


def _newest(inspection: Inspection) -> int:
    return inspection.number("SELECT max(updated_at) FROM threads")


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
