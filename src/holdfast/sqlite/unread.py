"""Why a look at a database did not end, told apart: corrupt, locked, slow, or unreadable. Only the first is damage."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import NamedTuple

import apsw

from holdfast.errors import HoldfastError
from holdfast.sqlite import codes


class How(StrEnum):
    """What kept a read from its end."""

    CORRUPT = "corrupt"
    LOCKED = "locked"
    SLOW = "slow"
    UNREADABLE = "unreadable"


class Unread(NamedTuple):
    """``code``: SQLite's extended result code, 0 when SQLite was not asked. ``why`` names it."""

    how: How
    code: int
    why: str


class UnreadError(HoldfastError):
    """A read did not end. For whoever runs probes: it is told as what it is, and nothing else ends."""

    remedy = "Look again when nobody is at work there."

    def __init__(self, unread: Unread) -> None:
        super().__init__(unread.why)
        self.unread = unread


# Primary codes (sqlite.org/rescode.html). What is not named here is `unreadable`: the machine's, or a schema we do not
# know. An extended code never changes the answer: 522 (a short read, on AFS) was called damage once, and was none.
_HOW = {
    apsw.SQLITE_CORRUPT: How.CORRUPT,
    apsw.SQLITE_NOTADB: How.CORRUPT,
    apsw.SQLITE_BUSY: How.LOCKED,
    apsw.SQLITE_LOCKED: How.LOCKED,
    apsw.SQLITE_PROTOCOL: How.LOCKED,
    apsw.SQLITE_SCHEMA: How.LOCKED,
    apsw.SQLITE_INTERRUPT: How.SLOW,
}


def of(error: apsw.Error, errno: int = 0) -> Unread:
    """Return what an error of SQLite's means. ``errno``: the connection's ``system_errno``."""
    code = getattr(error, "extendedresult", 0) or getattr(error, "result", apsw.SQLITE_ERROR)
    how = _HOW.get(code & 0xFF, How.UNREADABLE)
    system = f"; {os.strerror(errno)}" if errno and how is How.UNREADABLE and code & 0xFF != apsw.SQLITE_ERROR else ""
    return Unread(how, code, f"{error}{system} ({codes.name_of(code)}, {code})")
