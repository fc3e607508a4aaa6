"""``holdfast jobs``: what is to be done, what became of it, and why a job waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from holdfast.cli.failing import NotFound
from holdfast.cli.given import Given, shared
from holdfast.cli.lazy import LazyGroup
from holdfast.cli.opening import now_ms, opened_without_homes, peeked
from holdfast.cli.quantities import Age, OrNone
from holdfast.cli.render import out

if TYPE_CHECKING:
    from holdfast.jobs import Job, Watermark

COMMANDS = {
    "list": ("holdfast.cli.jobs:list_jobs", "List jobs, those that changed last first."),
    "show": ("holdfast.cli.jobs:show", "Show all that is known of a job."),
    "why": ("holdfast.cli.jobs:why", "Say what keeps a job waiting, and what will change it."),
    "retry": ("holdfast.cli.jobs:retry", "Have a job done again, with a new budget of attempts."),
    "cancel": ("holdfast.cli.jobs:cancel", "Have a job not done."),
    "enqueue": ("holdfast.cli.jobs:enqueue", "Ask for a job."),
    "cap": ("holdfast.cli.jobs:cap", "Let at most so many jobs run at once."),
    "run": ("holdfast.cli.jobs_run:run", "Run a command for each job of a kind."),
}
STATUSES = ("ready", "resting", "running", "done", "failed", "cancelled")


@click.group(cls=LazyGroup, lazy=COMMANDS, invoke_without_command=True)
@shared
@click.pass_context
def jobs(ctx: click.Context, given: Given) -> None:
    """List, explain and steer work that happens once.

    A job is a kind and a key, and is done once for each input. Whoever does it
    holds a claim with a fence: when the claim is lost, nothing it says counts.

    \b
    Examples:
      holdfast jobs list --status failed
      holdfast jobs why summary 01a1fa0b
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@click.command("list", short_help="List jobs, those that changed last first.")
@click.option("--kind", metavar="KIND", help="Only jobs of this kind.")
@click.option("--status", type=click.Choice(STATUSES), help="Only jobs that are so now.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@shared
def list_jobs(given: Given, kind: str | None, status: str | None, limit: int) -> None:
    """List jobs: kind, key, status, attempts, when that changed, and the last failure. Only looks.

    \b
    Examples:
      holdfast jobs list
      holdfast jobs list --kind summary --status failed --json
    """
    from holdfast.cli.render import jobs as render

    with peeked(given) as state:
        found, counts = state.jobs.list(kind=kind, status=status, limit=limit), state.jobs.counts()
        at_ms = now_ms(state)
    if given.json:
        out.document({"jobs": [render.job_document(job) for job in found], "counts": counts})
        return
    render.print_jobs(found, at_ms)
    render.note_counts(counts, len(found))


@click.command(short_help="Show all that is known of a job.")
@click.argument("kind")
@click.argument("key")
@shared
def show(given: Given, kind: str, key: str) -> None:
    """Show the job KEY of KIND: its input, its attempts, who does it, its result. Only looks.

    \b
    Examples:
      holdfast jobs show summary 01a1fa0b
      holdfast jobs show summary 01a1fa0b --json
    """
    from holdfast.cli.render import jobs as render

    with peeked(given) as state:
        job, said, at_ms = state.jobs.get(kind, key), state.jobs.why(kind, key), now_ms(state)
    render.print_job(_found(job, kind, key), said or "", at_ms, as_json=given.json)


@click.command(short_help="Say what keeps a job waiting, and what will change it.")
@click.argument("kind")
@click.argument("key")
@shared
def why(given: Given, kind: str, key: str) -> None:
    """Say in one sentence which condition keeps the job KEY of KIND waiting, and what will change it. Only looks.

    \b
    Examples:
      holdfast jobs why summary 01a1fa0b
      holdfast jobs why summary 01a1fa0b --json
    """
    from holdfast.cli.render import safe

    with peeked(given) as state:
        job, said = state.jobs.get(kind, key), state.jobs.why(kind, key)
    job = _found(job, kind, key)
    if given.json:
        out.document({"kind": kind, "key": key, "status": job.status, "why": said})
    else:
        out.line(safe.line(said or ""))


@click.command(short_help="Have a job done again, with a new budget of attempts.")
@click.argument("kind")
@click.argument("key")
@shared
def retry(given: Given, kind: str, key: str) -> None:
    """Have the job KEY of KIND done again by the next worker, whatever became of it.

    Refused while somebody is at it.

    \b
    Examples:
      holdfast jobs retry summary 01a1fa0b
      holdfast jobs retry summary 01a1fa0b --json
    """
    with opened_without_homes(given) as state:
        _tell(given, _found(state.jobs.retry(kind, key), kind, key))


@click.command(short_help="Have a job not done.")
@click.argument("kind")
@click.argument("key")
@click.option("--why", "reason", default="cancelled by hand", show_default=True, help="What others are told.")
@shared
def cancel(given: Given, kind: str, key: str, reason: str) -> None:
    """Have the job KEY of KIND not done, until it is retried. A job that is done stays done.

    Who is at it is told with its next word: a command of `jobs run` goes on for up to a third of its lease
    (20 s), and is ended then. Whatever it says meanwhile does not count.

    \b
    Examples:
      holdfast jobs cancel summary 01a1fa0b
      holdfast jobs cancel summary 01a1fa0b --why "wrong model"
    """
    with opened_without_homes(given) as state:
        _tell(given, _found(state.jobs.cancel(kind, key, reason), kind, key))


@click.command(short_help="Ask for a job.")
@click.argument("kind")
@click.argument("key")
@click.option("--payload", metavar="JSON", help="What the worker is given.")
@click.option("--priority", type=int, default=0, show_default=True, help="Larger comes first.")
@click.option("--not-before", metavar="AGE", type=Age(), help="Not sooner than in so long: 30m, 12h, 7d.")
@click.option("--attempts", metavar="N", type=click.IntRange(1), help="Tried so often for this input; default 3.")
@click.option("--watermark", metavar="SIZE[:HASH]", help="Which input; a larger one is new work.")
@click.option("--terminal", is_flag=True, help="The first failure is for ever, whatever the input does.")
@click.option("--idempotency-key", metavar="TEXT", help="A request made before under this key is not made again.")
@shared
def enqueue(
    given: Given,
    kind: str,
    key: str,
    payload: str | None,
    priority: int,
    not_before: int | None,
    attempts: int | None,
    watermark: str | None,
    terminal: bool,
    idempotency_key: str | None,
) -> None:
    """Ask for the job KEY of KIND. When it was asked for before, for this input or a newer one, nothing changes.

    \b
    Examples:
      holdfast jobs enqueue summary 01a1fa0b --watermark 120:9f2c
      holdfast jobs enqueue mail 7 --payload '{"to": "ann"}' --not-before 12h
    """
    from holdfast.jobs import Known

    value, mark = _payload(payload), _watermark(watermark)
    with opened_without_homes(given) as state:
        asked = state.jobs.enqueue(
            kind,
            key,
            payload=value,
            priority=priority,
            not_before_ms=0 if not_before is None else now_ms(state) + not_before * 1000,
            attempts_max=attempts,
            on_failure="terminal" if terminal else None,
            watermark=mark,
            idempotency_key=idempotency_key,
        )
    if isinstance(asked, Known) and not given.json:
        out.note("It was asked for before; nothing was changed.")
    _tell(given, asked.job)


@click.command(short_help="Let at most so many jobs run at once.")
@click.argument("most", metavar="N|none", type=OrNone(click.IntRange(0)))
@click.option("--kind", metavar="KIND", help="Jobs of this kind; without it all kinds together.")
@shared
def cap(given: Given, most: object, kind: str | None) -> None:
    """Let at most N jobs run at once, on all machines; 0 pauses them, none ends the cap. Who runs already goes on.

    \b
    Examples:
      holdfast jobs cap 4 --kind summary
      holdfast jobs cap 0                pause everything
      holdfast jobs cap none
    """
    running_max = None if most is OrNone.NONE else int(str(most))
    with opened_without_homes(given) as state:
        state.jobs.cap(kind, running_max)
    if given.json:
        out.document({"kind": kind, "running_max": running_max})
    else:
        out.fields(kind or "all kinds", "no cap" if running_max is None else str(running_max))


def _payload(text: str | None) -> object:
    import json

    from holdfast.errors import Refused

    try:
        return None if text is None else json.loads(text)
    except ValueError as error:
        raise Refused(f"--payload is no JSON: {error}") from None


def _watermark(text: str | None) -> Watermark | None:
    from holdfast.errors import Refused
    from holdfast.jobs import Watermark

    if text is None:
        return None
    size, _, digest = text.partition(":")
    if not (size.isascii() and size.isdecimal()):
        raise Refused(f"{text!r} is no watermark", remedy="Write how far the input goes, and what it is: 120:9f2c.")
    return Watermark(int(size), digest)


def _found(job: Job | None, kind: str, key: str) -> Job:
    if job is None:
        raise NotFound(f"there is no job {kind}/{key}", remedy="`holdfast jobs list` shows which there are.")
    return job


def _tell(given: Given, job: Job) -> None:
    from holdfast.cli.render import jobs as render

    if given.json:
        out.document({"job": render.job_document(job)})
    else:
        out.fields(job.kind, job.key, job.status)
