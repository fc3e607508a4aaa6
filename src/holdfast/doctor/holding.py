"""Being the only one at a database: shown twice, and kept so as long as the work takes.

Two things together. Locks: every connection of SQLite that reads or writes has a
shared lock on the file (in WAL mode for as long as it is open) and one on the -shm;
so an exclusive lock on all those bytes shows that there is none, and nobody who comes
later gets in: it waits, and is told "database is locked". And a look at what every
process has open, by device and inode: for who lost its locks to a careless close, or
has the file open and idle.

The locks are of open file descriptions, on descriptors of our own: no close of any
other descriptor cancels them. Linux only.
"""

from __future__ import annotations

import fcntl
import os
import stat
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field

from holdfast import lockfiles
from holdfast.errors import Busy, Refused, Unsupported
from holdfast.lockfiles import Holder
from holdfast.receipts.families import ENDS
from holdfast.sqlite import filesystems

_PENDING, _RANGE = 0x4000_0000, 512  # PENDING, RESERVED and the 510 of SHARED: sqlite.org/lockingv3.html
_SHM_LOCKS, _SHM_RANGE = 120, 9  # and the byte behind them that says "in use": sqlite.org/walformat.html
_SCAN_S = 60.0

Identity = tuple[int, int]


@dataclass(slots=True)
class Held:
    """A database that nobody else has. ``unseen``: how many processes, of other users, could not be looked at."""

    path: str
    unseen: int = 0
    own_fds: set[int] = field(default_factory=set)

    def prove(self) -> None:
        """Look again at what every process has open. Raises ``Busy`` with names."""
        self.unseen = _prove((self.path,), self.own_fds)


@contextmanager
def hold(*paths: str) -> Iterator[dict[str, Held]]:
    """Hold the databases at ``paths`` against everybody, and show that nobody has them.

    Raises ``Busy`` with the names of who has one open, ``Refused`` when it has other names or is no plain file,
    ``Unsupported`` where this cannot be shown. Costs a ``stat`` for each descriptor of each process, twice: 6 s for
    a million of them.
    """
    for path in paths:
        check_names(path)
        filesystems.check(path)
    if not paths:
        yield {}
        return
    if not hasattr(fcntl, "F_OFD_SETLK") or not os.path.isdir("/proc/self/fd"):
        raise Unsupported("whether somebody has a database open cannot be shown on this machine")
    _prove(paths, set())  # first: closing a descriptor of a file this process has in SQLite would cancel its locks
    own_fds: set[int] = set()
    with ExitStack() as opened:
        for path in paths:
            for name, first, size in ((path, _PENDING, _RANGE), (f"{path}-shm", _SHM_LOCKS, _SHM_RANGE)):
                fd = _locked(path, name, first, size)
                if fd >= 0:
                    opened.callback(os.close, fd)
                    own_fds.add(fd)
        unseen = _prove(paths, own_fds)
        yield {path: Held(path, unseen, own_fds) for path in paths}


def _locked(path: str, name: str, first: int, size: int) -> int:
    try:
        fd = os.open(name, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return -1
    except OSError as error:
        raise Refused(f"{name} cannot be written: {error.strerror}") from error
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, first, size, 0))
    except OSError as error:
        os.close(fd)
        if isinstance(error, BlockingIOError | PermissionError):
            raise _in_use(path, _lockers(name)) from None
        raise Unsupported(f"{name} cannot be locked: {error.strerror}") from error
    return fd


def _prove(paths: Sequence[str], own_fds: set[int]) -> int:
    """Raise ``Busy`` when somebody has one of the databases open; return how many could not be looked at."""
    of = {identity: path for path in paths for identity in identities(path)}
    found, unseen = openers(set(of), except_fds=own_fds)
    if found:
        path = of[found[0][1]]
        raise _in_use(path, list(dict.fromkeys(who for who, identity in found if of[identity] == path)))
    return unseen


def check_names(path: str) -> None:
    """Raise ``Refused`` unless ``path`` is a plain file's only name, and its sidecars are plain files."""
    if os.path.realpath(path) != path:
        raise Refused(f"{path} is another name of {os.path.realpath(path)}", remedy="Name the file itself.")
    for end in (*ENDS, "-shm"):
        try:
            info = os.lstat(path + end)
        except (FileNotFoundError, NotADirectoryError):
            if not end:
                raise Refused(f"there is no file {path}") from None
            continue
        if not stat.S_ISREG(info.st_mode):
            raise Refused(f"{path}{end} is no plain file", remedy="Put a plain file in its place, with nobody running.")
        if info.st_nlink > 1:  # none at all: somebody took it away just now
            raise Refused(
                f"{path}{end} has {info.st_nlink} names (hard links); who opens it by another has another log",
                remedy="Remove the names that nobody needs, with nobody running.",
            )


def identities(path: str) -> set[Identity]:
    """Return device and inode of each file of a database, the -shm included."""
    found = set()
    for end in (*ENDS, "-shm"):
        with suppress(OSError):
            info = os.stat(path + end)
            found.add((info.st_dev, info.st_ino))
    return found


def openers(wanted: set[Identity], *, except_fds: set[int]) -> tuple[list[tuple[Holder, Identity]], int]:
    """Return who has which of these files open, this process included, and how many processes could not be looked at.

    ``except_fds`` are descriptors of this process that do not count. Raises ``Busy`` when there is too much to see.
    """
    found: list[tuple[Holder, Identity]] = []
    unseen = 0
    until = time.monotonic() + _SCAN_S
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        if time.monotonic() > until:
            raise Busy(f"{_SCAN_S:.0f} s were not enough to see what every process has open; nothing was changed")
        pid = int(name)
        try:
            has = _has(pid, wanted, except_fds if pid == os.getpid() else set())
        except FileNotFoundError:
            continue  # it has ended
        except OSError:
            unseen += 1
            continue
        if has:
            holder = Holder(pid, *lockfiles.process(pid))
            found += ((holder, identity) for identity in has)
    return found, unseen


def _has(pid: int, wanted: set[Identity], except_fds: set[int]) -> set[Identity]:
    found = set()
    folder = os.open(f"/proc/{pid}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for number in os.listdir(folder):
            with suppress(OSError):  # closed since
                info = os.stat(number, dir_fd=folder)
                if (info.st_dev, info.st_ino) in wanted and int(number) not in except_fds:
                    found.add((info.st_dev, info.st_ino))
    finally:
        os.close(folder)
    return found


def lockless(path: str) -> list[Holder]:
    """Return who has the -shm of ``path`` open and no lock on it: its locks were lost, or it is just opening."""
    try:
        info = os.stat(f"{path}-shm")
    except OSError:
        return []
    found, _ = openers({(info.st_dev, info.st_ino)}, except_fds=set())
    return [each for each, _ in found if not _has_lock(each.pid, (info.st_dev, info.st_ino))]


def _has_lock(pid: int, wanted: Identity) -> bool:
    with suppress(OSError):
        for number in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                info = os.stat(f"/proc/{pid}/fd/{number}")
                if (info.st_dev, info.st_ino) == wanted:
                    with open(f"/proc/{pid}/fdinfo/{number}", encoding="ascii") as file:
                        if "lock:" in file.read():
                            return True
    return False


def _lockers(path: str) -> list[Holder]:
    pids = {lock.pid for lock in lockfiles.on(path)} - {-1, os.getpid()}
    return [Holder(pid, *lockfiles.process(pid)) for pid in sorted(pids)]


def _in_use(path: str, who: Sequence[Holder]) -> Busy:
    named = "; ".join(map(str, who)) or "somebody who cannot be named"
    return Busy(f"{path} is in use: {named}; nothing was changed", remedy="End those processes, then try again.")
