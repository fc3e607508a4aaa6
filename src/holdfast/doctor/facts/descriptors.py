"""A walk over the descriptors of processes, which ends in time: who most likely holds something comes first.

A look at one descriptor takes 2 us, and so does its place in a listing; 200 processes of 10,000
take 8 s. So processes of few come first; then, whole, those that have a file in question mapped
or locked; then the first thousand of all others, who mostly open a database early; then the rest.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from holdfast.doctor.facts import parse
from holdfast.doctor.facts.model import Key, Opened

FIRST = 1_024
_SLICE = 256
_BLOCK = 512
_INOTIFY = "anon_inode:inotify"


@dataclass(slots=True)
class Table:
    """The descriptors of one process. ``count`` is how many it has, ``upto`` the number the walk came to."""

    pid: int
    count: int
    likely: bool = False
    upto: int = 0
    met: int = 0
    done: bool = False
    inotify: list[int] = field(default_factory=list)


class Walk:
    """Walks over the descriptors of many processes. ``opened`` holds what was found of the files asked for."""

    def __init__(self, keys: Collection[Key], names: Collection[str], deadline_ns: int) -> None:
        self._keys = frozenset(keys)
        self._names = frozenset(names)
        self._deadline_ns = deadline_ns
        self._anonymous = _anonymous()
        self.opened: list[Opened] = []
        self.unreadable: list[int] = []

    def is_over(self) -> bool:
        """Whether its time is over."""
        return time.monotonic_ns() >= self._deadline_ns

    def over(self, tables: Iterable[Table]) -> None:
        """Walk over ``tables``: the small, the likely, the beginnings of the others, and the rest."""
        tables = sorted(tables, key=lambda table: (not table.likely, table.count))
        for table in tables:
            if table.count <= FIRST:
                self._advance(table, None)
        for table in tables:
            self._advance(table, None if table.likely else FIRST)
        for table in tables:
            self._advance(table, None)

    def _advance(self, table: Table, upto: int | None) -> None:
        if table.done or self.is_over():
            return
        try:
            folder = os.open(f"/proc/{table.pid}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:  # it is gone
            table.done = True
            return
        except OSError:
            self.unreadable.append(table.pid)
            table.done = True
            return
        try:
            for numbers in self._numbers(table, folder, upto):
                self._look(table, folder, numbers)
                if self.is_over():
                    return
        except OSError:  # gone meanwhile
            table.done = True
        finally:
            os.close(folder)

    def _numbers(self, table: Table, folder: int, upto: int | None) -> Iterator[Iterable[int]]:
        """Yield numbers to look at, some at a time, and note how far that was."""
        if table.count <= FIRST and not table.upto:
            yield [int(name) for name in os.listdir(folder)]
            table.done = True
            return
        # A listing of 10,000 takes longer than asking for each number: the kernel makes a name of each.
        while not table.done and (upto is None or table.upto < upto):
            begin, table.upto = table.upto, table.upto + _SLICE
            yield range(begin, table.upto)
            if table.met >= table.count:
                table.done = True
            elif table.upto > 4 * table.count + FIRST:  # numbers far apart: then the listing, whole
                yield [number for name in os.listdir(folder) if (number := int(name)) >= table.upto]
                table.done = True

    def _look(self, table: Table, folder: int, numbers: Iterable[int]) -> None:
        stat, keys, anonymous = os.stat, self._keys, self._anonymous
        for number in numbers:
            try:
                seen = stat(str(number), dir_fd=folder)
            except FileNotFoundError:
                continue
            except OSError:  # a file on a disk that does not answer
                table.met += 1
                continue
            table.met += 1
            key = (seen.st_dev, seen.st_ino)
            if key in keys:
                self._note(table.pid, number, folder, key, seen, always=True)
            elif key == anonymous:
                with suppress(OSError):
                    if os.readlink(str(number), dir_fd=folder) == _INOTIFY:
                        table.inotify.append(number)
            elif not seen.st_nlink:
                self._note(table.pid, number, folder, key, seen, always=False)

    def _note(self, pid: int, fd: int, folder: int, key: Key, seen: os.stat_result, *, always: bool) -> None:
        try:
            name, _ = parse.without_deleted(os.readlink(str(fd), dir_fd=folder))
        except OSError:
            return
        if always or name in self._names:
            self.opened.append(Opened(pid, fd, key, name, not seen.st_nlink, seen.st_size, seen.st_blocks * _BLOCK))


def count(pid: int) -> int | None:
    """Return how many descriptors a process has, or at most has; None when that cannot be seen. 20 us.

    Since Linux 6.2 the size of the folder says it.
    """
    try:
        found = os.stat(f"/proc/{pid}/fd").st_size
        if found:
            return found
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("FDSize:")), None)
    except OSError:
        return None


def still(opened: Iterable[Opened]) -> Iterator[Opened]:
    """Yield those that are open as before, with the figures of now. Follows each by its number."""
    for each in opened:
        if each.fd < 0:
            continue
        path = f"/proc/{each.pid}/fd/{each.fd}"
        with suppress(OSError):
            seen = os.stat(path)
            if (seen.st_dev, seen.st_ino) == each.key:
                deleted = not seen.st_nlink
                yield Opened(each.pid, each.fd, each.key, each.name, deleted, seen.st_size, seen.st_blocks * _BLOCK)


def _anonymous() -> Key:
    """Return the inode that the kernel's descriptors without a file share, among them those of inotify."""
    fd = os.eventfd(0)
    try:
        seen = os.fstat(fd)
        return seen.st_dev, seen.st_ino
    finally:
        os.close(fd)
