"""``holdfast jobs run``: a command for each job."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import click

from holdfast.cli.failing import came_to_nothing
from holdfast.cli.given import Given, shared
from holdfast.cli.opening import opened_without_homes
from holdfast.cli.quantities import Age
from holdfast.cli.render import out

if TYPE_CHECKING:
    from holdfast.jobs import Work

_FAILURE_BYTES = 2_000
_GRACE_S = 2.0  # between SIGTERM and SIGKILL


@click.command(short_help="Run a command for each job of a kind.", context_settings={"ignore_unknown_options": True})
@click.argument("kind")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--until-idle", is_flag=True, help="End when nothing is ready; else wait for more.")
@click.option("--parallel", type=click.IntRange(1), default=1, show_default=True, help="So many at once.")
@click.option("--lease", metavar="AGE", type=Age(), default="60s", help="A silent worker loses its job after; 60s.")
@click.option(
    "--cap", metavar="N", type=click.IntRange(1), help="Claim none while N of this kind run, on all machines."
)
@shared
def run(
    given: Given,
    kind: str,
    command: tuple[str, ...],
    until_idle: bool,
    parallel: int,
    lease: int,
    cap: int | None,
) -> None:
    """Run COMMAND once for each job of KIND, one after the other, until Ctrl-C or SIGTERM.

    The command finds the job in its environment: HOLDFAST_JOB_KIND, _KEY,
    _ATTEMPT, _FENCE and _PAYLOAD (JSON). Exit code 0 is done, and what it
    printed is the result; 75 is "later", and costs no attempt; any other is a
    failure; when all fail, so does this (75). When the claim is lost the command is ended, and whatever it started:
    SIGTERM, and SIGKILL two seconds later.

    \b
    Examples:
      holdfast jobs run mail --until-idle -- ./send.sh
      holdfast jobs run summary --parallel 4 -- python summarise.py
    """
    _check_command(command[0])
    from holdfast.jobs import Kind

    how = Kind(kind, lease_ms=max(lease, 1) * 1000, running_max=cap)
    children: set[int] = set()
    with opened_without_homes(given) as state:
        worker = state.jobs.worker([how], lambda work: _command(work, command, children))
        try:
            report = worker.run(threads=parallel, until_idle=until_idle)
        except KeyboardInterrupt:
            _end_all(children)
            raise
    ended = {name: getattr(report, name) for name in ("done", "failed", "given_up", "released", "lost")}
    failed = report.failed + report.given_up
    if given.json:
        out.document(ended)
    else:
        out.note(", ".join(f"{count} {name.replace('_', ' ')}" for name, count in ended.items() if count) or "No jobs.")
    if failed and not report.done:
        raise came_to_nothing(
            given,
            f"no job was done: {'the only one' if failed == 1 else f'all {failed:,}'} that was begun failed",
            f"`holdfast jobs list --kind {kind}` shows why; those with attempts left are tried again.",
        )


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
