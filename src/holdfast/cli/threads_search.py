"""``holdfast threads search``."""

from __future__ import annotations

import click

from holdfast.cli.filters import Filters, again, filtered
from holdfast.cli.given import Given, shared
from holdfast.cli.opening import interruptible, note_unfed, opened
from holdfast.cli.render import out


@click.command(short_help="Find threads by words that were said in them.")
@click.argument("words", nargs=-1, required=True)
@click.option("--no-wait", is_flag=True, help="Answer from what is indexed, without catching up first.")
@filtered
@shared
def search(
    given: Given,
    words: tuple[str, ...],
    no_wait: bool,
    filters: Filters,
) -> None:
    """Find threads by WORDS that were said in them, by you or by the agent.

    All words must occur in one message; their case does not matter. Put
    quotes inside quotes to find words that stand together.

    \b
    Examples:
      holdfast threads search flaky test
      holdfast threads search '"connection reset by peer"' --all
      holdfast threads search open.py --cwd . --json
    """
    from holdfast.cli.render.progress import words_bar

    asked = filters.asked()
    with opened(given, refresh=filters.refresh, only_look=True) as state:
        if not (no_wait or state.read_only):
            with interruptible(), words_bar() as on_progress:
                fed = state.wait_for_search(on_progress=on_progress)
            note_unfed(fed)
        hits = state.threads.search(" ".join(words), **asked)
    from holdfast.cli.render import hits as render

    if given.json:
        out.document(render.hits_document(hits))
        return
    render.print_hits(hits)
    if no_wait and not hits.complete:
        out.note("The index of words is still being built: there may be more.")
    if hits.next_cursor is not None:
        out.note(f"More: {again(given, hits.next_cursor)}")
