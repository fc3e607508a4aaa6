"""Who holds a lock on a database file, as the kernel tells it in ``/proc/locks``.

Opens none of the database files: one careless ``open(db).close()`` in a process
that has the file in SQLite cancels its locks (fcntl(2), "advisory locking").
Linux only; elsewhere nobody is ever named.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

# The bytes SQLite locks in the -shm file (sqlite.org/walformat.html, "WAL locks").
_SHM_BYTES = {120: "WRITE", 121: "CKPT", 122: "RECOVER"} | {123 + n: f"READ{n}" for n in range(5)}
_EOF = 1 << 62


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that holds the writer's seat."""

    pid: int
    command: str
    state: str
    """One letter, as in ps(1): ``R``, ``S``, ``D``, ``T`` for stopped, ``?`` when it cannot be read."""
    since_ms: int | None = None
    """How long it has held the seat, in ms; None when it is not this process and nothing says so."""

    def __str__(self) -> str:
        return describe(self.pid, self.command, self.state) + (
            f" for {self.since_ms} ms" if self.since_ms is not None else ""
        )


@dataclass(frozen=True, slots=True)
class Pinner:
    """A process whose lock keeps the WAL from being reset."""

    pid: int
    command: str
    state: str
    locks: tuple[str, ...]
    """``READ0`` to ``READ4``, ``WRITE``, ``CKPT``, ``RECOVER``."""

    def __str__(self) -> str:
        return f"{describe(self.pid, self.command, self.state)} holding {'+'.join(self.locks)}"


@dataclass(frozen=True, slots=True)
class KernelLock:
    """One line of ``/proc/locks``. ``pid`` is -1 for an OFD lock, 0 for one outside our pid namespace."""

    kind: str
    pid: int
    device: tuple[int, int]
    inode: int
    first: int
    last: int


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


def seat_holder(path: str | os.PathLike[str]) -> Holder | None:
    """Return who holds the writer's seat of the database at ``path``, or None. About 0.05 ms."""
    for lock in _on(f"{os.path.realpath(path)}.seat"):
        if lock.kind == "FLOCK":
            return Holder(lock.pid, *process(lock.pid))
    return None


def pinners(path: str | os.PathLike[str]) -> list[Pinner]:
    """Return the processes whose locks keep the WAL of ``path`` from being reset. About 0.05 ms.

    A process that merely has the file open is not one of them.
    """
    held: dict[int, set[str]] = {}
    for lock in _on(f"{os.path.realpath(path)}-shm"):
        names = {name for byte, name in _SHM_BYTES.items() if lock.first <= byte <= lock.last}
        if names:
            held.setdefault(lock.pid, set()).update(names)
    # Our own transactions hold their locks twice (``shm.py``), once without a pid.
    if len(held) > 1:
        held.pop(-1, None)
    return [Pinner(pid, *process(pid), tuple(sorted(names))) for pid, names in sorted(held.items())]


def openers(path: str | os.PathLike[str]) -> list[Holder]:
    """Return the processes that have the database at ``path`` open for writing, or were in it. About 0.05 ms.

    Every connection that has read anything keeps a lock on the file as long
    as it is open (sqlite.org/wal.html, "read-only databases").
    """
    pids = {lock.pid for lock in _on(os.path.realpath(path))}
    return [Holder(pid, *process(pid)) for pid in sorted(pids if pids == {-1} else pids - {-1})]


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


def _on(path: str) -> list[KernelLock]:
    try:
        with open("/proc/locks", encoding="ascii") as file:
            text = file.read()
        stat = os.stat(path)
    except OSError:  # no /proc, or no such file: nobody to name
        return []
    found = [lock for lock in parse(text) if lock.inode == stat.st_ino]
    device = (os.major(stat.st_dev), os.minor(stat.st_dev))
    # On btrfs and some overlays stat(2) shows another device than the kernel's
    # lock table does; the inode alone then has to do.
    return [lock for lock in found if lock.device == device] or found
