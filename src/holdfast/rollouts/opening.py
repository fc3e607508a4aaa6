"""Opening somebody else's file to read it: never blocking, leaving no trace, refusing what is no file."""

from __future__ import annotations

import os
import stat

# A FIFO opened for reading blocks until somebody writes, without O_NONBLOCK.
_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
_NOATIME = getattr(os, "O_NOATIME", 0)


class NotRegular(Exception):
    """The path is a directory, a FIFO, a device or a socket."""


def open_file(path: str) -> tuple[int, os.stat_result]:
    """Return a descriptor and what ``fstat`` says of it.

    The access time is left alone where the system allows it (our own files,
    on Linux). Raises ``NotRegular``, or ``OSError`` as ``open`` does.
    """
    try:
        try:
            fd = os.open(path, _FLAGS | _NOATIME)
        except PermissionError:
            if not _NOATIME:
                raise
            fd = os.open(path, _FLAGS)  # O_NOATIME is only for the owner of a file (open(2))
    except OSError:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise NotRegular from None  # a socket cannot even be opened
        raise
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise NotRegular
    except BaseException:
        os.close(fd)
        raise
    return fd, found
