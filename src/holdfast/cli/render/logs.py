"""Records as coloured lines for a person, as fields for a pipe, and as lines of JSON."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.cli.render import out, safe, words
from holdfast.logs.matching import LEVELS, body

if TYPE_CHECKING:
    from holdfast.logs.model import Record
    from holdfast.logs.stats import LogStats

_COLOURS = {"ERROR": "\x1b[31m", "WARN": "\x1b[33m", "INFO": "\x1b[32m", "DEBUG": "\x1b[36m", "TRACE": "\x1b[2m"}
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"


def printer(*, as_json: bool) -> Callable[[Record], None]:
    """Return what prints one record to stdout, as suits whoever reads it."""
    if as_json:
        return lambda record: out.json_line(msgspec.to_builtins(record))
    if not out.is_terminal():
        return lambda record: out.fields(
            utc(record.ts), record.level, record.thread_id or "", record.target, _counted(record)
        )
    # Not rich, which takes 40 ms to import: -f is for those who wait for the first line.
    coloured = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return lambda record: out.line(for_person(record, coloured=coloured))


def for_person(record: Record, *, coloured: bool) -> str:
    """Return ``record`` as a line, its exception in lines below, nothing in it that a terminal would obey."""
    level = safe.line(record.level)
    dim, colour, plain = (_DIM, _COLOURS.get(level, ""), _PLAIN) if coloured else ("", "", "")
    thread = f" [{safe.line(record.thread_id)}]" if record.thread_id else ""
    text = safe.block(_counted(record)).rstrip("\n").replace("\n", "\n    ")
    target = safe.line(record.target)
    return f"{dim}{_local(record.ts)}{plain} {colour}{level:<5}{plain}{dim}{thread}{plain} {target}: {text}"


def stats_lines(seen: LogStats) -> list[str]:
    """Return what a person is told of a log."""
    lines = [
        f"Log      {safe.line(words.tilde(seen.directory))}",
        f"         {words.count(seen.records, 'record')} in {words.count(seen.segments, 'segment')},"
        f" {words.size(seen.bytes)} on the disk",
    ]
    if seen.oldest_us is not None and seen.newest_us is not None:
        lines.append(f"From     {_local(seen.oldest_us)} to {_local(seen.newest_us)}")
    if seen.levels:
        lines.append(f"Levels   {_counts(seen.levels)}")
    if seen.dropped:
        lines.append(f"Dropped  {_counts(seen.dropped)}: writers had no room for them, and said so")
    if seen.hidden:
        lines.append(f"Hidden   {words.count(seen.hidden, 'record')}: deleted, and gone with their segment")
    if seen.unread_bytes:
        lines.append(f"Damaged  {words.size(seen.unread_bytes)} cannot be read; everything around them can")
    return lines


def stats_document(seen: LogStats) -> dict[str, Any]:
    """Return it as plain values."""
    found: dict[str, Any] = msgspec.to_builtins(seen)
    return found


def utc(us: int) -> str:
    """Return ``us`` since the epoch as ``2026-11-25T17:38:50.123456Z``; ``?`` beyond the years there are."""
    try:
        when = dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=us)
    except OverflowError:
        return "?"
    return when.isoformat(timespec="microseconds") + "Z"


def _local(us: int) -> str:
    second = words.local(us // 1_000_000 * 1_000)
    return second if second == "?" else f"{second}.{us // 1_000 % 1_000:03}"


def _counted(record: Record) -> str:
    said = body(record)
    if record.repeats:
        first, newline, rest = said.partition("\n")
        said = f"{first} (and {words.count(record.repeats, 'time')} more){newline}{rest}"
    return said


def _counts(counts: dict[str, int]) -> str:
    order = [*LEVELS[::-1], *sorted(counts.keys() - set(LEVELS))]
    return ", ".join(f"{counts[level]:,} {safe.line(level)}" for level in order if counts.get(level))
