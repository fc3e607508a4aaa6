"""Which kernel locks lie on files, and whose they are."""

from __future__ import annotations

import os
from collections.abc import Collection

from holdfast import lockfiles
from holdfast.doctor.facts import parse
from holdfast.doctor.facts.model import Key, Lock, Opened

_LOOKS_MAX = 4
_FDS_ASKED_MAX = 16
"""Of one process and file: copies of a descriptor have the same locks, and nobody has more than a few others."""


def on(keys: Collection[Key]) -> tuple[Lock, ...]:
    """Return the locks on these files. Two to four looks at the kernel's table, 0.1 ms each and more with many locks.

    A lock that ended between two of them is among them. Who holds an open file
    description's lock is not in the table: see ``owners``.
    """
    if not keys:
        return ()
    inodes = {inode for _, inode in keys}
    found: dict[lockfiles.KernelLock, None] = {}
    try:
        # The kernel hands its table out by the page, and a lock that comes or goes between two
        # pages shifts the rest: a line may come twice, or not at all.
        for look in range(_LOOKS_MAX):
            known = len(found)
            found |= dict.fromkeys(lock for lock in _table() if lock.inode in inodes)
            if look and len(found) == known:
                break
    except OSError:
        return ()
    return tuple(lock for key in keys for lock in _of(key, found))


def _table() -> list[lockfiles.KernelLock]:
    with open("/proc/locks", encoding="ascii") as file:
        return list(lockfiles.parse(file.read()))


def _of(key: Key, found: Collection[lockfiles.KernelLock]) -> list[Lock]:
    device = (os.major(key[0]), os.minor(key[0]))
    alike = [lock for lock in found if lock.inode == key[1]]
    # On btrfs and some overlays stat(2) shows another device than the kernel's table does.
    ours = [lock for lock in alike if lock.device == device] or alike
    return [
        Lock(
            pid=lock.pid if lock.pid > 0 else None, key=key, ofd=lock.kind == "OFDLCK", first=lock.first, last=lock.last
        )
        for lock in ours
        if lock.kind in ("POSIX", "OFDLCK")
    ]


def owners(locks: tuple[Lock, ...], opened: Collection[Opened]) -> tuple[Lock, ...]:
    """Return ``locks`` with each OFD lock once for every process whose descriptors have it; without one as it was."""
    nameless = {lock.key for lock in locks if lock.ofd}
    if not nameless:
        return locks
    asked: dict[tuple[int, Key], int] = {}
    named: dict[Lock, None] = {}
    for each in opened:
        if each.key not in nameless or each.fd < 0:
            continue
        asked[each.pid, each.key] = asked.get((each.pid, each.key), 0) + 1
        if asked[each.pid, each.key] <= _FDS_ASKED_MAX:
            named |= dict.fromkeys(_own(each))
    told = {(lock.key, lock.first, lock.last) for lock in named}
    return tuple(lock for lock in locks if not (lock.ofd and (lock.key, lock.first, lock.last) in told)) + tuple(named)


def _own(opened: Opened) -> list[Lock]:
    try:
        with open(f"/proc/{opened.pid}/fdinfo/{opened.fd}", encoding="ascii", errors="replace") as file:
            text = "\n".join(parse.fdinfo_locks(file.read()))
    except OSError:
        return []
    return [
        Lock(pid=opened.pid, key=opened.key, ofd=True, first=lock.first, last=lock.last)
        for lock in lockfiles.parse(text)
        if lock.kind == "OFDLCK"
    ]
