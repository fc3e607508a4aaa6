"""Everything a worker started: found in /proc, told to end, killed. Knows nothing of tasks.

A worker leads a session of its own, so whatever it starts is in that session,
in its process group, or below one that is. A program that left all three (a
daemon that forked twice and called setsid) meant to live on, and is left alone.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from holdfast.holds import Owner, is_dead
from holdfast.holds.owner import is_near

_ENDED = (b"Z", b"X")  # states in proc(5)


def others(leader: Owner) -> list[int]:
    """Return the processes that ``leader`` leads, without itself; zombies do not count. About 10 us per process here.

    None when its number is another process's by now: the kernel gives the
    number of a group to nobody as long as there is anybody in it. None of
    another container or an earlier boot: there a number says nothing.
    """
    if not is_near(leader):
        return []
    family: set[int] = set()
    children: dict[int, list[int]] = {}
    for pid, (state, parent, group, session, started) in _processes():
        if pid == leader.pid:
            if started != leader.started:
                return []
            continue
        if state in _ENDED:
            continue
        children.setdefault(parent, []).append(pid)
        if leader.pid in (group, session):
            family.add(pid)
    below = [leader.pid, *family] if not is_dead(leader) else [*family]
    while below:
        new = [child for child in children.get(below.pop(), ()) if child not in family]
        family.update(new)
        below += new
    family.discard(os.getpid())
    return sorted(family)


def tell(pids: list[int], number: signal.Signals) -> None:
    """Send a signal to each. One that is stopped is made to go on, or it would never hear of it."""
    for pid in pids:
        # Another user's process cannot be told; whoever waits for it to be gone will say so.
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
            os.kill(pid, signal.SIGCONT)


def kill_all(leader: Owner) -> list[int]:
    """Kill ``leader`` and all it leads; return those that were there. They are gone a moment later."""
    found = others(leader)
    if is_near(leader) and not is_dead(leader):
        found.append(leader.pid)
    tell(found, signal.SIGKILL)
    return found


def _processes() -> list[tuple[int, tuple[bytes, int, int, int, int]]]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
                found.append((int(name), _stat(name)))
    return found


def _stat(name: str) -> tuple[bytes, int, int, int, int]:
    """Return state, parent, group, session and start of a process (proc(5), fields 3 to 6 and 22)."""
    with open(f"/proc/{name}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return fields[0], int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19])
