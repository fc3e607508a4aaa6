"""One file that grows by whole blocks: a block is in it to its last byte, or not at all.

Knows nothing of lines. Every ``OSError`` leaves it as it was before the call,
or so that the next call makes it so.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from holdfast import folders
from holdfast.errors import Damaged, Full, HoldfastError, Refused, Unsupported

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_OPEN = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC


class GrowingFile:
    """A file of which this process is the only writer.

    ``size`` is what it holds of whole blocks; ``synced`` of these are safe
    from a power cut. ``made`` is False until the file exists.
    """

    def __init__(self, home: str, path: str, *, stat: os.stat_result | None = None) -> None:
        """``stat`` is of the file that is there; without it the first ``write`` makes the file."""
        self.path = path
        self._home = home
        self._fd = -1
        self._identity = None if stat is None else (stat.st_dev, stat.st_ino)
        self.size = self.synced = 0 if stat is None else stat.st_size
        # Nobody knows whether what is there was ever forced to the disk. Who went on behind it finds out with
        # the first sync, which takes the whole file.
        self._is_entered = False
        self._torn: bytes = b""  # what may lie behind `size`, or a part of it: our own write that failed
        self._distrusted = 0  # so many bytes behind `size` are ours, whatever they are by now

    @property
    def made(self) -> bool:
        """Whether the file exists, as far as we know."""
        return self._identity is not None

    def write(self, block: bytes) -> None:
        """Add ``block``: one ``stat`` and one ``write``.

        Raises ``OSError`` when it cannot be written, and ``Damaged`` when the
        file is no longer the one we left: replaced, moved, cut or added to.
        """
        try:
            self._check()
            self._torn = block
            written = os.write(self._fd, block)
            while written < len(block):  # a full disk takes a part, and says why when it is offered the rest
                written += os.write(self._fd, memoryview(block)[written:])
        except OSError:
            self._recover()
            raise
        # In this order: an interrupt (Ctrl-C) between any two of these lines leaves what `_check` can mend.
        self.size += len(block)
        self._torn = b""

    def sync(self) -> None:
        """Force what was written to the disk; the first time with the folders it lies in.

        When that fails nobody can say which of the unsynced bytes are there: the system reports an error once and
        takes the pages for clean (fsync(2), "Notes"). So they are given up: ``size`` falls back to ``synced``, and
        the caller writes them again.
        """
        if self._fd < 0:
            self._check()
        try:
            if self._is_entered:
                os.fdatasync(self._fd)
            else:
                os.fsync(self._fd)
                self._sync_folders()
                self._is_entered = True
        except OSError:
            self._distrusted = max(self._distrusted, self.size - self.synced)
            self.size = self.synced
            self.close()
            raise
        self.synced = self.size

    def remove_if_empty(self) -> None:
        """Take the file away when not one block ever got into it."""
        if self.made and not self.size:
            try:
                self._check()
                os.unlink(self.path)
            except (OSError, Damaged):
                pass
        self.close()

    def close(self) -> None:
        """Close the descriptor; the next call opens the file again."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    # --- opening, and what may have happened meanwhile -------------------------------

    def _check(self) -> None:
        if self._identity is None:
            self._make()
            return
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            if not os.path.isdir(os.path.dirname(self.path)):
                raise  # the disk is gone for now, perhaps
            raise self._damaged("it was moved or deleted") from None
        if (there.st_dev, there.st_ino) != self._identity:
            raise self._damaged("another file lies in its place")
        if self._fd < 0:
            self._fd = os.open(self.path, _OPEN)
        if there.st_size != self.size:
            self._mend(there.st_size)
        self._torn, self._distrusted = b"", 0

    def _mend(self, size: int) -> None:
        extra = size - self.size
        is_ours = 0 < extra <= self._distrusted
        if not is_ours and 0 < extra <= len(self._torn):
            is_ours = os.pread(self._fd, extra, self.size) == self._torn[:extra]
        if not is_ours:
            what = f"{-extra} bytes were cut off" if extra < 0 else f"{extra} bytes were added by somebody else"
            raise self._damaged(f"{what} while we held its writer's lock")
        os.ftruncate(self._fd, self.size)
        if self._distrusted and self.size:
            # What was synced is asked of the disk, not of memory.
            os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)
            if os.pread(self._fd, 1, self.size - 1) != b"\n":
                raise self._damaged("what was safely on the disk is no longer there")

    def _recover(self) -> None:
        """Cut a failed write back, and open the file anew next time."""
        if self._fd >= 0:
            try:
                size = os.fstat(self._fd).st_size
                if size != self.size:
                    self._mend(size)
            except (OSError, Damaged):
                pass  # the next `_check` looks again
            with suppress(OSError):
                self.close()

    def _make(self) -> None:
        os.stat(self._home)  # a home that is not mounted is not made anew on the disk below
        parts = os.path.relpath(os.path.dirname(self.path), self._home).split("/")
        for count in range(1, len(parts) + 1):
            try:
                os.mkdir("/".join([self._home, *parts[:count]]), 0o700)
            except FileExistsError:
                continue
        self._fd = os.open(self.path, _OPEN | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        made = os.fstat(self._fd)
        if made.st_size:  # an empty one is what is left of an attempt to make it
            self.close()
            raise Refused(f"{self.path} exists already")
        self._identity = (made.st_dev, made.st_ino)

    def _sync_folders(self) -> None:
        folder = self.path
        while folder not in (self._home, "/"):
            folder = os.path.dirname(folder)
            folders.sync(folder)

    def _damaged(self, what: str) -> Damaged:
        return Damaged(
            f"{self.path}: {what}. Nothing was written, what waits is still in memory",
            remedy="Find out who did it; then resume the thread, or save what `queued_block()` returns and discard().",
        )


def unwritable(error: OSError, what: str, more: str = "") -> HoldfastError:
    """Return the error for a disk that says no: ``Full`` when it is, else ``Unsupported``."""
    why = f"{what}: {error.strerror or error}" + (f"; {more}" if more else "")
    if error.errno in _NO_ROOM:
        return Full(why, remedy="Make room on the disk that holds the home, then call flush(); or discard().")
    return Unsupported(why, remedy="Make the home writable again, then call flush(); or discard().")
