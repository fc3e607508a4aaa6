"""Keep a hold alive while the work it protects goes on, and tell the worker when it was lost."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from holdfast.clock import boot_ms
from holdfast.engine import Engine
from holdfast.errors import Busy, Stale
from holdfast.holds.model import Hold
from holdfast.holds.store import release, renew
from holdfast.origin import internal

Renew = Callable[..., object]
"""Called as ``renew(tx, hold, lease_ms=…, note=…)``; raises ``Stale`` when the hold was lost."""
_RENEWALS_PER_LEASE = 3  # two may fail before the lease is lost


class Watch:
    """One thread that renews any number of holds, each in its turn. It starts with the first of them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._keepers: set[Keeper] = set()
        self._wakes_ms = math.inf
        self._thread: threading.Thread | None = None
        self._ended = False

    def add(self, keeper: Keeper) -> None:
        """Renew ``keeper`` from now on. A lock and no more, but for the first, and for one with a shorter lease."""
        with self._changed:
            self._keepers.add(keeper)
            if self._thread is None:
                name = f"holdfast-keeper-{keeper.hold.resource}"
                self._thread = threading.Thread(target=self._run, name=name, daemon=True)
                self._thread.start()
            elif keeper.due_ms < self._wakes_ms:
                self._changed.notify()

    def remove(self, keeper: Keeper) -> None:
        """Renew ``keeper`` no more."""
        with self._changed:
            self._keepers.discard(keeper)

    def end(self) -> None:
        """End all renewals and wait for the thread."""
        with self._changed:
            self._ended = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        with internal("keeper"):
            while True:
                with self._changed:
                    if self._ended:
                        return
                    now_ms = boot_ms()
                    # Not woken by those that are removed: it finds out in its own time, one wake-up for many jobs.
                    self._wakes_ms = min((each.due_ms for each in self._keepers), default=math.inf)
                    if self._wakes_ms > now_ms:
                        left_ms = self._wakes_ms - now_ms
                        self._changed.wait(None if left_ms == math.inf else left_ms / 1000)
                        continue
                    due = [each for each in self._keepers if each.due_ms <= now_ms]
                    wait_ms = min(each.turn_ms for each in self._keepers)  # none may cost another its lease
                for each in due:
                    if not each.turn(wait_ms):
                        self.remove(each)


class Keeper:
    """Renews one hold in the background. ``lost`` is set when the hold is gone; ``check`` raises then.

    ``note`` goes into the row with the next renewal. The lease is also counted
    here, on the boot clock: who cannot reach the database for a lease has lost
    the hold, whatever the row says later. ``renew`` is for a hold that lies
    elsewhere than in ``holds``; ``on_lost`` is called in the thread of
    ``watch``, which is one of the keeper's own by default.
    """

    def __init__(
        self,
        engine: Engine,
        hold: Hold,
        lease_ms: int,
        *,
        renew: Renew = renew,
        on_lost: Callable[[], object] = lambda: None,
        watch: Watch | None = None,
    ) -> None:
        self.hold = hold
        self.note = hold.note
        self.lost = threading.Event()
        self.turn_ms = max(lease_ms // _RENEWALS_PER_LEASE, 1)
        self._engine = engine
        self._lease_ms = lease_ms
        self._renew = renew
        self._on_lost = on_lost
        self._ends_ms = boot_ms() + lease_ms
        self.due_ms = boot_ms() + self.turn_ms
        """When the next renewal is due, on the boot clock."""
        self._error: Exception | None = None
        self._stopped = False
        self._turning = threading.Lock()
        self._own = watch is None
        self._watch = watch or Watch()
        self._watch.add(self)

    def check(self) -> None:
        """Raise ``Stale`` when the hold was lost."""
        if self.lost.is_set() or boot_ms() >= self._ends_ms:
            raise Stale(
                f"the hold on {self.hold.resource} (fence {self.hold.fence}) was lost during the work"
                + (f": {self._error}" if self._error else "")
            ) from self._error

    def stop(self) -> None:
        """End the renewals, and wait for one that is under way. The hold itself stays."""
        self._stopped = True
        self._watch.remove(self)
        with self._turning:
            pass
        if self._own:
            self._watch.end()

    def turn(self, wait_ms: int) -> bool:
        """Renew now; return False when there is no more to come. For the thread of the watch."""
        with self._turning:
            if self._stopped:
                return False
            asked_ms = boot_ms()
            try:
                with self._engine.write(wait_ms=wait_ms, reserve=True) as tx:
                    self._renew(tx, self.hold, lease_ms=self._lease_ms, note=self.note)
            except Exception as error:
                # Busy, a full disk, anything: the next turn may still be in time.
                self._error = error
                if isinstance(error, Stale) or boot_ms() >= self._ends_ms:
                    self.lost.set()
                    with suppress(Exception):  # the loop it was to be told to is closed; others are kept here, too
                        self._on_lost()
                    return False
            else:
                self._error = None
                self._ends_ms = asked_ms + self._lease_ms
            self.due_ms = boot_ms() + self.turn_ms
            return True


@contextmanager
def kept(engine: Engine, hold: Hold, lease_ms: int) -> Iterator[Keeper]:
    """Keep ``hold`` alive inside the ``with``, and release it on the way out, also after an exception."""
    keeper = Keeper(engine, hold, lease_ms)
    try:
        yield keeper
    finally:
        keeper.stop()
        if not keeper.lost.is_set():
            # Left as it is, it ends with its lease: no reason to hide what the work came to.
            with suppress(Busy), engine.write(reserve=True) as tx:
                release(tx, hold)
