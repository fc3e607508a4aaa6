"""``holdfast status``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from holdfast.cli.given import Given, shared
from holdfast.cli.opening import peeked
from holdfast.cli.render import out

if TYPE_CHECKING:
    from holdfast.ingest.model import Problem
    from holdfast.state import State


@click.command(short_help="Show what is indexed, how big it is, and what is wrong.")
@shared
def status(given: Given) -> None:
    """Show what is indexed, how big it is and may become, who is writing, and what could not be read.

    Only looks: creates, changes and waits for nothing.

    \b
    Examples:
      holdfast status
      holdfast status --verbose         and each problem
      holdfast status --json
    """
    from holdfast.cli.render import status as render

    with peeked(given) as state:
        seen = state.status()
        problems = _problems(state)
    if given.json:
        out.document(render.status_document(seen, problems))
        return
    for text in render.status_lines(seen, problems, verbose=given.verbose):
        out.line(text)


def _problems(state: State) -> dict[str, list[Problem]]:
    """Return what could not be read, home by home."""
    if state.engine is None:
        return {}
    from holdfast.ingest import ledger
    from holdfast.threads import homes

    with state.read() as tx:
        return {home.path: ledger.problems(tx, home.home_id) for home in homes.listing(tx)}
