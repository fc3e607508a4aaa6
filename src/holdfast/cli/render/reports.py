"""What indexing did, as sentences and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.cli.render import safe, words
from holdfast.cli.render.status import problem_line

if TYPE_CHECKING:
    from holdfast.ingest.follow import Followed
    from holdfast.ingest.model import IndexReport
    from holdfast.state import RebuildReport


def report_document(report: IndexReport) -> dict[str, Any]:
    """Return ``report`` as plain values; its fields are the stable keys."""
    return dict(msgspec.to_builtins(report))


def report_lines(report: IndexReport, *, verbose: bool = False) -> Iterator[str]:
    """Yield what one index did: a sentence, then what could not be read."""
    home = safe.line(words.tilde(report.home))
    threads = words.count(report.threads, "thread")
    if report.waited:
        yield f"{home}: {threads}; another process indexed it while we waited {words.duration(report.duration_ms)}"
        return
    yield f"{home}: {threads}; {_read(report)} in {words.duration(report.duration_ms)}"
    also = []
    if report.duplicates:
        also.append(f"{words.count(report.duplicates, 'file')} with the id of another thread's file")
    if report.vanished:
        also.append(f"{words.count(report.vanished, 'file')} gone since the last time")
    if also:
        yield "  " + "; ".join(also)
    yield from problem_lines(report, verbose=verbose)
    if not report.complete:
        yield "  not complete: run `holdfast index` again"


def followed_line(change: Followed) -> str:
    """Return one change of a home as fields between tabs: what, thread, file."""
    if change.what == "looked":
        return f"looked\t\t{safe.line(words.tilde(change.home))}: {words.count(change.files, 'file')} changed"
    path = "session_index.jsonl" if change.path is None else change.path
    return f"{change.what}\t{change.thread_id or ''}\t{safe.line(words.tilde(change.home))}/{safe.line(path)}"


def _read(report: IndexReport) -> str:
    files = words.count(report.scanned, "file")
    if not report.scanned:
        return "no rollout files were found"
    if not report.indexed:
        return f"nothing new in {files}"
    if report.unchanged:
        return f"read {report.indexed:,} new or changed of {files} ({words.size(report.bytes_read)})"
    return f"read {files} ({words.size(report.bytes_read)})"


def problem_lines(report: IndexReport, *, verbose: bool) -> Iterator[str]:
    """Yield a line with how much could not be read, and with ``verbose`` one for each problem."""
    parts = []
    if report.failed:
        parts.append(f"{words.count(report.failed, 'file')} gave no thread")
    if report.problems:
        kinds = Counter(problem.code for problem in report.problems)
        summary = ", ".join(f"{number:,} {code}" for code, number in kinds.most_common())
        parts.append(f"{words.count(len(report.problems), 'problem')} ({summary})")
    if parts:
        yield f"  {'; '.join(parts)}" + ("" if verbose else "; --verbose lists them")
    if verbose:
        yield from (f"    {problem_line(problem)}" for problem in report.problems)


def rebuild_document(done: RebuildReport) -> dict[str, Any]:
    """Return ``done`` as plain values."""
    return dict(msgspec.to_builtins(done))


def rebuild_lines(done: RebuildReport, *, verbose: bool = False) -> Iterator[str]:
    """Yield what a rebuild did."""
    if done.moved_to is not None:
        yield f"The old files are kept in {safe.line(words.tilde(done.moved_to))}"
    names = words.count(done.said, "thread")
    yield f"Names and archive marks of {names} were brought over, from: {done.said_from}"
    jobs, memories = done.brought.get("jobs", 0), done.brought.get("thread_memories", 0)
    if jobs or memories:
        yield f"{words.count(jobs, 'job')} and {words.count(memories, 'memory', 'memories')} were brought over"
    if done.not_all_of:
        yield f"Not all could be brought over of: {', '.join(done.not_all_of)}"
    for report in done.reports:
        yield from report_lines(report, verbose=verbose)
