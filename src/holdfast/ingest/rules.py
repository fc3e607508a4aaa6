"""Which files must be read again, and from where; what is noted of them. Pure: no files, no database."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from holdfast.ingest.model import FileRow, LedgerRow, Problem
from holdfast.rollouts import Entry, Scan

ATTEMPTS_MAX = 3
"""A file that failed so often is left alone until it changes."""

RESUME_BYTES_MIN = 128 * 1024
"""Files below this are read again whole when they grow: it costs a tenth of a millisecond and no row."""

_RETRIED = frozenset({"unreadable", "gone"})


@dataclass(slots=True)
class Plan:
    """What to do with a home: files to read (and whether they may go on where they were), and files that vanished."""

    read: list[tuple[Entry, LedgerRow | None]] = field(default_factory=list)
    unchanged: int = 0
    failed: list[LedgerRow] = field(default_factory=list)
    """Unchanged since they last failed, and failed too often to try again."""
    vanished: list[LedgerRow] = field(default_factory=list)


_NOTE = re.compile(r"(\d{1,3}) %(?:, (\d+) of (\d+) files)?")


@dataclass(frozen=True, slots=True)
class Noted:
    """How far an index is, as its hold says."""

    percent: int = 0
    files_done: int = 0
    files: int = 0


def progress_of(note: str) -> Noted:
    """Return what ``Progress.note`` wrote; nothing is done yet when it is something else."""
    found = _NOTE.fullmatch(note)
    return Noted(*(int(each or 0) for each in found.groups())) if found else Noted()


def plan(
    entries: Iterable[Entry],
    ledger: Mapping[str, LedgerRow],
    *,
    full: bool = False,
    unreadable: Iterable[str] = (),
) -> Plan:
    """Compare what lies in a home with what the ledger remembers.

    ``unreadable`` are directories (relative) that could not be listed: what
    the ledger knows below them has not vanished, it is out of sight.
    """
    found = Plan()
    seen = set()
    for entry in entries:
        row = ledger.get(entry.path)
        if row is not None:
            seen.add(entry.path)
        if row is None or full or changed(entry, row) or (row.status in _RETRIED and row.attempts < ATTEMPTS_MAX):
            found.read.append((entry, row))
        elif row.status in ("ok", "duplicate"):
            found.unchanged += 1
        else:
            found.failed.append(row)
    hidden = tuple(f"{folder}/" for folder in unreadable)
    found.vanished = [
        row
        for path, row in ledger.items()
        if path not in seen and row.status != "gone" and not (hidden and path.startswith(hidden))
    ]
    # Newest first: file names begin with their time, and the first page people ask for is the newest.
    found.read.sort(key=lambda pair: pair[0].path.rpartition("/")[2], reverse=True)
    return found


def changed(entry: Entry, row: LedgerRow) -> bool:
    """Return True when the file is not the one the ledger describes."""
    return (
        entry.size != row.size
        or entry.mtime_ns != row.mtime_ns
        or entry.inode != row.inode
        or entry.zst is not bool(row.zst)
    )


def may_resume(entry: Entry, row: LedgerRow | None) -> bool:
    """Return True when the file can only have grown: same inode, not compressed, folded once, and not shorter."""
    return (
        row is not None
        and row.status == "ok"
        and not entry.zst
        and not row.zst
        and entry.inode == row.inode
        and RESUME_BYTES_MIN <= row.offset <= entry.size
    )


def knows_more(row: LedgerRow, scan: Scan) -> bool:
    """Return True when the ledger tells of a later state of the file than ``scan``: it only ever grows."""
    return (
        row.status == "ok"
        and not row.zst
        and not scan.zst
        and row.inode == scan.inode
        and row.size > scan.size
        and row.mtime_ns >= scan.mtime_ns
    )


def file_row(scan: Scan, entry: Entry, row: LedgerRow | None, *, home_id: int, free_id: int) -> FileRow:
    """Return what the ledger is to say of a file that was read.

    ``row`` is what it said before; a file it does not know gets ``free_id``.
    """
    ok = scan.status == "ok"
    problems = [Problem(scan.path, found.code, found.detail, found.count) for found in scan.problems]
    if not ok and not problems:
        problems = [Problem(scan.path, scan.status, scan.detail)]
    # Of a file that could not be opened only the walk knows which one it is.
    seen = scan if scan.inode else entry
    return FileRow(
        file_id=free_id if row is None else row.file_id,
        home_id=home_id,
        path=scan.path,
        zst=int(scan.zst),
        inode=seen.inode,
        size=seen.size,
        mtime_ns=seen.mtime_ns,
        offset=scan.offset,
        status=scan.status,
        attempts=0 if ok else (0 if row is None else row.attempts) + 1,
        problems=msgspec.json.encode(problems).decode() if problems else None,
        facts=msgspec.msgpack.encode(scan.facts) if ok and scan.offset >= RESUME_BYTES_MIN else None,
        thread_id=scan.facts.thread_id if ok and scan.facts else None,
    )
