"""The options by which ``threads list`` and ``threads search`` choose threads, and what comes after a page."""

from __future__ import annotations

import functools
import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from holdfast.cli.given import Given

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Those options, as they were given."""

    only_archived: bool
    also_archived: bool
    sources: tuple[str, ...]
    providers: tuple[str, ...]
    cwds: tuple[str, ...]
    limit: int
    cursor: str | None
    refresh: bool | None

    def asked(self) -> dict[str, Any]:
        """Return them as the library wants them, but for ``refresh``. Raises a usage error when they contradict."""
        if self.only_archived and self.also_archived:
            raise click.UsageError("--archived and --all exclude each other")
        return {
            "archived": None if self.also_archived else self.only_archived,
            "sources": self.sources,
            "providers": self.providers,
            # Absolute, so that `--cwd .` means this one.
            "cwds": tuple(os.path.abspath(os.path.expanduser(cwd)) for cwd in self.cwds),
            "limit": self.limit,
            "cursor": self.cursor,
        }


def filtered(command: _Command) -> _Command:
    """Give ``command`` these options, and ``filters`` as an argument."""

    @functools.wraps(command)
    def with_filters(
        *args: Any,
        only_archived: bool,
        also_archived: bool,
        sources: tuple[str, ...],
        providers: tuple[str, ...],
        cwds: tuple[str, ...],
        limit: int,
        cursor: str | None,
        refresh: bool | None,
        **more: Any,
    ) -> Any:
        filters = Filters(
            only_archived=only_archived,
            also_archived=also_archived,
            sources=sources,
            providers=providers,
            cwds=cwds,
            limit=limit,
            cursor=cursor,
            refresh=refresh,
        )
        return command(*args, filters=filters, **more)

    options = (
        click.option("--archived", "only_archived", is_flag=True, help="Only archived threads."),
        click.option("--all", "also_archived", is_flag=True, help="Archived ones too."),
        click.option("--source", "sources", multiple=True, metavar="KIND", help="cli, vscode, exec, ... Repeatable."),
        click.option("--provider", "providers", multiple=True, metavar="NAME", help="The model provider. Repeatable."),
        click.option("--cwd", "cwds", multiple=True, metavar="DIR", help="Where the agent worked. Repeatable."),
        click.option("--limit", "-n", type=int, default=25, show_default=True, help="At most this many, 1 to 1000."),
        click.option("--cursor", metavar="TEXT", help="Go on after a page; the rest must be as it was."),
        click.option("--refresh/--no-refresh", default=None, help="Look for new files first, however many there are."),
    )
    wrapped: Any = with_filters
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[no-any-return]


def again(given: Given, cursor: str) -> str:
    """Return the command that was typed, going on at ``cursor``."""
    kept = []
    words = iter(given.argv)
    for word in words:
        if word == "--cursor":
            next(words, None)
        elif not word.startswith("--cursor="):
            kept.append(word)
    return shlex.join(["holdfast", *kept, "--cursor", cursor])
