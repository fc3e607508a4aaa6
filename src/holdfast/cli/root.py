"""``holdfast`` itself, and where its commands are. A command's module is imported when it is run."""

from __future__ import annotations

import click

from holdfast.cli.given import Given, shared
from holdfast.cli.lazy import LazyGroup

COMMANDS = {
    "index": ("holdfast.cli.index:index", "Index homes: find every thread, read what changed."),
    "threads": ("holdfast.cli.threads:threads", "List, show, find, search, rename and archive threads."),
    "memory": ("holdfast.cli.memory:memory", "Have a model note what is worth knowing of threads; show, forget it."),
    "logs": ("holdfast.cli.logs:logs", "Query, follow, measure and export the log."),
    "backup": ("holdfast.cli.backup:backup", "Copy state.db while others use it, checked."),
    "restore": ("holdfast.cli.backup:restore", "Put a backup in the place of state.db; what was there is kept."),
    "move": ("holdfast.cli.move:move", "Move the state into a PostgreSQL database, or back."),
    "doctor": ("holdfast.cli.doctor:doctor", "Say what is wrong with homes and databases, and how to mend it."),
    "status": ("holdfast.cli.status:status", "Show what is indexed, how big it is, and what is wrong."),
    "holds": ("holdfast.cli.holds:holds", "Show who is working on what, and until when."),
    "board": ("holdfast.cli.board:board", "Share tasks among many workers: create, claim, watch, dispatch."),
    "jobs": ("holdfast.cli.jobs:jobs", "List, explain and steer work that happens once."),
    "receipts": ("holdfast.cli.receipts:receipts", "List and show what was changed in homes."),
    "undo": ("holdfast.cli.undo:undo", "Undo what was changed in a home."),
}


def _version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"holdfast {version('holdfast')}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
@shared
@click.pass_context
def root(ctx: click.Context, given: Given) -> None:
    """Find, read and search every thread your coding agents wrote; lose none.

    Without a command: says what is on this machine and what to run next.
    Nothing is written to a home, unless --in-home asks for it by name.

    \b
    Examples:
      holdfast                          what is here?
      holdfast index                    index ~/.codex (or $CODEX_HOME)
      holdfast threads list             the threads written last
      holdfast threads search "flaky test"
    """
    if ctx.invoked_subcommand is None:
        from holdfast.cli.found import tell

        tell(given)
