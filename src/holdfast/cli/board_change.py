"""What a person does to tasks: ``assign``, ``schedule``, ``move``, ``unblock``, ``cancel`` and their like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from holdfast.cli import board_given as at
from holdfast.cli.free_words import FreeWordsOnTask, text_of
from holdfast.cli.given import Given, shared
from holdfast.cli.quantities import When

if TYPE_CHECKING:
    from holdfast.board import Task
    from holdfast.cli.quantities import Moment

STATUSES = ("triage", "todo", "scheduled", "ready", "blocked", "review", "done", "cancelled")


@click.command(short_help="Say who is to do a task.")
@at.A_TASK
@click.argument("assignee", required=False)
@click.option("--nobody", is_flag=True, help="Whoever comes.")
@at.ON_BOARD
@shared
def assign(given: Given, task: str, assignee: str | None, nobody: bool, board: str | None) -> None:
    """Say that ASSIGNEE is to do TASK: a name that workers claim by.

    \b
    Examples:
      holdfast board assign 12 codex
      holdfast board assign 12 --nobody
    """
    from holdfast import board as boards

    if (assignee is None) is not nobody:
        raise click.UsageError("name an ASSIGNEE, or say --nobody")
    with at.changing(given) as tx:
        changed = boards.assign(tx, at.task_of(tx, task, board).task_id, assignee or "")
    _tell(given, changed)


@click.command(short_help="Have a task wait until a time.")
@at.A_TASK
@click.argument("when", type=When())
@at.ON_BOARD
@shared
def schedule(given: Given, task: str, when: Moment, board: str | None) -> None:
    """Have TASK wait until WHEN: so long from now, or a date (local, unless it names a zone).

    \b
    Examples:
      holdfast board schedule 12 2h
      holdfast board schedule 12 2026-11-27T09:00
    """
    from holdfast import board as boards

    with at.changing(given) as tx:
        changed = boards.schedule(tx, at.task_of(tx, task, board).task_id, when.at(tx.now_ms))
    _tell(given, changed)


@click.command(short_help="Put a task into another status, or on another board.")
@at.A_TASK
@click.argument("status", required=False, type=click.Choice(STATUSES))
@click.option("--to-board", metavar="SLUG", help="The board it is to be on.")
@click.option("--why", metavar="TEXT", default="", help="What others are told.")
@at.ON_BOARD
@shared
def move(given: Given, task: str, status: str | None, to_board: str | None, why: str, board: str | None) -> None:
    """Put TASK into STATUS by hand, or on another board.

    Only where the rules allow it: none is made `running` so (`claim` it), and
    one that somebody works on is left alone (`reclaim` it).

    \b
    Examples:
      holdfast board move 12 ready
      holdfast board move 12 --to-board website
    """
    from holdfast import board as boards

    if (status is None) is (to_board is None):
        raise click.UsageError("name a STATUS, or a board with --to-board")
    with at.changing(given) as tx:
        task_id = at.task_of(tx, task, board).task_id
        if status is not None:
            changed = boards.move(tx, task_id, status, why=why)
        else:
            changed = boards.move_to(tx, task_id, at.board_of(tx, to_board).slug)
    _tell(given, changed)


@click.command(cls=FreeWordsOnTask, short_help="Let a blocked task go on.")
@at.WORDS
@at.TASK_BEFORE_WORDS
@at.ON_BOARD
@shared
@click.pass_context
def unblock(ctx: click.Context, given: Given, words: tuple[str, ...], task: str | None, board: str | None) -> None:
    """Let TASK go on, with the rest as a note to whoever does it. Its failures are forgiven.

    \b
    Examples:
      holdfast board unblock 12
      holdfast board unblock 12 the key is in the vault now
    """
    from holdfast import board as boards

    with at.changing(given) as tx:
        changed = boards.unblock(tx, at.task_of(tx, task, board).task_id, text_of(ctx, words, ""))
    _tell(given, changed)


@click.command(cls=FreeWordsOnTask, short_help="Have a task not done; its worker is told to stop.")
@at.WORDS
@at.TASK_BEFORE_WORDS
@at.ON_BOARD
@shared
@click.pass_context
def cancel(ctx: click.Context, given: Given, words: tuple[str, ...], task: str | None, board: str | None) -> None:
    """Have TASK not done; the rest is why. Whoever is at it learns so with its next word, and stops.

    \b
    Examples:
      holdfast board cancel 12
      holdfast board cancel 12 nobody uses this any more
    """
    from holdfast import board as boards

    with at.changing(given) as tx:
        changed = boards.cancel(tx, at.task_of(tx, task, board).task_id, text_of(ctx, words, "cancelled by hand"))
    _tell(given, changed)


@click.command(short_help="Have a task that is over done once more.")
@at.A_TASK
@at.ON_BOARD
@shared
def reopen(given: Given, task: str, board: str | None) -> None:
    """Have TASK, which is done or cancelled, done once more.

    \b
    Examples:
      holdfast board reopen 12
      holdfast board reopen "fix the flaky" --json
    """
    from holdfast import board as boards

    with at.changing(given) as tx:
        changed = boards.reopen(tx, at.task_of(tx, task, board).task_id)
    _tell(given, changed)


@click.command(cls=FreeWordsOnTask, short_help="Take a task from its worker, for another.")
@at.WORDS
@at.TASK_BEFORE_WORDS
@at.ON_BOARD
@shared
@click.pass_context
def reclaim(ctx: click.Context, given: Given, words: tuple[str, ...], task: str | None, board: str | None) -> None:
    """Take TASK from whoever works on it; the rest is why. What that worker says from then on does not count.

    \b
    Examples:
      holdfast board reclaim 12
      holdfast board reclaim 12 it has been silent for an hour
    """
    from holdfast import board as boards

    with at.changing(given) as tx:
        changed = boards.reclaim(tx, at.task_of(tx, task, board).task_id, text_of(ctx, words, "reclaimed by hand"))
    _tell(given, changed)


@click.command(short_help="Put tasks away.")
@click.argument("tasks", metavar="TASK...", nargs=-1, required=True)
@at.ON_BOARD
@shared
def archive(given: Given, tasks: tuple[str, ...], board: str | None) -> None:
    """Put each TASK away; all of them or none. To others it counts as what it was.

    \b
    Examples:
      holdfast board archive 12
      holdfast board archive 12 13 14
    """
    from holdfast import board as boards

    with at.changing(given) as tx:
        changed = [boards.archive(tx, at.task_of(tx, task, board).task_id) for task in tasks]
    _tell_all(given, changed)


@click.command(short_help="Bring archived tasks back.")
@click.argument("tasks", metavar="TASK...", nargs=-1, required=True)
@at.ON_BOARD
@shared
def restore(given: Given, tasks: tuple[str, ...], board: str | None) -> None:
    """Bring each TASK back, as what it was when it was archived.

    \b
    Examples:
      holdfast board restore 12
      holdfast board restore 12 13 --json
    """
    from holdfast import board as boards

    with at.changing(given) as tx:
        changed = [boards.restore(tx, at.task_of(tx, task, board).task_id) for task in tasks]
    _tell_all(given, changed)


def _tell(given: Given, task: Task) -> None:
    from holdfast.cli.render import board as render

    render.tell(task, as_json=given.json)


def _tell_all(given: Given, tasks: list[Task]) -> None:
    from holdfast.cli.render import board as render

    render.tell_all(tasks, as_json=given.json)
