"""Writing one thread's rollout: one writer, one file, one lock. Knows files, no database."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

from holdfast import ids
from holdfast.clock import Clock, wall_ms
from holdfast.errors import HoldfastError, Refused
from holdfast.lockfiles import FileLock
from holdfast.rollouts.lines import LINE_BYTES_MAX
from holdfast.rollouts.writing import lines, resuming, starting
from holdfast.rollouts.writing.growing import GrowingFile, unwritable
from holdfast.rollouts.writing.lock import writer_lock
from holdfast.rollouts.writing.model import QUEUED_BYTES_MAX, Appended, HistoryBase, Sync
from holdfast.rollouts.writing.pending import Pending, Taken


class RolloutWriter:
    """Appends items to one rollout. Made by ``create`` or ``resume``; closed by ``close``, or as a context manager.

    Safe to call from several threads, one at a time gets in. Not to be used
    by a forked child: it is refused there.
    """

    def __init__(
        self,
        file: GrowingFile,
        *,
        home: str,
        thread_id: str,
        lock: FileLock | None,
        next_ordinal: int | None,
        sync: Sync,
        line_bytes_max: int,
        queued_bytes_max: int,
        clock: Clock,
    ) -> None:
        if sync not in ("append", "turn", "never"):
            raise Refused(f'sync is "append", "turn" or "never", got {sync!r}')
        self.home = home
        self.thread_id = thread_id
        self.path = file.path
        self.sync = sync
        self.closed = False
        self.meta: dict[str, Any] | None = None
        """The payload of the ``session_meta`` that ``create`` made; None after ``resume``."""
        self.cut_bytes = 0
        """How many bytes of a torn line ``resume`` cut off."""
        self._file = file
        self._lock = lock
        self._pid = os.getpid()
        self._id_given: bytes | None = None  # of a thread to be made, whose id is not one we drew
        self._line_bytes_max = line_bytes_max
        self._clock = clock
        self._turn = threading.Lock()
        self._pending = Pending(file, next_ordinal, syncs=sync != "never", bytes_max=queued_bytes_max)

    @classmethod
    def create(
        cls,
        home: str | os.PathLike[str],
        meta: Mapping[str, Any],
        *,
        base: HistoryBase | None = None,
        sync: Sync = "append",
        line_bytes_max: int = LINE_BYTES_MAX,
        queued_bytes_max: int = QUEUED_BYTES_MAX,
        clock: Clock = wall_ms,
    ) -> RolloutWriter:
        """Return the writer of a new thread. Nothing is on the disk until it is first given items, or ``persist``.

        ``meta`` is the payload of the ``session_meta`` (``meta.session_meta``
        says what may be left out); its ``id`` may name the thread, else it
        gets a new UUIDv7. ``base`` makes it a fork that continues another
        thread of this home; that file is read up to the point, to check it.
        Raises ``Refused``, also for an ``id`` that a file of the home has; only then the home is walked,
        now and again before the first write.
        """
        home = os.path.abspath(home)
        now_ms = clock()
        begun = starting.start(home, meta, base, now_ms)
        head = lines.batch(
            [{"type": "session_meta", "payload": begun.meta}],
            now_ms=now_ms,
            ordinal=begun.first_ordinal,
            line_bytes_max=line_bytes_max,
        )
        writer = cls(
            GrowingFile(home, begun.path),
            home=home, thread_id=begun.thread_id, lock=None, next_ordinal=begun.first_ordinal, sync=sync,
            line_bytes_max=line_bytes_max, queued_bytes_max=queued_bytes_max, clock=clock,
        )  # fmt: skip
        writer.meta = begun.meta
        writer._id_given = ids.parse(begun.thread_id) if meta.get("id") is not None else None
        writer._pending.take(head.block, 0, head.next_ordinal)
        return writer

    @classmethod
    def resume(
        cls,
        home: str | os.PathLike[str],
        path: str | os.PathLike[str],
        *,
        keep: resuming.Keep | None = None,
        wait_ms: float = 0,
        sync: Sync = "append",
        line_bytes_max: int = LINE_BYTES_MAX,
        queued_bytes_max: int = QUEUED_BYTES_MAX,
        clock: Clock = wall_ms,
    ) -> RolloutWriter:
        """Return a writer that goes on behind the last whole line of a rollout of ``home``.

        ``path`` is absolute or relative to the home, in either spelling; a
        compressed file is made plain first. Half a line, or NUL bytes, at the
        end are cut off after ``keep(path, offset, data)`` has made a copy;
        without ``keep`` that is ``Refused``. A last line that only lacks its
        newline stays. Raises ``Busy`` with the name of the other writer,
        ``Refused`` and ``Damaged`` for what cannot be gone on with, ``Full``
        or ``Unsupported`` when the disk says no. Reads the head and the last 64 KiB.
        """
        home = os.path.abspath(home)
        full, thread_id = resuming.place(home, os.fspath(path))
        lock = None
        try:
            lock = writer_lock(home, thread_id, wait_ms=wait_ms)
            found = resuming.resume(full, thread_id, keep, sync=sync != "never")
            writer = cls(
                GrowingFile(home, full, stat=found.stat),
                home=home, thread_id=thread_id, lock=lock, next_ordinal=found.next_ordinal, sync=sync,
                line_bytes_max=line_bytes_max, queued_bytes_max=queued_bytes_max, clock=clock,
            )  # fmt: skip
        except OSError as error:
            if lock is not None:
                lock.release()
            raise unwritable(error, f"{full} cannot be gone on with") from error
        except BaseException:
            if lock is not None:
                lock.release()
            raise
        writer.cut_bytes = found.cut_bytes
        if found.needs_newline:
            writer._pending.take(b"\n", 0, found.next_ordinal)
        return writer

    # --- what a harness calls ------------------------------------------------------

    def append(self, items: Iterable[Mapping[str, Any]]) -> Appended:
        """Write a batch of items, each a mapping with ``type`` and ``payload``; time and number are stamped here.

        One ``stat`` and one ``write`` for the whole batch, and what ``sync``
        asks for. When the disk says no, the batch waits in memory in its
        place and the answer says so; the next call tries again. Raises, with
        nothing of the batch taken: ``Refused`` (an item that is no line),
        ``Full`` (no room on the disk, nor in memory), ``Damaged`` (somebody
        else was at the file) and ``Busy`` (somebody else writes this thread).
        """
        self.check_open()  # before anything that a fork may have left locked
        with self._turn:
            self.check_open()
            before = self._pending.last
            batch = lines.batch(
                items,
                now_ms=self._clock(),
                ordinal=before.next_ordinal,
                line_bytes_max=self._line_bytes_max,
            )
            if not batch.count:
                return self._answer(before, before)
            if self._pending.error is not None and not self._pending.has_room(len(batch.block)):
                self._settle("; the batch was not taken")
            taken = self._pending.take(batch.block, batch.count, batch.next_ordinal)
            try:
                self._store(sync=self.sync == "append" or (self.sync == "turn" and batch.ends_turn))
            except HoldfastError:
                self._pending.give_back(taken)
                raise
            return self._answer(before, taken)

    def persist(self) -> None:
        """Write the ``session_meta`` and all that waits, so that the thread is there; then as ``flush``."""
        self.check_open()
        with self._turn:
            self.check_open()
            self._settle()

    def flush(self) -> None:
        """Write all that waits and force it to the disk (not with ``sync="never"``).

        A thread without items stays without a file.
        Raises ``Full`` or ``Unsupported`` with what still waits; it is kept.
        """
        self.check_open()
        with self._turn:
            self.check_open()
            if self._file.made or self.queued:
                self._settle()

    def close(self, *, discard: bool = False) -> None:
        """Flush, and let the thread go. A second time does nothing.

        Raises what ``flush`` raises; then it is still open and holds what
        waits. ``discard=True`` closes it whatever waits.
        """
        if not self.is_ours:
            self.closed = True  # here; the child has no part in what its parent writes
            self._file.close()
            return
        with self._turn:
            if self.closed:
                return
            if not discard and (self._file.made or self.queued):
                self._settle()
            self.closed = True
            self._file.remove_if_empty()
            self._file.close()
            if self._lock is not None:
                self._lock.release()

    def discard(self) -> None:
        """Close it and drop what waits in memory. What is in the file stays."""
        self.close(discard=True)

    def __enter__(self) -> RolloutWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- how it stands -------------------------------------------------------------

    @property
    def made(self) -> bool:
        """Whether the file exists."""
        return self._file.made

    @property
    def is_ours(self) -> bool:
        """Whether this is the process that made it, not a forked child of that one."""
        return os.getpid() == self._pid

    @property
    def size(self) -> int:
        """How many bytes of whole lines are in the file: where a reader may go on from."""
        return self._file.size

    @property
    def history_mode(self) -> str:
        """``paginated`` or ``legacy``."""
        return "legacy" if self.next_ordinal is None else "paginated"

    @property
    def next_ordinal(self) -> int | None:
        """The number of the next line; None in a legacy thread."""
        return self._pending.last.next_ordinal

    @property
    def queued(self) -> int:
        """How many items wait in memory."""
        return self._pending.waiting_items

    @property
    def queued_bytes(self) -> int:
        """How many bytes wait in memory, the first line of a new thread included."""
        return self._pending.waiting_bytes

    def queued_block(self) -> bytes:
        """Return the lines that wait in memory, to save them elsewhere."""
        with self._turn:
            return self._pending.block()

    # --- inside --------------------------------------------------------------------

    def check_open(self) -> None:
        """Raise ``Refused`` when it is closed, or when this is a forked child of the process that has it."""
        if self.closed:
            raise Refused(f"the writer of thread {self.thread_id} is closed")
        if not self.is_ours:
            raise Refused(
                f"the writer of thread {self.thread_id} stayed in the process this one was forked from",
                remedy="Resume or fork the thread in the child; or hand its items to the parent.",
            )

    def _store(self, *, sync: bool) -> None:
        if self._lock is None:
            try:
                lock = writer_lock(self.home, self.thread_id)
            except OSError as error:
                self._pending.error = error.with_traceback(None)
                return
            try:
                if self._id_given is not None:  # since `create` looked, somebody else may have begun it, and ended
                    starting.check_free(self.home, self._id_given)
            except BaseException:
                lock.release()
                raise
            self._lock = lock
        self._pending.store(sync=sync)

    def _settle(self, more: str = "") -> None:
        self._store(sync=self.sync != "never")
        error = self._pending.error
        if error is not None:
            what = f"{self.queued} items, {self.queued_bytes} bytes of thread {self.thread_id} wait in memory"
            raise unwritable(error, f"{self.path} cannot be written", f"{what}{more}") from error

    def _answer(self, before: Taken, taken: Taken) -> Appended:
        is_in = self._file.size >= taken.end
        is_empty = taken is before
        first, after = before.next_ordinal, taken.next_ordinal
        error = self._pending.error
        return Appended(
            None if is_empty else first,
            None if is_empty or after is None else after - 1,
            before.end if is_in else None,
            b"" if is_empty else taken.block,
            self._file.synced >= taken.end,
            0 if is_in else self.queued,
            0 if is_in else self.queued_bytes,
            "" if error is None else error.strerror or str(error),
        )
