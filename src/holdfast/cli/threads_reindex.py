"""``holdfast threads reindex``."""

from __future__ import annotations

import click

from holdfast.cli.given import Given, shared


@click.command(short_help="Read every rollout again and renew what is known of it.")
@shared
def reindex(given: Given) -> None:
    """Read every rollout of the home again and renew what is known of each thread.

    The same as `holdfast index --full --no-search`. Names and archive marks
    you gave are never touched.

    \b
    Examples:
      holdfast threads reindex
      holdfast threads reindex --home ~/other/.codex --json
    """
    from holdfast.cli.index import run, tell

    tell(given, run(given, full=True, search=False))
