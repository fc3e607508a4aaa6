"""Who owns the files beside a database: left as it is while somebody's file is looked at.

Run by root, SQLite gives each ``-wal``, ``-shm`` and ``-journal`` that it opens to the
owner of the database (``fchown``), also when it only reads. It asks whether it is
root; while this holds, it hears that it is not. In the whole process: for one
that does nothing else.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import apsw

_ASKED = "geteuid"
_changing = threading.Lock()
_holders = 0
_vfs: apsw.VFS | None = None


def hold() -> None:
    """Have SQLite change no owner until ``release``; each needs one. Nothing to do for anybody but root."""
    global _holders, _vfs
    if os.geteuid() != 0:
        return
    with _changing:
        if not _holders:
            _vfs = _vfs or apsw.VFS("holdfast-owners", base="unix")
            # Another function of the C library with no argument, which is never 0.
            never_0 = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p).value
            assert never_0 is not None
            _vfs.xSetSystemCall(_ASKED, never_0)
        _holders += 1


def release() -> None:
    """End one ``hold``."""
    global _holders
    with _changing:
        if _holders:
            _holders -= 1
            if not _holders and _vfs is not None:
                _vfs.xSetSystemCall(_ASKED, 0)  # its own again


@contextmanager
def held() -> Iterator[None]:
    """``hold`` for a block."""
    hold()
    try:
        yield
    finally:
        release()
