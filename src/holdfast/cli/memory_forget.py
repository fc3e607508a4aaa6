"""``holdfast memory forget`` and ``holdfast memory reset``."""

from __future__ import annotations

import sys

import click

from holdfast.cli.failing import NotFound
from holdfast.cli.given import Given, shared
from holdfast.cli.opening import opened
from holdfast.cli.render import out, words
from holdfast.errors import Refused


@click.command(short_help="Remove what is remembered of threads.")
@click.argument("threads", nargs=-1, required=True, metavar="THREAD...")
@shared
def forget(given: Given, threads: tuple[str, ...]) -> None:
    """Remove what is remembered of each THREAD. The next run takes it out of the files.

    A thread is read again only when somebody writes to it. To keep one from
    ever being read: holdfast threads set THREAD --memory-mode disabled.

    \b
    Examples:
      holdfast memory forget 019df488-d910
      holdfast memory forget "fix the flaky test" --json
    """
    with opened(given) as state:
        forgotten = {thread: state.memory.forget(thread) for thread in threads}
    unknown = [thread for thread, count in forgotten.items() if count is None]
    if unknown:
        raise NotFound(
            f"there is no thread {', '.join(map(repr, unknown))}", remedy="What was remembered of the others is gone."
        )
    if given.json:
        out.document({"forgotten": sum(map(bool, forgotten.values()))})
        return
    for thread, count in forgotten.items():
        out.note(f"Forgot {thread}." if count else f"Nothing was remembered of {thread}.")


@click.command(short_help="Remove everything that is remembered.")
@click.option("--yes", is_flag=True, help="Do not ask. Needed where nobody can answer.")
@shared
def reset(given: Given, yes: bool) -> None:
    """Remove everything that is remembered of the homes, and the files made of it. Threads are read again.

    \b
    Examples:
      holdfast memory reset
      holdfast memory reset --yes --home ~/other/.codex
    """
    if not yes:
        if given.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise Refused("there is nobody to ask whether everything remembered is to go", remedy="Say it with --yes.")
        click.confirm("Remove everything that is remembered?", abort=True, err=True)
    with opened(given) as state:
        memories, folders = state.memory.reset()
    if given.json:
        out.document({"memories": memories, "folders": folders})
        return
    out.note(f"Removed {words.count(memories, 'memory', 'memories')}{' and the files' if folders else ''}.")
