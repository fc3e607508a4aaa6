"""``holdfast logs retention``: the limits that every writer of a log keeps to."""

from __future__ import annotations

import os
from typing import Any

import click
import msgspec

from holdfast.cli.given import Given, shared
from holdfast.cli.log_filters import DIRECTORY, folder
from holdfast.cli.quantities import Age, OrNone, Share, Size
from holdfast.cli.render import out, words


@click.command(short_help="Show the limits that writers keep to, or set some.")
@DIRECTORY
@click.option("--bytes", "size", metavar="SIZE", type=OrNone(Size()), help="On the disk in all: 50MB, 1GiB.")
@click.option("--records", metavar="N", type=OrNone(click.IntRange(min=0)), help="Records in all.")
@click.option("--age", metavar="AGE", type=OrNone(Age()), help="What is older goes: 10d, 12h.")
@click.option("--keep-free", metavar="SIZE", type=OrNone(Size()), help="What stays free on the disk.")
@click.option("--bytes-per-day", metavar="SIZE", type=OrNone(Size()), help="Written in a day (UTC) at most.")
@click.option("--thread-share", metavar="SHARE", type=OrNone(Share()), help="Of --bytes, for one thread: 50% to 100%.")
@click.option("--dry-run", is_flag=True, help="Say what would hold and what would go, change nothing.")
@shared
def retention(given: Given, directory: str | None, size: Any, dry_run: bool, **more: Any) -> None:
    """Show the limits that every writer of the log keeps to, or set some of them.

    What is not given stays as it was set; `none` takes a limit back. Writers that
    run keep to it when they next need room, a segment later at most. Then the
    oldest segments go, or now with `holdfast logs prune`.

    \b
    Examples:
      holdfast logs retention
      holdfast logs retention --bytes 50MB --records 10000 --age 10d
      holdfast logs retention --bytes 20MB --dry-run
      holdfast logs retention --records none
    """
    from holdfast.logs import limits as limiting
    from holdfast.logs.room import prune

    where = folder(given, directory)
    said = {name: limit for name, limit in {"bytes": size, **more}.items() if limit is not None}
    asked: Any = {name: None if limit is OrNone.NONE else limit for name, limit in said.items()}
    if directory is not None and not os.path.isdir(where):
        raise click.UsageError(f"there is no directory {where}: a log that writers use, or will use, has one")
    caps = limiting.preview(where, **asked) if dry_run else limiting.retention(where, **asked)
    goes = prune(where, caps, dry_run=True)
    if given.json:
        segments = [msgspec.to_builtins(each) for each in goes]
        out.document({"dry_run": dry_run, "limits": msgspec.structs.asdict(caps), "segments": segments})
        return
    out.line(f"Log            {words.tilde(where)}")
    for name, limit in _told(caps):
        out.line(f"{name:<15}{limit}")
    for each in goes:
        out.line(f"{each.name}  {words.size(each.bytes)}  {each.why}")
    if goes:
        total = f"{words.size(sum(each.bytes for each in goes))}, {words.count(sum(e.records for e in goes), 'record')}"
        when = "would go" if dry_run else "goes with the next need for room, or now by `holdfast logs prune`"
        out.line(f"{words.count(len(goes), 'segment')} {when}: {total}")
    if dry_run:
        out.note("Nothing was changed.")


def _told(caps: Any) -> list[tuple[str, str]]:
    """Return what holds, by the names of the options."""
    free = (
        f"{caps.free_share:.0%} of the disk, 4 GiB at most" if caps.free_bytes is None else words.size(caps.free_bytes)
    )
    return [
        ("bytes", words.size(caps.bytes)),
        ("records", "no limit" if caps.records is None else f"{caps.records:,}"),
        ("age", f"{caps.age_s / 86_400:g} days"),
        ("keep-free", free),
        ("bytes-per-day", "no limit" if caps.bytes_per_day is None else words.size(caps.bytes_per_day)),
        ("thread-share", "no limit" if caps.thread_share is None else f"{caps.thread_share:.0%}"),
    ]
