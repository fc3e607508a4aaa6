"""``holdfast threads show``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from holdfast.cli.failing import no_thread
from holdfast.cli.given import Given, shared
from holdfast.cli.opening import opened
from holdfast.cli.render import out

if TYPE_CHECKING:
    from holdfast.cli.render.conversation import Shown

_TURNS = 10  # on a terminal: what one scrolls back through


@click.command(short_help="Print a conversation, turn by turn.")
@click.argument("thread", required=False)
@click.option("--from-file", metavar="PATH", help="Read this rollout file; no state is opened or created.")
@click.option("--turns", type=click.IntRange(min=1), metavar="N", help="Only the last N turns.")
@click.option("--all", "all_turns", is_flag=True, help="Every turn; the default, but for a terminal (the last 10).")
@click.option("--full", is_flag=True, help="What tools answered and thoughts, uncut.")
@shared
def show(
    given: Given, thread: str | None, from_file: str | None, turns: int | None, all_turns: bool, full: bool
) -> None:
    """Print the conversation of THREAD: an id, the beginning of one, a name or a title.

    \b
    Examples:
      holdfast threads show 019df488-d910
      holdfast threads show "fix the login" --turns 2 --full
      holdfast threads show --from-file rollout-2026-05-04T19-48-22-....jsonl
      holdfast threads show 019df488-d910 --json | jq '.turns | length'
    """
    if (thread is None) == (from_file is None):
        raise click.UsageError("name one thread, or a file with --from-file")
    if turns is not None and all_turns:
        raise click.UsageError("--turns and --all exclude each other")
    from holdfast.cli.render import conversation as render

    if from_file is not None:
        from holdfast.cli import lone_file

        shown = lone_file.read(from_file)
    else:
        shown = _read(given, str(thread))
    if turns is None and not all_turns and out.is_terminal() and not given.json:
        turns = _TURNS
    if given.json:
        out.document(render.conversation_document(shown, turns=turns))
        return
    render.print_conversation(shown, turns=turns, full=full)


def _read(given: Given, text: str) -> Shown:
    from holdfast.cli.render.conversation import Shown

    with opened(given, only_look=True) as state:
        found = state.threads.read(text)
        if found is None:
            raise no_thread(text, state.threads.resolve(text))
    return Shown(found.thread, found.turns, found.problems)
