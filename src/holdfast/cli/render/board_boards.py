"""Boards as a table for a person, as lines for a pipe, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.cli.render import out, safe, words

if TYPE_CHECKING:
    from holdfast.board import Board, Stats

_OVER = ("done", "cancelled", "archived")


def board_document(board: Board) -> dict[str, Any]:
    """Return a board as plain values."""
    return dict(msgspec.to_builtins(board))


def counted_document(board: Board, stats: Stats) -> dict[str, Any]:
    """Return a board and how many tasks it has, by status, as plain values."""
    return board_document(board) | {"counts": {str(status): count for status, count in stats.counts.items()}}


def cap(most: int | None) -> str:
    """Return how many may run at once, in words."""
    return "any number" if most is None else "paused" if most == 0 else f"{most} at once"


def print_boards(boards: Sequence[tuple[Board, Stats]]) -> None:
    """Print boards, one a line: slug, open tasks, how many run, the cap, directory, name."""
    rows = [_row(*each) for each in boards]
    if not out.is_terminal():
        for row in rows:
            out.fields(*row)
        return
    if not rows:
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("BOARD", "OPEN", "AT WORK", "CAP", "DIRECTORY", "NAME"):
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(Text(safe.line(text)) for text in row))
    out.console().print(table)


def _row(board: Board, stats: Stats) -> tuple[str, ...]:
    still = sum(count for status, count in stats.counts.items() if str(status) not in _OVER)
    name = f"{board.name} (archived)" if board.archived_ms is not None else board.name
    running = sum(stats.running.values())
    return board.slug, f"{still:,}", f"{running:,}", cap(board.running_max), words.tilde(board.workdir or ""), name
