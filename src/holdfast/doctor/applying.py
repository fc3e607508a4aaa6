"""A plan carried out: exactly its steps, after everything it was decided on was looked at again.

Nothing in a plan is believed (``checking``). A database that gets other content is held
against everybody while that is done (``holding``); one in which a few rows change is,
too, when nobody has it open, so that undo gives its bytes back.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

import msgspec

from holdfast import folders, receipts
from holdfast.changes import Change, Plan, Replace, Row, Rows, Seen
from holdfast.doctor import checking
from holdfast.doctor.holding import Held, hold
from holdfast.doctor.repairs.repair import SCHEMA, Outcome, RepairPlan, Step
from holdfast.doctor.replacing import Hand, from_disk, settled
from holdfast.errors import Busy, HoldfastError, Refused, Unsupported
from holdfast.receipts import families, keeping
from holdfast.sqlite import foreign, mending

OnProgress = Callable[[int, str, int, int], None]
"""Told the number of the step, what is being done, how much of it is done, and how much there is."""

_BYTES_MAX = 256 << 20  # a database in which rows change is kept whole up to here; beyond, its rows are


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one step: its ``outcome``, or ``why`` there is none."""

    number: int
    repair: str
    path: str
    outcome: Outcome | None = None
    why: str | None = None


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """A plan that was carried out. ``stopped``: what kept it from its end; the steps before it were done.

    ``unseen``: processes of other users that could not be looked at. They would have been met by their locks.
    """

    schema: int = SCHEMA
    live: bool
    steps: tuple[Done, ...]
    stopped: str | None = None
    remedy: str = ""
    unseen: int = 0

    @property
    def receipts(self) -> tuple[str, ...]:
        """The ids to undo it by, the last first."""
        found = [step.outcome.receipt for step in self.steps if step.outcome is not None]
        return tuple(each for each in reversed(found) if each is not None)


def apply(
    plan: RepairPlan, *, live: bool = False, receipts_folder: str, on_progress: OnProgress | None = None
) -> Applied:
    """Do the steps of ``plan``, each with a receipt before it where something is taken away.

    With ``live`` only those that are safe while others have the files open. First looks at everything: raises
    ``Stale`` (a file changed since the plan was made), ``Busy`` with names (somebody has a database open),
    ``Full``, ``Refused``, ``Unsupported``: then nothing was changed. A step that fails behind others ends it:
    ``stopped`` says why. Raises ``HalfDone`` when the first step was stopped in its middle.

    For a process that has none of these databases open.
    """
    tell = on_progress or (lambda number, point, done, total: None)
    written: list[str] = []
    known = checking.repairs_of(plan)
    chosen = [step for step in plan.steps if step.action.live or not live]
    touched: dict[str, Seen] = {}
    for step in chosen:
        checking.check_seen(step.action, touched, live=live)
        checking.check_room(step.action, receipts_folder)
    exclusive = [path for step in chosen for path in step.action.exclusive]
    with ExitStack() as stack:
        held = stack.enter_context(hold(*(() if live else dict.fromkeys(exclusive))))
        unseen = max((each.unseen for each in held.values()), default=0)
        done: list[Done] = []
        for step in plan.steps:
            if step not in chosen:
                done.append(_done(step, why="not safe while others run"))
                continue
            work: _Work | None = None
            try:
                if not live and set(held) != set(step.action.exclusive):
                    # A step that works as a neighbour must be let in.
                    stack.close()
                    held = stack.enter_context(hold(*step.action.exclusive))
                work = _Work(receipts_folder, written, live, held, partial(tell, step.number))
                # Once more, now that nobody can change them: what was looked at before may have gone by.
                checking.check_seen(step.action, touched, live=live)
                work.tell("checked")
                outcome = known[step.number].carry_out(step.action, work)
            except HoldfastError as error:
                if not any(each.outcome for each in done):
                    raise
                done.append(_done(step, why=str(error)))
                return Applied(live=live, steps=tuple(done), stopped=str(error), remedy=error.remedy, unseen=unseen)
            finally:
                if work is not None:
                    work.tidy()
            done.append(_done(step, outcome=outcome))
            touched |= {seen.path: families.seen(seen.path) for seen in step.action.seen}
        return Applied(live=live, steps=tuple(done), unseen=unseen)


class _Work:
    """``repairs.repair.Work``."""

    def __init__(
        self, folder: str, written: list[str], live: bool, held: dict[str, Held], tell: Callable[[str, int, int], None]
    ) -> None:
        self.live = live
        self.receipts_folder = folder
        self._written = written
        self._held = held
        self._tell = tell
        self._scratch: str | None = None

    @property
    def scratch(self) -> str:
        if self._scratch is None:
            folders.make(self.receipts_folder)
            self._scratch = tempfile.mkdtemp(dir=self.receipts_folder, prefix=f"{keeping.HALF}work-")
        return self._scratch

    def tidy(self) -> None:
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def tell(self, point: str, done: int = 0, total: int = 0) -> None:
        self._tell(point, done, total)

    def change(self, plan: Plan) -> str:
        plan = msgspec.structs.replace(plan, by="doctor")
        with self._alone(plan) as alone:
            if not alone:
                return self._carry_out(self._receipt(plan))
            changes = tuple(map(_as_bytes, plan.changes))
            seen = plan.seen + tuple(each for path in alone for each in families.stamps(path))
            return self._replace(msgspec.structs.replace(plan, changes=changes, seen=seen), _with_rows)

    @contextmanager
    def _alone(self, plan: Plan) -> Iterator[dict[str, Held]]:
        """Hold the databases whose rows change, when nobody has them open: then undo can give the bytes back."""
        paths = [change.path for change in plan.changes if isinstance(change, Rows)]
        if self.live or self._held or not paths or not all(map(_is_small, paths)):
            yield {}
            return
        with ExitStack() as stack:
            with suppress(Busy, Unsupported):
                self._held = stack.enter_context(hold(*dict.fromkeys(paths)))
            try:
                yield self._held
            finally:
                self._held = {}

    def replace(self, path: str, make: Callable[[str, str], None], what: str) -> str:
        if self.live or path not in self._held:
            raise Refused(f"{path} gets other content only while it is held against everybody")
        plan = Plan(
            title=what,
            folder=os.path.dirname(path),
            subjects=(),
            changes=(_replacement(path, what),),
            seen=families.stamps(path),
            by="doctor",
        )
        return self._replace(plan, lambda _change, copy, new: make(copy, new))

    def _replace(self, plan: Plan, make: Callable[[Replace, str, str], None]) -> str:
        receipt = self._receipt(plan)
        self.tell("copied")
        try:
            for number, step in enumerate(receipt.steps):
                if isinstance(step.change, Replace):
                    self._make(receipt, number, partial(make, step.change))
        except BaseException:
            keeping.discard(receipt)
            raise
        self.tell("made")
        return self._carry_out(receipt)

    def _receipt(self, plan: Plan) -> receipts.Receipt:
        with _told(self.receipts_folder):
            # What an earlier step of the same plan took away is kept, however much it is.
            return receipts.write(self.receipts_folder, plan, spared=self._written)

    def _carry_out(self, receipt: receipts.Receipt) -> str:
        self._written.append(receipt.id)
        return receipts.carry_out(receipt, foreign, Hand(self._held, self._tell)).id

    def _make(self, receipt: receipts.Receipt, number: int, make: Callable[[str, str], None]) -> None:
        step = receipt.steps[number]
        assert isinstance(step.change, Replace) and step.copy is not None and step.swap is not None  # written with it
        path, name = step.change.path, f"new-{number}"
        new = os.path.join(receipt.at, name)
        with _told(self.receipts_folder):
            with settled(os.path.join(receipt.at, step.copy)) as copy:
                make(copy, new)
            families.keep_kind(path, new)
            if problems := mending.unsound(new):
                raise Refused(f"the new content of {path} is not sound: {problems[0]}; nothing was changed")
            families.sync_file(new)
            step.swap.new, step.swap.new_sum = name, families.sum_of(new)
            keeping.put(receipt)


def _replacement(path: str, what: str, rows: tuple[Row, ...] = ()) -> Replace:
    return Replace(path, tuple(each.path for each in families.stamps(path) if each.is_there), what, rows)


def _as_bytes(change: Change) -> Change:
    return _replacement(change.path, "", change.rows) if isinstance(change, Rows) else change


def _with_rows(change: Replace, copy: str, new: str) -> None:
    mending.duplicate(copy, new)
    foreign.turn(Rows(new, change.rows))


def _is_small(path: str) -> bool:
    return sum(each.size for each in families.stamps(path)) <= _BYTES_MAX


@contextmanager
def _told(folder: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise from_disk(error, f"writing copies to {folder}, so nothing was changed") from error


def _done(step: Step, *, outcome: Outcome | None = None, why: str | None = None) -> Done:
    return Done(number=step.number, repair=step.action.repair, path=step.action.path, outcome=outcome, why=why)
