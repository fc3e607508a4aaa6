"""What came of carrying boards in and out, as lines and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.cli.render import safe, words

if TYPE_CHECKING:
    from holdfast.board.exchange import Counts, ExportReport, ImportReport

_FINDINGS = 5  # of each code, unless more is asked for


def import_document(report: ImportReport) -> dict[str, Any]:
    """Return what came in as plain values."""
    return dict(msgspec.to_builtins(report))


def export_document(report: ExportReport) -> dict[str, Any]:
    """Return what was written as plain values."""
    return dict(msgspec.to_builtins(report))


def import_lines(report: ImportReport, *, verbose: bool) -> Iterator[str]:
    """Yield what a person is told of a board that came in."""
    made = " (new)" if report.made_board else ""
    would = "would come" if report.dry_run else "came"
    yield safe.line(f"{words.tilde(report.source)}: {_counts(report.new)} {would} onto board {report.board}{made}")
    if report.known.tasks:
        yield f"  {words.count(report.known.tasks, 'task')} were brought in before, and were left as they are"
    shown: dict[str, int] = {}
    for finding in report.findings:
        shown[finding.code] = shown.get(finding.code, 0) + 1
        if verbose or shown[finding.code] <= _FINDINGS:
            yield safe.line(f"  {finding.code}: {finding.subject}: {finding.measured}; {finding.remedy}")
    for code, count in report.oddities.items():
        left = count - (shown.get(code, 0) if verbose else min(_FINDINGS, shown.get(code, 0)))
        if left:
            yield safe.line(f"  {code}: {left:,} more" + ("" if verbose else "; --verbose shows more of them"))


def export_line(report: ExportReport) -> str:
    """Return what a person is told of a board that was written."""
    where = "" if report.path is None else f" into {words.tilde(report.path)}"
    return f"Wrote {_counts(report.counts)} of board {report.board}{where}, {words.size(report.bytes)}."


def _counts(counts: Counts) -> str:
    told = [words.count(counts.tasks, "task")]
    told += [words.count(counts.comments, "comment")] if counts.comments else []
    told += [words.count(counts.attachments, "file")] if counts.attachments else []
    return ", ".join(told)
