"""``holdfast undo``."""

from __future__ import annotations

import click

from holdfast.cli.given import Given, shared
from holdfast.cli.receipts import wanted
from holdfast.cli.render import out, safe


@click.command(short_help="Undo what was changed in a home.")
@click.argument("receipt")
@click.option("--dry-run", is_flag=True, help="Print what would be done; change nothing.")
@click.option("--finish", is_flag=True, help="Of a change that was stopped in the middle, do the rest instead.")
@shared
def undo(given: Given, receipt: str, dry_run: bool, finish: bool) -> None:
    """Put everything back that RECEIPT changed: an id, or the beginning of one.

    Of a repair of `holdfast doctor` too, byte for byte; nobody may have the
    database open meanwhile.

    When somebody changed one of the files since, nothing is undone, and the
    file is named. Lines that Codex appended to its names file since stay. A
    change that was stopped in the middle can be undone, too, or with --finish
    brought to its end.

    \b
    Examples:
      holdfast undo 20261125-214921-65d58e --dry-run
      holdfast undo 20261125-214921-65d58e
      holdfast undo --finish 20261125-214921-65d58e
    """
    if dry_run and finish:
        raise click.UsageError("--finish has no --dry-run: `holdfast receipts show` tells what is left to do")
    import holdfast
    from holdfast.cli.render import receipts as render

    found = wanted(given, receipt)
    if not dry_run and found.plan.by == "doctor":  # whose homes may be broken: no state is opened on them
        from holdfast.doctor import undoing

        found = (undoing.finish if finish else undoing.undo)(found)
    elif not dry_run:
        with holdfast.open(found.plan.folder, state_dir=given.state_dir, search=False) as state:
            found = (state.in_home.finish if finish else state.in_home.undo)(found.id) or found
    if given.json:
        out.document(render.receipt_document(found))
        return
    if finish:
        out.line(safe.line(f"Finished: {found.title}"))
        return
    render.print_undo(found, dry_run=dry_run)
