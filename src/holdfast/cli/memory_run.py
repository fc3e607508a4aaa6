"""``holdfast memory run``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

import click
import msgspec

from holdfast.cli.failing import Interrupted, came_to_nothing
from holdfast.cli.given import Given, shared
from holdfast.cli.opening import opened
from holdfast.cli.quantities import Age
from holdfast.cli.render import out
from holdfast.errors import Busy, Refused

if TYPE_CHECKING:
    from holdfast.memory.model import Settings
    from holdfast.state.memory import Run

_URL, _MODEL, _KEY = "HOLDFAST_MODEL_URL", "HOLDFAST_MODEL", "HOLDFAST_MODEL_KEY"


@click.command(short_help="Have a model read idle threads, and put what it says together.")
@click.option("--url", metavar="URL", help=f"The model's server, before /chat/completions; default ${_URL}.")
@click.option("--model", metavar="NAME", help=f"The model; default ${_MODEL}. Its key is ${_KEY}.")
@click.option("--phase", type=click.Choice(["both", "extract", "merge"]), default="both", help="Only one of the two.")
@click.option("--cwd", "cwds", metavar="DIR", multiple=True, help="Read only threads of this directory. Repeatable.")
@click.option("--limit", metavar="N", type=click.IntRange(1, 1_000), default=64, help="Read at most N; default 64.")
@click.option("--idle", metavar="AGE", type=Age(), default="6h", help="Not written to for so long; default 6h.")
@click.option("--max-age", metavar="AGE", type=Age(), default="30d", help="Not older than that; default 30d.")
@click.option("--tokens", metavar="N", type=click.IntRange(1_000), help="Stop when so many tokens are used.")
@click.option("--cwd-only", is_flag=True, help="Nothing of one directory goes into the files made for all of them.")
@click.option(
    "--force", is_flag=True, help="Put the files together also within 6 hours of the last time, or of a failure."
)
@click.option("--dry-run", is_flag=True, help="Print how many threads are due; ask no model, change nothing.")
@shared
def run(
    given: Given,
    url: str | None,
    model: str | None,
    phase: Literal["both", "extract", "merge"],
    cwds: tuple[str, ...],
    limit: int,
    idle: int,
    max_age: int,
    tokens: int | None,
    cwd_only: bool,
    force: bool,
    dry_run: bool,
) -> None:
    """Have a model read the threads that are due, and put its notes together in a few files.

    What is sent: of each thread that nobody wrote to for a while, what was said
    and done, with secrets redacted. Each is read once for what it says, however
    many processes run. It may be interrupted at any time: what was noted stays.
    Exit code 75 when the model could not be asked or all it said failed; 64: wrong key or address.

    \b
    Examples:
      holdfast memory run --dry-run
      holdfast memory run --url https://api.openai.com/v1 --model gpt-5-mini
      holdfast memory run --url http://localhost:11434/v1 --model qwen3 --cwd .
    """
    from holdfast.memory.model import CWD, USER, Settings

    settings = Settings(
        scopes=(CWD,) if cwd_only else (CWD, USER), rollouts_max=limit, idle_ms=idle * 1000, age_max_ms=max_age * 1000
    )
    places = [os.path.abspath(cwd) for cwd in cwds]
    if dry_run:
        _look(given, settings, places)
        return
    url, model = url or os.environ.get(_URL), model or os.environ.get(_MODEL)
    if not url or not model:
        raise Refused(
            "there is no model to ask",
            remedy=f"Name it with --url and --model, or ${_URL} and ${_MODEL}; --dry-run asks none.",
        )
    done = _run(given, settings, url, model, places, phase, tokens, force)
    from holdfast.cli.render import memories as render

    if given.json:
        out.document(msgspec.to_builtins(done))
    else:
        for line in render.run_lines(done):
            out.line(line)
    if (why := render.why_nothing(done)) is not None:
        by = done.extract.ended_by or (done.merge.ended_by if done.merge is not None else None)
        remedy = "Check --url, --model and the key." if by == "setup" else "Run it again: it goes on from here."
        raise came_to_nothing(given, why, remedy, code=Refused.exit_code if by == "setup" else Busy.exit_code)


def _look(given: Given, settings: Settings, cwds: list[str]) -> None:
    from holdfast.cli.render import memories as render

    with opened(given) as state:
        due = state.memory.due(settings, cwds=cwds)
    if given.json:
        out.document({"extract": msgspec.to_builtins(due), "merge": None})
        return
    out.line(render.due_line(due))


def _run(
    given: Given,
    settings: Settings,
    url: str,
    model: str,
    cwds: list[str],
    phase: Literal["both", "extract", "merge"],
    tokens: int | None,
    force: bool,
) -> Run:
    from holdfast.cli.render.progress import memory_bar
    from holdfast.memory.client import OpenAICompatible

    with (
        OpenAICompatible(url, model, os.environ.get(_KEY), tokens_budget=tokens) as asked,
        opened(given) as state,
    ):
        try:
            with memory_bar() as on_progress:
                return state.memory.run(asked, settings, phase=phase, force=force, cwds=cwds, on_progress=on_progress)
        except KeyboardInterrupt:
            raise Interrupted(
                "interrupted; what was noted stays, and the files are as they were", remedy="Run it again to go on."
            ) from None
