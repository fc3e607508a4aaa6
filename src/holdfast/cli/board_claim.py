"""``holdfast board claim``: for workers that the dispatcher did not start, and for people."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from holdfast.cli import board_given as at
from holdfast.cli.given import Given, shared
from holdfast.cli.quantities import Age
from holdfast.cli.render import out
from holdfast.errors import Busy, Refused

if TYPE_CHECKING:
    from holdfast.board import Capped, Claimed, Idle, Taken, Waiting
    from holdfast.board.model import Stage
    from holdfast.engine import Write
    from holdfast.holds import Owner


@click.command(short_help="Claim a task, or the next one.")
@click.argument("task", metavar="[TASK]", required=False)
@at.ON_BOARD
@click.option("--assignee", "assignees", multiple=True, metavar="NAME", help="Only tasks of NAME. Repeatable.")
@click.option("--tenant", "tenants", multiple=True, metavar="NAME", help="Only for this tenant. Repeatable.")
@click.option("--stage", type=click.Choice(["work", "review"]), help="Only to do it, or only to review it.")
@click.option("--lease", type=Age(), default="15m", show_default=True, help="It is lost when nothing is heard so long.")
@click.option("--pid", type=click.IntRange(1), metavar="PID", help="Lost at once when this process ends: `--pid $$`.")
@click.option("--by", "author", metavar="NAME", help="Who claims; default the user.")
@click.option("--env", "as_env", is_flag=True, help='Print it for a shell: eval "$(...)".')
@shared
def claim(
    given: Given,
    task: str | None,
    board: str | None,
    assignees: tuple[str, ...],
    tenants: tuple[str, ...],
    stage: Stage | None,
    lease: int,
    pid: int | None,
    author: str | None,
    as_env: bool,
) -> None:
    """Claim TASK, or without one the task that comes next. Nobody else is given it meanwhile.

    Prints its number, its fence and its title. The claim is lost when its
    lease ends without a heartbeat. Exit code 75: there is nothing to claim just
    now; the sentence says why.

    \b
    Examples:
      holdfast board claim 12
      eval "$(holdfast board claim --assignee codex --pid $$ --env)" && holdfast board show
      holdfast board claim --json --lease 1h
    """
    from holdfast import board as boards
    from holdfast.cli.render import board as render
    from holdfast.cli.render.board_claims import not_claimed

    owner = _owner(pid, at.who(author))
    with at.changing(given) as tx:  # ends well also where nothing is claimed: what was found lost or due stays so
        got = _claim(tx, task, board, owner, assignees, tenants, stage, lease * 1_000)
        now_ms = tx.now_ms
    if not isinstance(got, boards.Claimed):
        raise Busy(
            not_claimed(got, now_ms), remedy="Try again later; `holdfast board why TASK` says what one waits for."
        )
    if given.json:
        document = {"task": render.task_document(got.task), "fence": got.fence, "run_id": got.run}
        out.document(document | {"attempt": got.attempt, "expires_ms": got.hold.expires_ms})
    elif as_env:
        told: dict[str, object] = {"TASK": got.task.task_id, "FENCE": got.fence, "RUN": got.run, "ATTEMPT": got.attempt}
        told["STAGE"] = got.task.stage
        out.line("export " + " ".join(f"HOLDFAST_{name}={shlex.quote(str(value))}" for name, value in told.items()))
    else:
        out.fields(str(got.task.task_id), str(got.fence), got.task.title)


def _claim(
    tx: Write,
    task: str | None,
    board: str | None,
    owner: Owner,
    assignees: tuple[str, ...],
    tenants: tuple[str, ...],
    stage: Stage | None,
    lease_ms: int,
) -> Claimed | Taken | Waiting | Capped | Idle:
    from holdfast import board as boards

    if task is not None:
        if assignees or tenants:
            raise click.UsageError("--assignee and --tenant are for the next task, not for one by name")
        wanted = at.task_of(tx, task, board)
        return boards.claim(tx, wanted.task_id, owner, lease_ms=lease_ms, stage=stage)
    return boards.claim_next(
        tx,
        at.board_of(tx, board).slug,
        owner,
        assignees=assignees or None,
        tenants=tenants or None,
        stages=("work", "review") if stage is None else (stage,),
        lease_ms=lease_ms,
    )


def _owner(pid: int | None, label: str) -> Owner:
    from holdfast.holds import owner

    if pid is None:
        return owner.absent(label)
    found = owner.of(pid, label)
    if owner.is_dead(found):
        raise Refused(f"there is no process {pid}", remedy="Name one that outlives the work, such as $$ in a script.")
    return found
