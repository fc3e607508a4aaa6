"""Look for the next job, and wait until there may be one: for all threads or coroutines of a worker, one at a time.

Looks with a short read, and takes the writer's seat only when there is some
work. It looks when the engine says that something changed (``engine.changes``),
when a rest or a lease ends, and every now and then; every ``poll_ms`` where it
hears of no changes.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from holdfast import holds
from holdfast.clock import boot_ms
from holdfast.engine import Engine, Write
from holdfast.errors import Busy
from holdfast.holds import owner as owners
from holdfast.jobs import store
from holdfast.jobs.model import Claimed, Idle, Kind
from holdfast.waking import Changes

_RECOVER_MS = 1_000  # how often a worker looks for workers that died
_BUSY_S = 0.5
_BACKSTOP_S = 1.0  # between two looks of who hears of changes
_DEAD_S = 0.25  # the same, while somebody works: of its death nobody hears
_CAPPED_S = 0.25


@dataclass(frozen=True, slots=True)
class Pause:
    """How long nobody needs to look. ``deaf``: whatever is heard meanwhile. ``due_s``: then there may be a job."""

    s: float
    due_s: float = math.inf
    deaf: bool = False


class Seeker:
    """Claims jobs of ``kinds`` for one worker, at most as many as ``begin`` said, until ``stopping``."""

    def __init__(
        self, engine: Engine, kinds: Sequence[Kind], label: str, poll_s: float, stopping: threading.Event
    ) -> None:
        self._engine = engine
        self._kinds = kinds
        self._names = [kind.name for kind in kinds]
        self._label = label
        self._poll_s = poll_s
        self._stopping = stopping
        self._lock = threading.Lock()
        self._left = 0
        self._recovered_ms = -_RECOVER_MS
        self._changes: Changes | None = None

    def begin(self, jobs_max: int | None) -> None:
        """Let ``jobs_max`` jobs be claimed from now on; None: any number."""
        self._left = -1 if jobs_max is None else jobs_max

    def end(self) -> None:
        """Hear of no more changes."""
        changes, self._changes = self._changes, None
        if changes is not None:
            changes.close()

    def wake(self) -> None:
        """Have whoever waits look again. From any thread, or a signal handler: takes no lock."""
        if changes := self._changes:
            changes.wake()

    # --- asking for a job ------------------------------------------------------

    def ask(self, until_idle: bool) -> Claimed | Pause | None:
        """Return the next job, or how long to wait for one; None when there is to be none any more."""
        try:
            found = self._try()
        except Busy:
            return Pause(_BUSY_S, deaf=True)
        if until_idle and isinstance(found, Pause | Idle):
            return None
        if isinstance(found, Idle):  # there was some, and others had it, or may not have more at once
            return Pause(_CAPPED_S if found.capped else min(self._poll_s, _CAPPED_S), deaf=True)
        return found

    def hear(self) -> Changes | None:
        """Return what tells of changes; None: stop. What came before the first call of this, it tells at once."""
        if self._changes is None:
            self._changes = self._engine.changes()
            self._changes.wake()
        return None if self._stopping.is_set() else self._changes

    def pause_s(self, pause: Pause, changes: Changes) -> float:
        """Return how long to wait at ``changes`` at most."""
        return min(pause.due_s, max(pause.s, self._poll_s) if changes.hears else self._poll_s)

    def _try(self) -> Claimed | Idle | Pause | None:
        if self._left == 0:
            return None
        if (pause := self._look()) is not None:
            return pause
        with self._lock:  # the ends of other threads claim, too
            if self._left == 0:
                return None
            with self._engine.write() as tx:
                found = store.claim_next(tx, self._kinds, holds.me(self._label))
            if isinstance(found, Claimed):
                self._left -= 1
            return found

    def _look(self) -> Pause | None:
        with self._engine.read() as tx:
            due_ms = store.due_in_ms(tx, self._names)
            if due_ms == 0 and boot_ms() - self._recovered_ms < _RECOVER_MS:
                return None
            others = store.owners_running(tx, self._names)
        dead = any(owners.is_dead(each) for each in others)
        if due_ms == 0 and dead:
            # With work at hand a claim does not look for the dead: their jobs would wait for the end of the queue.
            with self._engine.write() as tx:
                store.recover(tx, self._names)
        self._recovered_ms = boot_ms()
        if due_ms == 0 or dead:
            return None
        return Pause(_DEAD_S if others else _BACKSTOP_S, math.inf if due_ms is None else due_ms / 1000)

    # --- with the end of the job before ----------------------------------------

    def goes_on(self) -> bool:
        """Return True when a job may be claimed with the end of another: one is set aside. Say what became of it."""
        if self._stopping.is_set() or boot_ms() - self._recovered_ms >= _RECOVER_MS:
            return False
        with self._lock:
            if self._left == 0:
                return False
            self._left -= 1
            return True

    def went_on(self, set_aside: bool, claim: Claimed | None) -> None:
        """Take back what ``goes_on`` set aside, when nothing was claimed."""
        with self._lock:
            self._left += set_aside and claim is None
        if self._left == 0:
            self.wake()  # whoever waits for another

    def claim_ready(self, tx: Write) -> Claimed | None:
        """Claim the next job in the transaction that ends one."""
        if self._stopping.is_set():
            return None
        return store.claim_ready(tx, self._kinds, holds.me(self._label))
