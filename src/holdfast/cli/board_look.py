"""``holdfast board list``, ``stats``, ``runs`` and ``events``: all of them only look."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from holdfast.cli import board_given as at
from holdfast.cli.filters import again
from holdfast.cli.given import Given, shared
from holdfast.cli.render import out
from holdfast.errors import Refused

if TYPE_CHECKING:
    from holdfast.board import Task
    from holdfast.engine import Read

STATUSES = ("triage", "todo", "scheduled", "ready", "running", "blocked", "review", "done", "cancelled", "archived")
_OPEN = ("running", "review", "blocked", "ready", "todo", "scheduled", "triage")


@click.command("list", short_help="List tasks, those that are claimed next first.")
@click.option("--status", "statuses", multiple=True, type=click.Choice(STATUSES), help="Only such tasks. Repeatable.")
@click.option("--all", "everything", is_flag=True, help="Those that are over, too; the newest first.")
@click.option("--assignee", metavar="NAME", help="Only those of NAME; an empty one: of nobody.")
@click.option("--tenant", metavar="NAME", help="Only those for this tenant.")
@click.option("--limit", "-n", type=click.IntRange(1, 1_000), default=50, show_default=True, help="At most so many.")
@click.option("--cursor", metavar="TEXT", help="Go on after a page; the rest must be as it was.")
@at.ON_BOARD
@shared
def list_tasks(
    given: Given,
    statuses: tuple[str, ...],
    everything: bool,
    assignee: str | None,
    tenant: str | None,
    limit: int,
    cursor: str | None,
    board: str | None,
) -> None:
    """List the tasks that are not over, by status; each status in the order in which they are claimed.

    On a terminal a table; on a pipe one line a task, fields between tabs:
    number, status, priority, assignee, since when, title, and what else is to
    be known of it. Only looks.

    \b
    Examples:
      holdfast board list
      holdfast board list --status ready --assignee codex
      holdfast board list --all --limit 10 --json
    """
    from holdfast import board as boards
    from holdfast.cli.render import board as documents
    from holdfast.cli.render import board_tasks as render

    if statuses and everything:
        raise click.UsageError("--status and --all exclude each other")
    with at.peeked(given) as state:
        if state.engine is None:
            _nothing(given, at.slug_of(board))
            return
        with state.read() as tx:
            slug, now_ms = at.board_of(tx, board).slug, tx.now_ms
            wanted = (None,) if everything else statuses or _OPEN
            tasks, after = _page(tx, slug, wanted, assignee, tenant, limit, cursor)
            counts = boards.stats(tx, slug).counts
    if given.json:
        told = {str(status): count for status, count in counts.items()}
        found = [documents.task_document(task) for task in tasks]
        out.document({"board": slug, "tasks": found, "next_cursor": after, "counts": told})
        return
    render.print_tasks(tasks, now_ms)
    render.note_counts(tasks, counts, is_filtered=bool(statuses or assignee is not None or tenant or cursor))
    if after is not None:
        out.note(f"More: {again(given, after)}")


def _page(
    tx: Read,
    slug: str,
    statuses: tuple[str | None, ...],
    assignee: str | None,
    tenant: str | None,
    limit: int,
    cursor: str | None,
) -> tuple[list[Task], str | None]:
    """Return tasks of one status after the other, and where to go on: at which of them, and after what."""
    from holdfast import board as boards

    begin, after = 0, None
    if cursor is not None:
        number, _, rest = cursor.partition(".")
        if not number.isdecimal() or int(number) >= len(statuses):
            raise Refused(f"{cursor[:40]!r} is no cursor", remedy="Pass that of the page before, unchanged.")
        begin, after = int(number), rest or None
    found: list[Task] = []
    for number_of, status in enumerate(statuses[begin:], start=begin):
        if len(found) == limit:
            return found, f"{number_of}."
        page = boards.listing(
            tx, slug, status=status, assignee=assignee, tenant=tenant, limit=limit - len(found), after=after
        )
        found += page.tasks
        if page.after is not None:
            return found, f"{number_of}.{page.after}"
        after = None
    return found, None


def _nothing(given: Given, slug: str) -> None:
    if given.json:
        out.document({"board": slug, "tasks": [], "next_cursor": None, "counts": {}})
    else:
        out.note("Nothing was ever kept here: `holdfast board create TITLE` makes the first task.")


@click.command(short_help="Count a board: by status and assignee, what waits longest, who dispatches.")
@at.ON_BOARD
@shared
def stats(given: Given, board: str | None) -> None:
    """Say how a board stands: tasks by status, who is at how many of how many, what waits longest, who dispatches.

    \b
    Examples:
      holdfast board stats
      holdfast board stats --board website --json
    """
    from holdfast import board as boards
    from holdfast.board.dispatching.leading import leaders
    from holdfast.cli.render import board_stats as render

    with at.looking(given) as tx:
        slug = at.board_of(tx, board).slug
        seen, now_ms = boards.stats(tx, slug), tx.now_ms
        leading = [each for each in leaders(tx) if each.board in (None, slug)]
    if given.json:
        out.document(render.stats_document(seen, leading))
        return
    for line in render.stats_lines(seen, leading, now_ms):
        out.line(line)


@click.command(short_help="List the attempts at a task.")
@at.MY_TASK
@at.ON_BOARD
@shared
def runs(given: Given, task: str | None, board: str | None) -> None:
    """List the attempts at TASK, the first one first: number, stage, how it ended, how long it took, by whom, and why.

    \b
    Examples:
      holdfast board runs 12
      holdfast board runs 12 --json
    """
    from holdfast import board as boards
    from holdfast.cli.render import board as documents
    from holdfast.cli.render import board_runs as render

    with at.looking(given) as tx:
        about, now_ms = at.task_of(tx, task, board), tx.now_ms
        found = boards.runs(tx, about.task_id)
    if given.json:
        out.document({"task_id": about.task_id, "runs": [documents.run_document(run) for run in found]})
        return
    render.print_runs(found, now_ms)
    if not found:
        out.note("Nobody worked on it yet.")


@click.command(short_help="List what happened, to a task or on a board.")
@at.MY_TASK
@click.option("--limit", "-n", type=click.IntRange(1, 10_000), default=50, show_default=True, help="The last so many.")
@click.option("--after", type=click.IntRange(0), metavar="ID", help="Those after this event, the first so many.")
@at.ON_BOARD
@shared
def events(given: Given, task: str | None, limit: int, after: int | None, board: str | None) -> None:
    """List what happened, to TASK or, without one, on the board: when, task, what, what was said of it, title.

    The last 1,000 events of each task are kept. `watch` follows them.

    \b
    Examples:
      holdfast board events 12
      holdfast board events --limit 200
      holdfast board events --after 4711 --json
    """
    import os

    from holdfast import board as boards
    from holdfast.cli.free_words import TASK
    from holdfast.cli.render import board as documents
    from holdfast.cli.render.board_events import printer
    from holdfast.cli.watching import Titles

    titles = Titles()
    with at.looking(given) as tx:
        if task is not None or (board is None and os.environ.get(TASK)):
            number = at.task_of(tx, task, board).task_id
            if after is None:
                found = boards.history(tx, number, limit=limit)
            else:
                found = boards.events(tx, task=number, after=after, limit=limit)
        elif after is None:
            found = boards.recent(tx, at.board_of(tx, board).slug, limit=limit)
        else:
            found = boards.events(tx, board=at.board_of(tx, board).slug, after=after, limit=limit)
        titles.learn(tx, found)
    if given.json:
        out.document(
            {"events": [documents.event_document(event) | {"title": titles[event.task_id]} for event in found]}
        )
        return
    show = printer(as_json=False)
    for event in found:
        show(event, titles[event.task_id])
