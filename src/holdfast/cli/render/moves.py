"""What a move did, as sentences and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.cli.render import safe, words

if TYPE_CHECKING:
    from holdfast.state.moved import Mark
    from holdfast.state.moving import MoveReport


def document(done: MoveReport) -> dict[str, Any]:
    """Return ``done`` as plain values; its fields are the stable keys."""
    return dict(msgspec.to_builtins(done))


def lines(done: MoveReport) -> Iterator[str]:
    """Yield each table with its rows and hash, and what counts now."""
    for table in done.tables:
        yield f"  {table.name:<20}{table.rows:>10,}  {table.hash[:16]}"
    what = f"{words.count(done.rows, 'row')}, {words.size(done.bytes)}"
    stays = f"  Not moved: {'; '.join(done.not_moved)}"
    if done.dry_run:
        yield stays
        yield f"Would move {what}, from {_place(done.source)} to {_place(done.target)}; nothing was done"
        return
    if done.resumed:
        yield "A move that was cut short was brought to its end"
    if done.tables:
        yield f"Moved {what}, read again and compared, in {words.duration(done.duration_ms)}"
    yield f"  {_place(done.target)} is the state now: name it with --state or HOLDFAST_STATE"
    if done.ended:
        yield f"  {words.count(done.ended, 'hold')} ended; their fences are refused there"
    yield stays
    yield f"  {_place(done.source)} refuses to be opened; `holdfast move --undo --from` it takes it up again"


def undo_document(mark: Mark) -> dict[str, Any]:
    """Return what was taken back as plain values."""
    return {"source": mark.source, "target": mark.target, "moved_ms": mark.at_ms}


def undo_lines(mark: Mark) -> Iterator[str]:
    """Yield what counts now, and what does not go away by itself."""
    yield f"{_place(mark.source)} can be opened again, as it was when it was moved"
    yield f"  {_place(mark.target)} was left as it is; what was written there since is not here"


def _place(shown: str) -> str:
    return safe.line(words.tilde(shown))
