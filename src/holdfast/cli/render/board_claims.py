"""Why nothing was claimed, as a sentence."""

from __future__ import annotations

from holdfast.board import Capped, Idle, Taken, Waiting
from holdfast.cli.render import words
from holdfast.cli.render.board import name_of


def not_claimed(got: Taken | Waiting | Capped | Idle, now_ms: int) -> str:
    """Return the sentence for an answer that is no claim."""
    match got:
        case Taken(task=task, by=by, until_ms=until_ms):
            left = words.duration(max(0, until_ms - now_ms))
            return f"{name_of(by)} works on task {task.task_id}; its lease has {left} to go"
        case Waiting(task=task, until_ms=until_ms):
            return f"task {task.task_id} is {task.status}, and is not to be claimed{_until(until_ms, now_ms)}"
        case Capped():
            return _capped(got)
        case Idle(until_ms=until_ms, capped=capped):
            why = "; ".join(map(_capped, capped)) or "nothing is ready"
            return why + _until(until_ms, now_ms)


def _capped(cap: Capped) -> str:
    whose = f" of {cap.assignee}" if cap.assignee else ""
    return f"{cap.running} tasks{whose} run, and no more than {cap.running_max} may"


def _until(until_ms: int | None, now_ms: int) -> str:
    return "" if until_ms is None else f"; that may change in {words.duration(max(0, until_ms - now_ms))}"
