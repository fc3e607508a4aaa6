"""What a run says: one file each, bounded, kept for some weeks.

A worker writes into its file itself, so that it can go on when the dispatcher
dies. So the file is made smaller behind its back: it is opened for appending
(open(2), O_APPEND), so whatever the worker says after a cut comes after it.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress

from holdfast.board.dispatching import rules

_DAY_S = 24 * 3600
_TRIES = 100


class Log:
    """The log of one run, as long as it is written."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._seen = (0, 0)

    def grew(self) -> bool:
        """Return True when something was said since the last call. One stat."""
        try:
            info = os.stat(self.path)
        except OSError:  # somebody took it away: the worker writes on, into nothing
            return False
        seen, self._seen = self._seen, (info.st_size, info.st_mtime_ns)
        return seen != self._seen

    def bound(self, bytes_max: int) -> None:
        """Cut the middle out of it when it is larger. What is said between two steps of this may be lost with it."""
        with suppress(OSError):
            kept = rules.cut(os.path.getsize(self.path), bytes_max)
            if kept is None:
                return
            head, tail = kept
            with open(self.path, "r+b") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(size - tail)
                end = file.read(tail)
                cut = size - head - tail
                file.truncate(head)
                file.seek(0, os.SEEK_END)
                file.write(b"\n[%d bytes were cut out here]\n" % cut + end)


def make(folder: str, board: str, task_id: int, run_id: int) -> str:
    """Make the log of a run, and the folders above it; return its path. Raises ``OSError``."""
    above = os.path.join(folder, "logs", board, f"task-{task_id}")
    path = os.path.join(above, f"run-{run_id}.log")
    for _ in range(_TRIES):
        # A cleaning at the same moment takes folders away that are empty still.
        with suppress(FileNotFoundError):
            os.makedirs(above, mode=0o700, exist_ok=True)
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666))
            return path
    raise FileNotFoundError(errno.ENOENT, "taken away again each time it was made", above)


def drop_old(folder: str, days: int) -> int:
    """Delete the logs nobody wrote to for ``days``, and folders that are empty then; return how many logs."""
    oldest_s = time.time() - days * _DAY_S
    dropped = 0
    for above, _, names in os.walk(os.path.join(folder, "logs"), topdown=False):
        for name in names:
            path = os.path.join(above, name)
            with suppress(OSError):
                if name.endswith(".log") and os.stat(path).st_mtime < oldest_s:
                    os.unlink(path)
                    dropped += 1
        with suppress(OSError):  # something is in it
            os.rmdir(above)
    return dropped
