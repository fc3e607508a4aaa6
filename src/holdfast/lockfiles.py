"""Lock files: taken with ``flock(2)``, let go when the last process that has one dies; and who holds which.

Knows no subject. Who holds a lock is asked of ``/proc/locks`` and never of the
file: one careless ``open(db).close()`` in a process that has the file in SQLite
cancels its locks (fcntl(2), "advisory locking"). Linux only; elsewhere nobody is
ever named.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

from holdfast.errors import Busy

_EOF = 1 << 62
_GUARD_WAIT_MS = 200  # it is held for one open or one unlink, some microseconds


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that holds a lock."""

    pid: int
    command: str
    state: str
    """One letter, as in ps(1): ``R``, ``S``, ``D``, ``T`` for stopped, ``?`` when it cannot be read."""
    since_ms: int | None = None
    """How long it has held the lock, in ms; None when it is not this process and nothing says so."""

    def __str__(self) -> str:
        return describe(self.pid, self.command, self.state) + (
            f" for {self.since_ms} ms" if self.since_ms is not None else ""
        )


@dataclass(frozen=True, slots=True)
class KernelLock:
    """One line of ``/proc/locks``. ``pid`` is -1 for an OFD lock, 0 for one outside our pid namespace."""

    kind: str
    pid: int
    device: tuple[int, int]
    inode: int
    first: int
    last: int


class FileLock:
    """A lock that is held until ``release``, or until this process dies. Made by ``take``."""

    def __init__(self, path: str, fd: int, guard: str | None) -> None:
        self.path = path
        self._fd = fd
        self._guard = guard

    @property
    def held(self) -> bool:
        """Whether this process holds it. A forked child does not: it has no part in its parent's locks."""
        return self._fd >= 0

    def release(self) -> None:
        """Let go; a second time does nothing. A lock with a guard takes its file away, if nobody is just opening it."""
        if self._guard is None or not self.held:
            self._close()
            return
        try:
            guard: FileLock | None = take(self._guard)
        except (Busy, OSError):
            guard = None  # an unlocked file that stays is in nobody's way
        self._close(unlink=guard is not None)
        if guard is not None:
            guard.release()

    def _close(self, *, unlink: bool = False) -> None:
        with _registering:
            if self._fd < 0:
                return
            fd, self._fd = self._fd, -1
            _held.discard(self)
            if unlink:
                try:
                    if _is_at(fd, self.path):
                        os.unlink(self.path)
                except OSError:
                    pass
            try:
                # Not by closing alone: a child being forked may have a copy of the descriptor for a moment.
                fcntl.flock(fd, fcntl.LOCK_UN)
            finally:
                os.close(fd)

    def __enter__(self) -> FileLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def take(
    path: str, *, wait_ms: float = 0, pause_ms_max: float = 50, shared: bool = False, guard: str | None = None
) -> FileLock:
    """Lock the file at ``path`` and return the lock; the file is made (0600) when there is none.

    ``guard`` is for files that are unlinked when they are let go: a second
    lock file, held shared while this one is opened and alone while it is
    unlinked, so that nobody ever locks a file that is no longer at its path.
    Raises ``Busy`` after ``wait_ms`` with the name of the holder, and
    ``OSError`` when the file cannot be made or locked. 10 us when it is free.
    Waits by trying again, after pauses that grow to ``pause_ms_max``: fair enough
    for locks that are held for long. Short ones are for locks that come free often.
    """
    begun_ns = time.monotonic_ns()
    deadline_ns = begun_ns + int(wait_ms * 1e6)
    pause_s = 0.0005
    while True:
        lock = _try(path, shared, guard)
        if lock is not None:
            return lock
        now_ns = time.monotonic_ns()
        if now_ns >= deadline_ns:
            who = ", ".join(map(str, holders(path))) or "somebody who left just now"
            waited = f"waited {(now_ns - begun_ns) // 1_000_000} ms: " if wait_ms else ""
            raise Busy(f"{waited}{path} is locked by {who}")
        # The low digits of the clock are random enough to part two waiters.
        time.sleep(min(pause_s * (1 + (now_ns >> 5) % 8 / 8), (deadline_ns - now_ns) / 1e9))
        pause_s = min(pause_s * 2, pause_ms_max / 1e3)


def take_free(path: str) -> FileLock | None:
    """As ``take``, without waiting; None when somebody has it, and nobody asks who. Raises ``OSError``."""
    return _try_alone(path, False, None)


def _try(path: str, shared: bool, guard: str | None) -> FileLock | None:
    if guard is None:
        return _try_alone(path, shared, None)
    # Our own processes unlink while they still hold it, so looking at the inode would do. Codex unlocks first.
    with take(guard, wait_ms=_GUARD_WAIT_MS, shared=True):
        return _try_alone(path, shared, guard)


def _try_alone(path: str, shared: bool, guard: str | None) -> FileLock | None:
    with _registering:  # a fork in between would leave the child a descriptor that nobody closes
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            if not _is_at(fd, path):  # its last holder unlinked it between our open and our flock
                os.close(fd)
                return None
        except BlockingIOError:
            os.close(fd)
            return None
        except OSError:
            os.close(fd)
            raise
        lock = FileLock(path, fd, guard)
        _held.add(lock)
        return lock


def _is_at(fd: int, path: str) -> bool:
    try:
        there = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    ours = os.fstat(fd)
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


# --- forks ---------------------------------------------------------------------

_registering = threading.RLock()
_held: set[FileLock] = set()


def _leave_to_parent() -> None:
    # Closing a copy of a descriptor leaves the lock with the parent (flock(2)); LOCK_UN would not.
    for lock in _held:
        os.close(lock._fd)
        lock._fd = -1
    _held.clear()
    _registering.release()


os.register_at_fork(before=_registering.acquire, after_in_parent=_registering.release, after_in_child=_leave_to_parent)


# --- who holds what ------------------------------------------------------------


def holders(path: str | os.PathLike[str]) -> list[Holder]:
    """Return who holds ``flock(2)`` locks on the file at ``path``. About 0.2 ms."""
    pids = {lock.pid for lock in on(os.path.realpath(path)) if lock.kind == "FLOCK"}
    return [Holder(pid, *process(pid)) for pid in sorted(pids)]


def on(path: str) -> list[KernelLock]:
    """Return every lock the kernel has on the file at ``path``; none when there is no such file.

    Two to four looks at the table, 0.1 ms each; a lock that ended between two of them is among them.
    """
    found: dict[KernelLock, None] = {}
    try:
        stat = os.stat(path)
        # The kernel hands its table out by the page, and a lock that comes or goes
        # between two pages shifts the rest: a line may come twice, or not at all.
        for _ in range(4):
            known = len(found)
            once = [lock for lock in _table() if lock.inode == stat.st_ino]
            found |= dict.fromkeys(once)
            if found and len(found) == known:
                break
    except OSError:  # no /proc, or no such file: nobody to name
        return []
    device = (os.major(stat.st_dev), os.minor(stat.st_dev))
    # On btrfs and some overlays stat(2) shows another device than the kernel's
    # lock table does; the inode alone then has to do.
    return [lock for lock in found if lock.device == device] or list(found)


def _table() -> list[KernelLock]:
    with open("/proc/locks", encoding="ascii") as file:
        return list(parse(file.read()))


def parse(text: str) -> Iterator[KernelLock]:
    """Yield the locks that are held; lines with ``->`` are of those who still wait."""
    for line in text.splitlines():
        fields = line.split()
        if len(fields) != 8 or "->" in fields:
            continue
        _, kind, _, _, pid, where, first, last = fields
        major, minor, inode = where.split(":")
        yield KernelLock(
            kind,
            int(pid),
            (int(major, 16), int(minor, 16)),
            int(inode),
            int(first),
            _EOF if last == "EOF" else int(last),
        )


def process(pid: int) -> tuple[str, str]:
    """Return the command and the state letter of a process; ``("?", "?")`` when we cannot see it."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            # Arguments may be whole programs: one line of them is enough to know it by.
            command = " ".join(file.read(400).replace(b"\0", b" ").decode("utf-8", "replace").split())[:80]
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            name, _, rest = file.read().partition(" ")[2].rpartition(")")
    except OSError:
        return "?", "?"
    return command or name.lstrip("("), rest.split()[0]


def describe(pid: int, command: str, state: str) -> str:
    """Return the words an error uses for a process."""
    stopped = ", stopped" if state in "Tt" else ""
    return f"pid {pid} ({command}{stopped})"
