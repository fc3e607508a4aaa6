"""``holdfast backup`` and ``holdfast restore``."""

from __future__ import annotations

import os
import sys

import click

from holdfast.cli.failing import Interrupted
from holdfast.cli.given import Given, shared
from holdfast.cli.render import out
from holdfast.errors import Refused


@click.command(short_help="Copy state.db while others use it, checked.")
@click.argument("target", required=False, type=click.Path())
@shared
def backup(given: Given, target: str | None) -> None:
    """Copy state.db while others read and write it, and check the copy.

    TARGET is a file that is not there yet, or a directory. Without it the copy
    goes into backups/ in the state directory, where the newest 5 stay.

    \b
    Examples:
      holdfast backup
      holdfast backup /mnt/usb
      holdfast backup --json
    """
    import holdfast
    from holdfast.cli.render import backups as render
    from holdfast.cli.render.progress import copy_bar

    try:
        with copy_bar() as on_progress:
            done = holdfast.backup(target, state_dir=given.state_dir, on_progress=on_progress)
    except KeyboardInterrupt:
        raise Interrupted("interrupted; no backup was made, and nothing is left of it") from None
    if given.json:
        out.document(render.backup_document(done))
        return
    for text in render.backup_lines(done, verbose=given.verbose):
        out.line(text)


@click.command(short_help="Put a backup in the place of state.db; what was there is kept.")
@click.argument("backup", metavar="BACKUP", type=click.Path())
@click.option("--exact", is_flag=True, help="Only what is in the backup: nothing said since, no look at the homes.")
@click.option("--yes", is_flag=True, help="Do not ask. Needed where nobody can answer.")
@shared
def restore(given: Given, backup: str, exact: bool, yes: bool) -> None:
    """Put BACKUP in the place of state.db, after checking it. What was there is kept.

    Names and archive marks given since the backup are kept, and the homes are
    looked at again. Holds end. Nobody may have the state open.

    \b
    Examples:
      holdfast restore ~/.local/state/holdfast/backups/state-20261125T120000.000Z.db
      holdfast restore --exact --yes old.db
    """
    import holdfast
    from holdfast.cli.render import backups as render
    from holdfast.cli.render.progress import bar

    if not yes:
        _ask(given, backup)
    try:
        with bar() as on_progress:
            done = holdfast.restore(backup, state_dir=given.state_dir, exact=exact, on_progress=on_progress)
    except KeyboardInterrupt:
        raise Interrupted(
            "interrupted; state.db is the old one or the new one, whole", remedy="Run it again."
        ) from None
    if given.json:
        out.document(render.restore_document(done))
        return
    for text in render.restore_lines(done):
        out.line(text)


def _ask(given: Given, backup: str) -> None:
    """Ask on the terminal. Raises ``Refused`` where there is none, and ``Abort`` at a no."""
    if given.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Refused("there is nobody to ask whether state.db is to be replaced", remedy="Say it with --yes.")
    from holdfast.cli.render import safe, words
    from holdfast.state import directory

    db = os.path.join(directory.real(given.state_dir), directory.STATE_DB)
    question = f"Put {safe.line(words.tilde(backup))} in the place of {safe.line(words.tilde(db))}?"
    click.confirm(question, abort=True, err=True)
