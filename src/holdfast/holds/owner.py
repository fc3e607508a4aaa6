"""Who this process is, and whether another one is still alive. Reads /proc, opens nothing else."""

from __future__ import annotations

import os
import platform
from functools import cache

import msgspec

from holdfast.clock import boot_id
from holdfast.holds.model import Owner


def me(label: str = "") -> Owner:
    """Return this process as an owner. Costs a microsecond after the first call of a process."""
    return _of(os.getpid(), label)


@cache
def _of(pid: int, label: str) -> Owner:
    return Owner(host(), boot_id(), _pid_namespace(), pid, _started(pid) or 0, label)


@cache
def host() -> str:
    """Return the name this machine keeps across reboots and DHCP: /etc/machine-id, else its node name."""
    try:
        with open("/etc/machine-id", encoding="ascii") as file:
            return file.read().strip() or platform.node()
    except OSError:
        return platform.node()


def is_dead(owner: Owner) -> bool:
    """Return True only when ``owner`` certainly no longer runs.

    Judged from its own host, boot and pid namespace, by pid and start time; a
    zombie is dead. From anywhere else the answer is False: such an owner can
    only expire.
    """
    here = me()
    if (owner.host, owner.boot_id, owner.pid_namespace) != (here.host, here.boot_id, here.pid_namespace):
        return False
    started = _started(owner.pid)
    if started is None:
        return not _exists(owner.pid)
    return owner.started not in (0, started)


def describe(owner: Owner) -> str:
    """Return how a person would name ``owner``: its pid, its command when it still runs, its host when foreign."""
    if owner.host != host():
        return f"pid {owner.pid} on {owner.host}"
    try:
        with open(f"/proc/{owner.pid}/comm", encoding="utf-8", errors="replace") as file:
            return f"pid {owner.pid} ({file.read().strip()})"
    except OSError:
        return f"pid {owner.pid}"


def dump(owner: Owner) -> str:
    """Return ``owner`` as the JSON text a row stores."""
    return msgspec.json.encode(owner).decode()


@cache
def load(text: str) -> Owner:
    """Return the owner that ``dump`` wrote. Raises ``msgspec.DecodeError`` on other text."""
    return msgspec.json.decode(text, type=Owner)


def _started(pid: int) -> int | None:
    """Return when the process started, in clock ticks since boot (proc(5), field 22); None when gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def _exists(pid: int) -> bool:
    if os.path.isdir("/proc/self"):
        return False  # /proc is here and has no live entry for pid
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@cache
def _pid_namespace() -> int:
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0
