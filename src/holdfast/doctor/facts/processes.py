"""One bounded look at all processes: who has which file of the families open, locked or watched.

Identity is (device, inode), never a name: a file that was replaced has the same name, and
one in a container has another. Processes that may not be looked at are counted, and their
locks are seen nevertheless: "nobody" then means "nobody that may be seen".
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

from holdfast import lockfiles
from holdfast.doctor.facts import libraries, locks, parse
from holdfast.doctor.facts.descriptors import Table, Walk, count, still
from holdfast.doctor.facts.model import Family, Key, Mark, Opened, Process, Processes

_INOTIFY_BYTES_MAX = 8 << 20  # 100,000 watches
_MAPS_BYTES_MAX = 16 << 20
_JOIN_MS = 100


def scan(families: Sequence[Family], folders: dict[Key, str], deadline_ns: int) -> Processes:
    """Look at every process until ``deadline_ns`` (``time.monotonic_ns``).

    ``folders``: the directories whose watches are asked for, besides the families' files and their directories.
    """
    return _Scan(families, folders, deadline_ns).done()


def again(before: Processes, families: Sequence[Family]) -> Processes:
    """Look again at those who had something open, locked or watched, and at just that. Some milliseconds.

    Who is gone, or is another process by now, is missing; what was opened since is, too.
    """
    concerned = {each.pid for each in before.opened} | {each.pid for each in before.marks}
    concerned |= {each.pid for each in before.locks if each.pid is not None}
    alive = {}
    for pid, process in before.all.items():
        if pid not in concerned:
            continue
        now = _basic(pid)
        if now is not None and now.began_ticks == process.began_ticks:
            alive[pid] = replace(
                process, state=now.state, cpu_ticks=now.cpu_ticks, age_s=now.age_s, written_bytes=_written(pid),
                fds=count(pid),
            )  # fmt: skip
    opened = tuple(still(each for each in before.opened if each.pid in alive))
    keys = {key for family in families for key in family.keys}
    return replace(before, all=alive, opened=opened, locks=locks.owners(locks.on(keys), opened))


class _Scan:
    def __init__(self, families: Sequence[Family], folders: dict[Key, str], deadline_ns: int) -> None:
        self._deadline_ns = deadline_ns
        self._keys = {key for family in families for key in family.keys}
        self._names = {family.path + ending for family in families for ending in ("", "-wal", "-shm", "-journal")}
        self._watched = _watchable(families) | folders
        self._all: dict[int, Process] = {}
        self._mapped: dict[int, list[parse.Mapped]] = {}
        self._tables: list[Table] = []
        self._unreadable = 0
        self._left: list[str] = []

    def done(self) -> Processes:
        found = locks.on(self._keys)
        lockers = {lock.pid for lock in found if lock.pid is not None}
        pids = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if pid != os.getpid()]
        for pid in sorted(pids, key=lambda pid: (pid not in lockers, -pid)):
            self._see(pid, pid in lockers)
        walk = Walk(self._keys, self._names, self._deadline_ns)
        # A file on a disk that does not answer would hold us up for ever, so another thread asks.
        walker = threading.Thread(target=walk.over, args=(self._tables,), daemon=True)
        walker.start()
        walker.join(max(0.0, (self._deadline_ns - time.monotonic_ns()) / 1e9) + _JOIN_MS / 1e3)
        opened = [*walk.opened, *self._mapped_only(walk.opened)]
        self._note_left(walker.is_alive())
        marks = self._marks()
        found = locks.owners(found, opened)
        interesting = {each.pid for each in opened} | {mark.pid for mark in marks}
        interesting |= {lock.pid for lock in found if lock.pid is not None}
        for pid in interesting & self._all.keys():
            self._all[pid] = self._known_better(self._all[pid])
        return Processes(
            all=self._all,
            opened=tuple(opened),
            locks=found,
            marks=marks,
            left=tuple(self._left),
            unreadable=self._unreadable + len(walk.unreadable),
            watches_max=_number("/proc/sys/fs/inotify/max_user_watches"),
            instances_max=_number("/proc/sys/fs/inotify/max_user_instances"),
        )

    def _see(self, pid: int, locks_something: bool) -> None:
        process = _basic(pid)
        if process is None:
            return
        self._all[pid] = process
        if time.monotonic_ns() >= self._deadline_ns:
            self._tables.append(Table(pid, 0))
            return
        held = count(pid)
        mapped = _maps(pid, self._keys, self._names)
        if mapped:
            self._mapped[pid] = mapped
        if held is None:
            self._unreadable += 1
        elif held:
            self._tables.append(Table(pid, held, likely=locks_something or bool(mapped)))

    def _mapped_only(self, opened: Iterable[Opened]) -> list[Opened]:
        """Return what is mapped by processes in which it was not found open."""
        met = {(each.pid, each.key) for each in opened}
        found = []
        for pid, files in self._mapped.items():
            for file in dict.fromkeys(files):
                key = self._key(file)
                if key is not None and (pid, key) not in met:
                    found.append(Opened(pid, -1, key, file.name, file.deleted, 0, 0))
        return found

    def _key(self, file: parse.Mapped) -> Key | None:
        """Return which file a mapping is of. The kernel's device number is not always that of stat(2)."""
        if file.deleted:
            return (os.makedev(*file.device), file.inode) if file.name in self._names else None
        alike = [key for key in self._keys if key[1] == file.inode]
        device = os.makedev(*file.device)
        return next((key for key in alike if key[0] == device or file.name in self._names), None)

    def _marks(self) -> tuple[Mark, ...]:
        """Return the watches on the folders and files asked for, and count all of them in each process."""
        found = []
        by_inode: dict[int, list[Key]] = {}
        for key in self._watched:
            by_inode.setdefault(key[1], []).append(key)
        for table in self._tables:
            process = self._all[table.pid]
            total = 0
            for fd in table.inotify:
                for watch in parse.watches(_text(f"/proc/{table.pid}/fdinfo/{fd}", _INOTIFY_BYTES_MAX)):
                    total += 1
                    alike = by_inode.get(watch.inode, [])
                    # The kernel's device number is not always that of stat(2); its inode alone then has to do.
                    keys = [key for key in alike if key[0] == os.makedev(*watch.device)] or alike
                    found += [Mark(table.pid, fd, key, watch.mask, self._watched[key]) for key in keys]
            if table.inotify or table.done:
                self._all[table.pid] = replace(process, inotify_fds=len(table.inotify), watches=total)
        return tuple(found)

    def _known_better(self, process: Process) -> Process:
        pid = process.pid
        lines = map(parse.mapped, _text(f"/proc/{pid}/maps", _MAPS_BYTES_MAX).splitlines())
        return replace(
            process,
            command=lockfiles.process(pid)[0],
            fds=count(pid),
            fds_max=parse.soft_limit(_text(f"/proc/{pid}/limits")),
            written_bytes=_written(pid),
            libraries=libraries.of((line.name for line in lines if line is not None), f"/proc/{pid}/root"),
        )

    def _note_left(self, hangs: bool) -> None:
        left = [table for table in self._tables if not table.done]
        if left:
            missed = sum(max(0, table.count - table.met) for table in left)
            total = sum(table.count for table in self._tables)
            self._left.append(
                f"{missed:,} of {total:,} descriptors, in {len(left):,} of {len(self._tables):,} processes,"
                " were not looked at within the time given"
                + ("; a look at one of them did not come back." if hangs else ".")
            )


def _watchable(families: Sequence[Family]) -> dict[Key, str]:
    """Return the files of the families and the directories they lie in."""
    found: dict[Key, str] = {}
    for family in families:
        found |= {key: family.path + ending for key, ending in family.keys.items() if ending != "-shm"}
        folder = os.path.dirname(family.path)
        try:
            seen = os.stat(folder)
        except OSError:
            continue
        found[seen.st_dev, seen.st_ino] = folder
    return found


def _basic(pid: int) -> Process | None:
    seen = parse.stat(_text(f"/proc/{pid}/stat"))
    if seen is None:
        return None
    try:
        uid = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None
    return Process(
        pid=pid,
        uid=uid,
        command=seen.name,
        state=seen.state,
        began_ticks=seen.began_ticks,
        age_s=max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - seen.began_ticks / os.sysconf("SC_CLK_TCK")),
        parent=seen.parent,
        cpu_ticks=seen.cpu_ticks,
    )


def _maps(pid: int, keys: set[Key], names: set[str]) -> list[parse.Mapped]:
    """Return the mappings that may be of these files. A look at the whole text first: mostly none is."""
    text = _text(f"/proc/{pid}/maps", _MAPS_BYTES_MAX)
    wanted = [f" {inode} " for _, inode in keys if f" {inode} " in text]
    wanted += [f" {name} (deleted)" for name in names if f"{name} (deleted)" in text]
    if not wanted:
        return []
    lines = (line for line in text.splitlines() if any(each in line for each in wanted))
    return list(dict.fromkeys(found for line in lines if (found := parse.mapped(line)) is not None))


def _written(pid: int) -> int | None:
    return parse.written_bytes(_text(f"/proc/{pid}/io"))


def _number(path: str) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _text(path: str, most: int = 1 << 16) -> str:
    """Return what a file of /proc says; nothing, when the process is gone or may not be looked at."""
    try:
        with open(path, "rb", buffering=0) as file:
            pieces = []
            while most > 0 and (piece := file.read(min(most, 1 << 18))):
                pieces.append(piece)
                most -= len(piece)
            return b"".join(pieces).decode("utf-8", "surrogateescape")
    except OSError:
        return ""
