"""Holds as a table for a person, as lines for a pipe, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from holdfast.cli.render import out, safe, words

if TYPE_CHECKING:
    from holdfast.holds import Hold

_FENCE_BITS = 40  # a fence is `epoch << 40 | counter`


def hold_document(hold: Hold) -> dict[str, Any]:
    """Return ``hold`` as plain values."""
    from holdfast.holds import describe

    return {
        "resource": hold.resource,
        "owner": describe(hold.owner),
        "owner_host": hold.owner.host,
        "owner_pid": hold.owner.pid,
        "owner_label": hold.owner.label,
        "fence": hold.fence,
        "taken_ms": hold.taken_ms,
        "renewed_ms": hold.renewed_ms,
        "expires_ms": hold.expires_ms,
        "note": hold.note,
    }


def print_holds(holds: Sequence[Hold], resources: Mapping[str, str], now_ms: int) -> None:
    """Print holds; ``resources`` says what a resource's name means where a person would not know."""
    if not holds:
        out.note("No holds: nobody is working on anything.")
        return
    rows = [_row(hold, resources, now_ms) for hold in holds]
    if not out.is_terminal():
        for row in rows:
            out.fields(*row)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("RESOURCE", "OWNER", "FENCE", "TAKEN", "EXPIRES IN", "NOTE"):
        table.add_column(name)
    for row in rows:
        table.add_row(*(Text(safe.line(text)) for text in row))
    out.console().print(table)


def _row(hold: Hold, resources: Mapping[str, str], now_ms: int) -> tuple[str, ...]:
    from holdfast.holds import describe

    home = resources.get(hold.resource)
    resource = f"{hold.resource} ({words.tilde(home)})" if home else hold.resource
    epoch, counter = hold.fence >> _FENCE_BITS, hold.fence & ((1 << _FENCE_BITS) - 1)
    left = words.duration(max(0, hold.expires_ms - now_ms))
    taken = words.age(hold.taken_ms, now_ms)
    return resource, describe(hold.owner), f"{epoch}.{counter}", taken, left, hold.note
