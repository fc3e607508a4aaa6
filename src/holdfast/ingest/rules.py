"""Which files must be read again, and from where. Pure: no files, no database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from holdfast.ingest.model import LedgerRow
from holdfast.rollouts import Entry

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
