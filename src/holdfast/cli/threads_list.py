"""``holdfast threads list``."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from holdfast.cli.failing import no_thread
from holdfast.cli.given import Given, shared
from holdfast.cli.opening import opened
from holdfast.cli.render import out

if TYPE_CHECKING:
    from holdfast.state import State

_Command = TypeVar("_Command", bound=Callable[..., Any])


def filters(command: _Command) -> _Command:
    """Give ``command`` the filters that list and search share."""
    options = (
        click.option("--archived", "only_archived", is_flag=True, help="Only archived threads."),
        click.option("--all", "also_archived", is_flag=True, help="Archived ones too."),
        click.option("--source", "sources", multiple=True, metavar="KIND", help="cli, vscode, exec, ... Repeatable."),
        click.option("--provider", "providers", multiple=True, metavar="NAME", help="The model provider. Repeatable."),
        click.option("--cwd", "cwds", multiple=True, metavar="DIR", help="Where the agent worked. Repeatable."),
        click.option("--limit", "-n", type=int, default=25, show_default=True, help="At most this many, 1 to 1000."),
        click.option("--cursor", metavar="TEXT", help="Go on after a page; the rest must be as it was."),
        click.option("--refresh/--no-refresh", default=None, help="Look for new files first, however many there are."),
    )
    wrapped: Any = command
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[no-any-return]


def chosen_archived(only: bool, also: bool) -> bool | None:
    """Return what the library calls ``archived``. Raises a usage error when both were asked for."""
    if only and also:
        raise click.UsageError("--archived and --all exclude each other")
    return None if also else only


def real_dirs(cwds: tuple[str, ...]) -> tuple[str, ...]:
    """Return each directory as an absolute path, so that ``--cwd .`` means this one."""
    return tuple(os.path.abspath(os.path.expanduser(cwd)) for cwd in cwds)


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
@click.option("--parent", metavar="THREAD", help="Only the sub-agents of this thread.")
@click.option("--missing", is_flag=True, help="Also threads whose file is gone.")
@filters
@shared
def list_threads(
    given: Given,
    sort: str,
    asc: bool,
    search: str | None,
    parent: str | None,
    missing: bool,
    only_archived: bool,
    also_archived: bool,
    sources: tuple[str, ...],
    providers: tuple[str, ...],
    cwds: tuple[str, ...],
    limit: int,
    cursor: str | None,
    refresh: bool | None,
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
    archived = chosen_archived(only_archived, also_archived)
    with opened(given, refresh=refresh) as state:
        page = state.threads.list(
            limit=limit,
            cursor=cursor,
            sort=sort,
            direction="asc" if asc else "desc",
            archived=archived,
            sources=sources,
            providers=providers,
            cwds=real_dirs(cwds),
            search=search,
            parent=_id_of(state, parent),
            missing=missing,
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


def again(given: Given, cursor: str) -> str:
    """Return the command that was typed, going on at ``cursor``."""
    kept = []
    words = iter(given.argv)
    for word in words:
        if word == "--cursor":
            next(words, None)
        elif not word.startswith("--cursor="):
            kept.append(word)
    return shlex.join(["holdfast", *kept, "--cursor", cursor])


def _id_of(state: State, text: str | None) -> str | None:
    if text is None:
        return None
    thread = state.threads.resolve(text)
    if thread is None:
        raise no_thread(text)
    return thread.id
