"""``holdfast threads``: where its commands are."""

from __future__ import annotations

import click

from holdfast.cli.given import Given, shared
from holdfast.cli.lazy import LazyGroup

COMMANDS = {
    "list": ("holdfast.cli.threads_list:list_threads", "List threads, the one written last first."),
    "show": ("holdfast.cli.threads_show:show", "Print a conversation, turn by turn."),
    "find": ("holdfast.cli.threads_find:find", "Print where a thread's rollout file is."),
    "search": ("holdfast.cli.threads_search:search", "Find threads by words that were said in them."),
    "rename": ("holdfast.cli.threads_change:rename", "Give a thread a name, or take it away."),
    "archive": ("holdfast.cli.threads_change:archive", "Take threads out of the list."),
    "unarchive": ("holdfast.cli.threads_change:unarchive", "Put archived threads back into the list."),
    "delete": ("holdfast.cli.threads_delete:delete", "Take threads, and all they spawned, out of every list."),
    "undelete": ("holdfast.cli.threads_delete:undelete", "Bring deleted threads back."),
    "set": ("holdfast.cli.threads_set:set_thread", "Say where its work stands in git, or if it may be remembered."),
    "children": ("holdfast.cli.threads_family:children", "Show which threads a thread spawned."),
    "tools": ("holdfast.cli.threads_family:tools", "Show which tools the harness offers in a thread."),
    "compress": ("holdfast.cli.threads_compress:compress", "Make rollouts small that nobody wrote to for a while."),
    "reindex": ("holdfast.cli.threads_reindex:reindex", "Read every rollout again and renew what is known of it."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS, invoke_without_command=True)
@shared
@click.pass_context
def threads(ctx: click.Context, given: Given) -> None:
    """List, show, find, search, rename, archive and delete threads.

    A thread is meant by its id, the unique beginning of one (4 hex digits or
    more), its name, or its title.

    \b
    Examples:
      holdfast threads list --cwd . --limit 10
      holdfast threads show 019df488-d910
      holdfast threads search "connection reset"
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
