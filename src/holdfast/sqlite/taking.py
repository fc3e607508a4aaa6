"""A copy of another program's live database, without a trace on it: pages through SQLite, or bytes.

For a process of its own: a database is opened here by bytes, too, and a close of
such a descriptor would cancel the locks of everything else in the process.

A database in WAL mode that has an index is read through SQLite with
``readonly_shm``: the index is mapped for reading, so no mark is set in it, and a
missing lock of its owner (Hermes loses its own, see ``README.md``) is not taken for
an abandoned index, which would be truncated. With NO_CKPT_ON_CLOSE it does not ask at
the end whether it is the last, for which it would lock out everybody. What is held
is a shared lock, for as long as the pages are copied. What SQLite cannot read without
a trace (a log without an index, a journal of a killed writer) nobody has open; then
its bytes are copied, and the copy is recovered.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import stat
import struct
import time
from contextlib import suppress

import apsw

from holdfast.errors import Busy, Damaged, Full, HoldfastError, Refused
from holdfast.sqlite import codes, creation, settings

WAIT_MS = 5_000
THEIRS = "It is another program's: let that mend it, or name a copy that it made."

_TRIES = 20
_PAUSE_S = 0.05
_ROOM_BYTES = 8 * settings.MIB
MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100
WAL_VERSION = 2  # byte 18 of the header (sqlite.org/fileformat2.html#file_format_version_numbers)
_SIDECARS = ("", "-wal", "-journal")
_READ0_BYTE = 123  # of the -shm (sqlite.org/walformat.html, "WAL locks")
_LOCK = "hhqqi4x"  # struct flock on 64-bit Linux

Stamps = tuple[tuple[int, int, int, int] | None, ...]


def leave_owners() -> None:
    """Have SQLite leave the owners of files alone, in all of this process. For one that changes nothing.

    When root opens a database, SQLite gives its log and its index to the owner of that, each time anew (`robustFchown`
    in os_unix.c): a change of somebody's files, if mostly of their times only. Before, it asks who it is.
    """
    never_root = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p).value
    assert never_root is not None  # it is a function's address
    names = _Names("holdfast-owners", "unix")
    names.xSetSystemCall("geteuid", never_root)
    names.unregister()


class _Names(apsw.VFS):
    """Nothing but a hand on the system calls of the VFS it stands on, which are those of all connections."""


def check_file(path: str) -> None:
    """Raise ``Refused`` or ``Damaged`` for what is no database at all."""
    try:
        found = os.stat(path)
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):
        raise Refused(f"{path} is no plain file")
    if found.st_size == 0:
        creation.check_empty(path)
        raise Damaged(f"{path} is empty: no database was made of it yet", remedy=THEIRS)
    if header(path)[: len(MAGIC)] != MAGIC:
        raise Damaged(f"{path} is no SQLite database: it does not begin like one", remedy=THEIRS)


def header(path: str) -> bytes:
    """Return the first 100 bytes, or as many as there are. Raises ``Refused`` when they cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(_HEADER_BYTES)
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}") from error


def check_room(path: str, folder: str) -> None:
    """Raise ``Full`` when a copy of ``path`` does not fit into ``folder``."""
    size = sum(seen[2] for seen in stamps(path) if seen is not None)
    found = os.statvfs(folder)
    if (free := found.f_bavail * found.f_frsize) < size + _ROOM_BYTES:
        raise Full(
            f"{os.path.dirname(folder)} has {free} bytes free; a copy of {path} takes {size}",
            remedy="Make room there, or name another folder with TMPDIR.",
        )


def take(path: str, copy: str, *, pages_a_step: int = -1, deadline_ns: int | None = None) -> None:
    """Make ``copy``, with a log or a journal beside it where there was one. Raises ``Busy`` and its like.

    With ``pages_a_step`` in many short reads: it begins anew whenever somebody writes meanwhile, up to the deadline.
    """
    in_wal_mode = header(path)[18:19] == bytes([WAL_VERSION])
    has_index = os.path.exists(f"{path}-shm")
    if not in_wal_mode or has_index:
        name = creation.uri(path, immutable=False) + ("?readonly_shm=1" if in_wal_mode else "")
        try:
            _copy_pages(path, name, copy, pages_a_step, deadline_ns)
            return
        except (Busy, Full):
            raise
        except HoldfastError:
            pass  # not without a trace, or not at all: the bytes are there
    _copy_bytes(path, copy)


def wait_to_read(path: str, patience: settings.Patience) -> None:
    """Wait until nobody keeps readers from a database in WAL mode that has an index. Raises ``Busy`` with the pid.

    A reader that meets a checkpoint tries again by itself, and SQLite sleeps up to 10 s over that, deaf to
    interrupts: where the process that makes it was stopped, that is for nothing. To be asked before the first
    connection: an index is opened by bytes.
    """
    while pid := _keeps_readers_out(f"{path}-shm"):
        if not patience(0):
            raise _told(Busy(f"{path} is kept from being read by pid {pid}, which is at a checkpoint"))


def _keeps_readers_out(index: str) -> int:
    try:
        fd = os.open(index, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return 0
    try:
        asked = struct.pack(_LOCK, fcntl.F_RDLCK, os.SEEK_SET, _READ0_BYTE, 1, 0)
        kind, _, _, _, pid = struct.unpack(_LOCK, fcntl.fcntl(fd, fcntl.F_GETLK, asked))
        return 0 if kind == fcntl.F_UNLCK else pid
    except OSError:
        return 0
    finally:
        os.close(fd)


def remove(folder: str) -> None:
    """Remove the folder of a copy."""
    shutil.rmtree(folder, ignore_errors=True)


def _copy_pages(path: str, name: str, copy: str, pages_a_step: int, deadline_ns: int | None) -> None:
    patience = settings.Patience()
    patience.deadline_ns = deadline_ns or settings.deadline(WAIT_MS)
    source = target = None
    wait_to_read(path, patience)
    try:
        source = settings.connect(name, apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI, patience)
        source.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        target = settings.connect(copy, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE, patience)
        settings.run_all(target, "PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF;")
        with target.backup("main", source, "main") as backup:
            while not backup.done:
                if deadline_ns is not None and time.monotonic_ns() > deadline_ns:
                    raise _told(Busy(f"{path} could not be copied in the time given"))
                try:
                    backup.step(pages_a_step)
                except (apsw.BusyError, apsw.LockedError):
                    if time.monotonic_ns() > patience.deadline_ns:
                        raise
                    time.sleep(_PAUSE_S)
    except apsw.Error as error:
        for end in ("", "-journal", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.unlink(copy + end)
        raise _told(codes.translate(error, path, source.system_errno if source else 0)) from error
    finally:
        for connection in (target, source):
            if connection is not None:
                connection.close()


def _copy_bytes(path: str, copy: str) -> None:
    for _ in range(_TRIES):
        before = stamps(path)
        try:
            for end in _SIDECARS:
                if os.path.exists(path + end):
                    shutil.copyfile(path + end, copy + end)
                elif os.path.exists(copy + end):
                    os.unlink(copy + end)
        except FileNotFoundError:
            continue  # gone between the look and the copy: somebody is at work
        except OSError as error:
            raise codes.from_system(error, f"copying {path}") from error
        if stamps(path) == before:
            return
        time.sleep(_PAUSE_S)
    raise _told(Busy(f"{path} was written each time it was copied, {_TRIES} times"))


def stamps(path: str) -> Stamps:
    """Return what changes when the database, its log or its journal is written or replaced. A ``stat`` each."""
    found: list[tuple[int, int, int, int] | None] = []
    for end in _SIDECARS:
        try:
            seen = os.stat(path + end)
            found.append((seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns))
        except FileNotFoundError:
            found.append(None)
    return tuple(found)


def _told(error: HoldfastError) -> HoldfastError:
    if type(error) is Busy:
        error.remedy = "Another program is writing it: try again."
    return error
