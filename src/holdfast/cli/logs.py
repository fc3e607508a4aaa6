"""``holdfast logs``: where its commands are."""

from __future__ import annotations

import click

from holdfast.cli.given import Given, shared
from holdfast.cli.lazy import LazyGroup

COMMANDS = {
    "query": ("holdfast.cli.logs_query:query", "Show the records that fit, the newest last."),
    "tail": ("holdfast.cli.logs_query:tail", "Show the last records, and with -f those that come."),
    "stats": ("holdfast.cli.logs_care:stats", "Say how much is logged, of what level, since when."),
    "prune": ("holdfast.cli.logs_care:prune", "Let go what a limit does not allow, or say what would go."),
    "retention": ("holdfast.cli.logs_retention:retention", "Show the limits that writers keep to, or set some."),
    "export": ("holdfast.cli.logs_care:export", "Copy records into a file of JSON lines, or a table for SQL."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS, invoke_without_command=True)
@shared
@click.pass_context
def logs(ctx: click.Context, given: Given) -> None:
    """Read the log that programs write with holdfast, also while they write it.

    Reading creates nothing, changes nothing and holds nobody up. Writers keep to
    their limits by themselves: `retention` sets those; `prune` is for a smaller one, once.

    \b
    Examples:
      holdfast logs query --since 2h --level warn+
      holdfast logs tail -f --target app.db
      holdfast logs export --sqlite log.db
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
