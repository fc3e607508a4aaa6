"""``holdfast holds``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from holdfast.cli.given import Given, shared
from holdfast.cli.opening import peeked
from holdfast.cli.render import out

if TYPE_CHECKING:
    from holdfast.state import State


@click.command(short_help="Show who is working on what, and until when.")
@shared
def holds(given: Given) -> None:
    """Show the holds in force: who has the right to which work, since when, and until when.

    Only looks, also while others work: creates, changes and waits for nothing.

    \b
    Examples:
      holdfast holds
      holdfast holds --json
    """
    from holdfast.cli.render import holds as render

    with peeked(given) as state:
        found = state.holds()
        homes, now_ms = _homes(state)
    if given.json:
        out.document({"holds": [render.hold_document(hold) for hold in found]})
        return
    render.print_holds(found, homes, now_ms)


def _homes(state: State) -> tuple[dict[str, str], int]:
    """Return which home each hold on an index is about, and the time on the clock that leases are counted by."""
    if state.engine is None:
        return {}, 0
    from holdfast.ingest import gate
    from holdfast.threads import homes

    with state.read() as tx:
        return {gate.resource(home): home.path for home in homes.listing(tx)}, tx.now_ms
