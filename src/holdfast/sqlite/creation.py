"""Making a database file that a power cut cannot bring back empty.

Under the seat, so that several processes may create the same file at once; and
under ``synchronous=EXTRA``: with FULL the unlink of the journal used to enter
WAL mode is not synced before the first commit is, and a cut in between brings
the journal back, which takes WAL mode back (found by cutting the power at every
write).
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

import apsw

from holdfast import folders
from holdfast.errors import Busy, Damaged, Refused, Unsupported
from holdfast.sqlite import codes
from holdfast.sqlite.seat import Seat
from holdfast.sqlite.settings import Patience, connect, deadline, pragma_int, run_all

PAGE_BYTES = 4096  # 8192: 3 % smaller files, 69 % more WAL per update

_INDEX_BYTES = 32 * 1024  # the first region of an -shm (sqlite.org/walformat.html), made before anything is read

_CREATED_UNDER = "EXTRA"
_PATIENCE_MS = 5_000  # at most, with a neighbour that does not know the seat


def prepare(path: str, application_id: int | None, wait_ms: int) -> None:
    """Make ``path`` a database of ours in WAL mode, if it is not one yet.

    A missing directory is made (0700), a missing file too (0600). A file of 0
    bytes without a WAL is a creation that was cut short. With ``application_id``
    None the file may be anybody's, and keeps its id. Raises ``Damaged`` for a
    file that is no database, ``Refused`` for another program's, which is then
    as it was, and ``Busy`` when another process creates for longer than ``wait_ms``.
    """
    patience_ms = min(wait_ms, _PATIENCE_MS)
    if _is_ready(path, application_id, patience_ms):
        return
    try:
        folders.make(os.path.dirname(path))
    except OSError as error:
        raise Unsupported(f"{path}: its directory cannot be made: {error.strerror}") from error
    seat = Seat(path, tenure_ms=0)
    begun_ns = time.monotonic_ns()
    try:
        seat.take(begun_ns, begun_ns + wait_ms * 1_000_000)
        if not _is_ready(path, application_id, patience_ms):
            _create(path, application_id, patience_ms)
    finally:
        seat.close()


def check_header(connection: apsw.Connection, path: str, application_id: int | None) -> None:
    """Raise ``Damaged`` if this is no database, ``Refused`` if it is another program's. Reads one page.

    We give a file its id before anything else: one with tables and another id, or none, is not ours.
    """
    try:
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()[0][0]
    except apsw.Error as error:
        raise codes.translate(error, path, connection.system_errno) from error
    if application_id is None:
        return
    found = pragma_int(connection, "application_id")
    if found != application_id and (found or tables):
        raise Refused(
            f"{path} is another program's database: its application_id is {found:#x}, not {application_id:#x}; "
            "it was left as it is",
            remedy="Name another path (of the state directory: HOLDFAST_STATE or --state). "
            "`holdfast.sqlite.connect` opens any program's database as it is.",
        )


def in_use(path: str) -> bool:
    """Whether a log of ``path`` has something in it, or an index: then only with it the file is whole."""
    # An empty log without an index holds nothing, and nobody has it open. So it is with the beginning of an
    # index that a full disk left behind.
    try:
        return os.stat(f"{path}-wal").st_size > 0 or os.stat(f"{path}-shm").st_size >= _INDEX_BYTES
    except FileNotFoundError:
        return False


def uri(path: str, *, immutable: bool) -> str:
    """Return ``path`` as SQLite's URI. ``immutable`` makes no sidecars and takes no locks."""
    # All that sqlite.org/uri.html reads in a path; urllib.parse would cost 5 ms of imports.
    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return f"file:{quoted}{'?immutable=1' if immutable else ''}"


def _check_untouched(path: str, application_id: int, patience_ms: int) -> None:
    # A refusal must come before SQLite may write: the first read of a connection that
    # may, recovers a log or a journal, and its close can empty the log.
    patience = Patience()
    patience.deadline_ns = deadline(patience_ms)
    immutable = not in_use(path)
    try:
        connection = apsw.Connection(
            uri(path, immutable=immutable), flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        )
    except apsw.Error:
        return  # whoever opens it next meets the same, and says so
    try:
        connection.set_busy_handler(patience)
        check_header(connection, path, application_id)
    except (Busy, Damaged, Unsupported):
        return  # without locks a file in mid-write looks torn; the next look takes them
    finally:
        connection.close()


def _is_ready(path: str, application_id: int | None, patience_ms: int) -> bool:
    try:
        if os.stat(path).st_size == 0:
            check_empty(path)
            return False
    except FileNotFoundError:
        check_empty(path)
        return False
    if application_id is not None:
        _check_untouched(path, application_id, patience_ms)
    patience = Patience()
    patience.deadline_ns = deadline(patience_ms)
    connection = _opened(path, patience)
    try:
        check_header(connection, path, application_id)
        if application_id is not None and pragma_int(connection, "application_id") != application_id:
            return False  # a database without tables: it becomes ours
        return str(connection.pragma("journal_mode")) == "wal"
    finally:
        connection.close()


def check_empty(path: str) -> None:
    """Raise ``Damaged`` when a log lies beside a database of 0 bytes: SQLite would take it away unread."""
    try:
        wal_bytes = os.stat(f"{path}-wal").st_size
    except FileNotFoundError:
        return
    if wal_bytes:
        raise Damaged(f"{path} is missing or empty, but a write-ahead log of {wal_bytes} bytes lies beside it")


def _create(path: str, application_id: int | None, patience_ms: int) -> None:
    # O_EXCL: the file is new, so nobody in this process can have it open in
    # SQLite, and this one close cancels nobody's locks.
    try:
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise codes.from_system(error, f"{path} cannot be made") from error
    patience = Patience()
    patience.deadline_ns = deadline(patience_ms)
    connection = _opened(path, patience)
    try:
        connection.execute(f"PRAGMA synchronous = {_CREATED_UNDER}")
        if pragma_int(connection, "page_count") == 0:
            run_all(
                connection,
                f"PRAGMA page_size = {PAGE_BYTES};PRAGMA auto_vacuum = INCREMENTAL;",
            )
        if application_id is not None:
            connection.execute(f"PRAGMA application_id = {application_id}")
        mode = connection.pragma("journal_mode", "wal")
        if mode != "wal":
            raise Refused(f"{path} cannot be put in WAL mode: it stays in {mode}")
    except apsw.Error as error:
        raise codes.translate(error, path, connection.system_errno) from error
    finally:
        connection.close()


def _opened(path: str, patience: Patience) -> apsw.Connection:
    try:
        return connect(path, apsw.SQLITE_OPEN_READWRITE, patience)
    except apsw.Error as error:
        raise codes.translate(error, path) from error
