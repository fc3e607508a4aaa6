"""What each SQLite result code asks the caller to do. The one table; no other file maps codes."""

from __future__ import annotations

import os
from errno import EDQUOT, EFBIG, EMFILE, ENFILE

import apsw

from holdfast.errors import Busy, Damaged, Full, HoldfastError, OutcomeUnknown, Refused, Unsupported

# Primary codes (sqlite.org/rescode.html). LOCKED and PROTOCOL are other people at
# work, never damage; IOERR and CANTOPEN are the machine's, and bring an errno.
_PRIMARY: dict[int, type[HoldfastError]] = {
    apsw.SQLITE_BUSY: Busy,
    apsw.SQLITE_LOCKED: Busy,
    apsw.SQLITE_PROTOCOL: Busy,
    apsw.SQLITE_SCHEMA: Busy,
    apsw.SQLITE_FULL: Full,
    apsw.SQLITE_INTERRUPT: Full,  # only `wal.py` interrupts, and only a transaction that outgrew its limit
    apsw.SQLITE_CORRUPT: Damaged,
    apsw.SQLITE_NOTADB: Damaged,
    apsw.SQLITE_FORMAT: Damaged,
    apsw.SQLITE_CANTOPEN: Unsupported,
    apsw.SQLITE_IOERR: Unsupported,
    apsw.SQLITE_PERM: Unsupported,
    apsw.SQLITE_NOMEM: Unsupported,
    apsw.SQLITE_NOLFS: Unsupported,
    apsw.SQLITE_INTERNAL: Unsupported,
    apsw.SQLITE_READONLY: Refused,
    apsw.SQLITE_CONSTRAINT: Refused,
    apsw.SQLITE_ERROR: Refused,
    apsw.SQLITE_AUTH: Refused,
    apsw.SQLITE_MISUSE: Refused,
    apsw.SQLITE_MISMATCH: Refused,
    apsw.SQLITE_RANGE: Refused,
    apsw.SQLITE_TOOBIG: Refused,
    apsw.SQLITE_ABORT: Refused,
}

# Extended codes whose remedy is not that of their primary code.
_EXTENDED: dict[int, type[HoldfastError]] = {
    apsw.SQLITE_READONLY_DBMOVED: Damaged,  # somebody renamed or removed the file under us
    apsw.SQLITE_IOERR_CORRUPTFS: Damaged,
    apsw.SQLITE_IOERR_SHMSIZE: Full,  # "may indicate that the volume is out of space": no room for the log's index
    apsw.SQLITE_CANTOPEN_CONVPATH: Refused,
}

# SQLite itself calls only ENOSPC full. A quota and a limit on the size of files have the same remedy.
_NO_ROOM = (EDQUOT, EFBIG)

NO_DESCRIPTOR = (EMFILE, ENFILE)
_CONNECTION_TAKES = 3  # descriptors: database, log, index of the log

_ERRNO_TELLS = (apsw.SQLITE_CANTOPEN, apsw.SQLITE_IOERR, apsw.SQLITE_FULL)


def kind_of(code: int) -> type[HoldfastError]:
    """Return the error class for an extended result code. The low byte is the primary code."""
    return _EXTENDED.get(code) or _PRIMARY.get(code & 0xFF, Unsupported)


def name_of(code: int) -> str:
    """Return the name SQLite's manual uses, such as ``SQLITE_BUSY_SNAPSHOT``."""
    extended = apsw.mapping_extended_result_codes.get(code)
    return str(extended or apsw.mapping_result_codes.get(code & 0xFF) or f"SQLite code {code}")


def translate(error: apsw.Error, doing: str, errno: int = 0) -> HoldfastError:
    """Return ``error`` as one of ours. ``doing`` is where it happened: a statement's name or a path.

    ``errno`` is ``connection.system_errno``; it is told only where SQLite took
    the code from the operating system.
    """
    code = getattr(error, "extendedresult", 0) or getattr(error, "result", apsw.SQLITE_ERROR)
    if code & 0xFF in _ERRNO_TELLS and (errno in NO_DESCRIPTOR or is_out_of_descriptors()):
        return _out_of_descriptors(doing)
    told = f": {os.strerror(errno)}" if errno and code & 0xFF in _ERRNO_TELLS else ""
    kind = Full if code == apsw.SQLITE_IOERR_WRITE and errno in _NO_ROOM else kind_of(code)
    return kind(f"{doing}: {error}{told} ({name_of(code)})")


def from_system(error: OSError, doing: str) -> HoldfastError:
    """Return an error of the operating system as one of ours."""
    if error.errno in NO_DESCRIPTOR:
        return _out_of_descriptors(doing)
    return Unsupported(f"{doing}: {error.strerror}")


def is_out_of_descriptors() -> bool:
    """Whether this process has too few left for a connection. SQLite says only "unable to open database file"."""
    tried: list[int] = []
    try:
        tried.extend(os.open(os.sep, os.O_RDONLY | os.O_CLOEXEC) for _ in range(_CONNECTION_TAKES))
    except OSError as error:
        return error.errno in NO_DESCRIPTOR
    finally:
        for fd in tried:
            os.close(fd)
    return False


def _out_of_descriptors(doing: str) -> Full:
    return Full(
        f"{doing}: this process can open no more files, its descriptors are used up",
        remedy="Close files, or raise the limit (`ulimit -n`), then try again.",
    )


def translate_commit(error: apsw.Error, path: str, errno: int = 0) -> HoldfastError:
    """Return a failed COMMIT as one of ours.

    FULL comes from a write at or before the commit frame, never from the sync
    after it (that is IOERR_FSYNC); a deferred constraint or BUSY comes before
    any write. Then the transaction is certainly not there. Anything else may
    have come after the frame was whole.
    """
    plain = translate(error, path, errno)
    if isinstance(plain, Busy | Refused):
        return plain
    return OutcomeUnknown(f"the commit failed, its outcome is unknown: {plain}")
