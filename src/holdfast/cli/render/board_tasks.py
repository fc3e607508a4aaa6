"""Tasks as a table that fits a terminal, and as lines for a pipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from holdfast.cli.render import out, safe, words

if TYPE_CHECKING:
    from rich.table import Table

    from holdfast.board import Status, Task

COLOURS = {
    "triage": "magenta",
    "scheduled": "blue",
    "ready": "green",
    "running": "cyan",
    "blocked": "red",
    "review": "yellow",
    "done": "dim",
    "cancelled": "dim",
    "archived": "dim",
}
_GAP = 2
_TITLE_MIN = 12
_NOTE_FROM_COLUMNS = 110  # a narrower terminal shows the note below the title's end, or not at all
_FROM_COLUMNS = {"TENANT": 90, "ASSIGNEE": 60, "SINCE": 50, "PRI": 50}  # a narrower one leaves out the column
_NAME_MAX = 16


def print_tasks(tasks: Sequence[Task], now_ms: int) -> None:
    """Print tasks, one a line: number, status, priority, assignee, since when, title, and what is to be known of it."""
    if not tasks:
        return
    if out.is_terminal():
        console = out.console()
        console.print(_table(tasks, console.width, now_ms))
        return
    for task in tasks:
        since = words.utc(since_ms(task))
        out.fields(
            str(task.task_id),
            str(task.status),
            str(task.priority),
            task.assignee,
            since,
            task.title,
            note(task, now_ms),
        )


def since_ms(task: Task) -> int:
    """Return since when it is what it is, as near as the row tells."""
    if task.status == "running":
        return task.taken_ms
    if task.status == "ready":
        return task.ready_ms
    return task.changed_ms if task.ended_ms is None else task.ended_ms


def note(task: Task, now_ms: int) -> str:
    """Return what a list says of a task besides its title: who is at it, what it waits for, what came of it."""
    match str(task.status):
        case "running":
            from holdfast.cli.render.board import name_of

            who = name_of(task.owner) if task.owner is not None else ""
            late = ", its lease is over" if task.expires_ms <= now_ms else ""
            return f"{who}{late}{': ' if task.note else ''}{task.note}"
        case "blocked":
            return f"{task.block_kind}: {task.block_reason or ''}"
        case "scheduled":
            wait = f"in {words.duration(task.due_ms - now_ms)}" if task.due_ms > now_ms else "due"
            return f"{wait}, after {task.failure}" if task.failures and task.failure else wait
        case "todo":
            return f"waits for {words.count(task.gates_open, 'task')}" if task.gates_open else ""
        case "done" | "review" | "archived":
            return task.summary or ""
        case "cancelled":
            return task.failure or ""
        case _:
            return task.failure or "" if task.failures else ""


def _table(tasks: Sequence[Task], width: int, now_ms: int) -> Table:
    """Return a table of exactly ``width`` columns: titles and notes share what the others leave."""
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    notes = [safe.line(note(task, now_ms)) for task in tasks]
    columns = {
        "ID": [str(task.task_id) for task in tasks],
        "STATUS": [str(task.status) for task in tasks],
        "PRI": [str(task.priority) for task in tasks] if any(task.priority for task in tasks) else [],
        "ASSIGNEE": [safe.line(task.assignee) for task in tasks],
        "TENANT": [safe.line(task.tenant) for task in tasks],
        "SINCE": [words.age(since_ms(task), now_ms) for task in tasks],
    }
    columns = {name: texts for name, texts in columns.items() if width >= _FROM_COLUMNS.get(name, 0) and any(texts)}
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    left = width
    for name, texts in columns.items():
        taken = min(_NAME_MAX, max(map(cell_len, [name, *texts])))
        left -= taken + _GAP
        table.add_column(
            name, no_wrap=True, overflow="ellipsis", width=taken, justify="right" if name in ("ID", "PRI") else "left"
        )
    titles = [safe.line(task.title) for task in tasks]
    beside = width >= _NOTE_FROM_COLUMNS and any(notes)
    for_title = max(_TITLE_MIN, min(max(map(cell_len, titles)), left * 3 // 5) if beside else left)
    table.add_column("TITLE", no_wrap=True, overflow="ellipsis", width=for_title)
    if beside:
        table.add_column("NOTE", no_wrap=True, overflow="ellipsis", width=max(_TITLE_MIN, left - for_title - _GAP))
    for *cells, task, title, said in zip(*columns.values(), tasks, titles, notes, strict=True):
        row = [Text(cell) for cell in cells]
        row[0].stylize("cyan")
        row[1].stylize(COLOURS.get(str(task.status), ""))
        label = Text(title)
        if said and not beside:
            label.append(f"  {said}", style="dim")
        table.add_row(*row, label, *([Text(said, style="dim")] if beside else []))
    return table


def note_counts(tasks: Sequence[Task], counts: Mapping[Status, int], *, is_filtered: bool) -> None:
    """Say on stderr what there is beside what was shown."""
    every = sum(counts.values())
    if not every:
        out.note("There are no tasks: `holdfast board create TITLE` makes one.")
    elif not tasks and not is_filtered:
        out.note(f"Nothing is to be done; {_by_status(counts)}.")
    elif not tasks:
        out.note(f"No task fits; {_by_status(counts)}.")
    elif out.is_terminal():
        out.note(f"{_by_status(counts)}.")


def _by_status(counts: Mapping[Status, int]) -> str:
    return ", ".join(f"{count:,} {status}" for status, count in counts.items() if count)
