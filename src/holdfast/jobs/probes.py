"""What must be true of the rows of ``jobs``. Looks only.

A job whose worker died is no finding: the next worker gets it, as promised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from holdfast import holds
from holdfast.engine import Read
from holdfast.findings import Finding
from holdfast.holds.probes import epoch_to_come, times_out_of_order, unreadable_owner
from holdfast.holds.rules import COUNTER_BITS
from holdfast.jobs.model import Status
from holdfast.jobs.rows import NEVER, SQL

_SHOWN_MAX = 100


def probes(tx: Read) -> list[Finding]:
    """Return what is wrong with the jobs. Three reads; the rows that are right are not fetched."""
    epoch = holds.epoch(tx)
    odd = tx.rows(
        SQL["odd_jobs"],
        now_ms=tx.now_ms,
        fence_floor=1 << COUNTER_BITS,
        fence_ceiling=(epoch + 1) << COUNTER_BITS,
        limit=_SHOWN_MAX,
    )
    found = [finding for row in odd for finding in _of_job(row, epoch, tx.now_ms)]
    return found + list(_unreadable(tx)) + list(_requests(tx))


def _of_job(row: Mapping[str, Any], epoch: int, now_ms: int) -> Iterator[Finding]:
    subject = f"job {row['kind']}/{row['key']}"
    running = row["status"] == Status.RUNNING
    held = f"status {row['status']}, fence {row['fence']}, renewed {row['renewed_ms']}, expires {row['expires_ms']}"
    again = f"`holdfast jobs retry {row['kind']} {row['key']}` has it done again."
    if running and (not row["fence"] or not row["owner"] or row["expires_ms"] <= row["renewed_ms"]):
        yield Finding("job-hold", subject, held, "an owner, a fence and a lease while it runs", _WROTE + again)
    if not running and row["expires_ms"] != row["renewed_ms"]:
        yield Finding("job-hold", subject, held, "no lease unless it runs", _WROTE + again)
    if row["status"] == Status.DONE and row["done_size"] == NEVER[0]:
        yield Finding("job-never-done", subject, "done, for no input", "the input it was done for", _WROTE + again)
    if row["fence"] and row["fence"] <= 1 << COUNTER_BITS:
        yield Finding("job-fence", subject, f"fence {row['fence']}", "an epoch, then a counter from 1", _WROTE + again)
    elif row["fence"] >> COUNTER_BITS > epoch:
        yield epoch_to_come("job-epoch", subject, row["fence"], epoch)
    if (times := times_out_of_order("job-times", subject, row, now_ms)) is not None:
        yield times
    if row["due_ms"] != max(row["not_before_ms"], row["retry_ms"]):
        yield Finding(
            "job-due",
            subject,
            measured=f"due {row['due_ms']}",
            expected=f"the later of {row['not_before_ms']} (asked for) and {row['retry_ms']} (end of its rest)",
            remedy=_WROTE + again,
        )
    if not 0 <= row["attempts"] <= row["attempts_max"]:
        yield Finding(
            "job-attempts", subject, f"{row['attempts']} attempts", f"0 to {row['attempts_max']}", _WROTE + again
        )


def _unreadable(tx: Read) -> Iterator[Finding]:
    for row in tx.rows(SQL["list_owners"]):
        remedy = "Stop whoever works on it, then set its status to 'ready' in the table `jobs`."
        yield from unreadable_owner("job-owner", f"job {row['job']}", row["owner"], remedy)


def _requests(tx: Read) -> Iterator[Finding]:
    for row in tx.rows(SQL["lost_requests"], limit=_SHOWN_MAX):
        yield Finding(
            "job-request",
            f"request {row['request']}",
            measured=f"its job {row['kind']}/{row['key']} has no row",
            expected="the job that was asked for",
            remedy="Somebody deleted the job's row. Delete this row of `job_requests`, too, or ask again.",
        )


_WROTE = "Something else wrote this row. "
