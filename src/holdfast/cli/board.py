"""``holdfast board``: where its commands are."""

from __future__ import annotations

import click

from holdfast.cli.given import Given, shared
from holdfast.cli.lazy import LazyGroup

COMMANDS = {
    "create": ("holdfast.cli.board_create:create", "Put a task on a board."),
    "list": ("holdfast.cli.board_look:list_tasks", "List tasks, those that are claimed next first."),
    "show": ("holdfast.cli.board_show:show", "Show a task: what for, after what, who did what, and why it waits."),
    "why": ("holdfast.cli.board_show:why", "Say what keeps a task waiting, and what will change it."),
    "watch": ("holdfast.cli.board_watch:watch", "See a board live; on a pipe, what happens, a line each."),
    "stats": ("holdfast.cli.board_look:stats", "Count a board: by status and assignee, and how long things take."),
    "claim": ("holdfast.cli.board_claim:claim", "Claim a task, or the next one."),
    "heartbeat": ("holdfast.cli.board_work:heartbeat", "Say that work on a task goes on: its lease begins anew."),
    "done": ("holdfast.cli.board_work:done", "Say that a task is done."),
    "review": ("holdfast.cli.board_work:review", "Hand a task in, for somebody to review it."),
    "request-changes": (
        "holdfast.cli.board_work:request_changes",
        "Send what was handed in back, with what is wanting.",
    ),
    "block": ("holdfast.cli.board_work:block", "Say what a task waits for that nobody here can do."),
    "release": ("holdfast.cli.board_work:release", "Give a task back undone."),
    "unblock": ("holdfast.cli.board_change:unblock", "Let a blocked task go on."),
    "comment": ("holdfast.cli.board_say:comment", "Say something about a task."),
    "attach": ("holdfast.cli.board_say:attach", "Attach files to a task."),
    "attachments": ("holdfast.cli.board_say:attachments", "List the files of a task; save or take off one."),
    "assign": ("holdfast.cli.board_change:assign", "Say who is to do a task."),
    "edit": ("holdfast.cli.board_create:edit", "Change what a task says."),
    "link": ("holdfast.cli.board_links:link", "Have a task wait for another."),
    "unlink": ("holdfast.cli.board_links:unlink", "Have a task wait for another no more."),
    "schedule": ("holdfast.cli.board_change:schedule", "Have a task wait until a time."),
    "move": ("holdfast.cli.board_change:move", "Put a task into another status, or on another board."),
    "cancel": ("holdfast.cli.board_change:cancel", "Have a task not done; its worker is told to stop."),
    "reopen": ("holdfast.cli.board_change:reopen", "Have a task that is over done once more."),
    "reclaim": ("holdfast.cli.board_change:reclaim", "Take a task from its worker, for another."),
    "archive": ("holdfast.cli.board_change:archive", "Put tasks away."),
    "restore": ("holdfast.cli.board_change:restore", "Bring archived tasks back."),
    "runs": ("holdfast.cli.board_look:runs", "List the attempts at a task."),
    "events": ("holdfast.cli.board_look:events", "List what happened, to a task or on a board."),
    "dispatch": ("holdfast.cli.board_dispatch:dispatch", "Start a worker for each task that is ready."),
    "boards": ("holdfast.cli.board_boards:boards", "List, create, cap and archive boards."),
    "import": ("holdfast.cli.board_exchange:import_board", "Bring in a board, of ours or of Hermes."),
    "export": ("holdfast.cli.board_exchange:export_board", "Write a board as JSON, or as Markdown to read."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS, invoke_without_command=True)
@shared
@click.pass_context
def board(ctx: click.Context, given: Given) -> None:
    """Share tasks among many workers: each is done by one at a time, and none is lost.

    A TASK is named by its number, its alias, or the beginning of its title. In
    a worker that `dispatch` started it may be left out: then it is the
    worker's own, and its claim is used.

    \b
    Examples:
      holdfast board create "Fix the flaky login test" --assignee codex
      holdfast board dispatch --worker 'codex exec "$HOLDFAST_PROMPT"'
      holdfast board watch
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
