"""One worker from its first breath to the last of what it started: limits, TERM, KILL. Writes nothing."""

from __future__ import annotations

import math
import signal

from holdfast.board.dispatching import groups
from holdfast.board.dispatching.claims import Claim, Standing
from holdfast.board.dispatching.model import How, Working
from holdfast.board.dispatching.records import Record
from holdfast.board.dispatching.rules import End, Why, end_of
from holdfast.board.dispatching.run_logs import Log
from holdfast.board.dispatching.spawning import Found, Worker
from holdfast.clock import boot_ms

_GROUP_MS = 100  # of the end of what a worker left behind nobody tells us
_LOG_MS = 1_000


class Tended:
    """A worker at hand. ``step`` it; when it is ``gone``, write what ``end`` says, and ``close`` it."""

    def __init__(self, record: Record, worker: Worker | Found, claim: Claim, how: How) -> None:
        self.record = record
        self.worker = worker
        self.claim = claim
        self.why: Why | None = None
        """Why we end it; None: we do not."""
        self.gone = False
        """Whether nothing of it runs any more."""
        self.exit_code: int | None = None
        self.over = False
        """Whether its command ended."""
        self._how = how
        self._log = Log(record.log)
        self._heard_ms = boot_ms()
        self._log_ms = 0
        self._said_ms: int | None = None
        self._kill_ms: float | None = None

    def look(self, standing: Standing, *, heard_ms: int = 0) -> None:
        """Take note of how it stands with its claim, and when the board last heard of it."""
        self._heard_ms = max(self._heard_ms, heard_ms)
        if standing is Standing.LOST:
            self.finish(Why.LOST)
        elif standing is Standing.SAID and self._said_ms is None:
            self._said_ms = boot_ms()

    def finish(self, why: Why, *, at_once: bool = False) -> None:
        """End it, and all it started: TERM, and KILL after some seconds, or at once. The first reason counts."""
        self.why = self.why or why
        if at_once:
            self._kill_ms = 0

    def step(self) -> None:
        """See how it is, and do what is due. A stat each second while it works, a look at /proc when it is to end."""
        now_ms = boot_ms()
        if not self.over:
            self.over, self.exit_code = self.worker.ended()
        if now_ms - self._log_ms >= _LOG_MS or self.over:
            self._log_ms = now_ms
            self._listen(now_ms)
            self._log.bound(self._how.log_bytes_max)
        if not self.over and self.why is None:
            self.why = self._limit_passed(now_ms)
        if self.over or self.why is not None:
            self._end(now_ms)

    def is_silent(self) -> bool:
        """Whether nothing was heard of it for too long, as far as is known without a look at the board."""
        now_ms = boot_ms()
        if self.over or self.why is not None or self._said_ms is not None or self._silent_in_ms(now_ms) > 0:
            return False
        self._listen(now_ms)
        return self._silent_in_ms(now_ms) <= 0

    def due_in_ms(self) -> float:
        """Return when the next step is due, if nothing is heard of it before."""
        now_ms = boot_ms()
        if self.over or self.why is not None:
            return _GROUP_MS
        if self._said_ms is not None:
            return max(0, min(_LOG_MS, self._said_ms + self._how.linger_s * 1_000 - now_ms))
        ahead: list[float] = [self._silent_in_ms(now_ms), _LOG_MS]
        if self.record.time_max_ms is not None:
            ahead.append(self.record.began_ms + self.record.time_max_ms - now_ms)
        return max(0, min(ahead))

    def end(self) -> End:
        """Return what is to be written, if its worker said nothing."""
        limits = {Why.TIMED_OUT: self.record.time_max_ms, Why.SILENT: self.record.silence_max_ms}
        return end_of(
            self.why,
            self.exit_code,
            begun=self.worker.begun,
            limit_ms=(limits.get(self.why) if self.why else None) or 0,
            rate_limit_ms=self._how.rate_limit_ms,
        )

    def working(self) -> Working:
        """Return what a leader tells of it."""
        record = self.record
        return Working(
            record.task_id,
            record.run_id,
            record.attempt,
            record.assignee,
            record.worker.pid,
            boot_ms() - record.began_ms,
            str(self.why or ("ending" if self.over else "working")),
        )

    def close(self) -> None:
        """Give back what it took of ours. It is gone, and its end is written."""
        self.worker.close()
        self.claim.stop()

    def leave(self) -> None:
        """Give back what it took of ours. It goes on."""
        self.worker.leave()
        self.claim.stop()

    def _listen(self, now_ms: int) -> None:
        if self._log.grew():
            self._heard_ms = now_ms

    def _limit_passed(self, now_ms: int) -> Why | None:
        record = self.record
        if self._said_ms is not None:
            return Why.LINGERING if now_ms - self._said_ms >= self._how.linger_s * 1_000 else None
        if record.time_max_ms is not None and now_ms - record.began_ms >= record.time_max_ms:
            return Why.TIMED_OUT
        return None

    def _silent_in_ms(self, now_ms: int) -> float:
        silence_max_ms = self.record.silence_max_ms
        return math.inf if silence_max_ms is None else self._heard_ms + silence_max_ms - now_ms

    def _end(self, now_ms: int) -> None:
        left = groups.others(self.record.worker)
        if self.over and not left:
            self.gone = True
        elif self._kill_ms is None:
            self._kill_ms = now_ms + self._how.kill_after_s * 1_000
            groups.tell(left, signal.SIGTERM)
        elif now_ms >= self._kill_ms:
            groups.tell(left, signal.SIGKILL)
            if not left:  # its shell does not tell of its end: stopped, or it cannot write
                groups.kill_all(self.record.worker)
