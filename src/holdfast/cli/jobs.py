"""``holdfast jobs``: what is to be done, what became of it, and why a job waits."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import click

from holdfast.cli.failing import NotFound
from holdfast.cli.given import Given, shared
from holdfast.cli.lazy import LazyGroup
from holdfast.cli.opening import peeked
from holdfast.cli.render import out

if TYPE_CHECKING:
    from holdfast.jobs import Job, Work
    from holdfast.state import State

COMMANDS = {
    "list": ("holdfast.cli.jobs:list_jobs", "List jobs, those that changed last first."),
    "show": ("holdfast.cli.jobs:show", "Show all that is known of a job."),
    "why": ("holdfast.cli.jobs:why", "Say what keeps a job waiting, and what will change it."),
    "retry": ("holdfast.cli.jobs:retry", "Have a job done again, with a new budget of attempts."),
    "cancel": ("holdfast.cli.jobs:cancel", "Have a job not done."),
    "enqueue": ("holdfast.cli.jobs:enqueue", "Ask for a job."),
    "run": ("holdfast.cli.jobs:run", "Run a command for each job of a kind."),
}
STATUSES = ("ready", "resting", "running", "done", "failed", "cancelled")
_FAILURE_BYTES = 2_000
_GRACE_S = 2.0  # between SIGTERM and SIGKILL


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
        now_ms = _now_ms(state)
    if given.json:
        out.document({"jobs": [render.job_document(job) for job in found], "counts": counts})
        return
    render.print_jobs(found, now_ms)
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
        job, said, now_ms = state.jobs.get(kind, key), state.jobs.why(kind, key), _now_ms(state)
    render.print_job(_found(job, kind, key), said or "", now_ms, as_json=given.json)


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
    with _opened(given) as state:
        _tell(given, _found(state.jobs.retry(kind, key), kind, key))


@click.command(short_help="Have a job not done.")
@click.argument("kind")
@click.argument("key")
@click.option("--why", "reason", default="cancelled by hand", show_default=True, help="What others are told.")
@shared
def cancel(given: Given, kind: str, key: str, reason: str) -> None:
    """Have the job KEY of KIND not done, until it is retried. Who is at it is told with its next word, and stops.

    A job that is done stays done.

    \b
    Examples:
      holdfast jobs cancel summary 01a1fa0b
      holdfast jobs cancel summary 01a1fa0b --why "wrong model"
    """
    with _opened(given) as state:
        _tell(given, _found(state.jobs.cancel(kind, key, reason), kind, key))


@click.command(short_help="Ask for a job.")
@click.argument("kind")
@click.argument("key")
@click.option("--payload", metavar="JSON", help="What the worker is given.")
@click.option("--priority", type=int, default=0, show_default=True, help="Larger comes first.")
@click.option("--idempotency-key", metavar="TEXT", help="A request made before under this key is not made again.")
@shared
def enqueue(given: Given, kind: str, key: str, payload: str | None, priority: int, idempotency_key: str | None) -> None:
    """Ask for the job KEY of KIND. When it was asked for before, nothing changes.

    \b
    Examples:
      holdfast jobs enqueue summary 01a1fa0b
      holdfast jobs enqueue mail 7 --payload '{"to": "ann"}' --priority 5
    """
    import json

    from holdfast.errors import Refused
    from holdfast.jobs import Known

    try:
        value = None if payload is None else json.loads(payload)
    except ValueError as error:
        raise Refused(f"--payload is no JSON: {error}") from None
    with _opened(given) as state:
        asked = state.jobs.enqueue(kind, key, payload=value, priority=priority, idempotency_key=idempotency_key)
    if isinstance(asked, Known) and not given.json:
        out.note("It was asked for before; nothing was changed.")
    _tell(given, asked.job)


@click.command(short_help="Run a command for each job of a kind.", context_settings={"ignore_unknown_options": True})
@click.argument("kind")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--until-idle", is_flag=True, help="End when nothing is ready; else wait for more.")
@click.option("--parallel", type=click.IntRange(1), default=1, show_default=True, help="So many at once.")
@shared
def run(given: Given, kind: str, command: tuple[str, ...], until_idle: bool, parallel: int) -> None:
    """Run COMMAND once for each job of KIND, one after the other, until Ctrl-C or SIGTERM.

    The command finds the job in its environment: HOLDFAST_JOB_KIND, _KEY,
    _ATTEMPT, _FENCE and _PAYLOAD (JSON). Exit code 0 is done, and what it
    printed is the result; 75 is "later", and costs no attempt; any other is a
    failure. When the claim is lost the command is ended, and whatever it started:
    SIGTERM, and SIGKILL two seconds later.

    \b
    Examples:
      holdfast jobs run mail --until-idle -- ./send.sh
      holdfast jobs run summary --parallel 4 -- python summarise.py
    """
    _check_command(command[0])
    children: set[int] = set()
    with _opened(given) as state:
        worker = state.jobs.worker([kind], lambda work: _command(work, command, children))
        try:
            report = worker.run(threads=parallel, until_idle=until_idle)
        except KeyboardInterrupt:
            _end_all(children)
            raise
    ended = {name: getattr(report, name) for name in ("done", "failed", "given_up", "released", "lost")}
    if given.json:
        out.document(ended)
    else:
        out.note(", ".join(f"{count} {name.replace('_', ' ')}" for name, count in ended.items() if count) or "No jobs.")


def _check_command(name: str) -> None:
    """Raise ``Refused`` when there is no such command: found out job by job it would cost each of them an attempt."""
    import shutil

    from holdfast.errors import Refused

    if shutil.which(name) is None:
        raise Refused(f"{name} is no command that can be run", remedy="Name one on $PATH, or an executable file.")


def _end_all(children: set[int]) -> None:
    """End what commands started, in a hurry: with this process gone, others do these jobs at once."""
    import contextlib
    import signal

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a third Ctrl-C is not to leave them behind
    for number in list(children):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(number, signal.SIGKILL)
    signal.signal(signal.SIGINT, before)


def _command(work: Work, command: tuple[str, ...], children: set[int]) -> Any:
    import tempfile

    from holdfast.errors import Busy
    from holdfast.jobs import Later

    job = work.job
    told = {"KIND": job.kind, "KEY": job.key, "ATTEMPT": str(work.claim.attempt), "FENCE": str(work.fence)}
    told["PAYLOAD"] = _json(job.payload)
    environment = os.environ | {f"HOLDFAST_JOB_{name}": value for name, value in told.items()}
    # Files, not pipes: nobody need read while it runs, however much it says.
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
        child = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=complained, start_new_session=True
        )
        children.add(child.pid)
        try:
            code = _wait(work, child)
        finally:
            children.discard(child.pid)
        if code == Busy.exit_code:
            return Later(1_000)
        if code != 0:
            why = _tail(complained)
            raise RuntimeError(f"exit code {code}: {why}" if why else f"exit code {code}")
        text = _tail(said)
    return text or None


def _wait(work: Work, child: subprocess.Popen[bytes]) -> int:
    while True:
        try:
            return child.wait(timeout=0.1)
        except subprocess.TimeoutExpired:
            if work.lost.is_set():
                _end_group(child.pid)


def _end_group(number: int) -> None:
    """End the command and whatever it started: politely, then certainly."""
    # Not waited for in between: until then its number, which is the group's, is nobody else's.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(number, signal.SIGTERM)
        time.sleep(_GRACE_S)
        os.killpg(number, signal.SIGKILL)


def _tail(file: Any) -> str:
    file.seek(max(0, file.seek(0, os.SEEK_END) - _FAILURE_BYTES))
    return str(file.read().decode(errors="replace")).strip()


def _json(value: Any) -> str:
    import json

    return json.dumps(value)


def _opened(given: Given) -> State:
    """Open the state without its homes: jobs have nothing to do with threads."""
    import holdfast

    return holdfast.open([], state_dir=given.state_dir, search=False)


def _found(job: Job | None, kind: str, key: str) -> Job:
    if job is None:
        raise NotFound(f"there is no job {kind}/{key}", remedy="`holdfast jobs list` shows which there are.")
    return job


def _now_ms(state: State) -> int:
    if state.engine is None:
        return 0
    with state.read() as tx:
        return tx.now_ms


def _tell(given: Given, job: Job) -> None:
    from holdfast.cli.render import jobs as render

    if given.json:
        out.document({"job": render.job_document(job)})
    else:
        out.fields(job.kind, job.key, job.status)
