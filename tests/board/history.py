"""What every process said it did to a board, and whether the tables can be the end of that. Pure.

A call is written down before it is made and after it was answered, by the clock
all processes of a machine share. So when a claim was answered after a completion
began, the completion may have come first, and when it was answered before, it cannot have:
the checker complains only of what no order of the calls explains. A call without
an answer is that of a process that was killed: it happened, or it did not.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

ENDS = ("done", "release", "block")
"""Calls that end a claim when they are acknowledged."""


@dataclass(frozen=True)
class Call:
    """``answered_ns`` None: never; ``error``: what it raised instead of saying something."""

    who: str
    what: str
    began_ns: int
    answered_ns: int | None = None
    said: str = ""
    error: str = ""
    task: int | None = None
    fence: int | None = None
    title: str = ""

    @property
    def acknowledged(self) -> bool:
        return self.answered_ns is not None and not self.error


@dataclass(frozen=True)
class Run:
    """A row of an attempt. ``outcome`` None: it goes on."""

    task: int
    fence: int
    who: str
    outcome: str | None


@dataclass
class Tables:
    """What is there at the end: titles and statuses by task, the runs in order, and (parent, child)."""

    titles: dict[int, str] = field(default_factory=dict)
    statuses: dict[int, str] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    links: list[tuple[int, int]] = field(default_factory=list)


def read(text: str) -> list[Call]:
    """Return the calls in a process's own record; a last line cut short by its death is a call without an answer."""
    calls: dict[int, Call] = {}
    for line in text.splitlines():
        try:
            told = json.loads(line)
        except ValueError:
            continue
        number = told.pop("n")
        calls[number] = Call(**{**calls[number].__dict__, **told}) if number in calls else Call(**told)
    return list(calls.values())


def complaints(
    calls: Iterable[Call], tables: Tables, killed: dict[str, int] | None = None, left: dict[str, int] | None = None
) -> list[str]:
    """Return a sentence for everything that is wrong. ``killed``, ``left``: who died or went home, and when."""
    calls, killed = sorted(calls, key=lambda call: call.began_ns), killed or {}
    found = [f"{call.who}: {call.what} raised {call.error}" for call in calls if call.error]
    found += overlaps(calls, {**(left or {}), **killed})
    for rule in (lost, ghosts, creations, gates, odd_runs):
        found += rule(calls, tables, killed)
    return found


def overlaps(calls: list[Call], gone: dict[str, int]) -> Iterator[str]:
    """Two claims of a task at once, or two under one fence."""
    over: dict[tuple[int | None, int | None], int] = {}
    claims: dict[int, list[Call]] = defaultdict(list)
    for call in calls:
        if call.what in ENDS and not call.error:  # also unanswered: it may have ended it
            key = (call.task, call.fence)
            over[key] = min(over.get(key, call.began_ns), call.began_ns)
        if call.what == "claim" and call.said == "claimed" and call.task is not None:
            claims[call.task].append(call)
    for task, those in claims.items():
        those.sort(key=lambda call: (call.fence or 0, call.began_ns))
        for first, second in pairwise(those):
            if first.fence == second.fence:
                yield f"double: task {task} was given to {first.who} and to {second.who} under fence {first.fence}"
                continue
            ended_ns = min(over.get((task, first.fence), 1 << 63), gone.get(first.who, 1 << 63))
            if (second.answered_ns or 0) < ended_ns:
                yield f"double: task {task} was given to {second.who} while {first.who} had it"


def lost(calls: list[Call], tables: Tables, _killed: dict[str, int]) -> Iterator[str]:
    """An acknowledged completion that is not in the tables, once, under its fence."""
    completed = Counter((run.task, run.fence) for run in tables.runs if run.outcome == "completed")
    for call in calls:
        if call.what == "done" and call.acknowledged:
            if completed[call.task, call.fence] != 1:  # type: ignore[index]
                yield f"lost: {call.who} completed task {call.task} under fence {call.fence}, and no run says so"
            elif tables.statuses.get(call.task or 0) != "done":
                yield f"lost: task {call.task} was completed and is {tables.statuses.get(call.task or 0)}"


def ghosts(calls: list[Call], tables: Tables, killed: dict[str, int]) -> Iterator[str]:
    """What is in the tables though nobody was told that it worked: an exception that changed something."""
    told = {(call.who, call.task, call.fence) for call in calls if call.what == "claim" and call.said == "claimed"}
    ended = {(call.task, call.fence) for call in calls if call.what in ENDS and not call.error}
    asked = {call.who for call in calls}
    unanswered = {call.who for call in calls if call.what == "claim" and call.answered_ns is None}
    for run in tables.runs:
        if run.who not in asked:
            continue  # a run of no length, or of somebody who keeps no record
        if (run.who, run.task, run.fence) not in told:
            if run.who in killed and run.who in unanswered:
                unanswered.discard(run.who)  # the call it died in
            else:
                yield f"ghost: task {run.task} is claimed by {run.who}, who was not told"
        elif run.outcome == "completed" and (run.task, run.fence) not in ended:
            yield f"ghost: task {run.task} is completed by {run.who}, who was told that it failed"
        elif run.outcome is None and run.who not in killed and (run.task, run.fence) in ended:
            yield f"ghost: task {run.task} still runs, and {run.who} was told that it ended"


def creations(calls: list[Call], tables: Tables, _killed: dict[str, int]) -> Iterator[str]:
    """A task that was promised and is not there, is there twice, or is there though its creation failed."""
    titles = Counter(tables.titles.values())
    for call in calls:
        if call.what == "create":
            if call.acknowledged and titles[call.title] != 1:
                yield f"lost: task {call.title!r} was created by {call.who}, and is there {titles[call.title]} times"
            if call.error and titles[call.title]:
                yield f"ghost: task {call.title!r} is there, and {call.who} was told that it is not"


def gates(calls: list[Call], tables: Tables, _killed: dict[str, int]) -> Iterator[str]:
    """A child that was claimed before its parent can have been done."""
    done_ns: dict[int | None, int] = {}
    claims: dict[int | None, list[Call]] = defaultdict(list)
    for call in calls:
        if call.what == "done" and not call.error:
            done_ns.setdefault(call.task, call.began_ns)
        elif call.what == "claim" and call.said == "claimed":
            claims[call.task].append(call)
    for parent, child in tables.links:
        for call in claims[child]:
            if (call.answered_ns or 0) < done_ns.get(parent, 1 << 63):
                yield f"gate: task {child} was given to {call.who} before its parent {parent} was done"


def odd_runs(_calls: list[Call], tables: Tables, _killed: dict[str, int]) -> Iterator[str]:
    """Fences that do not grow, two runs at once, two completions, or a running task without a run."""
    by_task: dict[int, list[Run]] = defaultdict(list)
    for run in tables.runs:
        by_task[run.task].append(run)
    for task, runs in by_task.items():
        fences = [run.fence for run in runs]
        if fences != sorted(set(fences)):
            yield f"runs: the fences of task {task} do not grow: {fences}"
        if sum(run.outcome is None for run in runs) > 1 or any(run.outcome is None for run in runs[:-1]):
            yield f"runs: task {task} has a run that goes on beside a later one"
        if sum(run.outcome == "completed" for run in runs) > 1:
            yield f"runs: task {task} was completed twice"
    for task, status in tables.statuses.items():
        going_on = any(run.outcome is None for run in by_task[task])
        if going_on != (status == "running"):
            yield f"runs: task {task} is {status}, and {'a' if going_on else 'no'} run of it goes on"
