"""Who holds a lock on a database file. Opens none of the database files (``holdfast.lockfiles`` says why)."""

from __future__ import annotations

import os
from dataclasses import dataclass

from holdfast.lockfiles import Holder, describe, holders, on, process

__all__ = ["Holder", "Pinner", "openers", "pinners", "seat_holder"]

# The bytes SQLite locks in the -shm file (sqlite.org/walformat.html, "WAL locks").
_SHM_BYTES = {120: "WRITE", 121: "CKPT", 122: "RECOVER"} | {123 + n: f"READ{n}" for n in range(5)}


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


def seat_holder(path: str | os.PathLike[str]) -> Holder | None:
    """Return who holds the writer's seat of the database at ``path``, or None. About 0.05 ms."""
    return next(iter(holders(f"{os.path.realpath(path)}.seat")), None)


def pinners(path: str | os.PathLike[str]) -> list[Pinner]:
    """Return the processes whose locks keep the WAL of ``path`` from being reset. About 0.05 ms.

    A process that merely has the file open is not one of them.
    """
    held: dict[int, set[str]] = {}
    for lock in on(f"{os.path.realpath(path)}-shm"):
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
    pids = {lock.pid for lock in on(os.path.realpath(path))}
    return [Holder(pid, *process(pid)) for pid in sorted(pids if pids == {-1} else pids - {-1})]
