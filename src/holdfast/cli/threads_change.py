"""``holdfast threads rename|archive|unarchive``: what only a person says of a thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from holdfast.cli.failing import no_thread
from holdfast.cli.given import Given, shared
from holdfast.cli.opening import opened
from holdfast.cli.render import out

if TYPE_CHECKING:
    from holdfast.state import State
    from holdfast.state.carrying import InHomeChange
    from holdfast.threads.model import Thread

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _in_home(command: _Command) -> _Command:
    """Give ``command`` the options of a change in the home itself."""
    dry_run = click.option("--dry-run", is_flag=True, help="With --in-home: print what would be done; change nothing.")
    in_home = click.option("--in-home", is_flag=True, help="Change the home itself, as Codex would; see undo.")
    return in_home(dry_run(command))


@click.command(short_help="Give a thread a name, or take it away.")
@click.argument("thread")
@click.argument("name")
@_in_home
@shared
def rename(given: Given, thread: str, name: str, in_home: bool, dry_run: bool) -> None:
    """Call THREAD by NAME from now on; an empty NAME takes the name away.

    The name is kept in holdfast's own state, and nothing is written to the
    home, unless --in-home asks for it: then it is appended to the home's
    session_index.jsonl, and put into Codex's own row of the thread where there
    is one. `holdfast undo` takes that back.

    \b
    Examples:
      holdfast threads rename 019df488-d910 "login bug"
      holdfast threads rename "login bug" ""
      holdfast threads rename 019df488-d910 "login bug" --in-home --dry-run
    """
    _check(in_home, dry_run)
    if in_home:
        with opened(given) as state:
            change = state.in_home.rename(thread, name, dry_run=dry_run)
        if change is None:
            raise no_thread(thread)
        _tell_changes(given, [change], "is now called", dry_run)
        return
    with opened(given) as state:
        renamed = state.threads.rename(thread, name)
    if renamed is None:
        raise no_thread(thread)
    tell(given, [renamed], "is now called" if name.strip() else "has no name now; its title is")


@click.command(short_help="Take threads out of the list.")
@click.argument("threads", nargs=-1, required=True)
@_in_home
@shared
def archive(given: Given, threads: tuple[str, ...], in_home: bool, dry_run: bool) -> None:
    """Take THREADS out of the list; `threads list --archived` shows them.

    The mark is kept in holdfast's own state, and nothing is written to the
    home, unless --in-home asks for it: then the files of the threads, and of
    the sub-agents they started, move to archived_sessions, and Codex's own rows
    say so, as Codex would do it. `holdfast undo` puts all that back.

    \b
    Examples:
      holdfast threads archive 019df488-d910
      holdfast threads archive 019df488-d910 "login bug"
      holdfast threads archive 019df488-d910 --in-home --dry-run
    """
    _set_archived(given, threads, in_home, dry_run, archived=True)


@click.command(short_help="Put archived threads back into the list.")
@click.argument("threads", nargs=-1, required=True)
@_in_home
@shared
def unarchive(given: Given, threads: tuple[str, ...], in_home: bool, dry_run: bool) -> None:
    """Put THREADS back into the list.

    With --in-home their files move back to the folder of their day, as Codex
    would do it, and count as written just now.

    \b
    Examples:
      holdfast threads unarchive 019df488-d910
      holdfast threads unarchive 019df488-d910 --in-home
      holdfast threads list --archived
    """
    _set_archived(given, threads, in_home, dry_run, archived=False)


def _set_archived(given: Given, texts: tuple[str, ...], in_home: bool, dry_run: bool, *, archived: bool) -> None:
    """All of them, or, when one cannot be found, none."""
    _check(in_home, dry_run)
    with opened(given) as state:
        thread_ids = [_found(state, text).id for text in texts]
        if in_home:
            move = state.in_home.archive if archived else state.in_home.unarchive
            changes = [done for thread_id in thread_ids if (done := move(thread_id, dry_run=dry_run)) is not None]
            _tell_changes(given, changes, "is archived:" if archived else "is back in the list:", dry_run)
            return
        change = state.threads.archive if archived else state.threads.unarchive
        changed = [thread for thread_id in thread_ids if (thread := change(thread_id)) is not None]
    tell(given, changed, "is archived:" if archived else "is back in the list:")


def _found(state: State, text: str) -> Thread:
    thread = state.threads.resolve(text)
    if thread is None:
        raise no_thread(text)
    return thread


def _check(in_home: bool, dry_run: bool) -> None:
    if dry_run and not in_home:
        raise click.UsageError("--dry-run goes with --in-home: nothing else changes a home")


def _tell_changes(given: Given, changes: list[InHomeChange], what: str, dry_run: bool) -> None:
    from holdfast.cli.render import receipts as render

    if given.json:
        out.document(render.changes_document(changes))
        return
    for change in changes:
        render.print_change(change, what, dry_run=dry_run)


def tell(given: Given, threads: list[Thread], what: str) -> None:
    """Print what became of threads: a line each, or the threads as JSON."""
    from holdfast.cli.render import safe
    from holdfast.cli.render.threads import thread_document

    if given.json:
        out.document({"threads": [thread_document(thread) for thread in threads]})
        return
    for thread in threads:
        out.line(safe.line(f"{thread.id} {what} {thread.label}"))
