"""The whole of a database checked: on a copy of it, so that nobody waits however long that takes."""

from __future__ import annotations

import os
import tempfile
import time

import apsw

from holdfast.errors import Busy, Damaged, Full, HoldfastError
from holdfast.sqlite import settings, taken, taking, unread
from holdfast.sqlite.unread import How, Unread, UnreadError
from holdfast.sqlite.watchdog import Watchdog

_PROBLEMS_MAX = 20
_PAGES_A_STEP = 5_000  # 20 MB: each is a read transaction of its own


def problems(path: str, deadline_ns: int) -> list[str]:
    """Return what ``integrity_check`` finds wrong, up to 20 sentences; empty when nothing.

    Needs as much room as the file in ``$TMPDIR``; the copy is gone afterwards. Raises ``UnreadError``: also when
    it does not fit, when others write faster than it can be copied, and at the deadline.
    """
    try:
        folder = tempfile.mkdtemp(prefix="holdfast-")
    except OSError as error:
        raise UnreadError(Unread(How.UNREADABLE, 0, f"no copy of it can be made: {error.strerror or error}")) from error
    try:
        copy = os.path.join(folder, "copy.db")
        try:
            taking.check_file(path)
            taking.check_room(path, folder)
            now_ns = time.monotonic_ns()
            copied_ns = now_ns + (deadline_ns - now_ns) // 2  # the other half is for the check
            taking.take(path, copy, pages_a_step=_PAGES_A_STEP, deadline_ns=copied_ns)
        except HoldfastError as error:
            raise UnreadError(Unread(_how(error), 0, str(error))) from error
        return _checked(copy, deadline_ns)
    finally:
        taking.remove(folder)


def _checked(copy: str, deadline_ns: int) -> list[str]:
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    try:
        connection = settings.connect(copy, flags, settings.Patience(), first="PRAGMA locking_mode = EXCLUSIVE")
    except apsw.Error as error:
        raise UnreadError(unread.of(error)) from error
    watchdog = Watchdog(connection)
    try:
        with watchdog.watching(deadline_ns):
            found = [str(row[0]) for row in connection.execute(f"PRAGMA integrity_check({_PROBLEMS_MAX})")]
    except apsw.Error as error:
        told = unread.of(error, connection.system_errno)
        if told.how is How.CORRUPT:
            return [told.why]
        raise UnreadError(told) from error
    finally:
        watchdog.close()
        connection.close()
    return [each for each in found if each != "ok" and not taken.is_about_a_value(each)]


def _how(error: HoldfastError) -> How:
    if isinstance(error, Busy) and not isinstance(error, Full):
        return How.LOCKED
    return How.CORRUPT if isinstance(error, Damaged) else How.UNREADABLE
