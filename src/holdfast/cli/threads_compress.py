"""``holdfast threads compress``: rollouts of threads nobody writes to any more, made small."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from holdfast.cli.failing import Interrupted
from holdfast.cli.given import Given, shared
from holdfast.cli.opening import opened
from holdfast.cli.quantities import Age
from holdfast.cli.render import out
from holdfast.errors import Refused

if TYPE_CHECKING:
    from holdfast.state.compressing import CompressReport


@click.command(short_help="Make rollouts small that nobody wrote to for a while.")
@click.option("--older-than", metavar="AGE", type=Age(), default="7d", help="Not written to for so long; default 7d.")
@click.option("--in-home", is_flag=True, help="Do it: change the home's own files, as Codex would.")
@click.option("--dry-run", is_flag=True, help="Print what would be done; change nothing.")
@shared
def compress(given: Given, older_than: int, in_home: bool, dry_run: bool) -> None:
    """Compress the rollouts of a home that nobody wrote to for AGE (7d, 12h, 30m).

    Each .jsonl becomes a .jsonl.zst, as Codex does it: checked before the old
    file goes, and read, listed, searched and resumed as before. Threads that
    are being written are left out, and named. It may be interrupted at any
    time, and the next run goes on from there. These are the home's own files,
    so nothing is done without --in-home.

    \b
    Examples:
      holdfast threads compress --dry-run
      holdfast threads compress --in-home
      holdfast threads compress --older-than 30d --in-home --home ~/other/.codex
    """
    reports = _run(given, older_than, dry_run or not in_home)
    if not (in_home or dry_run):
        from holdfast.cli.render.compressions import summary

        raise Refused(
            f"this would compress {summary(reports)}; a home's own files are changed only when that is asked for",
            remedy="Say --in-home to do it, --dry-run to see each file.",
        )
    _tell(given, reports)


def _run(given: Given, older_than_s: int, dry_run: bool) -> tuple[CompressReport, ...]:
    from holdfast.cli.render.progress import compress_bar

    with opened(given) as state:
        try:
            with compress_bar() as on_progress:
                return state.compress(older_than_s=older_than_s, in_home=True, dry_run=dry_run, on_progress=on_progress)
        except KeyboardInterrupt:
            raise Interrupted(
                "interrupted; what was compressed stays so, and every thread is there", remedy="Run it again to go on."
            ) from None


def _tell(given: Given, reports: tuple[CompressReport, ...]) -> None:
    from holdfast.cli.render import compressions as render

    if given.json:
        documents = [render.document(report) for report in reports]
        out.document(documents[0] if len(documents) == 1 else documents)
        return
    for report in reports:
        for text in render.lines(report, verbose=given.verbose):
            out.line(text)
