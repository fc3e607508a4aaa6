"""The kernel's inotify, held directly, so that what is asked for is ours to decide (inotify(7)). Linux only.

Reads are never subscribed to: no open, no access, no close, no attributes. A
watched file may be read by its watcher, for ever, without an event.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator

# <sys/inotify.h>
IN_MODIFY = 0x00000002
IN_MOVED_FROM = 0x00000040
IN_MOVED_TO = 0x00000080
IN_CREATE = 0x00000100
IN_DELETE = 0x00000200
IN_DELETE_SELF = 0x00000400
IN_MOVE_SELF = 0x00000800
IN_UNMOUNT = 0x00002000
IN_Q_OVERFLOW = 0x00004000
IN_IGNORED = 0x00008000
IN_ONLYDIR = 0x01000000
IN_EXCL_UNLINK = 0x04000000
IN_ISDIR = 0x40000000

MASK = IN_MODIFY | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF
"""What is asked of each directory. Writes through mmap and changes of mode or times are not among it."""

CAME = IN_CREATE | IN_MOVED_TO
WENT = IN_DELETE | IN_MOVED_FROM
OF_ITSELF = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED
"""Of the watched directory itself. ``IN_IGNORED`` ends a watch: the directory is gone, or we asked for it."""

_HEADER = struct.Struct("iIII")
_READ_BYTES = 64 * 1024  # some 1,500 events


class Inotify:
    """One instance: one descriptor. Raises ``OSError`` (``EMFILE``) when the kernel gives none."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self._checked(self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK), "inotify")

    def add(self, folder: str, key: tuple[int, int], *, follow: bool = False) -> int | None:
        """Watch the directory with this device and inode, and return its number: the same as long as it is watched.

        None when ``folder`` leads to another directory by now: whoever turns a name on the way does not choose
        what we watch. Raises ``OSError``. Holds a descriptor meanwhile.
        """
        held = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
        try:
            info = os.fstat(held)
            if (info.st_dev, info.st_ino) != key:
                return None
            # By the descriptor, not by the name: what was looked at is what is watched.
            by = f"/proc/self/fd/{held}".encode()
            return self._checked(self._libc.inotify_add_watch(self.fd, by, MASK | IN_ONLYDIR | IN_EXCL_UNLINK), folder)
        finally:
            os.close(held)

    def remove(self, wd: int) -> None:
        """Watch it no more. One that is gone already is no error."""
        self._libc.inotify_rm_watch(self.fd, wd)

    def read(self) -> Iterator[tuple[int, int, str]]:
        """Yield what waits, as ``(wd, mask, name)``: one read of at most 64 KiB, nothing when nothing waits."""
        try:
            data = os.read(self.fd, _READ_BYTES)
        except BlockingIOError:
            return
        at = 0
        while at < len(data):
            wd, mask, _, length = _HEADER.unpack_from(data, at)
            at += _HEADER.size
            name = data[at : at + length].partition(b"\0")[0]
            at += length
            yield wd, mask, os.fsdecode(name)

    def close(self) -> None:
        """Give the descriptor up, and every watch with it."""
        os.close(self.fd)

    def _checked(self, answer: int, what: str) -> int:
        if answer < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), what)
        return answer


def watches_allowed() -> int:
    """Return how many watches this user may have in all; 0 where the kernel does not say."""
    try:
        with open("/proc/sys/fs/inotify/max_user_watches", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0
