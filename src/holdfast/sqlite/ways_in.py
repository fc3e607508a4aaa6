"""How to open somebody's database so that nothing about it changes. It depends on what lies beside it:

* an index (``-shm``): somebody has it open, or had. As in ``taking``, with
  ``readonly_shm``, and without a checkpoint at the end;
* a log without an index: nobody has it open. The index is made in our memory, by a
  connection without locks; the files are looked at again after each read;
* neither, in WAL mode: ``immutable``, and looked at again after each read;
* no WAL mode: with the shared lock of any reader.
"""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

import apsw

from holdfast.errors import Refused
from holdfast.sqlite import creation, settings, taking
from holdfast.sqlite.unread import How, Unread, UnreadError

_INDEX_OF_BYTES_MAX = 256 * settings.MIB
"""Of a log whose index we make ourselves: 1 s, and nothing can interrupt it."""
_INDEX_BYTES = 32 * 1024
_WRITE_VERSION = 18  # the byte of the header


class WayIn(NamedTuple):
    """``name`` to open it by, ``first`` to be run before anything else. ``lockless``: nothing keeps writers out."""

    name: str
    first: str
    lockless: bool


def find(path: str, *, index_is_useless: bool) -> WayIn:
    """Return the way in; ``index_is_useless`` when the one with the index was tried. Raises ``UnreadError``."""
    head = _head(path)
    wal_bytes, index_bytes = _size(f"{path}-wal"), _size(f"{path}-shm")
    if wal_bytes and (index_bytes < _INDEX_BYTES or index_is_useless):
        if wal_bytes > _INDEX_OF_BYTES_MAX:
            why = f"its log of {wal_bytes} bytes has no index that can be used, and making one takes too long"
            raise UnreadError(Unread(How.SLOW, 0, why))
        # In exclusive mode the index of a log is in memory, and without the locks of this VFS nobody is kept out.
        return WayIn(creation.uri(path, immutable=False) + "?vfs=unix-none", "PRAGMA locking_mode = EXCLUSIVE", True)
    if index_bytes < _INDEX_BYTES and head[_WRITE_VERSION] == taking.WAL_VERSION:
        return WayIn(creation.uri(path, immutable=True), "", True)
    return WayIn(creation.uri(path, immutable=False) + "?readonly_shm=1", "", False)


def _head(path: str) -> bytes:
    """Return the header of what is certainly a database by its first bytes."""
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise UnreadError(Unread(How.UNREADABLE, 0, "it is no plain file"))
        if found.st_size == 0:
            # SQLite removes the log of such a file when it opens it.
            raise UnreadError(Unread(How.UNREADABLE, 0, "it has 0 bytes: no database was made of it"))
        head = taking.header(path)
    except (OSError, Refused) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UnreadError(Unread(How.UNREADABLE, 0, why)) from error
    if not head.startswith(taking.MAGIC) or len(head) <= _WRITE_VERSION:
        raise UnreadError(Unread(How.CORRUPT, apsw.SQLITE_NOTADB, "it does not begin like a SQLite database"))
    return head


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
