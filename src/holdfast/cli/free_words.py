"""Text as it was typed, without quotes: ``board block 12 waiting for --the API key``. Options end at its first word."""

from __future__ import annotations

import os
from typing import Any

import click

TASK = "HOLDFAST_TASK"


class FreeWords(click.Command):
    """A command whose one argument is ``words``, and before them the task, which may also be said with ``--task``.

    The task comes first; in a worker of the dispatcher it may be left out, and
    then a first word that is no number belongs to the words. Options stand
    before the task or after it. From the first word on everything is text, also
    what looks like an option.
    """

    allow_interspersed_args = False
    is_for_workers = True
    """Whether a worker may leave the task out."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Turn what was typed into options, ``--task``, ``--`` and the words; then parse that."""
        typed, rest = self._split(args)
        if rest and not any(word == "--task" or word.startswith("--task=") for word in typed):
            more, words = self._split(rest[1:])
            if self._is_task(ctx, rest[0], words):
                typed, rest = [*typed, "--task", rest[0], *more], words
        ctx.meta[__name__] = [word for word in rest if self._option(word) is not None]
        left = super().parse_args(ctx, [*typed, "--", *rest])
        if not self.is_for_workers and ctx.params["task"] is None:
            raise click.UsageError("missing argument 'TASK'", ctx)
        return left

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return what help shows after the name."""
        return [self.options_metavar or "", "[TASK]" if self.is_for_workers else "TASK", "WORDS..."]

    def _is_task(self, ctx: click.Context, word: str, words: list[str]) -> bool:
        mine = os.environ.get(TASK) if self.is_for_workers else None
        if not mine or word == mine:
            return True
        if not (word.isascii() and word.isdecimal()):
            return False
        if len(words) == 1 and " " in words[0]:  # the text was quoted, so the number is none of it
            return True
        # "3 tests fail" must not become a word about task 3.
        raise click.UsageError(
            f"{word} may be a task or the first word, in a worker of task {mine}: "
            f"say --task {word}, or --task {mine}, before the words, or quote the words",
            ctx,
        )

    def _split(self, args: list[str]) -> tuple[list[str], list[str]]:
        """Return the options that ``args`` begin with, with their values, and the rest without a ``--`` before it."""
        at = 0
        while at < len(args) and len(args[at]) > 1 and args[at][0] == "-" and args[at] != "--":
            option = self._option(args[at])
            at += 1 if option is None or option.is_flag or "=" in args[at] else 2
        rest = args[at:]
        return args[:at], rest[1:] if rest[:1] == ["--"] else rest

    def _option(self, word: str) -> click.Option | None:
        name = word.partition("=")[0]
        for param in self.params:
            if isinstance(param, click.Option) and name in (*param.opts, *param.secondary_opts):
                return param
        return None


class FreeWordsOnTask(FreeWords):
    """The same for a person's command: the task is always named."""

    is_for_workers = False


def text_of(ctx: click.Context, words: tuple[str, ...], default: str | None = None) -> str:
    """Return the words as one text. Says on stderr when one of them is an option of the command, come too late.

    Raises a usage error when there are none and there is no ``default``.
    """
    from holdfast.cli.render import out

    text = " ".join(words).strip()
    if not text:
        if default is None:
            raise click.UsageError("say it in words after the task", ctx)
        return default
    late: list[Any] = ctx.meta.get(__name__, [])
    if late:
        out.note(f"{', '.join(late)} is part of the text, as it was typed: options stand before its first word.")
    return text
