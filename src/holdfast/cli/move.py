"""``holdfast move``."""

from __future__ import annotations

import click

from holdfast.cli.failing import Interrupted
from holdfast.cli.given import Given, shared
from holdfast.cli.render import out


@click.command(short_help="Move the state into a PostgreSQL database, or back.")
@click.option("--to", metavar="DIR|URL", help="Where the state is to be: a directory without one, or postgresql://…")
@click.option("--from", "source", metavar="DIR|URL", help="Where it is now; default as --state.")
@click.option("--wait", is_flag=True, help="Wait until nobody holds anything or works on a job.")
@click.option("--dry-run", is_flag=True, help="Only count what would be moved.")
@click.option("--undo", is_flag=True, help="Take up again a state that was moved away, as it was left.")
@shared
def move(given: Given, to: str | None, source: str | None, wait: bool, dry_run: bool, undo: bool) -> None:
    """Move the state into a PostgreSQL database, or back into a directory.

    Every row is copied, read again and compared. The place it leaves can then be
    neither opened nor written, and fences it gave are refused in the new one.
    Others may read meanwhile, not write. Interrupted or killed it changed nothing
    that counts: run it again.

    \b
    Examples:
      holdfast move --dry-run --to 'postgresql://ann@db/agents?schema=team'
      holdfast move --to 'postgresql://ann@db/agents?schema=team'
      holdfast move --from 'postgresql://ann@db/agents' --to ~/back
      holdfast move --undo --from ~/.local/state/holdfast
    """
    import holdfast
    from holdfast.cli.render import moves as render
    from holdfast.cli.render.progress import move_bar

    source = source or given.state_dir
    if undo == bool(to) or (undo and (wait or dry_run)):
        raise click.UsageError("say where to with --to, or take a move back with --undo and nothing else.")
    if undo:
        mark = holdfast.undo_move(source)
        if given.json:
            out.document(render.undo_document(mark))
            return
        for text in render.undo_lines(mark):
            out.line(text)
        return
    assert to is not None
    try:
        with move_bar() as on_progress:
            done = holdfast.move(to, source=source, wait=wait, dry_run=dry_run, on_progress=on_progress)
    except KeyboardInterrupt:
        raise Interrupted("interrupted; the source counts as before, or the move is one step from its end",
                          remedy="Run it again.") from None  # fmt: skip
    if given.json:
        out.document(render.document(done))
        return
    for text in render.lines(done):
        out.line(text)
