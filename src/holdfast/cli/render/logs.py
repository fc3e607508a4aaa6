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
    from holdfast.logs.caps import Caps
    from holdfast.logs.model import Record
    from holdfast.logs.stats import LogStats

_COLOURS = {"ERROR": "\x1b[31m", "WARN": "\x1b[33m", "INFO": "\x1b[32m", "DEBUG": "\x1b[36m", "TRACE": "\x1b[2m"}
_RULES = {
    "age": "older than the limit",
    "records": "more records than the limit",
    "bytes": "more bytes than the limit",
    "thread_share": "more than its share of one thread",
    "free": "the disk is to keep some room",
    "bytes_per_day": "more bytes in a day than the limit",
    "error": "the disk did not take them",
    "busy": "others were making room",
}
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
    lines.append(f"Limits   {_limits(seen.limits)}; {words.size(seen.taken_bytes)} taken ({seen.full:.0%})")
    lines.append(f"Written  {words.size(seen.bytes_24h)} in the last 24 hours")
    if seen.levels:
        lines.append(f"Levels   {_counts(seen.levels)}")
    if seen.dropped:
        lines.append(f"Dropped  {_counts(seen.dropped)}: writers had no room for them, and said so")
    for rule, gone in sorted(seen.pruned.items()):
        told = f"{words.count(gone.records, 'record')} in {words.count(gone.segments, 'segment')}"
        lines.append(f"Went     {told}, {words.size(gone.bytes)}: {_RULES.get(rule, rule)}")
    for rule, count in sorted(seen.refused.items()):
        lines.append(f"Refused  {words.count(count, 'record')}: {_RULES.get(rule, rule)}")
    if seen.apart:
        lines.append(f"Apart    thread {safe.line(seen.apart)} writes most, into segments of its own")
    if seen.last_error and seen.last_error_us:
        lines.append(f"Error    {_local(seen.last_error_us)} {safe.line(seen.last_error)}")
    if seen.hidden:
        lines.append(f"Hidden   {words.count(seen.hidden, 'record')}: deleted, and gone with their segment")
    if seen.unread_bytes:
        lines.append(f"Damaged  {words.size(seen.unread_bytes)} cannot be read; everything around them can")
    return lines


def stats_document(seen: LogStats) -> dict[str, Any]:
    """Return it as plain values."""
    found: dict[str, Any] = msgspec.to_builtins(seen)
    found["limits"] = msgspec.structs.asdict(seen.limits)
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


def _limits(caps: Caps) -> str:
    told = [words.size(caps.bytes), f"{caps.age_s / 86_400:g} days"]
    if caps.records is not None:
        told.append(words.count(caps.records, "record"))
    if caps.bytes_per_day is not None:
        told.append(f"{words.size(caps.bytes_per_day)} a day")
    if caps.thread_share is not None:
        told.append(f"{caps.thread_share:.0%} for one thread")
    return ", ".join(told)


def _counts(counts: dict[str, int]) -> str:
    order = [*LEVELS[::-1], *sorted(counts.keys() - set(LEVELS))]
    return ", ".join(f"{counts[level]:,} {safe.line(level)}" for level in order if counts.get(level))
