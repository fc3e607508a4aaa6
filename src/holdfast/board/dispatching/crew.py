"""All workers of one dispatcher: those to be started, those at work, and the ends that are to be written.

Nothing is forgotten because the database was busy: what is owed to it is tried
again with each step, and the claim is renewed until then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from holdfast import board as boards
from holdfast import holds
from holdfast.board.dispatching import groups
from holdfast.board.dispatching.claims import Claim, Standing
from holdfast.board.dispatching.lanes import Lane, Lanes
from holdfast.board.dispatching.listening import Ends
from holdfast.board.dispatching.model import Working
from holdfast.board.dispatching.records import Record
from holdfast.board.dispatching.rules import End, Why
from holdfast.board.dispatching.spawning import Found
from holdfast.board.dispatching.starting import Site, Start
from holdfast.board.dispatching.tending import Tended
from holdfast.board.dispatching.worktrees import CannotBeMade
from holdfast.board.model import Board, Claimed
from holdfast.clock import boot_ms
from holdfast.engine import Engine
from holdfast.errors import Stale
from holdfast.holds import Hold, Owner, Watch

_LOOK_MS = 500
_RETRY_MS = 1_000
Tell = Callable[[str], object]


class Crew:
    """The workers of one dispatcher. One thread steps it."""

    def __init__(
        self, engine: Engine, site: Site, lanes: Lanes, *, watch: Watch, wake: Callable[[], object], tell: Tell
    ) -> None:
        self.started = 0
        self.adopted = 0
        self.ended: Counter[str] = Counter()
        self._engine = engine
        self._site = site
        self._lanes = lanes
        self._wake = wake
        self._tell = tell
        self._watch = watch
        self._ends = Ends(wake)
        self._starts: list[Start] = []
        self._tended: list[Tended] = []
        self._owed: list[tuple[Claim, End, Lane]] = []
        self._looked_ms = 0
        self._any_ended = False
        self.is_going: Callable[[int], bool] = lambda _task_id: False
        """Whether the workspace of a task is being taken away."""

    @property
    def size(self) -> int:
        """How many work, or are about to."""
        return len(self._starts) + len(self._tended)

    @property
    def idle(self) -> bool:
        """Whether nobody works, and nothing is owed."""
        return not (self._starts or self._tended or self._owed)

    def tasks(self) -> set[int]:
        """Return the tasks that anybody on this machine works on, also for other dispatchers. From any thread."""
        mine = {start.claim.task_id for start in tuple(self._starts)}
        mine |= {tended.record.task_id for tended in tuple(self._tended)}
        return mine | {record.task_id for record in self._site.records.all()}

    def is_dead(self, owner: Owner) -> bool:
        """Return True for an owner that is dead and none of ours: what ours leave behind is to end first."""
        return holds.is_dead(owner) and all(owner != tended.record.worker for tended in self._tended)

    def lanes(self) -> set[Lane]:
        """Return the lanes in which somebody works or is about to."""
        return {start.lane for start in self._starts} | {_lane(tended.record) for tended in self._tended}

    def working(self) -> Iterator[Working]:
        """Yield what a leader tells of each."""
        yield from (start.working() for start in self._starts)
        yield from (tended.working() for tended in self._tended)

    # --- more of them ------------------------------------------------------------

    def take(self, board: Board, claimed: Claimed) -> None:
        """Have a worker do what was claimed."""
        claim = Claim(claimed.task.task_id, claimed.run, claimed.fence)
        self._keep(claim, claimed.hold)
        self._starts.append(Start(board, claimed, claim, wake=self._wake))

    def adopt(self) -> None:
        """See to the workers of dispatchers of this machine that died. Their claims are renewed at once."""
        for record in self._site.records.adopt(self._site.me):
            worker = Found(record.worker, self._site.records.end_path(record.run_id))
            tended = Tended(record, worker, self._claim_of(record), self._site.how)
            self._tended.append(tended)
            self._ends.add(worker.fileno())
            self.adopted += 1
            self._tell(f"adopted {_named(record)}, pid {record.worker.pid}, whose dispatcher is gone")

    def _claim_of(self, record: Record) -> Claim:
        """Return the claim of a worker that was found, renewed if it is in force."""
        claim = Claim(record.task_id, record.run_id, record.fence)
        with self._engine.write(reserve=True) as tx:
            seen = boards.get(tx, record.task_id)
            hold = None if seen is None or seen.fence != record.fence else seen.hold
            if seen is not None and hold is not None:
                try:
                    boards.renew(tx, seen.task_id, hold.fence, lease_ms=self._site.how.lease_ms, note=seen.note)
                except Stale:
                    hold = None
        if hold is not None:
            self._keep(claim, hold)
        return claim

    def _keep(self, claim: Claim, hold: Hold) -> None:
        how = self._site.how
        claim.keep(self._engine, hold, lease_ms=how.lease_ms, watch=self._watch, on_lost=self._wake)

    # --- what is due ---------------------------------------------------------------

    def step(self) -> None:
        """Do what is due. Raises what the database raised; then nothing is lost, and the next step goes on."""
        for tended in self._tended:
            tended.step()
        for tended in [each for each in self._tended if each.gone]:
            self._over(tended)
        self._pay()
        self._look()
        for start in tuple(self._starts):
            self._start(start)

    def due_in_ms(self) -> float:
        """Return when the next step is due, if nothing is heard before."""
        ahead = [tended.due_in_ms() for tended in self._tended]
        if self._owed or any(not start.asked or start.ready for start in self._starts):
            ahead.append(100)
        if self._tended or self._starts:
            ahead.append(_LOOK_MS)
        return min(ahead, default=float("inf"))

    def ended_any(self) -> bool:
        """Return whether a run ended since this was asked last."""
        ended, self._any_ended = self._any_ended, False
        return ended

    def give_back(self) -> None:
        """Give back what was claimed and not begun. What git is at is given back when git is done."""
        for start in tuple(self._starts):
            if not start.asked or start.ready:
                self._give_back(start, End("released", "the dispatcher was stopped", counted=False, retry_in_ms=0))

    def end_all(self, why: Why, *, at_once: bool = False) -> None:
        """End all that work."""
        for tended in self._tended:
            tended.finish(why, at_once=at_once)

    def close(self) -> None:
        """Leave those that still work to the next dispatcher, and give everything back."""
        for start in self._starts:
            start.drop(self._site.records)
            start.claim.stop()
        for tended in self._tended:
            self._site.records.leave(tended.record)
            tended.leave()
        for claim, _, _ in self._owed:
            claim.stop()
        self._ends.close()
        self._watch.end()

    def _look(self) -> None:
        """Look how it stands with each claim, twice a second, and before silence counts."""
        silent = [tended for tended in self._tended if tended.is_silent()]
        if boot_ms() - self._looked_ms < _LOOK_MS and not silent:
            return
        self._looked_ms = boot_ms()
        with self._engine.read() as tx:
            for tended in self._tended:
                if not tended.over:
                    tended.look(tended.claim.look(tx), heard_ms=tended.claim.heard_ms)
            lost = [start for start in self._starts if start.claim.look(tx) is not Standing.OURS]
        for tended in silent:
            if tended.is_silent():
                tended.finish(Why.SILENT)
        for start in lost:
            if not start.asked or start.ready:
                self._drop(start)
                start.claim.stop()

    def _start(self, start: Start) -> None:
        if start not in self._starts or self._is_at_work(start):
            return
        if not start.asked and not self.is_going(start.claim.task_id):
            start.make_ready(self._site)
        if not start.ready:
            return
        try:
            tended = start.go(self._engine, self._site)
        except CannotBeMade as error:
            self._failed(start, str(error))
        except Stale:
            self._drop(start)
            start.claim.stop()
        except OSError as error:  # no descriptor, process or memory: not the task's fault
            self._lanes.failed(start.lane, str(error))
            self._give_back(start, End("released", f"no process for it: {error}", counted=False, retry_in_ms=_RETRY_MS))
        else:
            self._starts.remove(start)
            self._tended.append(tended)
            self._ends.add(tended.worker.fileno())
            self.started += 1
            self._tell(f"started {_named(tended.record)}, pid {tended.record.worker.pid}")

    def _is_at_work(self, start: Start) -> bool:
        """Return whether anything of an earlier worker of this task still runs here, and have it end."""
        found = False
        for tended in self._tended:
            if tended.record.task_id == start.claim.task_id:
                tended.finish(Why.LOST)
                found = True
        if start.asked:
            return found
        for record in self._site.records.all():
            if record.task_id == start.claim.task_id and record.run_id != start.claimed.run:
                # Its dispatcher lives and did not see to it: it was stopped for longer than the lease.
                found |= record.keeper != self._site.me and bool(groups.kill_all(record.worker))
        return found

    # --- ends ------------------------------------------------------------------------

    def _over(self, tended: Tended) -> None:
        """Nothing of it runs any more: write the end of its run, then forget it."""
        record, end = tended.record, tended.end()
        said = self._write(tended.claim, end, tended.exit_code)
        self._tended.remove(tended)
        self._ends.remove(tended.worker.fileno())
        tended.close()
        self._site.records.drop(record.run_id)
        if end.outcome == "spawn_failed" and said == "spawn_failed":
            self._pause(_lane(record), end.failure)
        elif tended.worker.begun:
            self._lanes.started(_lane(record))
        self.ended[said or "lost"] += 1
        self._any_ended = True
        own = said == end.outcome and said != "released"
        self._tell(f"{_named(record)}: {said or 'lost'}{f' ({end.failure})' if own else ''}")

    def _failed(self, start: Start, why: str) -> None:
        self._pause(start.lane, why)
        self._give_back(start, End("spawn_failed", why))

    def _pause(self, lane: Lane, why: str) -> None:
        breaker = self._lanes.failed(lane, why)
        if breaker.until_ms:
            pause_s = max(0, breaker.until_ms - boot_ms()) // 1_000
            self._tell(f"nothing is started for {lane[1] or 'nobody'} on {lane[0]} for {pause_s} s: {why}")

    def _give_back(self, start: Start, end: End) -> None:
        self._drop(start)
        self._owed.append((start.claim, end, start.lane))
        self._pay()

    def _drop(self, start: Start) -> None:
        self._starts.remove(start)
        start.drop(self._site.records)

    def _pay(self) -> None:
        while self._owed:
            claim, end, _ = self._owed[0]
            said = self._write(claim, end, None)
            self._owed.pop(0)
            claim.stop()
            self.ended[said or "lost"] += 1
            self._tell(f"task {claim.task_id}: {said or 'lost'} ({end.failure})")

    def _write(self, claim: Claim, end: End, exit_code: int | None) -> str:
        with self._engine.write(reserve=True) as tx:
            return claim.end(tx, end, exit_code)


def _lane(record: Record) -> Lane:
    return record.board, record.assignee


def _named(record: Record) -> str:
    return f"task {record.task_id} (attempt {record.attempt}, run {record.run_id})"
