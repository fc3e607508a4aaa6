"""What a worker says of its task: ``claim``, ``heartbeat``, ``done``, ``review``, ``block``, ``release``."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import click

from holdfast.cli import board_given as at
from holdfast.cli.free_words import FreeWords, text_of
from holdfast.cli.given import Given, shared
from holdfast.cli.quantities import Age

if TYPE_CHECKING:
    from holdfast.board import Task

KINDS = ("needs_input", "dependency", "capability", "transient", "children")


@click.command(short_help="Say that work on a task goes on: its lease begins anew.")
@at.MY_TASK
@click.option("--note", metavar="TEXT", default="", help="What is being done just now.")
@click.option("--lease", type=Age(), default="60s", show_default=True, help="To be heard of again within this.")
@at.A_FENCE
@at.ON_BOARD
@shared
def heartbeat(given: Given, task: str | None, note: str, lease: int, fence: int | None, board: str | None) -> None:
    """Say that work on TASK goes on, so that nobody else is given it.

    Exit code 3: the claim was lost; stop. In a worker that `dispatch` started,
    TASK and --fence may be left out.

    \b
    Examples:
      holdfast board heartbeat
      holdfast board heartbeat --note "running the tests"
      holdfast board heartbeat 12 --fence 1099511627776 --lease 10m
    """
    from holdfast import board as boards

    with at.changing(given, reserve=True) as tx:
        mine = at.task_of(tx, task, board)
        with at.stopping(mine):
            boards.renew(tx, mine.task_id, at.needed_fence(mine, fence), lease_ms=lease * 1_000, note=note)
        _tell(given, at.task_of(tx, str(mine.task_id), None))


@click.command(short_help="Say that a task is done.")
@at.MY_TASK
@click.option("--summary", metavar="TEXT", default="", help="What was done, for whoever goes on from it.")
@click.option("--result", metavar="JSON", help="What came of it; text that is no JSON is taken as it is.")
@click.option(
    "--result-file", metavar="FILE", type=click.File(encoding="utf-8", errors="replace"), help="The same; - is stdin."
)
@click.option("--verdict", metavar="WORD", help="`pass` or `fail`, for tasks whose gate asks for it.")
@click.option("--metadata", metavar="JSON", help="Whatever else others should know.")
@at.A_FENCE
@at.ON_BOARD
@shared
def done(
    given: Given,
    task: str | None,
    summary: str,
    result: str | None,
    result_file: IO[str] | None,
    verdict: str | None,
    metadata: str | None,
    fence: int | None,
    board: str | None,
) -> None:
    """Say that TASK is done. What waited for it may begin.

    Exit code 3: the claim was lost, and nothing was changed; stop. In a worker
    that `dispatch` started, TASK and --fence may be left out. A task that
    nobody works on needs no fence.

    \b
    Examples:
      holdfast board done --summary "the test waits for the server now"
      holdfast board done --verdict fail --summary "still flaky, 3 of 100"
      holdfast board done 12
    """
    from holdfast import board as boards

    if result_file is not None:
        if result is not None:
            raise click.UsageError("--result and --result-file exclude each other")
        result = result_file.read()
    with at.changing(given, reserve=True) as tx:
        mine = at.task_of(tx, task, board)
        with at.stopping(mine):
            ended = boards.done(
                tx,
                mine.task_id,
                fence=at.fence_of(mine, fence),
                summary=summary,
                result=_result(result),
                verdict=verdict,
                metadata=at.json_value(metadata, "--metadata"),
            )
    _tell(given, ended)


@click.command(short_help="Hand a task in, for somebody to review it.")
@at.MY_TASK
@click.option("--summary", metavar="TEXT", default="", help="What was done, for whoever reviews it.")
@at.A_FENCE
@at.ON_BOARD
@shared
def review(given: Given, task: str | None, summary: str, fence: int | None, board: str | None) -> None:
    """Hand TASK in. Somebody claims it to review it, and says `done`, or gives it back.

    Exit code 3: the claim was lost; stop. In a worker that `dispatch` started,
    TASK and --fence may be left out.

    \b
    Examples:
      holdfast board review --summary "ready; the branch is fix/login"
      holdfast board review 12 --fence 1099511627776
    """
    from holdfast import board as boards

    with at.changing(given, reserve=True) as tx:
        mine = at.task_of(tx, task, board)
        with at.stopping(mine):
            ended = boards.review(tx, mine.task_id, fence=at.needed_fence(mine, fence), summary=summary)
    _tell(given, ended)


@click.command("request-changes", cls=FreeWords, short_help="Send what was handed in back, with what is wanting.")
@at.WORDS
@at.TASK_BEFORE_WORDS
@at.A_FENCE
@at.ON_BOARD
@shared
@click.pass_context
def request_changes(
    ctx: click.Context, given: Given, words: tuple[str, ...], task: str | None, fence: int | None, board: str | None
) -> None:
    """Send TASK, which was handed in, back to be worked on; the rest of the words is what is wanting.

    The words need no quotes, and options stand before them. In a worker that
    `dispatch` started to review it, TASK and --fence may be left out.

    \b
    Examples:
      holdfast board request-changes 12 the test still needs --insecure
      holdfast board request-changes "it has no test"
    """
    from holdfast import board as boards

    wanting = text_of(ctx, words)
    with at.changing(given, reserve=True) as tx:
        mine = at.task_of(tx, task, board)
        with at.stopping(mine):
            back = boards.request_changes(tx, mine.task_id, wanting, fence=at.fence_of(mine, fence))
    _tell(given, back)


@click.command(cls=FreeWords, short_help="Say what a task waits for that nobody here can do.")
@at.WORDS
@at.TASK_BEFORE_WORDS
@click.option("--kind", type=click.Choice(KINDS), default="needs_input", show_default=True, help="What is wanting.")
@at.A_FENCE
@at.ON_BOARD
@shared
@click.pass_context
def block(
    ctx: click.Context,
    given: Given,
    words: tuple[str, ...],
    task: str | None,
    kind: str,
    fence: int | None,
    board: str | None,
) -> None:
    """Have TASK wait, for the reason in the rest of the words; they need no quotes, and options stand before them.

    It waits until somebody unblocks it, but for two kinds: `dependency` goes
    on when its parents are done, `children` when its children are. Blocked
    twice for the same kind it goes to triage. In a worker that `dispatch`
    started, TASK and --fence may be left out.

    \b
    Examples:
      holdfast board block 12 waiting for the API key
      holdfast board block 12 --kind capability needs a GPU with --tensor-cores
      holdfast board block --kind dependency "the schema comes first"
    """
    from holdfast import board as boards

    reason = text_of(ctx, words)
    with at.changing(given, reserve=True) as tx:
        mine = at.task_of(tx, task, board)
        with at.stopping(mine):
            ended = boards.block(tx, mine.task_id, reason, kind=kind, fence=at.fence_of(mine, fence))
    _tell(given, ended)


@click.command(short_help="Give a task back undone.")
@at.MY_TASK
@click.option("--retry-in", type=Age(), default="0s", show_default=True, help="Not before so long from now.")
@at.A_FENCE
@at.ON_BOARD
@shared
def release(given: Given, task: str | None, retry_in: int, fence: int | None, board: str | None) -> None:
    """Give TASK back undone, for the next who comes. That is no failure.

    Exit code 3: the claim was lost; stop. In a worker that `dispatch` started,
    TASK and --fence may be left out.

    \b
    Examples:
      holdfast board release
      holdfast board release 12 --fence 1099511627776 --retry-in 10m
    """
    from holdfast import board as boards

    with at.changing(given, reserve=True) as tx:
        mine = at.task_of(tx, task, board)
        with at.stopping(mine):
            back = boards.release(tx, mine.task_id, fence=at.needed_fence(mine, fence), retry_in_ms=retry_in * 1_000)
    _tell(given, back)


def _tell(given: Given, task: Task) -> None:
    from holdfast.cli.render import board as render

    render.tell(task, as_json=given.json)


def _result(text: str | None) -> object:
    import json

    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text.rstrip("\n")
