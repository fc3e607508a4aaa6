"""Memories, and what a run came to, as lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from holdfast.cli.render import out, safe, words

if TYPE_CHECKING:
    from holdfast.jobs import Job
    from holdfast.memory.model import ExtractReport, Memory, MergeReport
    from holdfast.state.memory import Run


_ID_WIDTH = 13  # as in a list of threads: the 48 bits of a UUIDv7's time, and enough to name it by


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


def why_nothing(done: Run) -> str | None:
    """Return one sentence when a phase of the run ended early or all it tried failed; None: it did what it could."""
    read, merge = done.extract, done.merge
    if read.ended is not None:
        return read.ended[:1].lower() + read.ended[1:]
    if read.failed and not read.kept + read.nothing:
        return f"none of {words.count(len(read.failed), 'thread')} could be read"
    if merge is not None and merge.outcome == "failed":
        return "the files could not be made, and stay as they were"
    return None


def failure_lines(job: Job, now_ms: int) -> Iterator[str]:
    """Yield why the files could not be made the last time, and when it is tried again."""
    when = f"in {words.duration(job.due_ms - now_ms)}" if job.due_ms > now_ms else "by the next run"
    yield f"These files are older than the notes: making them failed {words.ago(job.changed_ms, now_ms)}"
    yield f"({safe.line(job.failure or '')}). It is tried again {when}; `holdfast memory run --force` tries it now."


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
        case "resting":
            return safe.line(
                f"Making the files failed the last time, so it is not tried before {words.utc(merge.until_ms or 0)};"
                f" --force tries it now. It was: {merge.problem}"
            )
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


def print_memories(found: Sequence[Memory]) -> None:
    """Print memories: a table that fits a terminal, or a line each with fields between tabs."""
    rows = list(map(_row, found))
    if not out.is_terminal():
        for row in rows:
            out.fields(*row)
        return
    if not rows:
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("THREAD", no_wrap=True, min_width=_ID_WIDTH, style="cyan")
    table.add_column("SCOPE", no_wrap=True, overflow="ellipsis")
    table.add_column("UPDATED", no_wrap=True, min_width=10)
    table.add_column("USED", no_wrap=True)
    table.add_column("SUMMARY", no_wrap=True, overflow="ellipsis", ratio=1)
    for thread, scope, updated, used, summary in rows:
        table.add_row(
            *map(Text, map(safe.line, (thread[:_ID_WIDTH], words.tail(scope, 24), updated[:10], used, summary)))
        )
    out.console().print(table)


def _row(memory: Memory) -> tuple[str, ...]:
    scope = memory.scope_kind if memory.scope_kind == "user" else words.tilde(memory.scope_key)
    used = f"used {memory.used_count}" if memory.used_count else ""
    mark = "invalid" if memory.invalidated_at_ms is not None else used
    first = memory.memory_summary.strip().splitlines()[0] if memory.memory_summary.strip() else ""
    return memory.thread_id, scope, words.utc(memory.updated_at_ms), mark, first


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
