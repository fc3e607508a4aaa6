"""``holdfast threads delete|undelete``: out of sight, and back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from holdfast.cli.failing import no_thread
from holdfast.cli.given import Given, shared
from holdfast.cli.opening import opened
from holdfast.cli.render import out
from holdfast.errors import Refused

if TYPE_CHECKING:
    from holdfast.threads.model import Deleted, DeletePreview


@click.command(short_help="Take threads, and all they spawned, out of every list.")
@click.argument("threads", nargs=-1, required=True)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@click.option("--no-descendants", is_flag=True, help="Leave the threads they spawned.")
@shared
def delete(given: Given, threads: tuple[str, ...], yes: bool, dry_run: bool, no_descendants: bool) -> None:
    """Take THREADS, and the threads they spawned, out of every list and search.

    Shows first what would go, and asks. The mark is kept in holdfast's own
    state; nothing is written to the home, and no file is removed. `threads
    undelete` brings them back; `threads list --deleted --all` shows them.

    \b
    Examples:
      holdfast threads delete 019df488-d910
      holdfast threads delete 019df488-d910 "login bug" --yes
      holdfast threads delete 019df488-d910 --dry-run --json
    """
    with opened(given) as state:
        previews: list[DeletePreview] = []
        for text in threads:
            preview = state.threads.preview_delete(text, descendants=not no_descendants)
            if preview is None:
                raise no_thread(text)
            previews.append(preview)
        deleted: list[Deleted] = []
        if not dry_run and (yes or _agreed(given, previews)):
            with state.write() as tx:  # all of them, or none
                doors = state.threads.within(tx)
                for preview in previews:
                    done = doors.delete(preview.thread_id, descendants=not no_descendants)
                    if done is not None:  # None: it went with one before
                        deleted.append(done)
    from holdfast.cli.render import deletion as render

    if given.json:
        out.document(render.document(previews, deleted))
    elif dry_run:
        render.print_previews(previews)
    else:
        render.print_deleted(deleted)


@click.command(short_help="Bring deleted threads back.")
@click.argument("threads", nargs=-1, required=True)
@shared
def undelete(given: Given, threads: tuple[str, ...]) -> None:
    """Bring THREADS back, and those that were deleted together with each.

    \b
    Examples:
      holdfast threads undelete 019df488-d910
      holdfast threads list --deleted --all
    """
    from holdfast.cli.threads_change import tell

    with opened(given) as state:
        back = []
        for text in threads:
            thread = state.threads.undelete(text)
            if thread is None:
                raise no_thread(text, deleted=True)
            back.append(thread)
    tell(given, back, "is back:")


def _agreed(given: Given, previews: list[DeletePreview]) -> bool:
    """Show what would go and ask, on a terminal. Elsewhere nobody could answer: raises ``Refused``, naming it."""
    from holdfast.cli.render import deletion as render

    if given.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Refused(f"this would delete {render.summary(previews)}", remedy="Say --yes to do it, --dry-run to look.")
    render.print_previews(previews, err=True)
    return click.confirm("Delete?", err=True)
