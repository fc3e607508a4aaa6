"""The claim of a task whose worker is ours to see to: renewed, watched, ended. The worker may speak for it, too."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Any

from holdfast import board
from holdfast.board.dispatching.rules import End
from holdfast.board.model import Outcome, Status
from holdfast.clock import boot_ms
from holdfast.engine import Engine, Read, Write
from holdfast.errors import Stale
from holdfast.holds import Hold, Keeper, Watch

_BY_WORKER = frozenset({Outcome.COMPLETED, Outcome.REVIEW, Outcome.CHANGES, Outcome.BLOCKED, Outcome.RELEASED})


class Standing(Enum):
    """How it stands with a claim."""

    OURS = "in force"
    SAID = "its worker said how the task ended"
    LOST = "somebody took it away"


class Claim:
    """The claim of one run. While it is in force it is renewed, from ``keep`` until ``stop``."""

    def __init__(self, task_id: int, run_id: int, fence: int) -> None:
        self.task_id = task_id
        self.run_id = run_id
        self.fence = fence
        self.heard_ms = boot_ms()
        """When its worker was last heard of through the board, by the boot clock."""
        self._by_us: deque[int] = deque(maxlen=8)
        self._note = ""
        self._keeper: Keeper | None = None

    def keep(self, engine: Engine, hold: Hold, *, lease_ms: int, watch: Watch, on_lost: Callable[[], object]) -> None:
        """Renew it in the background; ``on_lost`` is called when that finds that it is over."""
        self._by_us.append(hold.renewed_ms)
        self._note = hold.note
        self._keeper = Keeper(engine, hold, lease_ms, renew=self._renew, on_lost=on_lost, watch=watch)

    def look(self, tx: Read) -> Standing:
        """Return how it stands, and note when its worker renewed it. One or two short reads."""
        seen = board.get(tx, self.task_id)
        if seen is not None and seen.status == Status.RUNNING and seen.fence == self.fence:
            self._note = seen.note
            if seen.renewed_ms not in self._by_us:
                self.heard_ms = boot_ms() - max(0, tx.now_ms - seen.renewed_ms)
            return Standing.OURS
        return Standing.SAID if self._outcome(tx) in _BY_WORKER else Standing.LOST

    def end(self, tx: Write, end: End, exit_code: int | None) -> str:
        """Write how the run ended, unless that was said already; return its outcome, "" when there is none to tell."""
        try:
            if end.outcome == Outcome.RELEASED:
                board.release(tx, self.task_id, fence=self.fence, retry_in_ms=end.retry_in_ms or 0)
            else:
                board.fail(
                    tx,
                    self.task_id,
                    fence=self.fence,
                    error=end.failure,
                    outcome=end.outcome,
                    exit_code=exit_code,
                    counted=end.counted,
                    retry_in_ms=end.retry_in_ms,
                )
            return end.outcome
        except Stale:
            return str(self._outcome(tx) or "")

    def stop(self) -> None:
        """Renew it no more."""
        if self._keeper is not None:
            self._keeper.stop()

    def _outcome(self, tx: Read) -> Outcome | None:
        return next((run.outcome for run in board.runs(tx, self.task_id) if run.run_id == self.run_id), None)

    def _renew(self, tx: Any, _hold: object, *, lease_ms: int, note: str) -> None:
        self.look(tx)
        self._by_us.append(tx.now_ms)
        board.renew(tx, self.task_id, self.fence, lease_ms=lease_ms, note=self._note)
