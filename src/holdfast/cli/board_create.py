"""``holdfast board create`` and ``holdfast board edit``."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING, Any

import click

from holdfast.cli import board_given as at
from holdfast.cli.given import Given, shared
from holdfast.cli.quantities import Age, OrNone, When
from holdfast.cli.render import out

if TYPE_CHECKING:
    from holdfast.board.model import Gate, Scope
    from holdfast.cli.quantities import Moment

_BODY = click.option("--body", metavar="TEXT", help="What is to be done, at length.")
_BODY_FILE = click.option(
    "--body-file", metavar="FILE", type=click.File(encoding="utf-8", errors="replace"), help="The same; - is stdin."
)
_PLACES = ("scratch", "worktree")


@click.command(short_help="Put a task on a board.")
@click.argument("title", nargs=-1, required=True)
@_BODY
@_BODY_FILE
@at.ON_BOARD
@click.option("--assignee", metavar="NAME", default="", help="Who is to do it: a name that workers claim by.")
@click.option("--parent", "parents", multiple=True, metavar="TASK[:GATE]", help="Wait for this task. Repeatable.")
@click.option("--priority", type=int, default=0, show_default=True, help="Larger comes first.")
@click.option("--due", type=When(), help="Not before: 2h from now, or a date.")
@click.option("--triage", is_flag=True, help="Not to be done yet: somebody must look at it first.")
@click.option("--blocked", metavar="WHY", help="Not to be done until it is unblocked, and why.")
@click.option("--tenant", metavar="NAME", default="", help="For whom; workers may claim by that, too.")
@click.option(
    "--idempotency-key", "--request", metavar="TEXT", help="A task asked for under it before is not made again."
)
@click.option(
    "--key-scope", type=click.Choice(["any", "open"]), default="any", show_default=True, help="... ever, or while open."
)
@click.option("--failures-max", type=click.IntRange(1), default=3, show_default=True, help="So many in a row block it.")
@click.option("--time-max", type=Age(), help="An attempt may take so long: 30m, 2h.")
@click.option("--silence-max", type=Age(), help="A worker may say nothing for so long.")
@click.option(
    "--workspace",
    metavar="KIND|DIR",
    default="scratch",
    show_default=True,
    help="scratch, worktree[:REPOSITORY], or a directory.",
)
@click.option("--branch", metavar="NAME", help="Of the worktree.")
@click.option("--metadata", metavar="JSON", help="Whatever else workers should know.")
@click.option("--alias", metavar="TEXT", help="Another name for it, unique on its board.")
@click.option("--by", "author", metavar="NAME", help="Who asks; default the assignee of this worker, or the user.")
@shared
def create(
    given: Given,
    title: tuple[str, ...],
    body: str | None,
    body_file: IO[str] | None,
    board: str | None,
    parents: tuple[str, ...],
    due: Moment | None,
    triage: bool,
    blocked: str | None,
    idempotency_key: str | None,
    key_scope: Scope,
    time_max: int | None,
    silence_max: int | None,
    workspace: str,
    metadata: str | None,
    author: str | None,
    **words: Any,
) -> None:
    """Put a task on a board. It is ready at once, unless it waits for a parent or a time.

    \b
    Examples:
      holdfast board create Fix the flaky login test --assignee codex
      holdfast board create "Deploy it" --parent 12:passed --priority 5
      holdfast board create "Nightly report" --due 8h --idempotency-key report-2026-11-27
    """
    from holdfast import board as boards
    from holdfast.cli.render import board as render

    if triage and blocked is not None:
        raise click.UsageError("--triage and --blocked exclude each other")
    with at.changing(given) as tx:
        asked = boards.create(
            tx,
            " ".join(title),
            board=at.board_of(tx, board).slug,
            body=_body(body, body_file) or "",
            status="triage" if triage else "blocked" if blocked is not None else None,
            parents=[_parent(tx, each, board) for each in parents],
            due_ms=None if due is None else due.at(tx.now_ms),
            request=idempotency_key,
            request_scope=key_scope,
            time_max_ms=_ms(time_max),
            silence_max_ms=_ms(silence_max),
            workspace=_workspace(workspace),
            metadata=at.json_value(metadata, "--metadata"),
            why=blocked or "",
            created_by=at.who(author),
            **words,
        )
    known = isinstance(asked, boards.Known)
    if given.json:
        out.document({"task": render.task_document(asked.task), "known": known})
        return
    if known:
        out.note("It was asked for before; nothing was changed.")
    render.tell(asked.task, as_json=False)


@click.command(short_help="Change what a task says.")
@at.A_TASK
@click.option("--title", metavar="TEXT", help="What is to be done, in a line.")
@_BODY
@_BODY_FILE
@click.option("--priority", type=int, help="Larger comes first.")
@click.option("--tenant", metavar="NAME", help="For whom.")
@click.option("--failures-max", type=click.IntRange(1), help="So many failures in a row block it.")
@click.option("--time-max", type=OrNone(Age()), help="An attempt may take so long; `none`: any time.")
@click.option("--silence-max", type=OrNone(Age()), help="A worker may say nothing for so long; `none`: for ever.")
@click.option("--workspace", metavar="KIND|DIR", help="scratch, worktree[:REPOSITORY], or a directory.")
@click.option("--branch", metavar="NAME", help="Of the worktree.")
@click.option("--metadata", metavar="JSON", help="Whatever else workers should know.")
@at.ON_BOARD
@shared
def edit(
    given: Given,
    task: str,
    body: str | None,
    body_file: IO[str] | None,
    time_max: Any,
    silence_max: Any,
    workspace: str | None,
    metadata: str | None,
    board: str | None,
    **words: Any,
) -> None:
    """Change what TASK says. What is not given stays.

    \b
    Examples:
      holdfast board edit 12 --priority 10
      holdfast board edit 12 --title "Fix the login test" --body-file -
    """
    from holdfast import board as boards
    from holdfast.cli.render import board as render

    limits = {"time_max_ms": time_max, "silence_max_ms": silence_max}
    changes = {name: value for name, value in words.items() if value is not None}
    changes |= {name: _ms(value) for name, value in limits.items() if value is not None}
    if (text := _body(body, body_file)) is not None:
        changes["body"] = text
    if workspace is not None:
        changes["workspace"] = _workspace(workspace)
    if metadata is not None:
        changes["metadata"] = at.json_value(metadata, "--metadata")
    if not changes:
        raise click.UsageError("nothing to change: give --title, --body, --priority or another option")
    with at.changing(given) as tx:
        changed = boards.edit(tx, at.task_of(tx, task, board).task_id, **changes)
    render.tell(changed, as_json=given.json)


def _body(text: str | None, file: IO[str] | None) -> str | None:
    if file is None:
        return text
    if text is not None:
        raise click.UsageError("--body and --body-file exclude each other")
    return file.read()


def _parent(tx: Any, text: str, board: str | None) -> tuple[int, Gate]:
    from holdfast.cli.board_links import GATES

    name, colon, said = text.rpartition(":")
    for gate in GATES:
        if colon and said == gate:
            return at.task_of(tx, name, board).task_id, gate
    return at.task_of(tx, text, board).task_id, "done"


def _workspace(text: str) -> str:
    kind, colon, path = text.partition(":")
    if text in _PLACES:
        return text
    if not colon or kind not in ("worktree", "directory"):
        kind, path = "directory", text
    return f"{kind}:{os.path.abspath(os.path.expanduser(path))}"


def _ms(seconds: Any) -> int | None:
    return None if seconds in (None, OrNone.NONE) else seconds * 1_000
