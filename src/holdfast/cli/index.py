"""``holdfast index``: find every thread of a home and read what changed."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from holdfast.cli.given import Given, shared
from holdfast.cli.opening import interruptible, note_unfed, opened
from holdfast.cli.render import out

if TYPE_CHECKING:
    from holdfast.ingest.model import IndexReport


@click.command(short_help="Index homes: find every thread, read what changed.")
@click.argument("homes_given", metavar="[HOME]...", nargs=-1)
@click.option("--full", is_flag=True, help="Read every file again, changed or not.")
@click.option("--no-search", is_flag=True, help="Do not index the words for `threads search` now.")
@click.option("--follow", is_flag=True, help="Go on: what agents write is in the index at once. Ctrl-C ends it.")
@click.option("--rebuild", is_flag=True, help="Make a damaged state.db again; the old one is moved aside, not deleted.")
@shared
def index(given: Given, homes_given: tuple[str, ...], full: bool, no_search: bool, follow: bool, rebuild: bool) -> None:
    """Index one or more homes: find every thread, read what is new.

    Files that did not change since the last time are not read again. It may
    be interrupted at any time: what was committed stays, and the next run
    goes on from there. Names and archive marks you gave are never touched.

    \b
    Examples:
      holdfast index                    the default home
      holdfast index ~/.codex ~/other/.codex
      holdfast index --full --json      read everything again, report as JSON
      holdfast index --follow           stay, and say what changes
      holdfast index --rebuild          when holdfast says state.db is damaged
    """
    given.homes = homes_given or given.homes
    if follow and (rebuild or full):
        raise click.UsageError("--follow goes with neither --full nor --rebuild: run them before")
    if rebuild:
        _rebuild(given)
    elif follow:
        _follow(given, search=not no_search)
    else:
        tell(given, run(given, full=full, search=not no_search))


def run(given: Given, *, full: bool, search: bool) -> tuple[IndexReport, ...]:
    """Index, with bars on a terminal, and return what was done."""
    from holdfast.cli.render.progress import bar, words_bar

    with opened(given, refresh=not full) as state, interruptible():
        reports = state.reports
        if full and len(reports) < len(state.homes):  # homes indexed just now were read whole already
            with bar() as on_progress:
                reports = state.index(full=True, on_progress=on_progress)
        if search and state.finds_words:
            with words_bar() as on_words:
                fed = state.wait_for_search(on_progress=on_words)
            note_unfed(fed)
    return reports


def tell(given: Given, reports: tuple[IndexReport, ...]) -> None:
    """Print what indexing did: an object for one home, a list for several; or a sentence each."""
    from holdfast.cli.render import reports as render

    if given.json:
        documents = [render.report_document(report) for report in reports]
        out.document(documents[0] if len(documents) == 1 else documents)
        return
    for report in reports:
        for text in render.report_lines(report, verbose=given.verbose):
            out.line(text)


def _follow(given: Given, *, search: bool) -> None:
    """Say each change on a line of its own, as it comes, until Ctrl-C: that is how it ends, and no failure."""
    import msgspec

    import holdfast
    from holdfast.cli.render import reports as render
    from holdfast.cli.render.progress import bar

    with interruptible(), bar() as on_progress:
        state = holdfast.open(
            given.home, state_dir=given.state_dir, refresh=False, search=search, on_progress=on_progress
        )
    with state, suppress(KeyboardInterrupt):
        for change in state.follow():
            if given.json:
                out.json_line(msgspec.to_builtins(change))
            else:
                out.line(render.followed_line(change))
            sys.stdout.flush()


def _rebuild(given: Given) -> None:
    import holdfast
    from holdfast.cli.render import reports as render
    from holdfast.cli.render.progress import bar

    with interruptible(), bar() as on_progress:
        done = holdfast.rebuild(given.home, state_dir=given.state_dir, on_progress=on_progress)
    if given.json:
        out.document(render.rebuild_document(done))
        return
    for text in render.rebuild_lines(done, verbose=given.verbose):
        out.line(text)
