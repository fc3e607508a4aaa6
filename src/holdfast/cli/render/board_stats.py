"""How a board stands, as lines and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.cli.render import safe, words
from holdfast.cli.render.board_dispatch import leader_document, leader_lines

if TYPE_CHECKING:
    from holdfast.board import Stats
    from holdfast.board.dispatching import Leader


def stats_document(stats: Stats, leaders: Sequence[Leader]) -> dict[str, Any]:
    """Return how a board stands as plain values."""
    document: dict[str, Any] = msgspec.to_builtins(stats)
    document["dispatchers"] = [leader_document(each) for each in leaders]
    return document


def stats_lines(stats: Stats, leaders: Sequence[Leader], now_ms: int) -> Iterator[str]:
    """Yield how a board stands as a person reads it."""
    board = stats.board
    name = f" ({safe.line(board.name)})" if board.name and board.name != board.slug else ""
    yield f"Board       {safe.line(board.slug)}{name}" + ("  archived" if board.archived_ms is not None else "")
    counts = [f"{count:,} {status}" for status, count in stats.counts.items() if count]
    yield f"Tasks       {', '.join(counts) or 'none'}"
    if stats.blocked:
        yield "Blocked     " + ", ".join(f"{count:,} {kind}" for kind, count in stats.blocked.items())
    running, most = sum(stats.running.values()), board.running_max
    of = "" if most is None else f" of {most} that may"
    yield f"At work     {running:,}{of}" + (" (paused)" if most == 0 else "")
    for assignee in sorted({*stats.running, *stats.caps}):
        cap = stats.caps.get(assignee)
        of = "" if cap is None else f" of {cap} that may"
        yield f"            {stats.running.get(assignee, 0):,}{of} of {safe.line(assignee) or 'nobody in particular'}"
    if stats.ready_since_ms is not None:
        yield f"Waits       ready since {words.ago(stats.ready_since_ms, now_ms)}, the longest"
    if stats.until_ms is not None:
        left = words.duration(max(0, stats.until_ms - now_ms))
        yield f"Next        a task is due or a lease ends in {left}"
    yield from leader_lines(leaders, now_ms)
