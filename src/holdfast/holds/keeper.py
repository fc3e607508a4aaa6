"""Keep a hold alive while the work it protects goes on, and tell the worker when it was lost."""

from __future__ import annotations

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


class Keeper:
    """Renews one hold from a thread of its own. ``lost`` is set when the hold is gone; ``check`` raises then.

    ``note`` goes into the row with the next renewal. The lease is also counted
    here, on the boot clock: who cannot reach the database for a lease has lost
    the hold, whatever the row says later. ``renew`` is for a hold that lies
    elsewhere than in ``holds``; ``on_lost`` is called in the keeper's thread.
    """

    def __init__(
        self,
        engine: Engine,
        hold: Hold,
        lease_ms: int,
        *,
        renew: Renew = renew,
        on_lost: Callable[[], object] = lambda: None,
    ) -> None:
        self.hold = hold
        self.note = hold.note
        self.lost = threading.Event()
        self._engine = engine
        self._lease_ms = lease_ms
        self._renew = renew
        self._on_lost = on_lost
        self._ends_ms = boot_ms() + lease_ms
        self._error: Exception | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"holdfast-keeper-{hold.resource}", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise ``Stale`` when the hold was lost."""
        if self.lost.is_set() or boot_ms() >= self._ends_ms:
            raise Stale(
                f"the hold on {self.hold.resource} (fence {self.hold.fence}) was lost during the work"
                + (f": {self._error}" if self._error else "")
            ) from self._error

    def stop(self) -> None:
        """End the renewals and wait for the thread. The hold itself stays."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        turn_ms = self._lease_ms // _RENEWALS_PER_LEASE
        with internal("keeper"):
            while not self._stop.wait(turn_ms / 1000):
                asked_ms = boot_ms()
                try:
                    with self._engine.write(wait_ms=turn_ms, reserve=True) as tx:
                        self._renew(tx, self.hold, lease_ms=self._lease_ms, note=self.note)
                except Exception as error:
                    # Busy, a full disk, anything: the next turn may still be in time.
                    self._error = error
                    if isinstance(error, Stale) or boot_ms() >= self._ends_ms:
                        self.lost.set()
                        self._on_lost()
                        return
                else:
                    self._error = None
                    self._ends_ms = asked_ms + self._lease_ms


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
