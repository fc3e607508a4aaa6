"""Writing one thread's rollout: one writer, one file, one lock. Knows files, no database.

Every batch that is taken gets its place in the file at once, and keeps it: an
offset and its numbers. What is in the file is then a matter of comparing that
place with the file's size, so no failure and no interrupt can write a line
twice or number two lines alike.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

import msgspec

from holdfast import ids
from holdfast.clock import Clock, wall_ms
from holdfast.errors import Full, HoldfastError, Refused, Unsupported
from holdfast.lockfiles import FileLock
from holdfast.rollouts import paths
from holdfast.rollouts.find import find_by_id
from holdfast.rollouts.lines import LINE_BYTES_MAX
from holdfast.rollouts.writing import lines, resuming
from holdfast.rollouts.writing.base import history_base
from holdfast.rollouts.writing.growing import GrowingFile
from holdfast.rollouts.writing.lock import writer_lock
from holdfast.rollouts.writing.meta import session_meta
from holdfast.rollouts.writing.model import QUEUED_BYTES_MAX, Appended, HistoryBase, Sync

_WRITE_BYTES = 1024 * 1024  # of what waits in memory, so much is offered to a full disk at once
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class _Taken(msgspec.Struct, gc=False):
    """A batch that was taken. ``end`` and ``next_ordinal`` are behind it, ``items`` counts it and all before."""

    end: int
    block: bytes
    items: int
    next_ordinal: int | None


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
        self._line_bytes_max = line_bytes_max
        self._queued_bytes_max = queued_bytes_max
        self._clock = clock
        self._turn = threading.Lock()
        self._queue: list[_Taken] = []  # not in the file yet; with a policy that syncs: not safe on the disk yet
        self._last = _Taken(file.size, b"", 0, next_ordinal)  # what counts when the queue is empty
        self._error: OSError | None = None

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
        Raises ``Refused``.
        """
        home = os.path.abspath(home)
        now_ms = clock()
        given = meta.get("id")
        id16 = ids.new(now_ms) if given is None else ids.parse(given)
        if id16 is None:
            raise Refused(f"a thread's id is a UUID, got {given!r}")
        payload = session_meta(meta, thread_id=id16, window_id=ids.new(now_ms), now_ms=now_ms, base=base)
        first: int | None = 0
        if base is not None:
            _check(home, base)
            first = base.end_ordinal_exclusive
        elif "history_base" in payload:
            raise Refused("give the base of a fork as base=, not inside the meta")
        if payload["history_mode"] == "legacy":
            first = None
        began = time.localtime(now_ms / 1000)
        folder = f"{paths.SESSIONS}/{began.tm_year}/{began.tm_mon:02}/{began.tm_mday:02}"
        name = f"{paths.PREFIX}{time.strftime('%Y-%m-%dT%H-%M-%S', began)}-{ids.text(id16)}{paths.PLAIN}"
        writer = cls(
            GrowingFile(home, f"{home}/{folder}/{name}"),
            home=home, thread_id=ids.text(id16), lock=None, next_ordinal=first, sync=sync,
            line_bytes_max=line_bytes_max, queued_bytes_max=queued_bytes_max, clock=clock,
        )  # fmt: skip
        writer.meta = payload
        head = lines.batch(
            [{"type": "session_meta", "payload": payload}],
            now_ms=now_ms,
            ordinal=first,
            line_bytes_max=line_bytes_max,
        )
        writer._queue.append(_Taken(len(head.block), head.block, 0, head.next_ordinal))
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
        end are cut off, after ``keep(path, offset, data)`` has made a copy; without
        ``keep`` that is ``Refused``. A last line that only lacks its newline is kept. Raises ``Busy`` with the name of
        the other writer, ``Refused`` and ``Damaged`` for what cannot be gone on with, ``Full`` or ``Unsupported``
        when the disk says no. Reads the head and the last 64 KiB.
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
            raise _unwritable(error, f"{full} cannot be gone on with") from error
        except BaseException:
            if lock is not None:
                lock.release()
            raise
        writer.cut_bytes = found.cut_bytes
        if found.needs_newline:
            writer._queue.append(_Taken(found.stat.st_size + 1, b"\n", 0, found.next_ordinal))
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
        self._check_open()  # before anything that a fork may have left locked
        with self._turn:
            self._check_open()
            before = self._queue[-1] if self._queue else self._last
            batch = lines.batch(
                items,
                now_ms=self._clock(),
                ordinal=before.next_ordinal,
                line_bytes_max=self._line_bytes_max,
            )
            if not batch.count:
                return self._answer(before, before, "")
            self._make_room(before.end, len(batch.block))
            taken = _Taken(before.end + len(batch.block), batch.block, before.items + batch.count, batch.next_ordinal)
            self._queue.append(taken)
            try:
                because = self._store(taken, sync=self.sync == "append" or (self.sync == "turn" and batch.ends_turn))
            except HoldfastError:
                self._queue.remove(taken)
                raise
            return self._answer(before, taken, because)

    def persist(self) -> None:
        """Write the ``session_meta`` and all that waits, so that the thread is there; then as ``flush``."""
        self._check_open()
        with self._turn:
            self._check_open()
            self._settle()

    def flush(self) -> None:
        """Write all that waits and force it to the disk (not with ``sync="never"``).

        A thread without items stays without a file.
        Raises ``Full`` or ``Unsupported`` with what still waits; it is kept.
        """
        self._check_open()
        with self._turn:
            self._check_open()
            if self._file.made or self.queued:
                self._settle()

    def close(self, *, discard: bool = False) -> None:
        """Flush, and let the thread go. A second time does nothing.

        Raises what ``flush`` raises; then it is still open and holds what
        waits. ``discard=True`` closes it whatever waits.
        """
        if self._lock is not None and not self._lock.held:
            self.closed = True  # or a forked child, which has no part in what its parent writes
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
        return (self._queue[-1] if self._queue else self._last).next_ordinal

    @property
    def queued(self) -> int:
        """How many items wait in memory."""
        if not self._queue:
            return 0
        at = self._first_unwritten()
        written = self._queue[at - 1] if at else self._last
        return self._queue[-1].items - written.items

    @property
    def queued_bytes(self) -> int:
        """How many bytes wait in memory, the first line of a new thread included."""
        return self._queue[-1].end - self._file.size if self._queue else 0

    def queued_block(self) -> bytes:
        """Return the lines that wait in memory, to save them elsewhere."""
        with self._turn:
            return b"".join(taken.block for taken in self._queue[self._first_unwritten() :])

    # --- inside --------------------------------------------------------------------

    def _check_open(self) -> None:
        if self.closed:
            raise Refused(f"the writer of thread {self.thread_id} is closed")
        if self._lock is not None and not self._lock.held:
            raise Refused(
                f"the writer of thread {self.thread_id} stayed in the process this one was forked from",
                remedy="Resume or fork the thread in the child; or hand its items to the parent.",
            )

    def _store(self, last: _Taken, *, sync: bool) -> str:
        """Write what waits; return why it could not be, or nothing."""
        file = self._file
        try:
            if self._lock is None:
                self._lock = writer_lock(self.home, self.thread_id)
            if file.size + len(last.block) == last.end:
                file.write(last.block)
            else:
                while file.size < last.end:
                    file.write(self._next_block())
            if self.sync != "never":
                if sync or file.size - file.synced > self._queued_bytes_max:
                    file.sync()
                safe = file.synced
            else:
                safe = file.size
        except OSError as error:
            self._error = error
            self._forget(file.size if self.sync == "never" else file.synced)
            return error.strerror or str(error)
        if safe >= last.end:
            self._last = last
            self._queue.clear()
        self._error = None
        return ""

    def _forget(self, safe: int) -> None:
        """Drop the batches that need no second try."""
        count = bisect_right(self._queue, safe, key=_end)
        if count:
            self._last = self._queue[count - 1]
            del self._queue[:count]

    def _settle(self) -> None:
        last = self._queue[-1] if self._queue else self._last
        if self._store(last, sync=True):
            assert self._error is not None
            raise self._waiting(self._error) from self._error

    def _make_room(self, end: int, more_bytes: int) -> None:
        queued_bytes = end - self._file.size
        if self._error is None or queued_bytes + more_bytes <= self._queued_bytes_max:
            return
        self._store(self._queue[-1], sync=self.sync == "append")
        if self._error is not None and end > self._file.size:
            raise self._waiting(self._error, "; the batch was not taken") from self._error

    def _first_unwritten(self) -> int:
        return bisect_right(self._queue, self._file.size, key=_end)

    def _next_block(self) -> bytes:
        blocks, length = [], 0
        for taken in self._queue[self._first_unwritten() :]:
            blocks.append(taken.block)
            length += len(taken.block)
            if length >= _WRITE_BYTES:
                break
        return b"".join(blocks)

    def _answer(self, before: _Taken, taken: _Taken, because: str) -> Appended:
        is_in = self._file.size >= taken.end
        first = before.next_ordinal
        is_numbered = first is not None and taken is not before
        return Appended(
            first if is_numbered else None,
            taken.next_ordinal - 1 if is_numbered and taken.next_ordinal is not None else None,
            before.end if is_in else None,
            taken.block if taken is not before else b"",
            self._file.synced >= taken.end,
            0 if is_in else self.queued,
            0 if is_in else self.queued_bytes,
            because,
        )

    def _waiting(self, error: OSError, more: str = "") -> HoldfastError:
        what = f"{self.queued} items, {self.queued_bytes} bytes of thread {self.thread_id} wait in memory"
        return _unwritable(error, f"{self.path} cannot be written", f"{what}{more}")


def _end(taken: _Taken) -> int:
    return taken.end


def _check(home: str, base: HistoryBase) -> None:
    id16 = ids.parse(base.thread_id)
    found = find_by_id(home, id16) if id16 else None
    if found is None:
        raise Refused(f"a fork continues a thread of its home, and {home} has none with the id {base.thread_id}")
    if history_base(found.file, base.end_ordinal_exclusive) != base:
        raise Refused(f"{base} is not where line {base.end_ordinal_exclusive} begins: take it from `history_base`")


def _unwritable(error: OSError, what: str, more: str = "") -> HoldfastError:
    why = f"{what}: {error.strerror or error}" + (f"; {more}" if more else "")
    if error.errno in _NO_ROOM:
        return Full(why, remedy="Make room on the disk that holds the home, then call flush(); or discard().")
    return Unsupported(why, remedy="Make the home writable again, then call flush(); or discard().")
