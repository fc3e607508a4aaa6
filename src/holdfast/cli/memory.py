"""``holdfast memory``: where its commands are."""

from __future__ import annotations

import click

from holdfast.cli.given import Given, shared
from holdfast.cli.lazy import LazyGroup

COMMANDS = {
    "run": ("holdfast.cli.memory_run:run", "Have a model read idle threads, and put what it says together."),
    "list": ("holdfast.cli.memory_look:list_memories", "List what is remembered, the newest first."),
    "show": ("holdfast.cli.memory_look:show", "Print what is remembered of a thread, or one of the files."),
    "forget": ("holdfast.cli.memory_forget:forget", "Remove what is remembered of threads."),
    "reset": ("holdfast.cli.memory_forget:reset", "Remove everything that is remembered."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS, invoke_without_command=True)
@shared
@click.pass_context
def memory(ctx: click.Context, given: Given) -> None:
    """Make, list, show and forget what is remembered of threads.

    A model reads each idle thread once for what it says; its notes are kept by
    directory, and put together in a few Markdown files.

    \b
    Examples:
      holdfast memory run --dry-run
      holdfast memory list --cwd .
      holdfast memory show
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
