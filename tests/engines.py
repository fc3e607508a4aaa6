"""Either engine by the place of its data: a path is SQLite's, a URL PostgreSQL's."""

from __future__ import annotations

import threading
from typing import Any

from holdfast import postgres
from holdfast.clock import wall_ms
from holdfast.sqlite import Store


def open_engine(where: str, clock: Any = None, **options: Any) -> Any:
    """Return a store of the engine that ``where`` names. Without ``clock``: the wall's, or the server's."""
    if postgres.is_url(where):
        return postgres.Store.open(where, clock=clock, **options)
    return Store.open(where, clock=clock or wall_ms, **options)


class Watched:
    """The clock of an engine, which also tells a test that a transaction began."""

    def __init__(self, clock):
        self._clock = clock
        self._turns = threading.Semaphore(0)

    def __call__(self):
        self._turns.release()
        return self._clock()

    def wait(self, turns=1):
        for _ in range(turns):
            assert self._turns.acquire(timeout=30)


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.ms

    def advance(self, ms: int) -> None:
        self.ms += ms
