"""A ``logging.Handler`` that cannot stop its host, whatever the host logs and whatever the disk does.

What it does in the thread that logs: decide, make text, queue. Never the disk, never a lock.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from holdfast import origin
from holdfast.logs import counts, feedback, records
from holdfast.logs.counts import Count, HandlerStats
from holdfast.logs.model import Record
from holdfast.logs.pump import Pump, Writer
from holdfast.logs.queue import SLOTS_MAX

if TYPE_CHECKING:
    from holdfast.logs.rates import Rates

FLUSH_S = 1.0
"""How long ``flush()`` and ``close()`` wait for a disk that does not answer."""
RAISED_S_MAX = 3_600.0
_DEEP_MAX = 8


class _Inside(threading.local):
    """How many records this thread is in the middle of: a ``__str__`` may log, too."""

    deep = 0


class Guarded:
    """The directories whose file events are not logged, by every name they have."""

    def __init__(self, directories: Iterable[str]) -> None:
        self._directories = tuple(directories)
        self.paths = feedback.Paths(self._directories)

    def resolve(self) -> None:
        """Learn the real paths. May wait for a disk, so only the thread that writes does it."""
        real = (os.path.realpath(directory) for directory in self._directories)
        self.paths = feedback.Paths((*self._directories, *real))


class LogHandler(logging.Handler):
    """Keep log records in segments. Made by ``holdfast.logs.handler``, which says what each option is."""

    def __init__(
        self,
        open_writer: Callable[[], Writer],
        *,
        level: int | str = "INFO",
        protect: Sequence[str] = (),
        redacted: bool = True,
        secrets: Sequence[str] = (),
        per_target: int | None = None,
        per_template: int | None = None,
        off: bool = False,
    ) -> None:
        number = records.levelno(level)
        super().__init__(number)
        self._off = off
        self._unraised = number
        self._raised_until_ns = 0
        self._inside = _Inside()
        self._own = Count()
        guarded = self._guarded = Guarded(protect)
        self._rates = _limits(per_target, per_template) if per_target or per_template else None
        clean = _cleaner(tuple(re.compile(shape) for shape in secrets)) if redacted else _as_it_is

        def open_first() -> Writer:
            guarded.resolve()
            return open_writer()

        self._new_pump: Callable[[], Pump] = lambda: Pump(open_first, clean)
        self._begin()
        _handlers.add(self)

    def _begin(self) -> None:
        self._pump = pump = self._new_pump()
        # A handler that was forgotten, not closed: its thread ends once all is written.
        self._forgotten = weakref.finalize(self, pump.end_soon)
        self._forgotten.atexit = False  # then ``logging.shutdown`` closes it

    # --- levels ---------------------------------------------------------------------

    def setLevel(self, level: int | str) -> None:  # noqa: N802 (of logging)
        """Keep records from this level up, from now on; ends what ``raise_level`` began. Raises ``ValueError``."""
        self.level = self._unraised = records.levelno(level)
        self._raised_until_ns = 0

    def raise_level(self, level: int | str, for_s: float) -> None:
        """Keep records from this level up for ``for_s`` seconds, at most an hour, then as before.

        The loggers must let such records through: that is their own level. Raises ``ValueError``.
        """
        number = records.levelno(level)
        self._raised_until_ns = time.monotonic_ns() + int(min(max(for_s, 0.0), RAISED_S_MAX) * 1e9)
        self.level = number

    # --- one record -----------------------------------------------------------------

    def handle(self, record: logging.LogRecord) -> bool:
        """Take the record; False when it is not kept. Never waits; raises nothing of its own."""
        try:
            return self._handle(record)
        except Exception:
            return False  # it was counted where it failed, or it is in the queue

    def emit(self, record: logging.LogRecord) -> None:
        """As ``handle``."""
        self.handle(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (of logging)
        """Do nothing: what went wrong is in ``stats()``, and never on the host's stderr."""

    def _handle(self, record: logging.LogRecord) -> bool:
        if self._off:
            return False
        if origin.part() is not None:
            self._own.add()
            return False
        if self._raised_until_ns and time.monotonic_ns() >= self._raised_until_ns:
            self.level, self._raised_until_ns = self._unraised, 0
        if record.levelno < self.level:
            return False
        pump, drops = self._pump, self._pump.drops
        rank = records.rank(record.levelno)
        if self.filters:
            try:
                passed: object = self.filter(record)
            except Exception:
                row = drops.row(record.name)
                pump.given.add()
                row[counts.UNREADABLE][rank].add()
                return False
            if not passed:
                return False
            if isinstance(passed, logging.LogRecord):  # Python 3.12: a filter may give another
                record = passed
        inside = self._inside
        deep = inside.deep
        dropped = counts.UNREADABLE
        pump.given.add()
        try:
            inside.deep = deep + 1
            if self._rates is not None and not self._rates.allow(record):
                dropped = counts.RATE
                return False
            if deep >= _DEEP_MAX:
                dropped = counts.RECURSION
                return False
            if not pump.queue.has_room(rank):  # with a disk that stands still a line costs a count, and no text
                dropped = counts.QUEUE_FULL
                pump.ring(rank, SLOTS_MAX)  # the thread may not have begun
                return False
            made, size_bytes = records.made(record, self.formatter)
            if self._is_file_event(made, rank):
                dropped = counts.FILE_EVENT
                return False
            used = pump.queue.put(rank, made, size_bytes)
            dropped = ""
            pump.ring(rank, used)
        finally:  # also when it ends in a KeyboardInterrupt, which ``handle`` lets through: it is the host's
            inside.deep = deep
            if dropped:
                try:
                    row = drops.row(record.name)
                except Exception:
                    row = drops.others  # the host is at the end of its stack: from here on nothing can fail
                row[dropped][rank].add()
        return True

    def _is_file_event(self, made: Record, rank: int) -> bool:
        said = made.message
        if made.fields:
            # An event in the message and its path in a field, too: what they say is said together.
            said = "\n".join((said, *feedback.texts(made.fields)))
        return feedback.is_file_event(said, quiet=rank < 2, paths=self._guarded.paths)

    # --- the end --------------------------------------------------------------------

    def flush(self) -> None:
        """Hand everything logged so far to the file; gives up once the disk has kept one batch for a second."""
        with suppress(Exception):
            self._pump.flush(FLUSH_S)

    def close(self) -> None:
        """Flush, as ``flush`` does, and seal the segment. A record that comes later begins a new one."""
        with suppress(Exception):
            self._pump.close(FLUSH_S)
        super().close()

    def stats(self) -> HandlerStats:
        """Return what became of the records so far, from memory: it works when the disk does not."""
        pump = self._pump
        so_far = pump.drops.so_far()
        return HandlerStats(
            given=int(pump.given),
            written=pump.written,
            repeats=pump.repeats,
            dropped=counts.by_reason(so_far),
            dropped_by_target=counts.by_target(so_far),
            own=int(self._own),
            waiting_slots=len(pump.queue),
            errors=tuple(pump.errors),
        )

    def _begin_in_child(self) -> None:
        """What is queued is the parent's, who writes it. The child has its own queue, thread and segment."""
        self._forgotten.detach()
        _left_behind.append(self._pump.left_in_parent())
        self._inside = _Inside()
        self._own = Count()
        self._begin()
        # Children of multiprocessing end with os._exit: no atexit, but these.
        util = sys.modules.get("multiprocessing.util")
        if util is not None:
            util.register_after_fork(self, _close_with_the_process)


def _close_with_the_process(handler: LogHandler) -> None:
    from multiprocessing.util import Finalize

    Finalize(handler, handler.flush, exitpriority=0)


def _as_it_is(record: Record) -> Record:
    return record


def _limits(per_target: int | None, per_template: int | None) -> Rates:
    from holdfast.logs.rates import Rates

    return Rates(per_target, per_template)


def _cleaner(also: tuple[re.Pattern[str], ...]) -> Callable[[Record], Record]:
    def clean(record: Record) -> Record:
        from holdfast.logs import redact  # late: in the thread that writes

        def clean_text(text: str) -> str:
            return redact.text(text, also)

        message = clean_text(record.message)
        exception = record.exception and clean_text(record.exception)
        fields = record.fields and redact.value(record.fields, clean_text)
        return msgspec.structs.replace(record, message=message, exception=exception, fields=fields)

    return clean


_handlers: weakref.WeakSet[LogHandler] = weakref.WeakSet()
_left_behind: list[object] = []
"""What forked children inherited in use, never freed: a thread of the parent waits in it."""


def _begin_in_child() -> None:
    for handler in list(_handlers):
        with suppress(Exception):
            handler._begin_in_child()


os.register_at_fork(after_in_child=_begin_in_child)
