"""What tests of a watcher wait for, and what the kernel says that it watches."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from holdfast.watch import Changed, Event, Subscription

PATIENCE_S = 10.0
QUIET_S = 0.3
"""How long nothing may come for a test to believe that nothing comes."""


def events_of(subscription: Subscription, until: Callable[[list[Event]], object], patience_s=PATIENCE_S) -> list[Event]:
    """Return the events up to the one with which ``until`` is content; fail when that does not come."""
    found: list[Event] = []
    end_s = time.monotonic() + patience_s
    while not until(found):
        event = subscription.next(max(end_s - time.monotonic(), 0.01))
        assert event is not None, f"waited in vain, after {found}"
        found.append(event)
    return found


def the_next(subscription: Subscription, kind: type) -> Event:
    """Return the next event of this kind; those before it are passed over."""
    return events_of(subscription, lambda found: found and isinstance(found[-1], kind))[-1]


def paths_until(subscription: Subscription, *paths: object) -> set[str]:
    """Return all paths that were told once all of these were."""
    wanted = set(map(str, paths))
    return told(events_of(subscription, lambda found: wanted <= told(found)))


def told(events: list[Event]) -> set[str]:
    return {path for event in events if isinstance(event, Changed) for path in event.paths}


def all_until_quiet(subscription: Subscription, quiet_s=QUIET_S) -> list[Event]:
    """Return what comes until nothing did for a while."""
    found: list[Event] = []
    while (event := subscription.next(quiet_s)) is not None:
        found.append(event)
        assert len(found) < 10_000
    return found


def eventually(subscription: Subscription, condition: Callable[[], bool]) -> None:
    """Return once ``condition`` holds; events meanwhile are passed over."""
    for _ in range(200):
        if condition():
            return
        subscription.next(0.05)
    raise AssertionError("waited in vain")


def kernel_watches(pid="self") -> list[tuple[int, int]]:
    """Return the (device, inode) of every directory that a process has the kernel watch (proc(5), fdinfo)."""
    found = []
    for fd in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii") as file:
                lines = [line for line in file if line.startswith("inotify ")]
        except OSError:
            continue
        for line in lines:
            fields = dict(field.split(":", 1) for field in line.split()[1:] if ":" in field)
            device = int(fields["sdev"], 16)  # as the kernel keeps it: 12 bits major, 20 bits minor
            found.append((os.makedev(device >> 20, device & 0xFFFFF), int(fields["ino"], 16)))
    return sorted(found)


def key(path) -> tuple[int, int]:
    info = os.stat(path)
    return info.st_dev, info.st_ino


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
