"""What lies in ``backups/`` and may go: copies of ``state.db``, and what a restore moved aside.

A copy is made under a name that nobody takes for one, and gets its own name
when it is whole, checked and on disk. Snapshots of what people said
(``said.py``) and files moved aside as damaged are not touched here.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from contextlib import suppress

import msgspec

from holdfast import folders
from holdfast.errors import Refused, Unsupported
from holdfast.state.directory import BACKUPS

KEPT = 5
"""Copies in ``backups/``; the oldest go first."""

KEPT_BYTES = 2 << 30
"""What they may take together; the newest stays whatever its size."""

REPLACED_KEPT = 3
"""Files that a restore moved aside; the oldest go first."""

_NAME = re.compile(r"state-(\d{8}T\d{6})\.(\d{3})Z\.db")
_REPLACED = re.compile(r"replaced-\d{8}T\d{6}Z-\d{3}-\d+")
_TIME = "%Y%m%dT%H%M%S"
_PARTIAL = ".partial"


class BackupFile(msgspec.Struct, frozen=True, kw_only=True):
    """One copy in ``backups/``: where, how large, and the time in its name, in ms since the epoch."""

    path: str
    bytes: int
    taken_ms: int


class Partial:
    """A file in the making, beside where it will be. Locked while its maker lives, so that a dead one's is known."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.path = os.path.join(
            os.path.dirname(target), f".{os.path.basename(target)}.{os.urandom(6).hex()}{_PARTIAL}"
        )
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Unsupported(
                f"nothing can be made in {os.path.dirname(target)}: {error.strerror}",
                remedy="Name another place for the copy.",
            ) from error
        with suppress(OSError):  # a mount without locks: then nobody tidies up there but a person
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def publish(self) -> None:
        """Sync the file, give it its name, and sync that. Raises ``Refused`` when something has the name by now."""
        os.fsync(self._fd)
        try:
            os.link(self.path, self.target)  # unlike rename(2) it never takes the place of another file
        except FileExistsError:
            raise exists(self.target) from None
        except OSError:  # a filesystem without hard links
            if os.path.lexists(self.target):
                raise exists(self.target) from None
            os.rename(self.path, self.target)
        folders.sync(os.path.dirname(self.target))

    def close(self) -> None:
        """Delete what was not published. Twice is fine."""
        if self._fd >= 0:
            for suffix in ("", "-journal"):
                with suppress(FileNotFoundError):
                    os.unlink(self.path + suffix)
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Partial:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def exists(target: str) -> Refused:
    """Return the error for a target that is taken."""
    return Refused(f"{target} is there already; nothing is written over", remedy="Name a file that is not there yet.")


def folder(state_dir: str) -> str:
    """Return ``backups/``, made when it is missing."""
    path = os.path.join(state_dir, BACKUPS)
    folders.make(path)
    return path


def new_name(where: str) -> str:
    """Return the name of a copy made now, later than every other in ``where``, also when the clock was set back."""
    ms = max([time.time_ns() // 1_000_000, *(file.taken_ms + 1 for file in listing(where))])
    return f"state-{time.strftime(_TIME, time.gmtime(ms // 1000))}.{ms % 1000:03}Z.db"


def listing(where: str) -> list[BackupFile]:
    """Return the copies in the folder ``where``, the newest first. One stat each."""
    found = []
    for name in _names(where):
        if match := _NAME.fullmatch(name):
            path = os.path.join(where, name)
            with suppress(OSError, ValueError):
                seconds = _seconds(match[1])
                found.append(
                    BackupFile(path=path, bytes=os.stat(path).st_size, taken_ms=seconds * 1000 + int(match[2]))
                )
    return sorted(found, key=lambda file: file.taken_ms, reverse=True)


def prune(where: str, keep: str) -> list[str]:
    """Delete the oldest copies beyond what is kept, never ``keep``, which was just checked; return which."""
    gone, taken = [], 0
    for number, file in enumerate(listing(where)):
        taken += file.bytes
        if file.path != keep and (number >= KEPT or taken > KEPT_BYTES):
            with suppress(FileNotFoundError):  # another process tidies up, too
                os.unlink(file.path)
                gone.append(file.path)
    return gone


def prune_replaced(state_dir: str, keep: str | None) -> None:
    """Delete the oldest of what restores moved aside, never ``keep``."""
    where = os.path.join(state_dir, BACKUPS)
    for name in sorted(filter(_REPLACED.fullmatch, _names(where)), reverse=True)[REPLACED_KEPT:]:
        if os.path.join(where, name) != keep:
            shutil.rmtree(os.path.join(where, name), ignore_errors=True)


def sweep(where: str) -> None:
    """Delete what dead processes began in ``where`` and did not live to finish."""
    for name in _names(where):
        if not (name.startswith(".") and name.endswith(_PARTIAL)):
            continue
        path = os.path.join(where, name)
        with suppress(OSError):
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # who makes it, has it
                os.unlink(path)
            finally:
                os.close(fd)


def _names(where: str) -> list[str]:
    try:
        return os.listdir(where)
    except OSError:
        return []


def _seconds(text: str) -> int:
    import calendar

    return calendar.timegm(time.strptime(text, _TIME))
