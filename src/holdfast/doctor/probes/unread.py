"""What a probe says of a database that it could not read: damage is damage, and everything else is a partial look."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

from holdfast.doctor.homes.look import SqlLook
from holdfast.doctor.model import Confidence, Finding, Json, Status
from holdfast.sqlite.inspecting import How, Unread, UnreadError

_SAID = {
    How.LOCKED: (
        "a reader waits 250 ms at most",
        "Another process is writing it, or recovering it, and keeps readers out.",
        "Nothing is wrong with the file by this. Look again; if it stays so, the finding `write-lock-held` names who.",
    ),
    How.SLOW: (
        "each read is done within 250 ms, so that no writer has to wait for the doctor",
        "The file is large, or the disk is slow or busy.",
        "Nothing is wrong with the file by this. `holdfast doctor --deep` takes more time.",
    ),
    How.UNREADABLE: (
        "a plain file that this user may read, on a disk that answers",
        "The system, or what lies beside the file, does not let it be read.",
        "Nothing is known to be wrong with what is in it. Mend what is said here, or run the doctor as its owner.",
    ),
}


def probe(function: Callable[[SqlLook], Iterator[Finding]]) -> Callable[[SqlLook], Iterator[Finding]]:
    """Have a probe that meets a database it cannot read say so, once for each database, and end without an error.

    That its time was over is no finding: then ``UnreadError`` goes on to whoever runs it, who cuts the probe.
    """

    @functools.wraps(function)
    def told(look: SqlLook) -> Iterator[Finding]:
        try:
            yield from function(look)
        except UnreadError as error:
            if look.is_over():
                raise
            yield from of(look, look.path, error.unread)

    return told


def of(look: SqlLook, path: str, unread: Unread) -> Iterator[Finding]:
    """Yield what is to be said of a database that could not be read; nothing when that was said before."""
    if (path, unread.how) in look.told:
        return
    look.told.add((path, unread.how))
    details: dict[str, Json] = {"code": unread.code}
    if unread.how is How.CORRUPT:
        yield malformed(path, unread.why, details)
        return
    expected, cause, remedy = _SAID[unread.how]
    yield Finding(
        id=f"database-{unread.how}",
        row="F14",
        status=Status.PARTIAL,
        path=path,
        measured=f"It could not be read: {unread.why}.",
        expected=expected[0].upper() + expected[1:] + ".",
        confidence=Confidence.CERTAIN,
        cause=cause,
        remedy=remedy,
        details=details,
    )


def malformed(path: str, measured: str, details: dict[str, Json]) -> Finding:
    """Return the finding that a database is damaged."""
    return Finding(
        id="malformed",
        row="F14",
        status=Status.FAIL,
        path=path,
        measured=measured[0].upper() + measured[1:].rstrip(".") + ".",
        expected="SQLite finds nothing wrong with the pages of any table.",
        confidence=Confidence.CERTAIN,
        cause="Pages of the file do not hold what SQLite wrote: a disk or a network mount lost writes, its log was "
        "taken away or mixed up, or a SQLite with the WAL-reset bug (3.7.0 to 3.51.2) wrote it.",
        remedy="End the programs that use it, and leave the file and its -wal as they are. `holdfast doctor --plan` "
        "makes a plan that copies it, and saves the rows that can be read into a new file.",
        repair="salvage",
        details=details,
    )
