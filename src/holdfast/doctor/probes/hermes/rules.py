"""When something on a board of Hermes is wrong, from what was read of it. Pure: no clock, no database, no process."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from holdfast.quantities import duration

LATE_S: Final = 300
"""Its dispatcher looks every 60 s, and puts off what it cannot end by 120 s: nobody looks after what stands longer."""

SPAWN_S: Final = 600
"""A worker is started right after its run begins; a worktree may have to be made first."""

RUNS_PER_HOUR_MAX: Final = 10
"""Its breaker opens after 2 failures. Respawn loops had 16 to 50 runs in minutes."""

EVENTS_MAX: Final = 1_000
"""Of one task. A guard that writes a row each tick makes 1,440 a day."""

QUARANTINED: Final = re.compile(r"kanban\.db[.-].*(corrupt|quarantine|malformed|bak)", re.IGNORECASE)
"""What copies of a board are called that Hermes took for damaged, in all its versions."""

Process = Literal["lives", "gone", "another", "unknown"]
"""A worker as this machine sees its pid. ``another``: the pid was given away again after the run had begun."""


def worker(host: str, here: str, pid: int | None, started_s: float | None, run_started_s: float | None) -> Process:
    """Return what became of a worker. ``started_s``: when the process with this pid began, 0 when there is none.

    ``host`` is where the claim was made, ``here`` is this one; None for what is not known.
    """
    if pid is None or host != here or started_s is None:
        return "unknown"
    if not started_s:
        return "gone"
    if run_started_s is not None and started_s > run_started_s + SPAWN_S:
        return "another"
    return "lives"


def stuck(claim: Mapping[str, Any], process: Process, now_s: float) -> str | None:
    """Return why a running task will stay where it is; None when it is worked on, or will soon be released."""
    expires = claim["claim_expires"]
    if not isinstance(expires, int | float):
        return "runs without a claim that could end"
    if (late_s := now_s - expires) > LATE_S:
        return f"claim ended {duration(int(late_s * 1000))} ago"
    began = claim["run_started_at"]
    if process in ("gone", "another") and isinstance(began, int | float) and now_s - began > LATE_S:
        gone = "is gone" if process == "gone" else "is another process by now"
        return f"worker pid {claim['worker_pid']} {gone}"
    return None


def host_of(claim_lock: object) -> str:
    """Return the host of a claim, written ``host:pid``."""
    return claim_lock.rpartition(":")[0] if isinstance(claim_lock, str) else ""
