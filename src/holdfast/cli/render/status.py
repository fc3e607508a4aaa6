"""The status of a state directory, as lines and as JSON."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.cli.render import safe, words

if TYPE_CHECKING:
    from holdfast.ingest.model import Problem
    from holdfast.state.status import FileStatus, HomeStatus, Status

Problems = Mapping[str, Sequence["Problem"]]
"""What could not be read, by the path of the home."""

_WAL_BYTES_USUAL = 32 * 1024 * 1024  # twice what is checkpointed at: below, whoever reads is only at work
_OF_A_HANDLE = ("chores_failed", "chores_error")  # of this very process, which only looks


def status_document(status: Status, problems: Problems) -> dict[str, Any]:
    """Return ``status`` as plain values, and every problem of every home."""
    document = {key: value for key, value in msgspec.to_builtins(status).items() if key not in _OF_A_HANDLE}
    document["problems"] = [
        {"home": path, **msgspec.to_builtins(problem)} for path, found in problems.items() for problem in found
    ]
    return document


def status_lines(status: Status, problems: Problems, *, verbose: bool) -> Iterator[str]:
    """Yield the status as a person reads it."""
    now_ms = time.time_ns() // 1_000_000
    engine = f"PostgreSQL {safe.line(status.postgres_version)}" if status.postgres_version else None
    yield f"holdfast {status.version}, {engine or f'SQLite {status.sqlite_version}'}"
    files = {name: file for name, file in status.files.items() if file.bytes}
    if status.database is not None:
        yield f"State   {safe.line(status.database)}"
        yield f"Files   {safe.line(words.tilde(status.state_dir))}: logs, receipts and cache of this machine"
    else:
        yield f"State   {safe.line(words.tilde(status.state_dir))}" + ("" if files else "  (nothing is kept there yet)")
    for name, file in files.items():
        yield f"  {name:<10} {_file(file)}"
    if files and status.database is None:
        yield f"Backup  {_backup(status, now_ms)}"
    if status.search_threads or status.search_behind:
        yield f"Words   {_words(status)}"
    for home in status.homes:
        yield f"Home    {safe.line(words.tilde(home.path))}"
        yield from (f"  {text}" for text in _home(home, now_ms))
        if verbose:
            yield from (f"    {text}" for text in map(problem_line, problems.get(home.path, ())))
    if files and status.database is None:
        yield f"Writer  {safe.line(status.seat_holder or 'nobody')}"
    if files or status.database is not None:
        yield f"Holds   {status.holds or 'none'}" + ("; `holdfast holds` shows them" if status.holds else "")
    if any(file.wal_bytes > _WAL_BYTES_USUAL for file in files.values()):
        yield from (safe.line(f"The write-ahead log cannot shrink because of {each}") for each in status.pinners)
    yield "Doctor  `holdfast doctor` looks for what is wrong, here and in the homes"


def problem_line(problem: Problem) -> str:
    """Return one problem on one line."""
    times = f" ({problem.count} times)" if problem.count > 1 else ""
    return safe.line(f"{problem.path or '(the home)'}: {problem.code} {problem.detail}{times}")


def _file(file: FileStatus) -> str:
    wal = f", write-ahead log {words.size(file.wal_bytes)} of {words.size(file.wal_bytes_max)} at most"
    return words.size(file.bytes) + (wal if file.wal_bytes else "")


def _backup(status: Status, now_ms: int) -> str:
    newest = status.newest_backup
    if newest is None:
        return "none; `holdfast backup` makes one"
    age = f"{words.ago(newest.taken_ms, now_ms)}, {words.size(newest.bytes)}, {safe.line(words.tilde(newest.path))}"
    return age + (f" ({status.backups} in all, {words.size(status.backups_bytes)})" if status.backups > 1 else "")


def _words(status: Status) -> str:
    messages = f"{words.count(status.search_messages, 'message')} of {words.count(status.search_threads, 'thread')}"
    if not status.search_behind:
        return f"{messages}, up to date"
    return f"{messages}; {words.count(status.search_behind, 'thread')} changed since"


def _home(home: HomeStatus, now_ms: int) -> Iterator[str]:
    if home.indexed_ms is None:
        yield "not indexed yet, or not to its end: `holdfast index` does it"
        if not home.files:
            return
    else:
        yield f"last change indexed {words.ago(home.indexed_ms, now_ms)}"
    deleted = f", {home.deleted:,} deleted" if home.deleted else ""
    yield f"{words.count(home.threads, 'thread')}: {home.archived:,} archived, {home.missing:,} missing{deleted}"
    yield f"{words.count(home.files, 'file')}, {words.size(home.bytes)}"
    if home.failed or home.problems:
        failed = f"{words.count(home.failed, 'file')} gave no thread, " if home.failed else ""
        yield f"{failed}{words.count(home.problems, 'problem')}: `holdfast status --verbose` lists them"
