"""The options by which ``logs query``, ``tail`` and ``export`` choose records."""

from __future__ import annotations

import datetime as dt
import functools
import os
import re
import time
from collections.abc import Callable
from typing import Any, TypeVar

import click

from holdfast import ids
from holdfast.cli.given import Given
from holdfast.cli.render import out, words

_Command = TypeVar("_Command", bound=Callable[..., Any])

_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}


def chosen(command: _Command) -> _Command:
    """Give ``command`` these options, and as arguments ``directory`` (of the log) and ``asked`` (a ``LogQuery``)."""

    @functools.wraps(command)
    def with_query(
        given: Given,
        *args: Any,
        directory: str | None,
        since: str | None,
        until: str | None,
        levels: tuple[str, ...],
        threads: tuple[str, ...],
        threadless: bool,
        targets: tuple[str, ...],
        modules: tuple[str, ...],
        files: tuple[str, ...],
        search: str | None,
        grep: str | None,
        after_id: int | None,
        **more: Any,
    ) -> Any:
        from holdfast.logs.matching import LogQuery

        now_us = time.time_ns() // 1_000
        exact, at_least = levels_of(levels)
        from_us = None if since is None else moment_us(since, now_us)
        to_us = None if until is None else moment_us(until, now_us)
        if from_us is not None and to_us is not None and from_us > to_us:
            raise click.UsageError(f"--since {since} is later than --until {until}, so nothing can fit")
        asked = LogQuery(
            levels=exact,
            min_level=at_least,
            from_us=from_us,
            to_us=to_us,
            thread_ids=tuple(_thread_of(given, text) for text in threads),
            include_threadless=threadless,
            targets=targets,
            modules=modules,
            files=files,
            search=search,
            regex=grep,
            after_id=after_id,
        )
        return command(given, *args, directory=folder(given, directory), asked=asked, **more)

    options = (
        DIRECTORY,
        click.option("--since", metavar="TIME", help="From this time on: 90s, 30m, 2h, 7d ago, or 2026-11-25T14:00."),
        click.option("--until", metavar="TIME", help="Up to this time."),
        click.option(
            "--level", "levels", multiple=True, metavar="LEVEL", help="warn+ is WARN and worse, warn only that."
        ),
        click.option("--thread", "threads", multiple=True, metavar="THREAD", help="Of this thread. Repeatable."),
        click.option("--threadless", is_flag=True, help="Of no thread; with --thread: these, too."),
        click.option("--target", "targets", multiple=True, metavar="NAME", help="This logger, or below it."),
        click.option("--module", "modules", multiple=True, metavar="TEXT", help="A piece of the module's name."),
        click.option("--file", "files", multiple=True, metavar="TEXT", help="A piece of the source file's name."),
        click.option("--search", metavar="TEXT", help="These letters, whatever their case."),
        click.option("--grep", metavar="PATTERN", help="A regular expression, as Python's re has them."),
        click.option("--after-id", type=int, metavar="ID", help="Only ids above this one."),
    )
    wrapped: Any = with_query
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[no-any-return]


DIRECTORY = click.option(
    "--dir", "directory", metavar="DIR", help="The directory of the log; default `logs` in the state directory."
)


def folder(given: Given, directory: str | None) -> str:
    """Return where the log is, whether or not there is one."""
    if directory is not None:
        if not directory:
            raise click.UsageError("--dir is empty: a variable that is not set, perhaps")
        return os.path.abspath(os.path.expanduser(directory))
    from holdfast.state.directory import LOGS, real

    return os.path.join(real(given.state_dir), LOGS)


def tell_if_none(directory: str, *, waits: bool = False) -> None:
    """Say so when there is no such directory: an answer, but perhaps not what was meant."""
    if not os.path.lexists(directory):
        out.note(f"There is no log in {words.tilde(directory)}{' yet; waiting for one.' if waits else '.'}")


def levels_of(given: tuple[str, ...]) -> tuple[tuple[str, ...], str | None]:
    """Return the levels named and the least one, of texts such as ``warn+`` and ``debug,error``."""
    exact: list[str] = []
    at_least: str | None = None
    for word in ",".join(given).split(",") if given else ():
        name = word.strip()
        if name.endswith("+"):
            if at_least is not None:
                raise click.UsageError("there can be one level with a +")
            at_least = name[:-1]
        else:
            exact.append(name)
    if exact and at_least is not None:
        raise click.UsageError("a level with a + and levels without one exclude each other")
    return tuple(exact), at_least


def moment_us(text: str, now_us: int) -> int:
    """Return the time that ``text`` means: so long ago, or a date, local where it names no zone."""
    ago = re.fullmatch(r"(\d{1,9})\s*([smhdw])(?:\s+ago)?", text.strip())
    if ago:
        return now_us - int(ago[1]) * _UNITS_S[ago[2]] * 1_000_000
    try:
        when = dt.datetime.fromisoformat(text.strip())
        return round(when.timestamp() * 1_000_000)
    except (ValueError, OverflowError, OSError):
        raise click.UsageError(
            f"{text!r} is no time: give 90s, 30m, 2h, 7d or 2w for so long ago, or a date as 2026-11-25T14:00"
        ) from None


def _thread_of(given: Given, text: str) -> str:
    """Return the id of the thread meant. What no thread is called is an id that only the log knows."""
    id16 = ids.parse(text)
    if id16 is not None:
        return ids.text(id16)
    from holdfast.cli.opening import peeked

    with peeked(given) as state:
        thread = state.threads.resolve(text)
    return text if thread is None else thread.id
