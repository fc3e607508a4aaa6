"""One claimed job while it is done: the claim is renewed, files are staged, and its end is written under the fence."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from holdfast.engine import Engine, Write
from holdfast.errors import Busy, Full, HoldfastError, Stale
from holdfast.holds import Keeper, Watch
from holdfast.jobs import ending, guard, rules
from holdfast.jobs.guard import Staged
from holdfast.jobs.model import MS_MAX, Claimed, Job, Watermark, check_whole

T = TypeVar("T")
End = Literal["done", "failed", "given up", "released", "lost"]
_END_WAIT_MS = 5_000
_BUSY_S = 0.2
_LATER_MS_MIN = 100  # no attempt is counted, so nothing else would end a job that is put off again and again


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Return this from a job's function: this input will never do."""

    why: str


@dataclass(frozen=True, slots=True)
class Later:
    """Return this from a job's function: not now, and it is nobody's fault. The attempt does not count.

    It is tried again in ``in_ms``, at least 100; None: after as long a rest as its kind has after a first failure.
    From a worker that is to end others get the job at once, unless a time was said.
    """

    in_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """Return this from a job's function to say which input was done, when it is not the one it was claimed for."""

    result: Any = None
    watermark: Watermark | None = None


class _GivenBack:
    """The end of a job whose function was not asked: the worker ends."""


class Work:
    """What a job's function is given. Its claim is renewed as long as the function runs.

    ``lost`` is set when the claim was lost, ``stopping`` when the worker is to
    end: a long job may then return ``Later()``.
    """

    def __init__(
        self,
        engine: Engine,
        claim: Claimed,
        *,
        stopping: threading.Event | None = None,
        on_lost: Callable[[], object] = lambda: None,
        watch: Watch | None = None,
    ) -> None:
        self.claim = claim
        self.stopping = stopping or threading.Event()
        self._engine = engine
        self._staged: list[Staged] = []
        lease_ms = claim.hold.expires_ms - claim.hold.renewed_ms
        self._keeper = Keeper(engine, claim.hold, lease_ms, renew=self._renew, on_lost=on_lost, watch=watch)
        self.lost = self._keeper.lost

    @property
    def job(self) -> Job:
        """The job as it was claimed."""
        return self.claim.job

    @property
    def payload(self) -> Any:
        """What was asked for."""
        return self.claim.job.payload

    @property
    def watermark(self) -> Watermark | None:
        """The input it was claimed for."""
        return self.claim.watermark

    @property
    def fence(self) -> int:
        """The fence of this claim: give it to whatever else must refuse the late."""
        return self.claim.fence

    def check(self) -> None:
        """Raise ``Stale`` when the claim was lost. Costs nothing: no look at the database."""
        self._keeper.check()

    def note(self, text: str) -> None:
        """Say how far the work is; written with the next renewal."""
        self._keeper.note = text

    @contextlib.contextmanager
    def guard(self, path: str | os.PathLike[str]) -> Iterator[str]:
        """Give an empty folder for what is to be at ``path``. It is published with the end of the job, or never.

        ``with work.guard("memories") as folder: …`` See ``guard.py``.
        """
        with guard.stage(self.claim, path) as staged:
            yield staged.folder
        self._staged.append(staged)

    def give_back(self) -> End:
        """Give the job back undone, for others at once, and its attempt with it."""
        return self.end(_GivenBack())

    def stop_keeping(self) -> None:
        """End the renewals; the claim stays until its lease ends."""
        self._keeper.stop()

    def end(self, answer: Any) -> End:
        """Write what the function returned, or the exception it raised, and return how the job ended.

        Files that were staged are published in the transaction that finishes
        the job. A claim that was lost changes nothing, and publishes nothing.
        """
        return self.end_and(answer, None)[0]

    def end_and(self, answer: Any, then: Callable[[Write], T | None] | None) -> tuple[End, T | None]:
        """Do as ``end``, with ``then`` in the same transaction, and return what that returned, too.

        What ``then`` raises costs the end nothing: it is written without. It is left out when there are staged files,
        because these come into their place only after the commit, and when the disk has room for no more than ends.
        """
        try:
            ended = self._end_in_time(answer, None if self._staged else then)
        finally:
            self._keeper.stop()
        for staged in self._staged:
            # How the job ended is written. The link is set by whoever asks for the path or publishes there next.
            with contextlib.suppress(HoldfastError, OSError):
                guard.settle(self._engine, staged)
        return ended

    def _end_in_time(self, answer: Any, then: Callable[[Write], T | None] | None) -> tuple[End, T | None]:
        while True:
            try:
                with self._engine.write(wait_ms=_END_WAIT_MS, reserve=then is None) as tx:
                    ended = self._write_end(tx, answer)
                    found = None if then is None else _tried(then, tx)
                return ended, found
            except _ThenFailed:
                then = None
            except Stale:
                return "lost", None
            except Busy as error:
                if isinstance(error, Full) and then is not None:
                    then = None
                # The work is done: worth waiting for as long as the claim is renewed, or can be.
                elif self.lost.wait(_BUSY_S) or not self._is_mine():
                    return "lost", None
            except HoldfastError as error:
                # It cannot be written as it is (no JSON, another's path): a failure of the job, like others.
                if isinstance(answer, BaseException):
                    raise
                answer, then = error, None

    def _is_mine(self) -> bool:
        try:
            self._keeper.check()
        except Stale:
            return False
        return True

    def _write_end(self, tx: Any, answer: Any) -> End:
        match answer:
            case BaseException():
                ending.fail(tx, self.claim, _told(answer))
                return "failed"
            case GiveUp(why=why):
                ending.give_up(tx, self.claim, why)
                return "given up"
            case Later() | _GivenBack():
                ending.release(tx, self.claim, retry_in_ms=self._rest_ms(answer))
                return "released"
            case Done(result=result, watermark=watermark):
                pass
            case result:
                watermark = None
        for staged in self._staged:
            guard.publish(tx, staged)
        ending.finish(tx, self.claim, result, watermark=watermark)
        return "done"

    def _rest_ms(self, answer: Later | _GivenBack) -> int:
        if isinstance(answer, _GivenBack) or (self.stopping.is_set() and not answer.in_ms):
            return 0
        if answer.in_ms is None:
            rest_ms = rules.backoff_ms(self.claim.kind, self.job.key, 1)
        else:
            rest_ms = answer.in_ms
            check_whole("Later: in_ms", rest_ms, 0, MS_MAX)
        return max(rest_ms, _LATER_MS_MIN)

    def _renew(self, tx: Any, _hold: object, *, lease_ms: int, note: str) -> None:
        ending.renew(tx, self.claim, lease_ms=lease_ms, note=note)


class _ThenFailed(Exception):
    """Rolls back an end, to be written again without what was to come with it."""


def _tried(then: Callable[[Write], T | None], tx: Write) -> T | None:
    try:
        return then(tx)
    except Exception as error:
        raise _ThenFailed from error


def _told(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
