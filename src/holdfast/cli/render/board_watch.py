"""A board on one screen: counts, tasks by status, who works on what for how long, what happened. Fits any size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from holdfast.cli.render import safe, words
from holdfast.cli.render.board import name_of
from holdfast.cli.render.board_events import told
from holdfast.cli.render.board_tasks import COLOURS

if TYPE_CHECKING:
    from holdfast.board import Event, Task

COLUMNS = {"WAITING": ("triage", "todo", "scheduled"), "READY": ("ready",), "BLOCKED": ("blocked",)}
COLUMNS |= {"REVIEW": ("review",), "RUNNING": ("running",)}
"""The columns, and the statuses of the tasks in each, the last left out where there is no room."""

_COLUMN_MIN = 18
_GAP = 2
_EVENTS_MIN, _RUNNING_MIN = 3, 3
_WIDEST = 4_000  # no terminal is wider


@dataclass(frozen=True, slots=True)
class View:
    """What is to be shown. ``columns`` has the first tasks of each status, ``running`` the tasks somebody works on."""

    slug: str
    now_ms: int
    counts: Mapping[str, int]
    columns: Mapping[str, Sequence[Task]]
    running: Sequence[Task]
    events: Sequence[Event]
    titles: Mapping[int, str]
    dispatcher: str
    trouble: str = ""


def screen(view: View, width: int, height: int) -> Text:
    """Return the screen: at most ``height`` lines of at most ``width`` columns."""
    lines = [_head(view, width), _counts(view)]
    room = height - len(lines) - 1
    running = _running(view, width)
    events = _events(view, width)
    tall = room >= 14
    room -= tall * (bool(running) + bool(events) + any(view.columns.values()))
    took = min(len(running), max(_RUNNING_MIN + 1, room // 3))
    said = min(len(events), max(_EVENTS_MIN + 1, room // 3))
    columns = _columns(view, width, max(0, room - took - said))
    said = max(said, min(len(events), room - took - len(columns)))
    took = max(took, min(len(running), room - said - len(columns)))
    parts = [columns, [*running[:1], *running[1:took]], [*events[:1], *events[len(events) - said + 1 :]]]
    for part in parts:
        if part and tall:
            lines.append(Text())
        lines.extend(part)
    lines = lines[: height - 1]
    lines += [Text()] * (height - 1 - len(lines))
    lines.append(Text("q quits", style="dim"))
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return Text("\n", no_wrap=True).join(lines)


def _head(view: View, width: int) -> Text:
    right = words.local(view.now_ms)[11:]
    left = Text(safe.line(view.slug), style="bold")
    about = view.trouble or view.dispatcher
    left.append(f"  {safe.line(about)}", style="red" if view.trouble else "dim")
    left.truncate(max(0, width - len(right) - _GAP), overflow="ellipsis", pad=True)
    return left.append(" " * _GAP).append(right, style="dim")


def _counts(view: View) -> Text:
    told = [Text(f"{count:,} {name}", style=COLOURS.get(name, "")) for name, count in view.counts.items() if count]
    return Text("  ").join(told) if told else Text("no tasks", style="dim")


def _columns(view: View, width: int, height: int) -> list[Text]:
    """Return a table of the tasks that wait: a column for each status that has some, as many as fit."""
    if height < 2:
        return []
    shown = [(name, view.columns.get(name, ())) for name in COLUMNS if view.columns.get(name)]
    shown = shown[: max(1, (width + _GAP) // (_COLUMN_MIN + _GAP))]
    if not shown:
        return []
    each = (width + _GAP) // len(shown) - _GAP
    rows = []
    for at in range(-1, min(height - 1, max(len(tasks) for _, tasks in shown))):
        cells = []
        for name, tasks in shown:
            cell = _title(view, name) if at < 0 else _card(tasks[at]) if at < len(tasks) else Text()
            cell.truncate(each, overflow="ellipsis", pad=True)
            cells.append(cell)
        rows.append(Text(" " * _GAP).join(cells))
    return rows


def _title(view: View, name: str) -> Text:
    count = sum(view.counts.get(status, 0) for status in COLUMNS[name])
    return Text(f"{name} {count:,}", style="bold " + COLOURS.get(name.lower(), ""))


def _card(task: Task) -> Text:
    card = Text(f"{task.task_id} ", style="cyan")
    return card.append(safe.line(task.title), style="")


def _running(view: View, width: int) -> list[Text]:
    if not view.running:
        return []
    rows = [_worker(view, task) for task in view.running]
    return [_header("AT WORK"), *_aligned(rows, width * 2 // 5)]


def _worker(view: View, task: Task) -> tuple[tuple[str, str], ...]:
    owner = name_of(task.owner) if task.owner is not None else ""
    since = words.duration(max(0, view.now_ms - task.taken_ms) // 1_000 * 1_000).replace(".0 s", " s")
    late = task.expires_ms <= view.now_ms
    tries = f"attempt {task.attempts}" if task.attempts > 1 else ""
    return (
        (str(task.task_id), "cyan"),
        (safe.line(task.assignee or "anybody"), ""),
        (since, "red" if late else "green"),
        (safe.line(f"{task.stage} {tries}".strip()) if tries or task.stage == "review" else "", "yellow"),
        (safe.line(task.title), ""),
        (safe.line(task.note or owner), "dim"),
    )


def _events(view: View, width: int) -> list[Text]:
    if not view.events:
        return []
    rows = [
        (
            (words.local(event.at_ms)[11:], "dim"),
            (str(event.task_id), "cyan"),
            (safe.line(event.kind), COLOURS.get(_status_after(event.kind), "")),
            (safe.line(view.titles.get(event.task_id, "")), ""),
            (told(event.payload), "dim"),
        )
        for event in view.events
    ]
    return [_header("HAPPENED"), *_aligned(rows, width * 2 // 5)]


def _status_after(kind: str) -> str:
    return {"completed": "done", "claimed": "running", "created": "ready"}.get(kind, kind)


def _header(text: str) -> Text:
    return Text(text, style="bold")


def _aligned(rows: Sequence[Sequence[tuple[str, str]]], most: int) -> list[Text]:
    """Return rows of cells (text and style) as lines, their columns below each other, the last one as long as it is."""
    columns = zip(*([cell_len(text) for text, _ in row] for row in rows), strict=True)
    widths = [min(most, max(lengths)) for lengths in columns]
    widths[-1] = _WIDEST
    lines = []
    for row in rows:
        cells = []
        for (text, style), width in zip(row, widths, strict=True):
            if width:
                cell = Text(text, style=style)
                cell.truncate(width, overflow="ellipsis", pad=width != _WIDEST)
                cells.append(cell)
        lines.append(Text(" " * _GAP).join(cells))
    return lines
