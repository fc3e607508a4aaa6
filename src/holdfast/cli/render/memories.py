"""Memories, and what a run came to, as lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from holdfast.cli.render import out, safe, words

if TYPE_CHECKING:
    from holdfast.memory.model import ExtractReport, Memory, MergeReport
    from holdfast.state.memory import Run


def due_line(due: ExtractReport) -> str:
    """Return how many threads are due, and why the others are not."""
    return f"{due.due} of {words.count(due.seen, 'thread')} would be read{_skipped(due)}."


def run_lines(done: Run) -> Iterator[str]:
    """Yield what a run came to."""
    read = done.extract
    counts = [f"{read.kept} noted", f"{read.nothing} with nothing to note"]
    counts += [
        f"{number} {what}" for number, what in ((read.stopped, "not begun"), (read.lost, "taken over")) if number
    ]
    yield f"Read {words.count(read.kept + read.nothing, 'thread')}: {', '.join(counts)}{_skipped(read)}."
    for thread, why in read.failed:
        yield safe.line(f"  {thread}: {why}")
    if done.merge is not None:
        yield _merged(done.merge)


def _merged(merge: MergeReport) -> str:
    match merge.outcome:
        case "published":
            return (
                f"Put {words.count(merge.selected, 'memory', 'memories')} together:"
                f" {merge.added} files of notes came, {merge.changed} changed, {merge.removed} went."
            )
        case "unchanged":
            return "The files are as they should be."
        case "cooling":
            return "The files were put together less than 6 hours ago; --force does it now."
        case "running":
            return safe.line(f"The files are being put together by {merge.by}.")
        case "edited":
            return "Somebody changed the files meanwhile, so they stay as they are; the next run sees the change."
        case outcome:
            return safe.line(f"The files stay as they were ({outcome}){f': {merge.problem}' if merge.problem else ''}.")


def _skipped(report: ExtractReport) -> str:
    if not report.skipped:
        return ""
    return "; " + ", ".join(f"{number} {what.replace('_', ' ')}" for what, number in sorted(report.skipped.items()))


def print_row(memory: Memory) -> None:
    """Print one memory on a line."""
    scope = memory.scope_kind if memory.scope_kind == "user" else words.tilde(memory.scope_key)
    used = f"used {memory.used_count}" if memory.used_count else ""
    mark = "invalid" if memory.invalidated_at_ms is not None else used
    first = memory.memory_summary.strip().splitlines()[0] if memory.memory_summary.strip() else ""
    out.fields(memory.thread_id, scope, words.utc(memory.updated_at_ms), mark, first)


def memory_lines(found: Sequence[Memory]) -> Iterator[str]:
    """Yield what is remembered of a thread, scope by scope; the same words once."""
    shown: set[str] = set()
    for memory in found:
        yield safe.line(f"# {memory.scope_kind} {memory.scope_key}")
        if memory.invalidated_at_ms is not None:
            yield safe.line(f"(invalid: {memory.invalid_reason})")
        if memory.raw_memory not in shown:
            shown.add(memory.raw_memory)
            yield ""
            yield safe.block(memory.memory_summary.rstrip())
            yield ""
            yield safe.block(memory.raw_memory.rstrip())
        yield ""
