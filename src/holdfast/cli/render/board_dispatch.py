"""Who dispatches a board, as a phrase, as lines and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.cli.render import safe, words
from holdfast.cli.render.board import name_of

if TYPE_CHECKING:
    from holdfast.board.dispatching import Leader


def leader_document(leader: Leader) -> dict[str, Any]:
    """Return who dispatches and what it told last as plain values."""
    from holdfast.holds import describe

    return {
        "board": leader.board,
        "owner": describe(leader.owner),
        "owner_host": leader.owner.host,
        "owner_pid": leader.owner.pid,
        "owner_label": leader.owner.label,
        "since_ms": leader.since_ms,
        "renewed_ms": leader.renewed_ms,
        "is_alive": leader.is_alive,
        **msgspec.to_builtins(leader.told),
    }


def in_short(leaders: Sequence[Leader]) -> str:
    """Return who dispatches, in a phrase."""
    living = [each for each in leaders if each.is_alive]
    if not living:
        return "nobody dispatches"
    told = living[0].told
    at_work = len(told.working) + told.more
    state = (
        ", draining" if told.draining else f", {words.count(len(told.paused), 'lane')} paused" if told.paused else ""
    )
    return f"{name_of(living[0].owner)} dispatches: {at_work} of {told.running_max} workers{state}"


def leader_lines(leaders: Sequence[Leader], now_ms: int) -> Iterator[str]:
    """Yield what a person is told of those who dispatch."""
    if not leaders:
        yield "Dispatcher  none: `holdfast board dispatch --worker COMMAND` starts one"
    for each in leaders:
        told = each.told
        board = "all boards" if each.board is None else f"board {safe.line(each.board)}"
        yield f"Dispatcher  {safe.line(name_of(each.owner))}, {board}, since {words.local(each.since_ms)}"
        if not each.is_alive:
            yield f"            is gone, was last heard of {words.ago(each.renewed_ms, now_ms)}; nobody took over yet"
            continue
        if told.trouble:
            yield f"            in trouble: {safe.line(told.trouble)}"
        ended = ", ".join(f"{count:,} {outcome}" for outcome, count in told.ended.items() if count)
        state = "drains" if told.draining else f"{told.running_max} workers at most"
        adopted = f", {told.adopted:,} taken over" if told.adopted else ""
        yield f"            {state}; started {told.started:,}{adopted}{'; ended: ' if ended else ''}{ended}"
        for lane in told.paused:
            whose = f"of {safe.line(lane.assignee)}" if lane.assignee else "of nobody in particular"
            left = words.duration(lane.for_ms)
            yield f"  Paused    tasks {whose}, for {left}: {lane.failures} could not be started: {safe.line(lane.why)}"
        for work in told.working:
            who = f"pid {work.pid}" if work.pid else "no process yet"
            tries = f", attempt {work.attempt}" if work.attempt > 1 else ""
            for_so_long = words.duration(work.for_ms)
            yield f"  At work   task {work.task_id} for {for_so_long}, {who}{tries}, {safe.line(work.doing)}"
        if told.more:
            yield f"            and {told.more:,} more"
