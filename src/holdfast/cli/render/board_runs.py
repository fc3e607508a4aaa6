"""Attempts at a task as a table for a person, and as lines for a pipe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from holdfast.cli.render import out, safe, words
from holdfast.cli.render.board import name_of

if TYPE_CHECKING:
    from holdfast.board import Run

_COLOURS = {"completed": "green", "review": "yellow", "goes on": "cyan", "blocked": "yellow", "changes": "yellow"}


def print_runs(runs: Sequence[Run], now_ms: int) -> None:
    """Print attempts, one a line: which, stage, how it ended, when it began, how long that took, by whom, why."""
    rows = [run_row(run, now_ms) for run in runs]
    if not out.is_terminal():
        for run, row in zip(runs, rows, strict=True):
            out.fields(row[0], row[1], row[2], words.utc(run.started_ms), *row[4:])
        return
    if not rows:
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("RUN", "STAGE", "ENDED", "BEGAN", "TOOK", "BY"):
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    table.add_column("SAID", overflow="fold")
    for row in rows:
        texts = [Text(safe.line(text)) for text in row]
        texts[2].stylize(_COLOURS.get(row[2], "red"))
        table.add_row(*texts)
    out.console().print(table)


def run_row(run: Run, now_ms: int) -> tuple[str, ...]:
    """Return which attempt it was, its stage, how it ended, when it began, how long it took, by whom, what was said."""
    took = words.duration((now_ms if run.ended_ms is None else run.ended_ms) - run.started_ms)
    ended = "goes on" if run.outcome is None else str(run.outcome)
    by = name_of(run.owner) if run.owner is not None else run.assignee
    code = "" if run.exit_code is None else f"exit code {run.exit_code}: "
    said = run.failure or run.summary or ""
    return str(run.attempt), run.stage, ended, words.ago(run.started_ms, now_ms), took, by, code + said
