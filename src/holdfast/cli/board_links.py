"""``holdfast board link`` and ``holdfast board unlink``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from holdfast.cli import board_given as at
from holdfast.cli.given import Given, shared
from holdfast.cli.render import out

if TYPE_CHECKING:
    from holdfast.board.model import Gate

GATES: tuple[Gate, ...] = ("done", "passed", "failed", "ended", "none")


@click.command(short_help="Have a task wait for another.")
@click.argument("parent", metavar="PARENT")
@click.argument("child", metavar="CHILD")
@click.option("--gate", type=click.Choice(GATES), default="done", show_default=True, help="What CHILD waits for.")
@at.ON_BOARD
@shared
def link(given: Given, parent: str, child: str, gate: Gate, board: str | None) -> None:
    """Have CHILD wait for PARENT. Linked before, they get another gate.

    The gates: `done`, PARENT is done; `passed`, and not with the verdict
    "fail"; `failed`, done with that verdict or cancelled; `ended`, done or
    cancelled; `none`, nothing: CHILD only knows what PARENT was. When a gate
    can no longer be met, CHILD is blocked and says so. Circles are refused.

    \b
    Examples:
      holdfast board link 12 13
      holdfast board link 12 14 --gate failed
    """
    from holdfast import board as boards

    with at.changing(given) as tx:
        above, below = at.task_of(tx, parent, board), at.task_of(tx, child, board)
        boards.link(tx, above.task_id, below.task_id, gate=gate)
        changed = at.task_of(tx, str(below.task_id), None)
    if given.json:
        from holdfast.cli.render import board as render

        linked = {"parent_id": above.task_id, "child_id": below.task_id, "gate": gate}
        out.document({"link": linked, "task": render.task_document(changed)})
        return
    out.fields(str(above.task_id), str(below.task_id), gate, str(changed.status))


@click.command(short_help="Have a task wait for another no more.")
@click.argument("parent", metavar="PARENT")
@click.argument("child", metavar="CHILD")
@at.ON_BOARD
@shared
def unlink(given: Given, parent: str, child: str, board: str | None) -> None:
    """Have CHILD wait for PARENT no more.

    \b
    Examples:
      holdfast board unlink 12 13
      holdfast board unlink 12 13 --json
    """
    from holdfast import board as boards
    from holdfast.cli.render import board as render

    with at.changing(given) as tx:
        above, below = at.task_of(tx, parent, board), at.task_of(tx, child, board)
        boards.unlink(tx, above.task_id, below.task_id)
        changed = at.task_of(tx, str(below.task_id), None)
    render.tell(changed, as_json=given.json)
