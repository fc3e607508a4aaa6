"""A plan carried out: exactly its steps, after everything it was decided on was looked at again.

Nothing in a plan is believed. A path outside of its targets is refused, and so is
one that leads there through a link; files must be as they were; and a database that
gets other content is held against everybody while that is done (``holding``).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import msgspec

from holdfast import folders, receipts
from holdfast.changes import Plan, Replace, Seen
from holdfast.doctor.holding import Held, hold
from holdfast.doctor.model import Target
from holdfast.doctor.planning import is_within
from holdfast.doctor.repairs.repair import SCHEMA, Action, Outcome, Repair, RepairPlan, Step, repair
from holdfast.doctor.replacing import Hand, from_disk, settled
from holdfast.errors import Full, HoldfastError, Refused, Stale, Unsupported
from holdfast.quantities import size_text
from holdfast.receipts import families, keeping
from holdfast.sqlite import foreign, mending

OnProgress = Callable[[int, str, int, int], None]
"""Told the number of the step, what is being done, how much of it is done, and how much there is."""

_ROOM_BYTES = 8 << 20
_AGAIN = "Run `holdfast doctor` again, and make a new plan."


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
    known = _checked(plan)
    chosen = [step for step in plan.steps if step.action.live or not live]
    touched: dict[str, Seen] = {}
    for step in chosen:
        _check_seen(step.action, touched, live=live)
        _check_room(step.action, receipts_folder)
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
                _check_seen(step.action, touched, live=live)
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
        return self._carry_out(self._receipt(msgspec.structs.replace(plan, by="doctor")))

    def replace(self, path: str, make: Callable[[str, str], None], what: str) -> str:
        if self.live or path not in self._held:
            raise Refused(f"{path} gets other content only while it is held against everybody")
        seen = families.stamps(path)
        plan = Plan(
            title=what,
            folder=os.path.dirname(path),
            subjects=(),
            changes=(Replace(path, tuple(each.path for each in seen if each.is_there), what),),
            seen=seen,
            by="doctor",
        )
        receipt = self._receipt(plan)
        self.tell("copied")
        try:
            self._make(receipt, path, make)
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

    def _make(self, receipt: receipts.Receipt, path: str, make: Callable[[str, str], None]) -> None:
        (step,) = receipt.steps
        assert step.copy is not None and step.swap is not None  # written with the receipt
        new = os.path.join(receipt.at, "new-0")
        with _told(self.receipts_folder):
            with settled(os.path.join(receipt.at, step.copy)) as copy:
                make(copy, new)
            families.keep_kind(path, new)
            if problems := mending.unsound(new):
                raise Refused(f"the new content of {path} is not sound: {problems[0]}; nothing was changed")
            families.sync_file(new)
            step.swap.new, step.swap.new_sum = "new-0", families.sum_of(new)
            keeping.put(receipt)


@contextmanager
def _told(folder: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise from_disk(error, f"writing copies to {folder}, so nothing was changed") from error


def _done(step: Step, *, outcome: Outcome | None = None, why: str | None = None) -> Done:
    return Done(number=step.number, repair=step.action.repair, path=step.action.path, outcome=outcome, why=why)


# --- what a plan says, looked at -----------------------------------------------------


def _checked(plan: RepairPlan) -> dict[int, Repair]:
    """Return the repair of each step. Raises for what no plan of ours says."""
    if plan.schema != SCHEMA:
        raise Unsupported(f"the plan has the schema {plan.schema}, this version knows {SCHEMA}", remedy=_AGAIN)
    for target in plan.targets:
        _check_target(target)
    known: dict[int, Repair] = {}
    for number, step in enumerate(plan.steps, start=1):
        if step.number != number:
            raise Refused(f"the steps of the plan are not numbered from 1: {step.number} is no. {number}")
        found = repair(step.action.repair)
        if found is None:
            raise Unsupported(f"step {number} is a repair that this version does not know: {step.action.repair!r}")
        for path in _paths(step.action):
            _check_path(path, plan.targets, number)
        known[number] = found
    return known


def _paths(action: Action) -> Sequence[str]:
    return (action.path, *action.exclusive, *(seen.path for seen in action.seen))


def _check_target(target: Target) -> None:
    _check_plain(target.path)
    if target.path in (os.sep, os.path.realpath(os.path.expanduser("~"))):
        raise Refused(f"{target.path} is no home of an agent: a plan does not reach so far")
    for database in target.databases:
        _check_plain(database.path)


def _check_path(path: str, targets: Sequence[Target], number: int) -> None:
    _check_plain(path)
    if not any(is_within(path, target) for target in targets):
        raise Refused(f"step {number} reaches outside of what was examined: {path}")


def _check_plain(path: str) -> None:
    if not os.path.isabs(path) or os.path.normpath(path) != path or "\0" in path:
        raise Refused(f"{path!r} is no plain path")
    if os.path.realpath(path) != path:
        raise Refused(f"{path} leads through a link to {os.path.realpath(path)}: left alone")


def _check_seen(action: Action, touched: dict[str, Seen], *, live: bool) -> None:
    for before in action.seen:
        now, wanted = families.seen(before.path), touched.get(before.path, before)
        # While others run they write, and their sidecars come and go: that is what such a step is for.
        if now != wanted and not (live and (wanted.same_file(now) or before.path.endswith(families.ENDS[1:]))):
            raise Stale(f"{before.path} was changed after this was planned; nothing was done", remedy=_AGAIN)


def _check_room(action: Action, folder: str) -> None:
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    if action.needs_bytes and free < action.needs_bytes + _ROOM_BYTES:
        raise Full(
            f"{action.repair} of {action.path} needs {size_text(action.needs_bytes)} in {folder} for copies and new "
            f"content, and {size_text(free)} are free there; nothing was changed",
            remedy="Make room there, or keep the receipts on another disk.",
        )
