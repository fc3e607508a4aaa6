"""``holdfast threads list``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from holdfast.cli.failing import no_thread
from holdfast.cli.filters import Filters, again, filtered
from holdfast.cli.given import Given, shared
from holdfast.cli.opening import opened
from holdfast.cli.render import out

if TYPE_CHECKING:
    from holdfast.state import State


@click.command("list", short_help="List threads, the one written last first.")
@click.option(
    "--sort",
    type=click.Choice(["updated", "created", "recency"]),
    default="updated",
    show_default=True,
    help="By the last line written, the first, or the start of the last turn.",
)
@click.option("--asc", "--oldest-first", "asc", is_flag=True, help="The oldest first.")
@click.option("--search", metavar="TEXT", help="A piece of the name, the title or the preview.")
@click.option("--parent", metavar="THREAD", help="Only the threads that this one spawned.")
@click.option("--ancestor", metavar="THREAD", help="Also those that they spawned, and so on.")
@click.option("--missing", is_flag=True, help="Also threads whose file is gone.")
@click.option("--deleted", is_flag=True, help="Only threads that were deleted here.")
@filtered
@shared
def list_threads(
    given: Given,
    sort: str,
    asc: bool,
    search: str | None,
    parent: str | None,
    ancestor: str | None,
    missing: bool,
    deleted: bool,
    filters: Filters,
) -> None:
    """List threads, the one written last first.

    On a terminal a table; on a pipe one line a thread, fields between tabs:
    id, time, source, state, cwd, name or title. A home never indexed is
    indexed first; of a large one only the newest files are looked at, unless
    you say --refresh.

    \b
    Examples:
      holdfast threads list --cwd . --limit 10
      holdfast threads list --source exec --oldest-first
      holdfast threads list --search "flaky test" --all --json
    """
    asked = filters.asked()
    with opened(given, refresh=filters.refresh, only_look=True) as state:
        page = state.threads.list(
            **asked,
            sort=sort,
            direction="asc" if asc else "desc",
            search=search,
            parent=_id_of(state, parent),
            ancestor=_id_of(state, ancestor),
            missing=missing,
            deleted=deleted,
        )
        homes, looked = state.homes, bool(state.reports)
    from holdfast.cli.render import threads as render

    if given.json:
        out.document(render.page_document(page))
        return
    render.print_threads(page.threads, sort=sort)
    render.note_after(page, homes, looked=looked)
    if page.next_cursor is not None:
        out.note(f"More: {again(given, page.next_cursor)}")


def _id_of(state: State, text: str | None) -> str | None:
    if text is None:
        return None
    thread = state.threads.resolve(text)
    if thread is None:
        raise no_thread(text)
    return thread.id
