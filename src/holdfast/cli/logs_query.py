"""``holdfast logs query`` and ``holdfast logs tail``."""

from __future__ import annotations

import dataclasses
import os
import sys
from typing import TYPE_CHECKING

import click

from holdfast.cli.failing import INTERRUPTED
from holdfast.cli.given import Given, shared
from holdfast.cli.log_filters import chosen, tell_if_none
from holdfast.cli.render import out, words

if TYPE_CHECKING:
    from holdfast.logs.matching import LogQuery


@click.command(short_help="Show the records that fit, the newest last.")
@click.option(
    "--limit", "-n", type=click.IntRange(min=1), default=200, show_default=True, help="The last so many of them."
)
@click.option("--all", "everything", is_flag=True, help="Every one.")
@click.option("--oldest", is_flag=True, help="The first so many instead of the last.")
@click.option("--newest-first", is_flag=True, help="The other way round.")
@shared
@chosen
def query(
    given: Given,
    directory: str,
    asked: LogQuery,
    limit: int,
    everything: bool,
    oldest: bool,
    newest_first: bool,
) -> None:
    """Show the records that fit all that is asked, the newest last.

    On a terminal in colours, on a pipe five fields between tabs: time, level,
    thread, logger, text. Only looks, also while others write.

    \b
    Examples:
      holdfast logs query --since 2h --level warn+
      holdfast logs query --target app.db --grep "timeout after [0-9]+ ms"
      holdfast logs query --thread 01a1fa0b-589d --all --json
    """
    from holdfast.cli.render import logs as render
    from holdfast.logs.query import iterate

    show = render.printer(as_json=given.json)
    tell_if_none(directory)
    if everything:
        for record in iterate(directory, dataclasses.replace(asked, newest_first=newest_first)):
            show(record)
        return
    found = list(iterate(directory, dataclasses.replace(asked, newest_first=not oldest, limit=limit + 1)))
    more = len(found) > limit
    found = found[:limit]
    for record in reversed(found) if newest_first is oldest else found:
        show(record)
    which = "first" if oldest else "last"
    if more and limit == 1:
        out.note(f"This is the {which} record; --all shows every one.")
    elif more:
        out.note(f"These are the {which} {words.count(limit, 'record')}; --all shows every one.")
    elif not found and os.path.isdir(directory) and not given.json:
        out.note(f"No record in {words.tilde(directory)} fits.")


@click.command(short_help="Show the last records, and with -f those that come.")
@click.option("--limit", "-n", type=click.IntRange(min=0), default=10, show_default=True, help="So many to begin with.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what is written from now on, until Ctrl-C.")
@shared
@chosen
def tail(given: Given, directory: str, asked: LogQuery, limit: int, follow: bool) -> None:
    """Show the last records that fit, and with -f those that come, by whichever process.

    None is lost and none shown twice, also when segments are begun and deleted
    meanwhile; what a limit let go of unread is told by a line of `holdfast.logs`.
    The log may not be there yet. Holds nobody up.

    \b
    Examples:
      holdfast logs tail -f
      holdfast logs tail -f -n 0 --level error
      holdfast logs tail --json
    """
    from holdfast.cli.render import logs as render
    from holdfast.logs.tail import tail as tail_of

    show = render.printer(as_json=given.json)
    tell_if_none(directory, waits=follow)
    try:
        for record in tail_of(directory, dataclasses.replace(asked, limit=limit), follow=follow):
            show(record)
            if follow:
                sys.stdout.flush()
    except KeyboardInterrupt:
        # How a look that goes on for ever ends: no complaint, and the code that a shell expects.
        raise SystemExit(INTERRUPTED) from None
