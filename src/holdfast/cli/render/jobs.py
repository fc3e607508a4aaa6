"""Jobs as a table for a person, as lines for a pipe, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from holdfast.cli.render import out, safe, words

if TYPE_CHECKING:
    from holdfast.jobs import Job, Status, Watermark

_COLOURS = {"running": "cyan", "failed": "red", "resting": "yellow", "done": "green", "cancelled": "dim"}
_KIND_WIDTH = 16


def job_document(job: Job) -> dict[str, Any]:
    """Return ``job`` as plain values."""
    from holdfast.holds import describe

    return {
        "kind": job.kind,
        "key": job.key,
        "status": str(job.status),
        "priority": job.priority,
        "due_ms": job.due_ms,
        "watermark": _watermark(job.wanted),
        "done_watermark": _watermark(job.done),
        "attempts": job.attempts,
        "attempts_max": job.attempts_max,
        "on_failure": job.on_failure,
        "payload": job.payload,
        "result": job.result,
        "failure": job.failure,
        "created_ms": job.created_ms,
        "changed_ms": job.changed_ms,
        "owner": None if job.owner is None else describe(job.owner),
        "fence": job.fence,
        "renewed_ms": job.renewed_ms,
        "expires_ms": job.expires_ms,
        "note": job.note,
    }


def print_jobs(jobs: Sequence[Job], now_ms: int) -> None:
    """Print jobs, one a line."""
    rows = [_row(job, now_ms) for job in jobs]
    if not out.is_terminal():
        for row in rows:
            out.fields(*row)
        return
    if not rows:
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    # A key and a failure may be cut off; what became of a job may not.
    widths = [max(len(row[at]) for row in rows) for at in range(5)]
    table.add_column("KIND", no_wrap=True, min_width=min(widths[0], _KIND_WIDTH))
    table.add_column("KEY", no_wrap=True)
    for at, name in enumerate(("STATUS", "ATTEMPTS", "CHANGED"), start=2):
        table.add_column(name, no_wrap=True, min_width=max(widths[at], len(name)))
    table.add_column("NOTE OR FAILURE", overflow="ellipsis", no_wrap=True)
    for row in rows:
        texts = [Text(safe.line(text)) for text in row]
        texts[2].stylize(_COLOURS.get(row[2], ""))
        table.add_row(*texts)
    out.console().print(table)


def note_counts(counts: Mapping[str, Mapping[Status, int]], shown: int) -> None:
    """Say what there is beside what was shown."""
    every = sum(sum(each.values()) for each in counts.values())
    if not every:
        out.note("No jobs: nobody asked for anything.")
    elif every > shown:
        told = "; ".join(
            f"{kind}: " + ", ".join(f"{count:,} {status}" for status, count in each.items())
            for kind, each in counts.items()
        )
        out.note(f"{shown:,} of {every:,} jobs. {told}")


def print_job(job: Job, why: str, now_ms: int, *, as_json: bool) -> None:
    """Print one job and what keeps it waiting."""
    document = job_document(job)
    if as_json:
        out.document({"job": document, "why": why})
        return
    for name in ("due_ms", "created_ms", "changed_ms", "renewed_ms", "expires_ms"):
        at = document.pop(name)
        document[name.removesuffix("_ms")] = words.utc(at) if at else None
    shown = [
        (name, value if isinstance(value, str) else _json(value))
        for name, value in document.items()
        if value not in (None, "", 0)
    ]
    shown.append(("why", why))
    if not out.is_terminal():
        for pair in shown:
            out.fields(*pair)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for name, text in shown:
        table.add_row(Text(name), Text(safe.line(text), style=_COLOURS.get(text, "") if name == "status" else ""))
    out.console().print(table)


def _row(job: Job, now_ms: int) -> tuple[str, ...]:
    said = job.note if job.status == "running" else job.failure or ""
    changed = words.ago(job.changed_ms, now_ms)
    return job.kind, job.key, str(job.status), f"{job.attempts}/{job.attempts_max}", changed, said


def _watermark(watermark: Watermark | None) -> dict[str, Any] | None:
    return None if watermark is None else {"size": watermark.size, "hash": watermark.hash}


def _json(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)
