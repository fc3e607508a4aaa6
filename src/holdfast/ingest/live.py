"""A thread that is being written: each item goes to its rollout, and in the same step into its row.

The file comes first, so the row can lag and never lead. The facts are folded
from the very bytes that are in the file, with the step every index uses, so a
row that was written live is the row an index would make.
"""

from __future__ import annotations

import contextvars
import os
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from holdfast.engine import Engine, Read
from holdfast.errors import HoldfastError
from holdfast.ingest import ledger, rules
from holdfast.ingest.recording import Recording
from holdfast.ingest.survey import entry_at
from holdfast.origin import internal
from holdfast.rollouts import Appended, RolloutWriter, Scan, ThreadFacts, Turn, names_stamp, scan
from holdfast.rollouts.blocks import fold_block
from holdfast.submit import Submitted
from holdfast.threads import homes
from holdfast.threads.model import Home

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

NOTE_S = 5.0
"""How long a row may lag behind what only moves its last time and its tokens: as Codex does, one write per 5 s."""

_WAIT_MS = 1_000  # for the row; the item is in the file already, and whoever appends is not to wait longer

Item = Mapping[str, Any]


class Later(Protocol):
    """Whoever does things a moment later: ``Chores.promise``."""

    def __call__(self, what: Hashable, work: Callable[[], None], /, *, in_s: float) -> None:
        """Do ``work`` in ``in_s`` seconds; once is enough while the same ``what`` waits."""


class LiveThread:
    """One thread, its rollout and its row, for the one process that writes it. Made by ``state.threads.create``,
    ``resume`` and ``fork``; a context manager that closes it. Threads may share it; asyncio calls ``submit``.

    ``append`` costs one write (and, with ``sync="append"``, one sync) of the
    file, and one commit when something changed that people see. ``noted`` is
    called after each of those.

    One that is dropped without ``close`` lets its thread go when it is collected, or when the program ends: what
    waits in memory is written then, and when it cannot be, a ``RuntimeWarning`` says how much was lost. Its row may lag
    until the next index.
    A forked child has no part in it: there every call is ``Refused``, but ``close``, which does nothing.
    """

    def __init__(
        self, engine: Engine, home: Home, writer: RolloutWriter, *, later: Later, noted: Callable[[], None]
    ) -> None:
        self.id = writer.thread_id
        self.path = writer.path
        """Where the rollout lies, or will, once there is an item."""
        self.behind = ""
        """Why the row does not show all that is in the file yet; empty when it does, or will within ``NOTE_S``."""
        self._engine = engine
        self._writer = writer
        self._later = later
        self._on_noted = noted
        self._relative = os.path.relpath(writer.path, home.path)
        self._recording = Recording(home)
        self._names = names_stamp(home.path)
        self._turn = threading.RLock()
        self._handing = threading.Lock()  # not `_turn`: that is held over a sync, and an event loop waits for this one
        self._hand: ThreadPoolExecutor | None = None
        self._let_go = weakref.finalize(self, _let_go, writer)
        self._facts, self._offset = ThreadFacts(), 0
        self._noted: tuple[ThreadFacts, int] = (self._facts, 0)
        self._noted_s = 0.0
        if writer.made:
            self._begin_where_the_file_ends()

    # --- what a harness calls ------------------------------------------------------

    def append(self, items: Item | Iterable[Item]) -> Appended:
        """Write one item, or several as one batch; see ``RolloutWriter.append`` for the answer and what is raised.

        An item is ``{"type": …, "payload": …}``; ``turn`` makes those of a
        conversation. A row that cannot be written just now is no error: ``behind`` says why, and the
        next item, ``flush``, or whoever opens the home next makes up for it.
        """
        with self._mine():
            answer = self._writer.append([items] if isinstance(items, Mapping) else items)
            self._fold(answer)
            if self._is_news():
                self._note()
            elif self._is_ahead():
                self._promise_note()
        return answer

    def submit(self, items: Item | Iterable[Item]) -> Submitted[Appended]:
        """Append on another thread, in the order of the calls; ``await`` it or ask for ``result()``.

        Items are taken as they are when their turn comes. Cancelling withdraws what has not begun; what has begun is
        written. ``close`` waits for all that was submitted.
        """
        self._writer.check_open()
        with self._handing:
            if self._hand is None:
                from concurrent.futures import ThreadPoolExecutor  # 10 ms, wanted only by those who submit

                self._hand = ThreadPoolExecutor(1, thread_name_prefix="holdfast-live")
            work = contextvars.copy_context().run
            return Submitted(self._hand.submit(work, self.append, items))

    @contextmanager
    def turn(self, *, model: str, cwd: str | None = None, turn_id: str | None = None, **more: Any) -> Iterator[Turn]:
        """Write the start of a turn and what it runs with, hand over the maker of its items, and write its end.

        ``with live.turn(model="gpt-5") as turn: live.append(turn.user_message("fix the test"))``. A body that raises
        leaves a turn that was ``interrupted``. ``more`` is as for ``Turn.context``.
        """
        turn = Turn(self.id, history_mode=self._writer.history_mode, turn_id=turn_id)
        cwd = cwd or self._facts.cwd or (self._writer.meta or {}).get("cwd", "")
        self.append([*turn.started(), *turn.context(cwd=cwd, model=model, **more)])
        try:
            yield turn
        except BaseException:
            self.append(turn.aborted())
            raise
        self.append(turn.completed())

    def persist(self) -> None:
        """Put the thread there before its first item: its ``session_meta``, and its row."""
        with self._mine():
            self._writer.persist()
            self._fold(None)
            self._note()

    def flush(self) -> None:
        """Have all that was appended on the disk, and in the row. Makes nothing for a thread without items.

        Raises ``Full`` or ``Unsupported``, and keeps what waits. A row that cannot be written is told by ``behind``.
        """
        with self._mine():
            self._writer.flush()
            self._fold(None)
            if self._is_ahead():
                self._note()

    def close(self, *, discard: bool = False) -> None:
        """Flush, and let the thread go to the next writer. Twice is fine.

        Raises what ``flush`` raises; then it is open still and keeps what
        waits. ``discard=True`` drops what waits in memory; what is in the file stays.
        """
        if not self._writer.is_ours:
            self._writer.close()  # a forked child's copy of it; the locks may be those of a thread it has not
            return
        with self._handing:
            hand, self._hand = self._hand, None
        if hand is not None:
            hand.shutdown(wait=True, cancel_futures=discard)
        with self._turn:
            if not self._writer.closed and not discard:
                self.flush()
            self._writer.close(discard=discard)
            self._let_go.detach()

    def discard(self) -> None:
        """Close it and drop what waits in memory: a thread without an item leaves neither a file nor a row."""
        self.close(discard=True)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._writer.closed

    @property
    def made(self) -> bool:
        """Whether its rollout exists: since its first item, or ``persist``."""
        return self._writer.made

    @property
    def queued(self) -> int:
        """How many items wait in memory because the disk said no."""
        return self._writer.queued

    @property
    def next_ordinal(self) -> int | None:
        """The number of the next line; None in a legacy thread."""
        return self._writer.next_ordinal

    @property
    def cut_bytes(self) -> int:
        """How many bytes of a torn line ``resume`` cut off."""
        return self._writer.cut_bytes

    def __enter__(self) -> LiveThread:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- inside --------------------------------------------------------------------

    @contextmanager
    def _mine(self) -> Iterator[None]:
        """Be the one who writes now. Raises ``Refused`` in a forked child before it could wait for a thread of its
        parent's."""
        self._writer.check_open()
        with self._turn:
            yield

    def _begin_where_the_file_ends(self) -> None:
        if self._writer.queued_bytes:
            self._writer.flush()  # the newline that its last line lacks
        entry = entry_at(self._recording.home.path, self._relative)
        facts, offset = None, 0
        with self._engine.read() as tx:
            row = self._known(tx)
            if entry is not None and row is not None and rules.may_resume(entry, row):
                facts, offset = ledger.facts(tx, row.file_id), row.offset
        found = scan(self._relative, home=self._recording.home.path, facts=facts, offset=offset)
        self._facts, self._offset = found.facts or ThreadFacts(), found.offset
        # To go on with a thread changes nothing people see: its row is written with its next item.
        self._noted = (_seen(self._facts), self._offset)

    def _known(self, tx: Read) -> Any:
        home = homes.get(tx, self._recording.home.path)
        return None if home is None else ledger.load_some(tx, home.home_id, [self._relative]).get(self._relative)

    def _fold(self, answer: Appended | None) -> None:
        """Fold what is in the file and was not folded yet."""
        size = self._writer.size
        if size < self._offset:  # a sync failed, and lines that were written are written again
            self._facts, self._offset = ThreadFacts(), 0
        if size == self._offset:
            return
        if answer is not None and answer.offset == self._offset and self._offset + answer.bytes == size:
            block = answer.block
        else:
            block = _read(self.path, self._offset, size)
        fold_block(self._facts, block, self._offset)
        self._offset = size

    def _is_ahead(self) -> bool:
        return self._offset != self._noted[1] or bool(self.behind)

    def _is_news(self) -> bool:
        """Return True when the row is to follow at once: the facts differ, or it lags long enough."""
        if not self._is_ahead():
            return False
        return _seen(self._facts) != self._noted[0] or time.monotonic() - self._noted_s >= NOTE_S

    def _note(self) -> None:
        """Write the row and the ledger, or note why not."""
        try:
            with internal("live"):
                self._write_rows()
        except (HoldfastError, OSError) as error:
            self.behind = str(error)
            self._promise_note()
            return
        self.behind = ""
        self._noted = (_seen(self._facts), self._offset)
        self._noted_s = time.monotonic()
        self._on_noted()

    def _promise_note(self) -> None:
        # Weakly: who drops this thread lets it go at once, and its row is for the next index.
        self._later(("live", self.id), partial(_call, weakref.WeakMethod(self._note_later)), in_s=NOTE_S)

    def _note_later(self) -> None:
        with self._turn:
            if not self._writer.closed and self._is_ahead():
                self._note()

    def _write_rows(self) -> None:
        recording = self._recording
        entry = entry_at(recording.home.path, self._relative)
        if entry is None or entry.zst or not self._facts.lines:
            return
        stamp = names_stamp(recording.home.path)
        if stamp != self._names:
            self._names = stamp
            recording.forget_names()
        found = Scan(
            path=self._relative,
            status="ok",
            facts=self._facts,
            offset=self._offset,
            size=entry.size,
            mtime_ns=entry.mtime_ns,
            inode=entry.inode,
        )
        with self._engine.write(wait_ms=_WAIT_MS) as tx:
            if not recording.home.home_id or recording.home.indexed_ms is None:
                recording.move_to(homes.ensure(tx, recording.home.path))
            # What the ledger says is what we wrote, or somebody's who saw less: nobody else may add to the file.
            noted = ledger.load_some(tx, recording.home.home_id, [self._relative]).get(self._relative)
            recording.write(tx, [found], {self._relative: (entry, noted)})


def _call(method: weakref.WeakMethod[Callable[[], None]]) -> None:
    found = method()
    if found is not None:
        found()


def _let_go(writer: RolloutWriter) -> None:
    """End the writer of a ``LiveThread`` that nobody closed and nobody has any more."""
    if writer.closed or not writer.is_ours:
        return
    try:
        writer.close()
    except (HoldfastError, OSError) as error:
        lost = f"{writer.queued} items ({writer.queued_bytes} bytes) of thread {writer.thread_id}"
        warnings.warn(f"{lost} are lost: it was never closed, and {error}", RuntimeWarning, stacklevel=2)
        writer.discard()


def _seen(facts: ThreadFacts) -> ThreadFacts:
    """Return ``facts`` without what moves with every line."""
    return msgspec.structs.replace(
        facts, updated_ms=0, tokens_used=0, lines=0, last_ordinal=None, kinds_unknown=[*facts.kinds_unknown]
    )


def _read(path: str, begin: int, end: int) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(fd, end - begin, begin)
    finally:
        os.close(fd)
