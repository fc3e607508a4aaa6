"""``holdfast memory list`` and ``holdfast memory show``: both only look."""

from __future__ import annotations

import os

import click
import msgspec

from holdfast.cli.failing import NotFound
from holdfast.cli.given import Given, shared
from holdfast.cli.opening import now_ms, peeked
from holdfast.cli.render import out, safe

_SUMMARY = "memory_summary.md"


@click.command("list", short_help="List what is remembered, the newest first.")
@click.option("--cwd", metavar="DIR", help="Only of this directory.")
@click.option("--scope", type=click.Choice(["cwd", "user"]), help="Only of directories, or of the person.")
@click.option("--limit", metavar="N", type=click.IntRange(1, 10_000), default=50, help="At most N; default 50.")
@shared
def list_memories(given: Given, cwd: str | None, scope: str | None, limit: int) -> None:
    """List what is remembered, the newest first: of which thread, in which scope, how often it was used.

    \b
    Examples:
      holdfast memory list
      holdfast memory list --cwd . --json
    """
    from holdfast.cli.render import memories as render

    with peeked(given) as state:
        found = state.memory.list(scope=scope, cwd=None if cwd is None else os.path.abspath(cwd), limit=limit)
    if given.json:
        out.document({"memories": msgspec.to_builtins(found)})
        return
    render.print_memories(found)
    if not found:
        out.note("Nothing is remembered yet: `holdfast memory run` reads threads.")


@click.command(short_help="Print what is remembered of a thread, or one of the files.")
@click.argument("thread", required=False)
@click.option("--file", "path", metavar="PATH", help=f"One of the files; default {_SUMMARY}.")
@shared
def show(given: Given, thread: str | None, path: str | None) -> None:
    """Print what is remembered of THREAD, or, without one, a file of what was put together.

    \b
    Examples:
      holdfast memory show
      holdfast memory show --file MEMORY.md
      holdfast memory show 019df488-d910
    """
    if thread is not None:
        _show_thread(given, thread)
        return
    wanted = path or _SUMMARY
    with peeked(given) as state:
        files, root, failure = state.memory.files(), state.memory.root, state.memory.failure()
        at_ms = now_ms(state)
    if failure is not None and not given.json:
        from holdfast.cli.render import memories as render

        for line in render.failure_lines(failure, at_ms):
            out.note(line)
    if wanted not in files:
        raise NotFound(
            f"there is no file {wanted} of memories", remedy="`holdfast memory run` makes them; --json names them."
        )
    if given.json:
        why = None if failure is None else {"failure": failure.failure, "until_ms": failure.due_ms}
        folder = os.path.join(root, "current")
        out.document({"folder": folder, "files": sorted(files), "text": files[wanted], "failed": why})
        return
    out.line(safe.block(files[wanted].rstrip()) if out.is_terminal() else files[wanted].rstrip())


def _show_thread(given: Given, thread: str) -> None:
    from holdfast.cli.render import memories as render

    with peeked(given) as state:
        found = state.memory.get(thread)
    if found is None:
        raise NotFound(f"there is no thread {thread!r}", remedy="`holdfast threads list` shows which there are.")
    if given.json:
        out.document({"memories": msgspec.to_builtins(found)})
        return
    for line in render.memory_lines(found):
        out.line(line)
    if not found:
        out.note("Nothing is remembered of this thread.")
