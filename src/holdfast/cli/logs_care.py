"""``holdfast logs stats``, ``holdfast logs prune`` and ``holdfast logs export``."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click
import msgspec

from holdfast.cli.given import Given, shared
from holdfast.cli.log_filters import DIRECTORY, chosen, folder, tell_if_none
from holdfast.cli.quantities import Age, Size
from holdfast.cli.render import out, words
from holdfast.errors import Refused

if TYPE_CHECKING:
    from holdfast.logs.matching import LogQuery


@click.command(short_help="Say how much is logged, of what level, since when.")
@DIRECTORY
@shared
def stats(given: Given, directory: str | None) -> None:
    """Say how much is logged, of what level, since when, and what had no room.

    Also the limits in force, and what went by which. Only looks, also while
    others write.

    \b
    Examples:
      holdfast logs stats
      holdfast logs stats --json
    """
    from holdfast.cli.render import logs as render
    from holdfast.logs.stats import stats as measure

    where = folder(given, directory)
    tell_if_none(where)
    seen = measure(where)
    if given.json:
        out.document(render.stats_document(seen))
        return
    for text in render.stats_lines(seen):
        out.line(text)


@click.command(short_help="Let go what a limit does not allow, or say what would go.")
@DIRECTORY
@click.option(
    "--bytes",
    "size",
    metavar="SIZE",
    type=Size(),
    help="Keep at most so much on the disk: 20MB, 1GiB.",
)
@click.option("--older-than", "age", metavar="AGE", type=Age(), help="Let go what was not written to for so long.")
@click.option("--records", type=click.IntRange(min=0), metavar="N", help="Keep at most so many records.")
@click.option("--dry-run", is_flag=True, help="Say what would go, change nothing.")
@shared
def prune(
    given: Given, directory: str | None, size: int | None, age: int | None, records: int | None, dry_run: bool
) -> None:
    """Let go of the oldest segments until the log is below a limit.

    Without one: below the limits set for this log, or 64 MiB and 10 days. A
    segment goes as one, and never one that is being written. Writers do this by
    themselves.

    \b
    Examples:
      holdfast logs prune --dry-run
      holdfast logs prune --bytes 10MB
      holdfast logs prune --older-than 2d
    """
    from holdfast.logs.limits import in_force, instead
    from holdfast.logs.room import prune as let_go

    where = folder(given, directory)
    said: dict[str, Any] = {"bytes": size, "age": age, "records": records}
    caps = instead(in_force(where), **{name: limit for name, limit in said.items() if limit is not None})
    gone = let_go(where, caps, dry_run=dry_run)
    if given.json:
        out.document({"dry_run": dry_run, "segments": [msgspec.to_builtins(each) for each in gone]})
        return
    for each in gone:
        out.line(f"{each.name}  {words.size(each.bytes)}  {each.why}")
    total = words.size(sum(each.bytes for each in gone))
    count = words.count(sum(each.records for each in gone), "record")
    out.line(f"{words.count(len(gone), 'segment')} {'would go' if dry_run else 'went'}: {total}, {count}")


@click.command(short_help="Copy records into a file of JSON lines, or a table for SQL.")
@click.option("--jsonl", "jsonl", metavar="PATH", help="A file of JSON lines that is not there yet; - is stdout.")
@click.option("--sqlite", "sqlite", metavar="PATH", help="A new SQLite file with the table `logs`.")
@click.option("--resume", is_flag=True, help="Go on in the file of JSON lines, after the last record in it.")
@shared
@chosen
def export(given: Given, directory: str, asked: LogQuery, jsonl: str | None, sqlite: str | None, resume: bool) -> None:
    """Copy the records that fit, the oldest first, into a file that is not there yet.

    The table `logs` has a column for each key; `ts` is in microseconds,
    `fields` is JSON. The log stays as it is.

    \b
    Examples:
      holdfast logs export --sqlite log.db
      holdfast logs export --since 1d --jsonl day.jsonl
      holdfast logs export --jsonl all.jsonl --resume
      holdfast logs export --level error --jsonl -
    """
    from holdfast.logs import export as exporting

    if not jsonl and not sqlite:
        raise click.UsageError("say where to: --jsonl PATH or --sqlite PATH")
    if jsonl and sqlite:
        raise click.UsageError("one of the two: --jsonl PATH or --sqlite PATH")
    if sqlite == "-":
        raise click.UsageError("a table cannot be written to stdout: --sqlite takes a path, --jsonl - is stdout")
    if resume and jsonl in (None, "-"):
        raise click.UsageError("--resume goes on in a file: say which with --jsonl PATH")
    tell_if_none(directory)
    if jsonl == "-":
        sys.stdout.flush()
        exporting.to_jsonl(directory, sys.stdout.buffer, asked)
        sys.stdout.buffer.flush()
        return
    target = os.path.abspath(os.path.expanduser(jsonl or sqlite or ""))
    if resume:
        count = exporting.go_on(directory, target, asked)
    elif jsonl is not None:
        try:
            descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise Refused(
                f"{target} is there already, and is not written over", remedy="Name a file that is new."
            ) from None
        with open(descriptor, "wb") as file:
            count = exporting.to_jsonl(directory, file, asked)
    else:
        count = exporting.to_sqlite(directory, target, asked)
    if given.json:
        out.document({"path": target, "records": count})
        return
    out.line(f"{words.count(count, 'record')} in {words.tilde(target)}")
