"""``holdfast board boards``: the boards themselves."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from holdfast.cli import board_given as at
from holdfast.cli.given import Given, shared
from holdfast.cli.lazy import LazyGroup
from holdfast.cli.render import out

if TYPE_CHECKING:
    from holdfast.board import Board

COMMANDS = {
    "list": ("holdfast.cli.board_boards:list_boards", "List the boards."),
    "create": ("holdfast.cli.board_boards:create_board", "Make a board."),
    "edit": ("holdfast.cli.board_boards:edit_board", "Change what a board says of itself."),
    "cap": ("holdfast.cli.board_boards:cap", "Say how many tasks may run at once."),
    "archive": ("holdfast.cli.board_boards:archive_board", "Put a board away."),
    "restore": ("holdfast.cli.board_boards:restore_board", "Bring a board back."),
}
_NAME = click.option("--name", metavar="TEXT", help="What people call it.")
_DESCRIPTION = click.option("--description", metavar="TEXT", help="What it is for.")
_WORKDIR = click.option("--workdir", metavar="DIR", help="Where its tasks are worked on, unless they say.")


@click.group(cls=LazyGroup, lazy=COMMANDS, invoke_without_command=True)
@shared
@click.pass_context
def boards(ctx: click.Context, given: Given) -> None:
    """List, create, cap and archive boards. The board `default` is always there.

    \b
    Examples:
      holdfast board boards list
      holdfast board boards create website --workdir ~/src/website
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@click.command("list", short_help="List the boards.")
@click.option("--all", "everything", is_flag=True, help="Archived ones too.")
@shared
def list_boards(given: Given, everything: bool) -> None:
    """List the boards: slug, open tasks, how many run of how many may, directory, name.

    \b
    Examples:
      holdfast board boards list
      holdfast board boards list --all --json
    """
    from holdfast import board as boards
    from holdfast.cli.render import board_boards as render

    with at.peeked(given) as state:
        found = []
        if state.engine is not None:
            with state.read() as tx:
                found = [(each, boards.stats(tx, each.slug)) for each in boards.boards(tx, archived=everything)]
    if given.json:
        out.document({"boards": [render.counted_document(*each) for each in found]})
        return
    render.print_boards(found)
    if not found:
        out.note("Nothing was ever kept here: `holdfast board create TITLE` makes the first task.")


@click.command("create", short_help="Make a board.")
@click.argument("slug")
@_NAME
@_DESCRIPTION
@_WORKDIR
@click.option("--running-max", type=click.IntRange(0), help="So many tasks may run at once; default any number.")
@shared
def create_board(
    given: Given, slug: str, name: str | None, description: str | None, workdir: str | None, running_max: int | None
) -> None:
    """Make a board. SLUG is what commands call it: small letters, digits, dashes.

    \b
    Examples:
      holdfast board boards create website
      holdfast board boards create website --workdir ~/src/website --running-max 4
    """
    from holdfast import board as boards

    with at.changing(given) as tx:
        made = boards.create_board(
            tx, slug, name=name or "", description=description or "", workdir=_path(workdir), running_max=running_max
        )
    _tell(given, made)


@click.command("edit", short_help="Change what a board says of itself.")
@click.argument("slug")
@_NAME
@_DESCRIPTION
@_WORKDIR
@shared
def edit_board(given: Given, slug: str, name: str | None, description: str | None, workdir: str | None) -> None:
    """Change what the board SLUG says of itself. What is not given stays; an empty --workdir takes it away.

    \b
    Examples:
      holdfast board boards edit website --name "The website"
      holdfast board boards edit website --workdir ""
    """
    from holdfast import board as boards

    changes = {"name": name, "description": description}
    changes = {key: value for key, value in changes.items() if value is not None}
    if workdir is not None:
        changes["workdir"] = _path(workdir)
    if not changes:
        raise click.UsageError("nothing to change: give --name, --description or --workdir")
    with at.changing(given) as tx:
        changed = boards.edit_board(tx, at.board_of(tx, slug).slug, **changes)
    _tell(given, changed)


@click.command(short_help="Say how many tasks may run at once.")
@click.argument("slug")
@click.argument("running_max", metavar="N|none")
@click.option("--assignee", metavar="NAME", help="Of this assignee; default of all of them together.")
@shared
def cap(given: Given, slug: str, running_max: str, assignee: str | None) -> None:
    """Let N tasks of the board SLUG run at once; 0 pauses, `none` ends the cap. Those that run go on.

    \b
    Examples:
      holdfast board boards cap default 8
      holdfast board boards cap default 2 --assignee codex
      holdfast board boards cap default none
    """
    from holdfast import board as boards
    from holdfast.cli.render import board_boards as render

    if running_max != "none" and not (running_max.isascii() and running_max.isdecimal()):
        raise click.UsageError(f"{running_max!r} is no cap: say a number, 0 to pause, or none")
    most = None if running_max == "none" else int(running_max)
    with at.changing(given) as tx:
        known = at.board_of(tx, slug)
        boards.cap(tx, known.slug, assignee, most)
    if given.json:
        out.document({"board": known.slug, "assignee": assignee, "running_max": most})
        return
    out.fields(known.slug, assignee or "", render.cap(most))


@click.command("archive", short_help="Put a board away.")
@click.argument("slug")
@shared
def archive_board(given: Given, slug: str) -> None:
    """Put the board SLUG away: nothing on it is claimed any more. Its tasks stay.

    \b
    Examples:
      holdfast board boards archive website
      holdfast board boards archive website --json
    """
    from holdfast import board as boards

    with at.changing(given) as tx:
        changed = boards.archive_board(tx, at.board_of(tx, slug).slug)
    _tell(given, changed)


@click.command("restore", short_help="Bring a board back.")
@click.argument("slug")
@shared
def restore_board(given: Given, slug: str) -> None:
    """Bring the archived board SLUG back, as it was.

    \b
    Examples:
      holdfast board boards restore website
      holdfast board boards restore website --json
    """
    from holdfast import board as boards

    with at.changing(given) as tx:
        changed = boards.restore_board(tx, at.board_of(tx, slug).slug)
    _tell(given, changed)


def _path(text: str | None) -> str | None:
    return os.path.abspath(os.path.expanduser(text)) if text else None


def _tell(given: Given, board: Board) -> None:
    from holdfast.cli.render import board_boards as render

    if given.json:
        out.document({"board": render.board_document(board)})
        return
    out.fields(board.slug, "archived" if board.archived_ms is not None else "", board.name)
