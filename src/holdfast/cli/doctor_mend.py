"""The half of ``holdfast doctor`` that changes something: a plan written, a plan carried out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from holdfast.cli import receipts, writing
from holdfast.cli.failing import Interrupted
from holdfast.cli.given import Given
from holdfast.cli.render import doctor_plan as render
from holdfast.cli.render import out
from holdfast.cli.render.paper import paper
from holdfast.errors import Refused

if TYPE_CHECKING:
    from holdfast.doctor.model import Report
    from holdfast.doctor.repairs.repair import RepairPlan

PLAN_BEGINS = '{\n  "schema": 1,\n  "made_ms": '
"""How a plan begins; only such a file is ever replaced by one."""


def write_plan(given: Given, report: Report, asked: dict[str, Any]) -> None:
    """Write what would be done about ``report``, and show it."""
    from holdfast.doctor import planning

    writing.refuse_other(asked["plan_to"], PLAN_BEGINS)
    made = _made(given, report, asked)
    planning.save(made, asked["plan_to"])
    if given.json:
        out.document(render.plan_document(report, made, asked["plan_to"]))
        return
    for text in render.plan_lines(report, made, paper(), saved=asked["plan_to"], state=given.state_dir):
        out.line(text)


def apply(given: Given, *, plan_from: str, live: bool, yes: bool) -> None:
    """Carry out the plan in a file, after asking."""
    from holdfast.doctor import planning

    made = planning.load(plan_from)
    if not any(step.action.live or not live for step in made.steps):
        _nothing(given, "Nothing in this plan is safe while others run." if made.steps else "The plan has no steps.")
        return
    _ask(given, made, live=live, yes=yes)
    _apply(given, made, live=live)


def mend_live(given: Given, paths: Sequence[str], asked: dict[str, Any]) -> None:
    """Look, and do what is safe while others have the files open, after asking."""
    from holdfast.cli.doctor_look import look

    report = look(given, paths, deep=asked["deep"], limit=asked["limit"], only=asked["only"])
    made = _made(given, report, asked)
    if not any(step.action.live for step in made.steps):
        _nothing(given, "There is nothing to mend that is safe while others run. `holdfast doctor` says what is wrong.")
        return
    _ask(given, made, live=True, yes=asked["yes"])
    _apply(given, made, live=True)


def _made(given: Given, report: Report, asked: dict[str, Any]) -> RepairPlan:
    from holdfast.doctor import planning, redacting
    from holdfast.doctor.repairs.repair import RepairPlan

    wishes = planning.Wishes(
        keep_days=10 if asked["keep_days"] is None else asked["keep_days"],
        empty_logs=asked["empty_logs"],
        drop_triggers=asked["drop_trigger"],
        maps=asked["maps"],
        live=asked["live"],
    )
    return redacting.cleaned(planning.plan(report, receipts.folder(given), wishes), RepairPlan)


def _apply(given: Given, made: RepairPlan, *, live: bool) -> None:
    from holdfast.cli.render.progress import mend_bar
    from holdfast.doctor import applying, redacting

    folder = receipts.folder(given)
    try:
        with mend_bar(made) as on_progress:
            done = applying.apply(made, live=live, receipts_folder=folder, on_progress=on_progress)
    except KeyboardInterrupt:
        raise Interrupted(
            "interrupted; a step that was begun can be finished or undone",
            remedy="`holdfast receipts list` shows how far it is.",
        ) from None
    done = redacting.cleaned(done, applying.Applied)
    if given.json:
        out.document(render.applied_document(done))
    else:
        for text in render.applied_lines(done, paper(), state=given.state_dir):
            out.line(text)
    if done.stopped is not None or not all(step.outcome.gone for step in done.steps if step.outcome is not None):
        raise click.exceptions.Exit(1)


def _nothing(given: Given, why: str) -> None:
    """Say that nothing was done; to nobody's terminal nothing, or cron would send a letter each hour."""
    if given.json:
        out.document({"applied": [], "receipts": [], "stopped": None})
    elif out.is_terminal():
        out.line(why)


def _ask(given: Given, made: RepairPlan, *, live: bool, yes: bool) -> None:
    """Show the plan and ask on the terminal. Raises ``Refused`` where there is none, and ``Abort`` at a no."""
    if yes:
        return
    if given.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Refused("there is nobody to ask whether this is to be done", remedy="Say it with --yes.")
    for text in render.plan_lines(None, made, paper(), live=live):
        out.line(text)
    sys.stdout.flush()
    click.confirm("Do this?", abort=True, err=True)
