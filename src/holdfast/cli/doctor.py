"""``holdfast doctor``: look, plan, apply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from holdfast.cli.given import Given, shared
from holdfast.cli.render import out

if TYPE_CHECKING:
    from holdfast.doctor.model import Report


@click.command(short_help="Say what is wrong with homes and databases, and how to mend it.")
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path())
@click.option("--deep", is_flag=True, help="Take up to two minutes: longer samples, every page of every database.")
@click.option("--limit", metavar="SECONDS", type=click.FloatRange(0.5, 3600), help="... or so long. Default: 5.")
@click.option("--only", metavar="ID", multiple=True, help="Only findings of this id, row (F03b) or repair. Repeatable.")
@click.option("--report", "page", metavar="FILE", type=click.Path(dir_okay=False), help="Also write a page of HTML.")
@click.option("--plan", "plan_to", metavar="FILE", type=click.Path(dir_okay=False), help="Write what would be done.")
@click.option("--apply", "plan_from", metavar="FILE", type=click.Path(dir_okay=False), help="Do what FILE says.")
@click.option(
    "--live", is_flag=True, help="Only what is safe while others have the files open. Alone: look, and do it."
)
@click.option("--yes", is_flag=True, help="Do not ask. Needed where nobody can answer.")
@click.option(
    "--keep-days", metavar="DAYS", type=click.FloatRange(0), help="Of a log database, in a plan. Default: 10."
)
@click.option("--empty-logs", is_flag=True, help="... keep nothing of it, in a plan.")
@click.option("--drop-trigger", metavar="NAME", multiple=True, help="A trigger that may go, in a plan. Repeatable.")
@click.option("--map", "maps", metavar="OLD=NEW", multiple=True, help="Where a home or a project went, in a plan.")
@shared
def doctor(given: Given, paths: tuple[str, ...], **asked: Any) -> None:
    """Look at PATHs and say what is wrong: a home of Codex or Hermes, a state directory of holdfast, a SQLite file.

    Without PATH: the usual places. Looking changes nothing, opens databases
    only in a process of its own, and takes 5 seconds at most. What could not be
    looked at in that time, or is locked, is said to be so, and is never called
    damaged.

    A plan is numbered steps for you to read. --apply does exactly these, if the
    files are still as they were and nobody has them open, and keeps what it
    takes away: `holdfast undo` gives it back.

    \b
    Examples:
      holdfast doctor                           what is wrong here?
      holdfast doctor ~/.codex --deep           every page, every row
      holdfast doctor --report bad-day.html     to show to somebody
      holdfast doctor --plan plan.json          what would be done about it
      holdfast doctor --apply plan.json         do it, and say how to undo it
      holdfast doctor --live --yes ~/.codex     for cron: what is safe meanwhile

    Exit codes: 0 nothing is wrong, 1 something failed, 2 a warning, 3 not
    everything could be looked at. Of --apply: 0 all of it was done.
    """
    _check(paths, asked)
    if asked["plan_from"] is not None or (asked["live"] and asked["plan_to"] is None):
        from holdfast.cli import doctor_mend

        if asked["plan_from"] is not None:
            doctor_mend.apply(given, **_some(asked, "plan_from", "live", "yes"))
        else:
            doctor_mend.mend_live(given, paths, asked)
        return
    from holdfast.cli.doctor_look import look

    report = look(given, paths, **_some(asked, "deep", "limit", "only"))
    if asked["page"] is not None:
        from holdfast.cli import writing
        from holdfast.cli.render import doctor_page

        writing.write(asked["page"], doctor_page.page(report), begins=doctor_page.BEGINS)
    if asked["plan_to"] is not None:
        from holdfast.cli.doctor_mend import write_plan

        write_plan(given, report, asked)
    else:
        _show(given, report, paths)
    _exit(report)


def _check(paths: tuple[str, ...], asked: dict[str, Any]) -> None:
    looks = paths or asked["deep"] or asked["limit"] or asked["only"] or asked["page"]
    plans = asked["keep_days"] is not None or asked["empty_logs"] or asked["drop_trigger"] or asked["maps"]
    if asked["plan_from"] is not None:
        if asked["plan_to"] is not None:
            raise click.UsageError("--plan writes a plan and --apply carries one out: one after the other")
        if looks or plans:
            raise click.UsageError("--apply does what is in the plan; PATHs and what to look at belong to --plan")
    elif asked["live"] and asked["plan_to"] is None and asked["page"] is not None:
        raise click.UsageError("--report shows what was seen, and --live mends it: one after the other")
    elif asked["yes"] and (asked["plan_to"] is not None or not asked["live"]):
        raise click.UsageError("--yes is for --apply and --live: nothing else asks")
    elif plans and asked["plan_to"] is None:
        raise click.UsageError(
            "--keep-days, --empty-logs, --drop-trigger and --map say what a plan is to do: add --plan FILE"
        )


def _some(asked: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: asked[name] for name in names}


def _show(given: Given, report: Report, paths: tuple[str, ...]) -> None:
    from holdfast.cli.render import doctor as render
    from holdfast.cli.render.examined import report_document
    from holdfast.cli.render.paper import paper

    if given.json:
        out.document(report_document(report))
        return
    for text in render.report_lines(report, paper(), typed=paths, verbose=given.verbose):
        out.line(text)


def _exit(report: Report) -> None:
    from holdfast.doctor.model import EXIT_CODES

    code = EXIT_CODES[report.overall]
    if code:
        raise click.exceptions.Exit(code)
