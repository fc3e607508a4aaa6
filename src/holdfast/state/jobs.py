"""``state.jobs``: each door is one transaction around the function of the same name in ``holdfast.jobs``.

Inside a transaction of yours use those functions: then the job and what you write with it come together.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from holdfast import holds, jobs
from holdfast.errors import Refused
from holdfast.jobs import (
    Claimed,
    Enqueued,
    Exhausted,
    Idle,
    Job,
    Kind,
    Known,
    Outcome,
    Resting,
    Status,
    Terminal,
    guard,
)
from holdfast.jobs.worker import POLL_MS, Report, Worker
from holdfast.jobs.working import Work

if TYPE_CHECKING:
    from holdfast.holds import Owner
    from holdfast.state.handle import State


class Jobs:
    """Work that happens once per input. Every outcome is a value; see ``holdfast.jobs``."""

    def __init__(self, state: State) -> None:
        self._state = state

    # --- asking for work ---------------------------------------------------

    def enqueue(self, kind: Kind | str, key: str, **words: Any) -> Enqueued | Known:
        """Ask for a job once per input. See ``jobs.enqueue`` for the words."""
        with self._state.write() as tx:
            return jobs.enqueue(tx, kind, key, **words)

    def retry(self, kind: str, key: str) -> Job | None:
        """Have the job done again, now, with a new budget. None: there is no such job."""
        with self._state.write() as tx:
            return jobs.retry(tx, kind, key)

    def cancel(self, kind: str, key: str, why: str = "cancelled") -> Job | None:
        """Have the job not done; who is at it is ``Stale``. None: there is no such job."""
        with self._state.write() as tx:
            return jobs.cancel(tx, kind, key, why)

    def forget(self, kind: str, key: str) -> bool:
        """Make it as if the job had never been. False: there is none."""
        with self._state.write() as tx:
            return jobs.forget(tx, kind, key)

    def cap(self, kind: str | None, running_max: int | None) -> None:
        """Let at most ``running_max`` jobs of ``kind`` (None: all kinds) run at once; 0 pauses, None ends the cap."""
        with self._state.write() as tx:
            jobs.cap(tx, kind, running_max)

    # --- looking -------------------------------------------------------------

    def get(self, kind: str, key: str) -> Job | None:
        """Return the job, or None when there is none."""
        if self._state.engine is None:
            return None
        with self._state.read() as tx:
            return jobs.get(tx, kind, key)

    def list(self, *, kind: str | None = None, status: Status | str | None = None, limit: int = 100) -> list[Job]:
        """Return jobs, those that changed last first."""
        if self._state.engine is None:
            return []
        with self._state.read() as tx:
            return jobs.listing(tx, kind=kind, status=None if status is None else Status(status), limit=limit)

    def counts(self) -> dict[str, dict[Status, int]]:
        """Return how many jobs there are, by kind and status."""
        if self._state.engine is None:
            return {}
        with self._state.read() as tx:
            return jobs.counts(tx)

    def why(self, kind: str, key: str) -> str | None:
        """Return one sentence: what keeps the job waiting, and what will change it. None: there is no such job."""
        if self._state.engine is None:
            return None
        with self._state.read() as tx:
            return jobs.why(tx, kind, key)

    def published(self, path: str | os.PathLike[str]) -> str | None:
        """Return the folder whose files count for ``path``, and have the link follow it. None: none was published.

        The link does not follow where somebody put something else in its place; the next to publish there is refused.
        """
        engine = self._state.engine
        if engine is None:
            return None
        if not self._state.read_only:
            with contextlib.suppress(Refused, OSError):
                guard.point(engine, path)
        with engine.read() as tx:
            return guard.published(tx, path)

    # --- doing it ------------------------------------------------------------

    def claim(self, kind: Kind | str, key: str, owner: Owner | None = None, **words: Any) -> Outcome:
        """Claim this one job, or learn why not. See ``jobs.claim`` for the words."""
        with self._state.write() as tx:
            return jobs.claim(tx, kind, key, owner or holds.me(), **words)

    def claim_next(self, kinds: Sequence[Kind | str], owner: Owner | None = None, **words: Any) -> Claimed | Idle:
        """Claim the job of these kinds that is to be done next."""
        with self._state.write() as tx:
            return jobs.claim_next(tx, kinds, owner or holds.me(), **words)

    def renew(self, claim: Claimed, *, lease_ms: int | None = None, note: str = "") -> Claimed:
        """Extend the claim. Raises ``Stale`` when it was lost."""
        with self._state.engine_to_write().write(reserve=True) as tx:
            return jobs.renew(tx, claim, lease_ms=lease_ms, note=note)

    def finish(self, claim: Claimed, result: Any = None, **words: Any) -> None:
        """Say that the job was done. Raises ``Stale`` when the claim was lost."""
        with self._state.engine_to_write().write(reserve=True) as tx:
            jobs.finish(tx, claim, result, **words)

    def fail(self, claim: Claimed, error: object, *, retry_in_ms: int | None = None) -> Resting | Exhausted | Terminal:
        """Say that the job failed, and return what comes of it. Raises ``Stale`` when the claim was lost."""
        with self._state.engine_to_write().write(reserve=True) as tx:
            return jobs.fail(tx, claim, error, retry_in_ms=retry_in_ms)

    def give_up(self, claim: Claimed, why: object) -> Resting | Exhausted | Terminal:
        """Say that this input will never do; newer input is ``Resting``. Raises ``Stale`` when the claim was lost."""
        with self._state.engine_to_write().write(reserve=True) as tx:
            return jobs.give_up(tx, claim, why)

    def release(self, claim: Claimed, *, retry_in_ms: int = 0) -> None:
        """Give the job back undone, and its attempt with it. Raises ``Stale`` when the claim was lost."""
        with self._state.engine_to_write().write(reserve=True) as tx:
            jobs.release(tx, claim, retry_in_ms=retry_in_ms)

    def worker(
        self, kinds: Sequence[Kind | str], fn: Callable[[Work], Any], *, label: str = "", poll_ms: int = POLL_MS
    ) -> Worker:
        """Return a worker that does jobs of ``kinds`` with ``fn(work)``: ``.run()`` it, or ``await .run_async()``."""
        return Worker(self._state.engine_to_write(), kinds, fn, label=label, poll_ms=poll_ms)

    def run(self, kinds: Sequence[Kind | str], fn: Callable[[Work], Any], **how: Any) -> Report:
        """Do jobs of ``kinds`` with ``fn(work)`` until told to stop. See ``Worker.run``."""
        return self.worker(kinds, fn).run(**how)
