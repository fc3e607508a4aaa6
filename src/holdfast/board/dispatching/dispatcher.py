"""One dispatcher: it leads or stands by, claims, has its crew start workers, and drains.

Its loop does what is due and waits: for a change on the board, for a worker that
ends, for a time. It never ends because the database is busy or the machine is out
of descriptors; it says so in what it tells, and goes on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from holdfast import board as boards
from holdfast import holds
from holdfast.board.dispatching.cleaning import Cleaning
from holdfast.board.dispatching.crew import Crew
from holdfast.board.dispatching.lanes import Lanes
from holdfast.board.dispatching.leading import Lead
from holdfast.board.dispatching.model import How, Report, Told
from holdfast.board.dispatching.records import Records
from holdfast.board.dispatching.rules import Why
from holdfast.board.dispatching.spawning import words_of
from holdfast.board.dispatching.starting import Site
from holdfast.board.dispatching.workspaces import Workspaces
from holdfast.board.model import Board, Claimed
from holdfast.clock import boot_ms
from holdfast.engine import Engine
from holdfast.errors import Busy, OutcomeUnknown, Refused, Stale
from holdfast.holds import Watch
from holdfast.waking import Changes

_LOOK_MS = 1_000  # of a death nobody hears, and not every engine tells of every change
_DEAF_MS = 250
_TROUBLE_MS = 500
_GIVE_UP_MS = 10_000  # when it is to end at once, and the database cannot be reached
_SPARE = 16  # descriptors: a start takes six for a moment, a transaction some
_LISTED = 40


class Dispatcher:
    """Runs ``command`` for each task: a line for ``/bin/sh``, or the words of a command.

    ``board`` None: every board. ``folder`` is where this machine keeps logs,
    workspaces and what is known of living workers; ``named`` is what workers
    find in ``HOLDFAST_STATE``. ``tell`` is given a line about each thing that happens.
    """

    def __init__(
        self,
        engine: Engine,
        command: str | Sequence[str],
        *,
        folder: str,
        named: str,
        board: str | None = "default",
        how: How | None = None,
        tell: Callable[[str], object] = lambda _line: None,
    ) -> None:
        self._engine = engine
        self._board = board
        self._how = how or How()
        self._room = self._how.running_max if self._how.running_max is not None else os.cpu_count() or 1
        self._given_tell = tell
        self._words = words_of(command)
        self._folder = folder
        self._named = named
        self._lanes = Lanes()
        self._changes: Changes | None = None
        self._drains = False
        self._stops = False
        self._drain_ms = 0
        self._looked_ms = -_LOOK_MS
        self._found = False
        self._until_ms: float = 0
        self._trouble = ""

    @property
    def leads(self) -> bool:
        """Whether it claims; else it stands by."""
        return self._changes is not None and self._lead.hold is not None

    @property
    def report(self) -> Report:
        """What was done so far."""
        if self._changes is None:
            return Report()
        return Report(self._crew.started, self._crew.adopted, dict(self._crew.ended))

    def run(self, *, until_idle: bool = False) -> Report:
        """Dispatch until ``drain`` or ``stop``; ``until_idle``: until nothing is ready and nobody works.

        In the main thread the first SIGTERM or SIGINT drains, and a second one
        stops. Raises ``Refused`` when there is no such board, and what the
        database raised when it is no use to wait; workers then go on, and the
        next dispatcher adopts them.
        """
        with _signals(self):
            try:
                while True:
                    pause_ms = self.turn()
                    if self._is_over(until_idle):
                        return self.report
                    assert self._changes is not None  # `turn` made it
                    self._changes.wait(pause_ms / 1_000)
            finally:
                self.close()

    def drain(self) -> None:
        """Start no more; wait ``grace_s`` for those who work, then end them and give their tasks back.

        From any thread, or a signal handler.
        """
        self._drains = True
        self.wake()

    def stop(self) -> None:
        """Drain, without the wait: those who work are killed."""
        self._stops = self._drains = True
        self.wake()

    def wake(self) -> None:
        """Have it look at once."""
        if changes := self._changes:
            changes.wake()

    def turn(self) -> float:
        """Do what is due, and return after how many ms to look again, if nothing changes before."""
        self._open()
        trouble = ""
        for step in (self._adopt, self._crew.step, self._drain if self._drains else self._go_on, self._tell_all):
            try:
                step()
            except (Busy, OutcomeUnknown, OSError) as error:
                trouble = str(error)
        if trouble and trouble != self._trouble:
            self._tell(f"has to wait: {trouble}")
        self._trouble = trouble
        return _TROUBLE_MS if trouble else self._pause_ms()

    def close(self) -> None:
        """Lead no more, and leave whoever still works to the next dispatcher of this machine."""
        if self._changes is None:
            return
        with contextlib.suppress(Busy, OutcomeUnknown):
            self._lead.leave()
        self._cleaning.close()
        self._crew.close()
        self._changes.close()

    # --- one after the other -------------------------------------------------------

    def _open(self) -> None:
        if self._changes is not None:
            return
        if self._board is not None:
            self._boards()
        watch = Watch()
        self._lead = Lead(self._engine, self._board, watch=watch, wake=self.wake)
        site = Site(
            self._words,
            self._folder,
            self._named,
            self._lead.owner,
            self._how,
            Records(self._folder),
            Workspaces(self._folder),
        )
        self._crew = Crew(self._engine, site, self._lanes, watch=watch, wake=self.wake, tell=self._tell)
        self._cleaning = Cleaning(self._engine, site, self._board, busy=self._crew.tasks, tell=self._tell)
        self._crew.is_going = self._cleaning.is_at
        self._changes = self._engine.changes()

    def _adopt(self) -> None:
        if boot_ms() - self._looked_ms >= _LOOK_MS:
            self._crew.adopt()

    def _go_on(self) -> None:
        before = self.leads
        if not self._lead.look():
            return
        if not before:
            self._tell(f"leads on {self._board or 'all boards'}")
        if boot_ms() - self._looked_ms >= _LOOK_MS:
            self._looked_ms = boot_ms()
            if self._crew.size >= self._room:  # else claims sweep
                self._sweep()
            self._cleaning.look(now=self._crew.ended_any())
        self._claim()

    def _sweep(self) -> None:
        for board in self._boards():
            with self._engine.write() as tx:
                boards.sweep(tx, board.slug, is_dead=self._crew.is_dead)

    def _drain(self) -> None:
        if not self._drain_ms:
            self._drain_ms = boot_ms()
            self._tell("drains: starts nothing more, and waits for who works")
        self._lead.leave()
        self._crew.give_back()
        if self._stops or boot_ms() - self._drain_ms >= self._how.grace_s * 1_000:
            self._crew.end_all(Why.STOPPING, at_once=self._stops)

    def _tell_all(self) -> None:
        report = self.report
        working = list(self._crew.working())
        self._lead.tell(
            Told(
                self._room,
                tuple(islice(working, _LISTED)),
                max(0, len(working) - _LISTED),
                self._lanes.paused(),
                self._drains,
                report.started,
                report.adopted,
                dict(report.ended),
                self._trouble,
            )
        )

    # --- claims ----------------------------------------------------------------------

    def _boards(self) -> list[Board]:
        with self._engine.read() as tx:
            if self._board is None:
                return boards.boards(tx)
            board = boards.get_board(tx, self._board)
        if board is None:
            raise Refused(
                f"there is no board {self._board}", remedy=f"Make it: `holdfast board boards create {self._board}`."
            )
        return [board]

    def _claim(self) -> None:
        """Claim as much as may run: from each board one, in turn."""
        self._found, self._until_ms = False, float("inf")
        waiting = self._boards()
        while waiting and self._crew.size < self._room:
            _check_descriptors()
            for board in tuple(waiting):
                if self._crew.size >= self._room or not self._claim_one(board):
                    waiting.remove(board)

    def _claim_one(self, board: Board) -> bool:
        hold = self._lead.hold
        if hold is None:
            return False
        with self._engine.write() as tx:
            try:
                holds.confirm(tx, hold)  # one that was stopped for a while must not claim beside its successor
            except Stale:
                return False
            found = boards.claim_next(
                tx,
                board.slug,
                self._lead.owner,
                assignees=self._how.assignees,
                tenants=self._how.tenants,
                without=self._lanes.closed(board.slug, self._crew.lanes()),
                stages=self._how.stages,
                lease_ms=self._how.lease_ms,
                is_dead=self._crew.is_dead,
            )
            now_ms = tx.now_ms
        if isinstance(found, Claimed):
            self._found = True
            self._crew.take(board, found)
            self._crew.step()
            return True
        if found.until_ms is not None:
            self._until_ms = min(self._until_ms, boot_ms() + max(0, found.until_ms - now_ms))
        return False

    # --- the rest ----------------------------------------------------------------------

    def _is_over(self, until_idle: bool) -> bool:
        if self._drains and self._drain_ms:
            given_up = self._stops and boot_ms() - self._drain_ms > _GIVE_UP_MS
            return self._crew.idle or given_up
        return until_idle and self.leads and not self._trouble and not self._found and self._crew.idle

    def _pause_ms(self) -> float:
        assert self._changes is not None
        ahead = [self._crew.due_in_ms(), _LOOK_MS if self._changes.hears else _DEAF_MS, *self._lanes.due_in_ms()]
        if self.leads:
            ahead.append(self._until_ms - boot_ms())
        left_ms = self._drain_ms + self._how.grace_s * 1_000 - boot_ms()
        if self._drains and left_ms > 0:
            ahead.append(left_ms)
        return max(1, min(ahead))

    def _tell(self, line: str) -> None:
        with contextlib.suppress(Exception):  # whoever reads it may be gone
            self._given_tell(line)


def _check_descriptors() -> None:
    """Raise ``OSError`` when there are not some to spare: better no claim than one that cannot be begun."""
    fds: list[int] = []
    try:
        fds.extend(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) for _ in range(_SPARE))
    finally:
        for fd in fds:
            os.close(fd)


@contextlib.contextmanager
def _signals(dispatcher: Dispatcher) -> Iterator[None]:
    """Have the first SIGTERM or SIGINT drain, and any further one stop. In the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    told: list[int] = []

    def hear(number: int, _frame: object) -> None:
        told.append(number)
        (dispatcher.drain if len(told) == 1 else dispatcher.stop)()

    for number in before:
        signal.signal(number, hear)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
