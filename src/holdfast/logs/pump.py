"""The thread that takes records from the queue and gives them to the segment writer.

It begins with the first record, sleeps without a timeout when there is nothing to
do, and is the only one that touches the disk: whoever logs never waits for it.
No lock is shared with those who log. The bell is a ``SimpleQueue`` (reentrant by
contract), the thread is begun with ``_thread`` (``threading.Thread.start`` takes a
lock that a signal handler would wait for in vain).
"""

from __future__ import annotations

import _thread
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Protocol

from holdfast.logs import counts
from holdfast.logs.counts import Count, DroppedOf, Drops
from holdfast.logs.model import Record
from holdfast.logs.queue import Queue
from holdfast.logs.records import LEVELS
from holdfast.logs.repeats import Repeats
from holdfast.origin import internal

BATCH_MAX = 256
GATHER_S = 0.2
"""A write may take 50 ms: together a record is on its way to the disk within 250 ms."""
IDLE_S = 3_600.0
"""Once nothing was logged for so long, the segment is sealed: it can be read by its index, and go when it is old."""
PATIENCE_S = 10.0
"""A flush waits so long for a thread that gets no processor: an orderly end on a busy machine loses nothing."""
_LOOK_S = 0.05
_ERROR = len(LEVELS) - 1
TARGET = "holdfast.logs"
"""The target of records that tell of drops."""


class Kept(Protocol):
    """How many of the records, from the first on, were written, and why not all."""

    @property
    def written(self) -> int:
        """How many."""

    @property
    def why(self) -> str:
        """Why not all; empty when all were."""


class Writer(Protocol):
    """What the pump needs of ``segments.SegmentWriter``."""

    def append(self, records: Sequence[Record], /) -> Kept:
        """Write the records; a record with id 0 is given one."""

    def close(self) -> object:
        """Seal the segment."""

    def abandon_in_child(self) -> object:
        """Write nothing any more: this is a forked child."""


class _Asked:
    """A question to the thread: have everything written, and perhaps end."""

    def __init__(self, *, end: bool) -> None:
        self.end = end
        self.done = _thread.allocate_lock()
        self.done.acquire()


class Pump:
    """Queue, thread and writer of one handler in one process."""

    def __init__(self, open_writer: Callable[[], Writer], clean: Callable[[Record], Record]) -> None:
        self.drops = Drops()
        self.queue = Queue(self.drops)
        self.given = Count()
        self.written = self.repeats = self._refused = 0
        self.errors: deque[str] = deque(maxlen=16)
        self._open_writer = open_writer
        self._clean = clean
        self._writer: Writer | None = None
        self._told: DroppedOf = {}
        self._again = Repeats()
        self._bell: SimpleQueue[_Asked | None] = SimpleQueue()
        self._rung = self._hurried = False
        self._at_disk_s: float | None = None
        self._seat = _thread.allocate_lock()
        self._ident = 0

    # --- called by those who log ------------------------------------------------

    def ring(self, rank: int, used: int) -> None:
        """Say that a record of this rank was queued, and how much is. Never waits."""
        if not self._rung:
            try:
                self._rung = True
                self._begin()
                self._bell.put(None)
            except BaseException:  # out of a signal handler of the host
                self._rung = False
                raise
        if (rank == _ERROR or used >= BATCH_MAX) and not self._hurried:
            self._hurried = True
            self._bell.put(None)

    def flush(self, wait_s: float) -> bool:
        """Have everything that was queued written; False when the disk keeps one batch for longer than ``wait_s``."""
        return self._ask(_Asked(end=False), wait_s)

    def close(self, wait_s: float) -> bool:
        """Flush, close the segment, end the thread. A record offered later begins anew."""
        return self._ask(_Asked(end=True), wait_s)

    def _ask(self, asked: _Asked, wait_s: float) -> bool:
        if self._ident == _thread.get_ident():
            return False  # the thread cannot wait for itself
        if not self._seat.locked():
            if not self.queue.waiting() and not counts.fresh(self.drops.so_far(), self._told):
                return True
            if not self._begin():
                return False
        self._bell.put(asked)
        until_s = time.monotonic() + PATIENCE_S
        while not asked.done.acquire(timeout=min(wait_s, _LOOK_S)):
            now_s, at_disk_s = time.monotonic(), self._at_disk_s
            if now_s >= until_s or (at_disk_s is not None and now_s - at_disk_s >= wait_s):
                return False
        return True

    def end_soon(self) -> None:
        """As ``close``, without waiting. Begins no thread."""
        self._bell.put(_Asked(end=True))

    def _begin(self) -> bool:
        """Begin the thread. It takes the seat itself: here an exception out of a signal handler could lose it."""
        if self._seat.locked():
            return True
        try:
            _thread.start_new_thread(self._run, ())
        except RuntimeError:
            self._rung = False  # the interpreter is ending, or the machine has no thread left; the next record tries
            return False
        return True

    # --- the thread ---------------------------------------------------------------

    def _run(self) -> None:
        # Those who ring at once may begin several threads; one is seated, the others end.
        while self._seat.acquire(blocking=False):
            self._ident = _thread.get_ident()
            with internal("log writer"):
                self._serve()
            self._ident = 0
            self._seat.release()
            # Whoever rang while the thread was ending saw the seat taken and began none.
            if not self.queue.waiting() and self._bell.empty():
                return

    def _serve(self) -> None:
        ended = False
        while not ended:
            asked: _Asked | None = None
            try:
                try:
                    asked = self._bell.get(timeout=self._wait_s())
                except Empty:
                    if self._again.tell_in_s() is None:
                        self._seal()
                    else:
                        self._write(self._again.tell(_now_us()))
                    continue
                if asked is None:
                    asked = self._gather()
                # Before the drain: who comes after it rings again.
                self._rung = self._hurried = False
                self._drain(everything=asked is not None, closing=asked is not None and asked.end)
            except BaseException as error:
                self._note(error)
            if asked is not None:
                ended = asked.end
                asked.done.release()

    def _wait_s(self) -> float | None:
        """Return how long to sleep: with nothing to tell and nothing to seal, until somebody rings."""
        tell_in_s = self._again.tell_in_s()
        return IDLE_S if tell_in_s is None and self._writer is not None else tell_in_s

    def _seal(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            with self._at_disk():
                writer.close()

    def _gather(self) -> _Asked | None:
        """Wait for more, unless there is haste; return early with a question."""
        until = time.monotonic() + GATHER_S
        while not self._hurried and (left := until - time.monotonic()) > 0:
            try:
                asked = self._bell.get(timeout=left)
            except Empty:
                break
            if asked is not None:
                return asked
        return None

    def _drain(self, *, everything: bool, closing: bool) -> None:
        refused = self._refused
        while batch := self.queue.take(BATCH_MAX):
            lines: list[Record] = []
            for record in batch:
                try:
                    lines += self._again.feed(self._clean(record))
                except Exception as error:
                    self._note(error)
                    self.drops.row(record.target)[counts.UNREADABLE][LEVELS.index(record.level)].add()
            self._write(lines)
        if everything:
            self._write(self._again.tell(_now_us()))
        if refused == self._refused:
            self._tell(closing=closing)
        if closing:
            self._seal()

    def _write(self, given: Iterable[Record]) -> None:
        lines = list(given)
        written = self._append(lines) if lines else 0
        self.written += written
        self.repeats += sum(line.repeats or 0 for line in lines[:written])
        for line in lines[written:]:
            count = self.drops.row(line.target)[counts.DISK][LEVELS.index(line.level)]
            for _ in range(1 + (line.repeats or 0)):
                count.add()
                self._refused += 1

    def _append(self, lines: list[Record]) -> int:
        try:
            if self._writer is None:
                self._writer = self._open_writer()
            with self._at_disk():
                kept = self._writer.append(lines)
        except Exception as error:
            self._note(error)
            return 0
        if kept.why:
            self._note(kept.why)
        return kept.written

    @contextmanager
    def _at_disk(self) -> Iterator[None]:
        self._at_disk_s = time.monotonic()
        try:
            yield
        finally:
            self._at_disk_s = None

    def _tell(self, *, closing: bool) -> None:
        """Write a record of the drops no record told yet.

        Dropped file events alone cause none before the end: such a record would be the next event.
        """
        so_far = self.drops.so_far()
        fresh = counts.fresh(so_far, self._told)
        by_reason = counts.by_reason(fresh)
        if not fresh or (not closing and by_reason.keys() == {counts.FILE_EVENT}):
            return
        by_target = counts.by_target(fresh)
        reasons = {reason: sum(levels.values()) for reason, levels in by_reason.items()}
        said = ", ".join(f"{reason} ({n})" for reason, n in reasons.items())
        record = Record(
            id=0,
            ts=_now_us(),
            level="WARN",
            target=TARGET,
            message=f"{sum(reasons.values())} records dropped: {said}",
            pid=os.getpid(),
            fields={**reasons, "targets": by_target},
            dropped={level: n for level in LEVELS if (n := sum(of.get(level, 0) for of in by_target.values()))},
        )
        if self._append([record]):
            self._told = so_far

    def _note(self, trouble: object) -> None:
        with suppress(BaseException):
            said = str(trouble) if isinstance(trouble, str) else f"{type(trouble).__name__}: {trouble}"
            if said[:1_000] not in self.errors:
                self.errors.append(said[:1_000])

    # --- the child of a fork ------------------------------------------------------

    def left_in_parent(self) -> tuple[object, ...]:
        """Give up the writer in a forked child; return what must not be freed there: a thread waits in it."""
        writer = self._writer
        if writer is not None:
            with suppress(Exception):
                writer.abandon_in_child()
        return self._bell, self._seat, writer


def _now_us() -> int:
    return time.time_ns() // 1_000
