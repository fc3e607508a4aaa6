"""Who this process is, and whether another one is still alive. Reads /proc, opens nothing else."""

from __future__ import annotations

import os
import platform
from functools import cache, lru_cache

import msgspec

from holdfast.clock import boot_id
from holdfast.errors import Refused
from holdfast.holds.model import Owner

_REMEMBERED = 1024  # owners; each claim may have a label of its own, and a dispatcher runs for months
_ENDED = (b"Z", b"X")  # states in proc(5): a zombie, and one step further


def me(label: str = "") -> Owner:
    """Return this process as an owner. Costs a microsecond after the first call of a process."""
    return _of(os.getpid(), label)


def of(pid: int, label: str = "") -> Owner:
    """Return another process of this machine as an owner. ``started`` 0: it is gone, or /proc does not tell."""
    stat = _stat(pid)
    return Owner(host(), boot_id(), _pid_namespace(), pid, stat[1] if stat else 0, label)


def absent(label: str) -> Owner:
    """Return an owner that is no process, such as a person, or whoever comes back later: only its lease tells of it."""
    return Owner(host(), "", 0, 0, 0, label)


@lru_cache(_REMEMBERED)
def _of(pid: int, label: str) -> Owner:
    return of(pid, label)


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
    if not is_near(owner):
        return False
    stat = _stat(owner.pid)
    if stat is None:
        return not _exists(owner.pid)
    state, started = stat
    return state in _ENDED or owner.started not in (0, started)


def is_gone(owner: Owner) -> bool:
    """Return True as ``is_dead`` does, and for an owner of an earlier boot of this machine.

    Ask it only of processes that this machine itself wrote down: a container
    may come back on another kernel under the same name.
    """
    return is_dead(owner) or (owner.host == host() and owner.boot_id != boot_id())


def describe(owner: Owner) -> str:
    """Return how a person would name ``owner``: its pid, its command when it still runs, its host when foreign."""
    if not owner.pid:
        return owner.label or "somebody"
    if owner.host != host():
        return f"pid {owner.pid} on {owner.host}"
    if not is_near(owner):
        return f"pid {owner.pid} of another container or boot"
    if is_dead(owner):
        return f"pid {owner.pid}, which is gone"
    try:
        with open(f"/proc/{owner.pid}/comm", encoding="utf-8", errors="replace") as file:
            return f"pid {owner.pid} ({file.read().strip()})"
    except OSError:
        return f"pid {owner.pid}"


def dump(owner: Owner) -> str:
    """Return ``owner`` as the JSON text a row stores. Raises ``Refused`` for what no process could be found by."""
    if not isinstance(owner, Owner):
        raise Refused(f"{owner!r} is no owner", remedy="Give `holds.me()`, with a label if you like.")
    return msgspec.json.encode(owner).decode()


@lru_cache(_REMEMBERED)
def load(text: str) -> Owner:
    """Return the owner that ``dump`` wrote. Raises ``msgspec.DecodeError`` on other text."""
    return msgspec.json.decode(text, type=Owner)


def is_near(owner: Owner) -> bool:
    """Return True where a pid of the owner's means the same process to us."""
    return (owner.host, owner.boot_id, owner.pid_namespace) == (host(), boot_id(), _pid_namespace())


def _stat(pid: int) -> tuple[bytes, int] | None:
    """Return a process's state and its start in clock ticks since boot (proc(5), fields 3 and 22).

    None when /proc does not tell: no such process, no /proc, or the /proc of
    another namespace.
    """
    if not _proc_is_ours():
        return None
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[19])


def _exists(pid: int) -> bool:
    # kill(2) answers for our own namespace even where /proc hides others' processes
    # (hidepid) or is not ours.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@cache
def _proc_is_ours() -> bool:
    # After `unshare --pid` without a new mount, /proc still numbers the outer namespace:
    # our pids would be read as somebody else's processes, and the living called dead.
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return False


@cache
def _pid_namespace() -> int:
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def _forget() -> None:
    # A forked child may be in another pid namespace, and a pid it inherits here may come again.
    _of.cache_clear()
    _proc_is_ours.cache_clear()
    _pid_namespace.cache_clear()


os.register_at_fork(after_in_child=_forget)
