"""What a backup and a restore did, as sentences and as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.cli.render import safe, words

if TYPE_CHECKING:
    from holdfast.state import BackupReport, RestoreReport


def backup_document(done: BackupReport) -> dict[str, Any]:
    """Return ``done`` as plain values; its fields are the stable keys."""
    return dict(msgspec.to_builtins(done))


def backup_lines(done: BackupReport, *, verbose: bool) -> Iterator[str]:
    """Yield where the copy is, what is in it, and what is not."""
    yield safe.line(words.tilde(done.path))
    what = f"{words.count(done.threads, 'thread')} of {words.count(done.homes, 'home')}"
    yield f"  {what}, {words.size(done.bytes)}, copied and checked in {words.duration(done.duration_ms)}"
    yield from _findings(done.findings)
    if done.removed:
        yield f"  {words.count(len(done.removed), 'older backup')} removed"
    if verbose:
        yield from (f"  not in it: {each}" for each in done.not_included)


def restore_document(done: RestoreReport) -> dict[str, Any]:
    """Return ``done`` as plain values; its fields are the stable keys."""
    return dict(msgspec.to_builtins(done))


def restore_lines(done: RestoreReport) -> Iterator[str]:
    """Yield what is there now, and how to get back."""
    what = f"{words.count(done.threads, 'thread')} of {words.count(len(done.homes), 'home')}"
    yield f"Restored {what} from {safe.line(words.tilde(done.backup))} in {words.duration(done.duration_ms)}"
    if done.migrations:
        yield f"  {words.count(done.migrations, 'migration')} brought it to today's shape"
    if done.said:
        yield f"  Names and archive marks of {words.count(done.said, 'thread')} were kept, from: {done.said_from}"
    if done.holds_ended:
        yield f"  {words.count(done.holds_ended, 'hold')} ended"
    yield from _findings(done.findings)
    if done.moved_to is not None:
        kept = f"{done.moved_to}/state.db"
        yield f"  What was there is kept; to undo: {safe.line(shlex.join(['holdfast', 'restore', '--exact', kept]))}"


def _findings(findings: tuple[str, ...]) -> Iterator[str]:
    if findings:
        yield f"  {words.count(len(findings), 'thing')} in it is not as it must be:"
        yield from (f"    {safe.line(each)}" for each in findings)
