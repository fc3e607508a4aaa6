"""Rows of ``jobs`` as values, and back. Reads and writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from holdfast import columns, sql
from holdfast.errors import Damaged, Refused
from holdfast.holds import owner as owners
from holdfast.jobs.model import Job, Kind, Status, Watermark

SQL = sql.load("holdfast.jobs")
FAILURE_CHARS_MAX = 4_000

# A watermark is two columns that are never NULL, so that one comparison serves all: see `0006_jobs.sql`.
_NONE = (-1, "")
NEVER = (-2, "")
_TIMES = ("taken_ms", "renewed_ms", "expires_ms")


def job(row: Mapping[str, Any]) -> Job:
    """Return the row as a job. Raises ``Damaged`` when it cannot be read."""
    try:
        return Job(
            job_id=row["job_id"],
            kind=row["kind"],
            key=row["key"],
            status=Status(row["status"]),
            priority=row["priority"],
            not_before_ms=row["not_before_ms"],
            retry_ms=row["retry_ms"],
            due_ms=row["due_ms"],
            wanted=_watermark(row["wanted_size"], row["wanted_hash"]),
            done=_watermark(row["done_size"], row["done_hash"]),
            was_done=row["done_size"] != NEVER[0],
            attempts=row["attempts"],
            attempts_max=row["attempts_max"],
            on_failure=row["on_failure"],
            payload=columns.loaded(row["payload"]),
            result=columns.loaded(row["result"]),
            failure=row["failure"],
            created_ms=row["created_ms"],
            changed_ms=row["changed_ms"],
            owner=owners.load(row["owner"]) if row["owner"] else None,
            fence=row["fence"],
            taken_ms=row["taken_ms"],
            renewed_ms=row["renewed_ms"],
            expires_ms=row["expires_ms"],
            note=row["note"],
        )
    except (msgspec.DecodeError, UnicodeError, ValueError, Refused) as error:
        raise Damaged(
            f"job {row['kind']}/{row['key']} cannot be read: {error}",
            remedy="Something else wrote this row of the table `jobs`. `holdfast jobs list --status running` shows"
            " who works; mend or delete the row when nobody does.",
        ) from error


def blank(kind: Kind, key: str, watermark: Watermark | None, now_ms: int) -> Job:
    """Return a job as it would be if somebody asked for it now."""
    size, digest = pair(watermark)
    empty = {"job_id": 0, "kind": kind.name, "key": key, "status": Status.READY, "priority": 0, "retry_ms": 0}
    empty |= {"not_before_ms": now_ms, "due_ms": now_ms, "created_ms": now_ms, "changed_ms": now_ms, "attempts": 0}
    empty |= {"wanted_size": size, "wanted_hash": digest, "done_size": NEVER[0], "done_hash": NEVER[1]}
    empty |= {"attempts_max": kind.attempts_max, "on_failure": kind.on_failure, "owner": "", "fence": 0, "note": ""}
    return job({**empty, **dict.fromkeys(("payload", "result", "failure")), **dict.fromkeys(_TIMES, 0)})


def pair(watermark: Watermark | None) -> tuple[int, str]:
    """Return the two columns of a watermark."""
    return _NONE if watermark is None else (watermark.size, watermark.hash)


def dumped(value: Any, what: str) -> str | None:
    """Return ``value`` as JSON text, None for None. Raises ``Refused`` for what is no JSON, or over 64 KiB."""
    remedy = "Put it into a file, and its path here; `guard` publishes files under the fence."
    return columns.dumped(value, what, remedy=remedy)


def said(failure: object) -> str:
    """Return what a failure is remembered by: its text, cut at 4,000 characters."""
    return columns.said(failure, FAILURE_CHARS_MAX)


def _watermark(size: int, digest: str) -> Watermark | None:
    return None if size < 0 else Watermark(size, digest)
