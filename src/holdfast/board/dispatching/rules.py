"""What the end of a worker means for its task. Pure: no processes, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

LATER = 75
"""EX_TEMPFAIL, <sysexits.h>: the worker is to come later, and it is nobody's fault."""
_NOT_RUN = (126, 127)  # what a shell answers when a command cannot be run, or is not there


class Why(StrEnum):
    """Why a worker is ended by the dispatcher."""

    TIMED_OUT = "timed out"
    SILENT = "silent"
    LOST = "lost its task"
    LINGERING = "lingering"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class End:
    """What is written about a run that has no end yet. ``retry_in_ms`` None: as the task's backoff says."""

    outcome: str
    failure: str
    counted: bool = True
    retry_in_ms: int | None = None


def end_of(why: Why | None, code: int | None, *, begun: bool, limit_ms: int, rate_limit_ms: int) -> End:
    """Return what to write about a run whose worker is gone and said nothing of its task.

    ``why`` it was ended, None: by itself. ``code``: the exit code, negative
    for a signal, None: nobody saw it. ``limit_ms`` is the limit that it passed.
    """
    match why:
        case Why.TIMED_OUT:
            return End("timed_out", f"it took longer than {_time(limit_ms)}, and was ended")
        case Why.SILENT:
            return End("silent", f"nothing was heard of it for {_time(limit_ms)}, and it was ended")
        case Why.STOPPING:
            return End("released", "the dispatcher was stopped", counted=False, retry_in_ms=0)
    if not begun:
        return End("released", "the dispatcher died before its command began", counted=False, retry_in_ms=0)
    match code:
        case None:
            return End("crashed", "its process is gone, and nobody saw how it ended: killed, or the machine went down")
        case 0:
            return End("protocol", "it ended well (exit code 0), but said neither done nor review nor block")
        case _ if code == LATER:
            return End("rate_limited", "it is to come later (exit code 75)", counted=False, retry_in_ms=rate_limit_ms)
        case _ if code in _NOT_RUN:
            return End("spawn_failed", f"its command could not be run (exit code {code}); its log says why")
        case _ if code < 0:
            return End("crashed", f"signal {-code} ended it")
        case _:
            return End("crashed", f"exit code {code}")


def cut(size: int, limit: int) -> tuple[int, int] | None:
    """Return how much to keep of the beginning and of the end of a log of ``size``; None: all of it."""
    if size <= limit:
        return None
    head = limit // 8
    return head, limit // 2 - head


def _time(ms: int) -> str:
    return f"{ms} ms" if ms < 10_000 else f"{ms // 1000} s"
