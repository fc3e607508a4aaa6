"""Keep a hold alive while the work it protects goes on, and tell the worker when it was lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from holdfast.engine import Engine
from holdfast.errors import Busy, HoldfastError, Stale
from holdfast.holds.model import Hold
from holdfast.holds.store import release, renew
from holdfast.origin import internal

_RENEWALS_PER_LEASE = 3  # two may fail before the lease is lost


class Keeper:
    """Renews one hold from a thread of its own. ``lost`` is set when the hold is gone; ``check`` raises then."""

    def __init__(self, engine: Engine, hold: Hold, lease_ms: int) -> None:
        self.hold = hold
        self.note = hold.note
        self.lost = threading.Event()
        self._engine = engine
        self._lease_ms = lease_ms
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"holdfast-keeper-{hold.resource}", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise ``Stale`` when the hold was lost."""
        if self.lost.is_set():
            raise Stale(f"the hold on {self.hold.resource} (fence {self.hold.fence}) was lost during the work")

    def stop(self) -> None:
        """End the renewals and wait for the thread. The hold itself stays."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with internal("keeper"):
            while not self._stop.wait(self._lease_ms / 1000 / _RENEWALS_PER_LEASE):
                try:
                    with self._engine.write() as tx:
                        renew(tx, self.hold, lease_ms=self._lease_ms, note=self.note)
                except Busy:
                    continue  # the next turn may still be in time; if none is, the renewal finds it lost
                except HoldfastError:
                    self.lost.set()
                    return


@contextmanager
def kept(engine: Engine, hold: Hold, lease_ms: int) -> Iterator[Keeper]:
    """Keep ``hold`` alive inside the ``with``, and release it on the way out, also after an exception."""
    keeper = Keeper(engine, hold, lease_ms)
    try:
        yield keeper
    finally:
        keeper.stop()
        if not keeper.lost.is_set():
            with engine.write() as tx:
                release(tx, hold)
