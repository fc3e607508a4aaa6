"""``holdfast receipts``: what was changed in homes, and how far."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from holdfast.cli.failing import NotFound
from holdfast.cli.given import Given, shared
from holdfast.cli.lazy import LazyGroup
from holdfast.cli.render import out

if TYPE_CHECKING:
    from holdfast.receipts import Receipt

COMMANDS = {
    "list": ("holdfast.cli.receipts:list_receipts", "List what was changed in homes, the newest first."),
    "show": ("holdfast.cli.receipts:show", "Show each step of a change, and what undoes it."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS, invoke_without_command=True)
@shared
@click.pass_context
def receipts(ctx: click.Context, given: Given) -> None:
    """List and show what was changed in homes.

    Before a command with --in-home changes a file of a home, it writes a
    receipt: what will be done, with a copy of what will be gone. `holdfast
    undo` puts back what a receipt holds.

    \b
    Examples:
      holdfast receipts list
      holdfast receipts show 20261125-2149
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@click.command("list", short_help="List what was changed in homes, the newest first.")
@shared
def list_receipts(given: Given) -> None:
    """List what was changed in homes: id, when, how far, and what.

    `unfinished` was stopped in the middle, by a kill or a full disk: `holdfast
    undo` puts it back, or with --finish does the rest. Only looks.

    \b
    Examples:
      holdfast receipts list
      holdfast receipts list --json
    """
    from holdfast import receipts as kept
    from holdfast.cli.render import receipts as render

    found = kept.listing(folder(given))
    if given.json:
        out.document({"receipts": [render.summary_document(receipt) for receipt in found]})
        return
    render.print_receipts(found)
    if not found:
        out.note("Nothing was changed in any home.")


@click.command(short_help="Show each step of a change, and what undoes it.")
@click.argument("receipt")
@shared
def show(given: Given, receipt: str) -> None:
    """Show each step of RECEIPT, an id or the beginning of one: what it does, whether it is done, what undoes it.

    The files are looked at, so this says how they stand now, whatever was
    noted. Changes nothing.

    \b
    Examples:
      holdfast receipts show 20261125-214921-65d58e
      holdfast receipts show 20261125-2149 --json
    """
    from holdfast.cli.render import receipts as render

    found = wanted(given, receipt)
    if given.json:
        out.document(render.receipt_document(found))
        return
    render.print_receipt(found)


def folder(given: Given) -> str:
    """Return where the receipts lie, whether or not there are any."""
    from holdfast.state import directory

    return os.path.join(directory.real(given.state_dir), directory.RECEIPTS)


def wanted(given: Given, receipt_id: str) -> Receipt:
    """Return the receipt that is meant, or raise ``NotFound``."""
    from holdfast import receipts as kept

    found = kept.find(folder(given), receipt_id)
    if found is None:
        raise NotFound(f"there is no receipt {receipt_id!r}", remedy="`holdfast receipts list` shows which there are.")
    return found
