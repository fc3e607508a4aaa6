"""The words of the room, as values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Owner:
    """One process, told apart from every other that ever ran on this machine.

    ``pid_namespace`` is the inode of its pid namespace, ``started`` the
    kernel's start time of the process in clock ticks since boot: a pid alone
    is reused, and means another process in another container.
    """

    host: str
    boot_id: str
    pid_namespace: int
    pid: int
    started: int
    label: str = ""
    """Distinguishes owners inside one process; also what people read."""


@dataclass(frozen=True, slots=True)
class Hold:
    """The exclusive right to work on ``resource`` until ``expires_ms``.

    ``fence`` is ``epoch << 40 | counter``. It grows each time the resource
    changes hands and never restarts, so a write that carries an old fence is
    refused even when its sender believes to be in charge.
    """

    resource: str
    owner: Owner
    fence: int
    taken_ms: int
    renewed_ms: int
    expires_ms: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Denied:
    """Someone else has the resource; ask again after ``retry_in_ms``, or when it is released."""

    resource: str
    by: Owner
    fence: int
    renewed_ms: int
    retry_in_ms: int
    note: str = ""
