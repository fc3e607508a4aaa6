"""``holdfast board show`` and ``holdfast board why``."""

from __future__ import annotations

import click

from holdfast.cli import board_given as at
from holdfast.cli.given import Given, shared
from holdfast.cli.render import out, safe

_COMMENTS, _RUNS = 10, 5
_ALL = 10_000


@click.command(short_help="Show a task: what for, after what, who did what, and why it waits.")
@at.MY_TASK
@click.option("--all", "everything", is_flag=True, help="Every attempt and comment, not the last ones.")
@click.option("--prompt", is_flag=True, help="As a worker is told of it: Markdown, within bounds.")
@at.ON_BOARD
@shared
def show(given: Given, task: str | None, everything: bool, prompt: bool, board: str | None) -> None:
    """Show TASK: what is to be done, what it waits for, who tried it and what came of it, what was said. Only looks.

    In a worker that `dispatch` started, TASK may be left out.

    \b
    Examples:
      holdfast board show 12
      holdfast board show "fix the flaky" --all
      holdfast board show --prompt
    """
    from holdfast import board as boards
    from holdfast.board import attaching, saying
    from holdfast.cli.render import board_show as render

    with at.looking(given) as tx:
        found = at.task_of(tx, task, board)
        number = found.task_id
        if prompt:
            text = boards.context(tx, number).markdown()
        else:
            seen = render.Shown(
                task=found,
                slug=at.slug_of_id(tx, found.board_id),
                why=boards.why(tx, number),
                links=boards.links(tx, number),
                runs=boards.runs(tx, number),
                comments=saying.comments(tx, number, limit=_ALL),
                files=attaching.attachments(tx, number),
                now_ms=tx.now_ms,
            )
    if prompt:
        if given.json:
            out.document({"task_id": number, "prompt": text})
        else:
            out.line(safe.block(text.rstrip("\n")) if out.is_terminal() else text.rstrip("\n"))
        return
    if given.json:
        out.document(render.shown_document(seen))
        return
    limits = (_ALL, _ALL) if everything else (_RUNS, _COMMENTS)
    render.print_shown(seen, *limits)


@click.command(short_help="Say what keeps a task waiting, and what will change it.")
@at.MY_TASK
@at.ON_BOARD
@shared
def why(given: Given, task: str | None, board: str | None) -> None:
    """Say in one sentence what keeps TASK waiting, and what will change it. Only looks.

    \b
    Examples:
      holdfast board why 12
      holdfast board why "fix the flaky" --json
    """
    from holdfast import board as boards

    with at.looking(given) as tx:
        found = at.task_of(tx, task, board)
        said = boards.why(tx, found.task_id)
    if given.json:
        out.document({"task_id": found.task_id, "status": str(found.status), "why": said})
    else:
        out.line(safe.line(said))
