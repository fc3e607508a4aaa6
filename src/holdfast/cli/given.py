"""What was given on the command line that every command understands, before the command or after it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass
class Given:
    """The options all commands share. ``argv`` is what was typed, to quote it back with one thing changed."""

    argv: tuple[str, ...] = ()
    state_dir: str | None = None
    homes: tuple[str, ...] = ()
    json: bool = False
    verbose: bool = False

    def take(self, *, state_dir: str | None, homes: tuple[str, ...], as_json: bool, verbose: bool) -> None:
        """Add what was given in one more place. Later homes and state directories win, flags add up."""
        self.state_dir = state_dir or self.state_dir
        self.homes = homes or self.homes
        self.json = self.json or as_json
        self.verbose = self.verbose or verbose

    @property
    def home(self) -> list[str] | None:
        """The homes as ``holdfast.open`` wants them; None is the default home."""
        return list(self.homes) or None


def shared(command: _Command) -> _Command:
    """Give ``command`` the shared options, and a ``Given`` as its first argument."""

    @click.pass_obj
    @functools.wraps(command)
    def with_given(
        given: Given,
        /,
        *args: Any,
        state_dir: str | None,
        homes: tuple[str, ...],
        as_json: bool,
        verbose: bool,
        **more: Any,
    ) -> Any:
        given.take(state_dir=state_dir, homes=homes, as_json=as_json, verbose=verbose)
        return command(given, *args, **more)

    options = (
        click.option(
            "--home",
            "homes",
            multiple=True,
            metavar="DIR",
            help="The home; default $CODEX_HOME or ~/.codex. Repeatable.",
        ),
        click.option(
            "--state",
            "state_dir",
            metavar="DIR|URL",
            help="Where holdfast keeps its state, a directory or postgresql://…; default $HOLDFAST_STATE.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document; its keys are in docs/cli.md."),
        click.option("-v", "--verbose", is_flag=True, help="Say more: each problem, and tracebacks of bugs."),
    )
    wrapped: Any = with_given
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[no-any-return]
