"""How many jobs may run at once, and how many do. The dead are not counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from holdfast.engine import Read, Write
from holdfast.holds.model import Owner
from holdfast.jobs.model import Capped, Kind
from holdfast.jobs.rows import SQL

Caps = dict[str, int]
"""Most that may run, by kind; '' for all kinds together."""

Lose = Callable[[Write, Iterable[Any], Callable[[Owner], bool]], int]

_TRIES_MAX = 20
_TRY_AGAIN_S = 0.005  # a claim takes 2 ms

_RUNNING = SQL["select_job"].fill(which=SQL["which_running"])
_RUNNING_ANY = SQL["select_job"].fill(which=SQL["which_running_any"])


def of(tx: Read, kinds: Iterable[Kind], running_max: int | None) -> dict[str, Caps]:
    """Return for each kind the caps that a claim of it must keep. One read of a table of a few rows."""
    return _of(_said(tx), kinds, running_max)


def _said(tx: Read) -> dict[str, int | None]:
    return {row["kind"]: row["running_max"] for row in tx.rows(SQL["list_caps"])}


def _of(said: Mapping[str, int | None], kinds: Iterable[Kind], running_max: int | None) -> dict[str, Caps]:
    of_all = {} if (most := said.get("")) is None else {"": most}
    found = {}
    for kind in kinds:
        own = [most for most in (said.get(kind.name), kind.running_max, running_max) if most is not None]
        found[kind.name] = of_all | ({kind.name: min(own)} if own else {})
    return found


def hold(tx: Write, kinds: Iterable[Kind], running_max: int | None) -> dict[str, Caps]:
    """Do as ``of``, and have others that claim under these caps wait, or each would count without the other.

    To be called before any job is changed: who has a cap may wait for a job.
    """
    kinds, held = list(kinds), set[str]()
    while True:  # once more when there are caps: one that was changed while we waited for it counts as it is now
        found = of(tx, kinds, running_max)
        wanted = {kind for each in found.values() for kind in each} - held
        if not wanted:
            return found
        for kind in sorted(wanted):  # in one order: two who want the same two do not wait for each other
            tx.run(SQL["lock_cap"], kind=kind)
        held |= wanted


def hold_free(tx: Write, kinds: Iterable[Kind]) -> tuple[dict[str, Caps], set[str]]:
    """Do as ``hold``, but wait for nobody: return also the caps that others hold for longer than a claim takes.

    A process that was stopped in the middle of a claim holds its caps until the
    server ends its transaction (``Limits.idle_ms``). Other kinds go on meanwhile.
    """
    kinds, held = list(kinds), set[str]()
    for _ in range(_TRIES_MAX):
        said = _said(tx)
        found = _of(said, kinds, None)
        wanted = {kind for each in found.values() for kind in each} - held
        if not wanted:
            return found, set()
        for kind in sorted(wanted - said.keys()):
            tx.run(SQL["lock_cap"], kind=kind)
            held.add(kind)
        held |= {kind for kind in sorted(wanted & said.keys()) if tx.row(SQL["try_cap"], kind=kind) is not None}
        if wanted - held:
            time.sleep(_TRY_AGAIN_S)
    said = _said(tx)
    found = _of(said, kinds, None)
    return found, {kind for each in found.values() for kind in each} - held


def reached(tx: Write, caps: Caps, *, is_dead: Callable[[Owner], bool], lose: Lose) -> tuple[Capped, ...]:
    """Return the caps that are reached. A cap that seems to be is looked at again without the dead and the silent."""
    found = []
    for kind, most in sorted(caps.items()):
        # Also those whose lease is over by our clock: a renewal that began in time may be about to be kept.
        if (running := count(tx, kind, also_silent=True)) >= most > 0:
            rows = tx.rows(_RUNNING, kind=kind) if kind else tx.rows(_RUNNING_ANY)
            if lose(tx, rows, is_dead):
                running = count(tx, kind, also_silent=True)
        if running >= most:
            found.append(Capped(kind or None, running, most))
    return tuple(found)


def count(tx: Read, kind: str, *, also_silent: bool = False) -> int:
    """Return how many jobs of ``kind`` run; '' for all kinds. Reads only those that run."""
    since_ms = -1 if also_silent else tx.now_ms
    if kind:
        row = tx.row(SQL["count_running"], kind=kind, now_ms=since_ms)
    else:
        row = tx.row(SQL["count_running_any"], now_ms=since_ms)
    return int(row["running"]) if row else 0
