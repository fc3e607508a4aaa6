"""How these probes say sizes, rates, and processes."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.doctor.facts.model import Family, Process, Processes
from holdfast.quantities import duration

_SHOWN = 5
_STATES = {"T": "stopped", "t": "stopped by a debugger", "Z": "dead", "D": "waiting for a disk"}


def size(count: float) -> str:
    """Return bytes as people read them: ``11.3 GiB``."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if abs(count) < 1_024:
            return f"{count:,.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1_024
    return f"{count:.1f} TiB"


def one(pid: int, processes: Processes) -> str:
    """Return the words for a process: its number, what it runs, its state when that matters, its age."""
    process = processes.all.get(pid)
    if process is None:
        return f"pid {pid} (which may not be looked at, or is gone)"
    state = f", {_STATES[process.state]}" if process.state in _STATES else ""
    return f"pid {pid} ({process.command}{state}, {duration(int(process.age_s * 1000))} old)"


def all_of(pids: Iterable[int], processes: Processes) -> str:
    """Return the words for some processes, the first five by name."""
    known = sorted(set(pids))
    told = ", ".join(one(pid, processes) for pid in known[:_SHOWN])
    return told + (f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else "")


def holders(family: Family, processes: Processes) -> str:
    """Return the words for who has the database open."""
    found = processes.holders(family).keys() | {pid for pid in processes.lockers(family) if pid is not None}
    if found:
        return f"Open in {all_of(found, processes)}."
    if processes.is_whole and not processes.unreadable:
        return "No process has it open."
    return "No process that could be looked at has it open."


def pids(found: Iterable[int]) -> list[int]:
    """Return process numbers for the details of a finding."""
    return sorted(set(found))


def process_age_s(process: Process | None) -> float:
    """Return how old a process is; 0 when that is not known."""
    return process.age_s if process is not None else 0.0
