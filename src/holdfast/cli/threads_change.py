"""``holdfast threads rename|archive|unarchive``: what only a person says of a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from holdfast.cli.failing import no_thread
from holdfast.cli.given import Given, shared
from holdfast.cli.opening import opened
from holdfast.cli.render import out

if TYPE_CHECKING:
    from holdfast.state import State
    from holdfast.threads.model import Thread


@click.command(short_help="Give a thread a name, or take it away.")
@click.argument("thread")
@click.argument("name")
@shared
def rename(given: Given, thread: str, name: str) -> None:
    """Call THREAD by NAME from now on; an empty NAME takes the name away.

    The name is kept in holdfast's own state. Nothing is written to the home.

    \b
    Examples:
      holdfast threads rename 019df488-d910 "login bug"
      holdfast threads rename "login bug" ""
    """
    with opened(given) as state:
        renamed = state.threads.rename(thread, name)
    if renamed is None:
        raise no_thread(thread)
    tell(given, [renamed], "is now called" if name.strip() else "has no name now; its title is")


@click.command(short_help="Take threads out of the list.")
@click.argument("threads", nargs=-1, required=True)
@shared
def archive(given: Given, threads: tuple[str, ...]) -> None:
    """Take THREADS out of the list; `threads list --archived` shows them.

    The mark is kept in holdfast's own state. Nothing is written to the home.

    \b
    Examples:
      holdfast threads archive 019df488-d910
      holdfast threads archive 019df488-d910 "login bug"
    """
    _set_archived(given, threads, archived=True)


@click.command(short_help="Put archived threads back into the list.")
@click.argument("threads", nargs=-1, required=True)
@shared
def unarchive(given: Given, threads: tuple[str, ...]) -> None:
    """Put THREADS back into the list.

    \b
    Examples:
      holdfast threads unarchive 019df488-d910
      holdfast threads list --archived
    """
    _set_archived(given, threads, archived=False)


def _set_archived(given: Given, texts: tuple[str, ...], *, archived: bool) -> None:
    """All of them, or, when one cannot be found, none."""
    with opened(given) as state:
        thread_ids = [_found(state, text).id for text in texts]
        change = state.threads.archive if archived else state.threads.unarchive
        changed = [thread for thread_id in thread_ids if (thread := change(thread_id)) is not None]
    tell(given, changed, "is archived:" if archived else "is back in the list:")


def _found(state: State, text: str) -> Thread:
    thread = state.threads.resolve(text)
    if thread is None:
        raise no_thread(text)
    return thread


def tell(given: Given, threads: list[Thread], what: str) -> None:
    """Print what became of threads: a line each, or the threads as JSON."""
    from holdfast.cli.render import safe
    from holdfast.cli.render.threads import thread_document

    if given.json:
        out.document({"threads": [thread_document(thread) for thread in threads]})
        return
    for thread in threads:
        out.line(safe.line(f"{thread.id} {what} {thread.label}"))
