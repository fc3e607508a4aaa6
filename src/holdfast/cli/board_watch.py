"""``holdfast board watch``: a board as it is, and as it changes."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import click

from holdfast.cli import board_given as at
from holdfast.cli.failing import INTERRUPTED
from holdfast.cli.given import Given, shared
from holdfast.cli.render import out
from holdfast.errors import Busy

if TYPE_CHECKING:
    from holdfast.state import State
    from holdfast.waking import Changes

_DEAF_S = 1.0  # between looks where changes of others are not heard
_HEARD_S = 5.0  # and where they are, for what is told to nobody


@click.command(short_help="See a board live; on a pipe, what happens, a line each.")
@at.ON_BOARD
@click.option("--limit", "-n", type=click.IntRange(min=0), default=10, show_default=True, help="Events to begin with.")
@click.option("--lines", is_flag=True, help="Events as lines, also on a terminal.")
@shared
def watch(given: Given, board: str | None, limit: int, lines: bool) -> None:
    """See a board live: its tasks by status, who works on what for how long, what happened. Only looks.

    q ends it. On a pipe, and with --lines or --json, each event is a line: when
    it was, the task, what happened, what was said of it, the title.

    \b
    Examples:
      holdfast board watch
      holdfast board watch --board website -n 0 --json
      holdfast board watch --lines -n 100
    """
    with at.kept(given) as state:
        with state.read() as tx:
            slug = at.board_of(tx, board).slug
        code = _follow(state, slug, limit, given.json) if _is_plain(given, lines) else _screen(state, slug)
    if code:
        raise SystemExit(code)


def _is_plain(given: Given, lines: bool) -> bool:
    return given.json or lines or not out.is_terminal()


def _follow(state: State, slug: str, limit: int, as_json: bool) -> int:
    """Print events as lines until Ctrl-C."""
    from holdfast import board as boards
    from holdfast.cli.render.board_events import printer
    from holdfast.cli.watching import Titles

    show, titles = printer(as_json=as_json), Titles()
    assert state.engine is not None
    try:
        with state.engine.changes() as changes, _interrupted(changes) as is_over:
            with state.read() as tx:
                found = boards.recent(tx, slug, limit=max(1, limit))
                titles.learn(tx, found)
            after, busy = found[-1].event_id if found else 0, False
            if not limit:
                found = []
            while not is_over.is_set():
                for event in found:
                    show(event, titles[event.task_id])
                sys.stdout.flush()
                if not found:
                    changes.wait(_DEAF_S if busy or not changes.hears else _HEARD_S)
                try:
                    with state.read() as tx:
                        found = boards.events(tx, board=slug, after=after)
                        titles.learn(tx, found)
                    busy = False
                except Busy:  # the last of others just closes the file, or a server is away: it is looked at again
                    found, busy = [], True
                after = found[-1].event_id if found else after
    except KeyboardInterrupt:
        pass
    return INTERRUPTED  # how a look that goes on for ever ends


@contextmanager
def _interrupted(changes: Changes) -> Iterator[_Over]:
    """Have Ctrl-C end the wait, and no read in its middle, which is told as an error; a second one is as usual."""
    over = _Over()

    def end(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        over.set()
        changes.wake()

    before = signal.signal(signal.SIGINT, end)
    try:
        yield over
    finally:
        signal.signal(signal.SIGINT, before)


class _Over:
    # No threading.Event: a signal's handler may not wait for a lock that the code it interrupts holds.
    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        self._is_set = True

    def is_set(self) -> bool:
        return self._is_set


def _screen(state: State, slug: str) -> int:
    from holdfast.cli.live_screen import LiveScreen
    from holdfast.cli.render.board_watch import screen
    from holdfast.cli.watching import Look

    assert state.engine is not None
    console = out.console()
    with state.engine.changes() as changes:
        look = Look(state, slug, changes)
        return LiveScreen(changes, lambda changed: screen(look.seen(changed), *console.size)).run()
