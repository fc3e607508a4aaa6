"""``holdfast board dispatch``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from holdfast.cli import board_given as at
from holdfast.cli.given import Given, shared
from holdfast.cli.quantities import Age
from holdfast.cli.render import out, words

if TYPE_CHECKING:
    from holdfast.board.dispatching import Report


@click.command(short_help="Start a worker for each task that is ready.")
@click.option("--worker", metavar="COMMAND", help="The command for a task, as a line for /bin/sh.")
@at.ON_BOARD
@click.option("--all-boards", is_flag=True, help="Every board, instead of one.")
@click.option("--max", "running_max", type=click.IntRange(1), help="So many workers at once; default one per core.")
@click.option("--assignee", "assignees", multiple=True, metavar="NAME", help="Only tasks of NAME. Repeatable.")
@click.option("--tenant", "tenants", multiple=True, metavar="NAME", help="Only for this tenant. Repeatable.")
@click.option("--reviews", is_flag=True, help="Also for tasks that were handed in; else they wait for a person.")
@click.option("--time-max", type=Age(), help="Of an attempt, where the task does not say.")
@click.option("--silence-max", type=Age(), help="A worker may say nothing for so long, where the task does not say.")
@click.option("--grace", type=Age(), default="60s", show_default=True, help="When it ends, wait so long for workers.")
@click.option("--until-idle", is_flag=True, help="End when nothing is ready and nobody works.")
@click.option("--status", is_flag=True, help="Only show who dispatches, and their workers.")
@shared
def dispatch(
    given: Given,
    worker: str | None,
    board: str | None,
    all_boards: bool,
    running_max: int | None,
    assignees: tuple[str, ...],
    tenants: tuple[str, ...],
    reviews: bool,
    time_max: int | None,
    silence_max: int | None,
    grace: int,
    until_idle: bool,
    status: bool,
) -> None:
    """Start COMMAND for each task that is ready, in a process group of its own, and see it to its end.

    The command finds its task in the environment: HOLDFAST_PROMPT (all there is
    to know, in Markdown), _TASK, _FENCE, _BOARD, _WORKSPACE and more. It ends
    its task with `holdfast board done`, `review` or `block`; then exit code 0
    is well, 75 means "later", and any other is a failure. Several may run: one
    leads, and another takes over when it dies. Ctrl-C or SIGTERM starts nothing
    more and waits for the workers; a second one ends them.

    \b
    Examples:
      holdfast board dispatch --worker 'codex exec "$HOLDFAST_PROMPT"' --max 4
      holdfast board dispatch --worker ./work.sh --assignee codex --until-idle
      holdfast board dispatch --status
    """
    if board is not None and all_boards:
        raise click.UsageError("--board and --all-boards exclude each other")
    if status:
        if worker is not None:
            raise click.UsageError("--status only looks, and takes no --worker")
        _show(given, None if all_boards else at.slug_of(board), everywhere=all_boards or board is None)
        return
    if not worker or not worker.strip():
        raise click.UsageError("missing option '--worker': the command that does a task")
    with at.opened(given) as state:
        if not all_boards:
            with state.read() as tx:
                at.board_of(tx, board)
        dispatcher = state.board.dispatcher(
            worker,
            board=None if all_boards else at.slug_of(board),
            running_max=running_max,
            assignees=assignees or None,
            tenants=tenants or None,
            stages=("work", "review") if reviews else ("work",),
            time_max_ms=None if time_max is None else time_max * 1_000,
            silence_max_ms=None if silence_max is None else silence_max * 1_000,
            grace_s=float(grace),
            tell=_tell,
        )
        report = dispatcher.run(until_idle=until_idle)
    _end(given, report)


def _show(given: Given, slug: str | None, *, everywhere: bool) -> None:
    from holdfast.board.dispatching.leading import leaders
    from holdfast.cli.render.board_dispatch import leader_document, leader_lines

    with at.looking(given) as tx:
        found = [each for each in leaders(tx) if everywhere or each.board in (None, slug)]
        now_ms = tx.now_ms
    if given.json:
        out.document({"dispatchers": [leader_document(each) for each in found]})
        return
    for line in leader_lines(found, now_ms):
        out.line(line)


def _tell(line: str) -> None:
    out.note(f"{words.local(time.time_ns() // 1_000_000)} {line}")


def _end(given: Given, report: Report) -> None:
    if given.json:
        out.document({"started": report.started, "adopted": report.adopted, "ended": dict(report.ended)})
        return
    ended = ", ".join(f"{count:,} {outcome}" for outcome, count in report.ended.items() if count)
    out.note(f"Started {words.count(report.started, 'worker')}{'; ended: ' if ended else ''}{ended}.")
