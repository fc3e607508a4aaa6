"""How a change in a home is made: its locks held, a receipt first, and the index told at once."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from holdfast import ids, receipts
from holdfast.changes import Append, Plan, Rewrite, paths_of
from holdfast.errors import Busy, Full, HalfDone, Refused
from holdfast.ingest import gate
from holdfast.receipts import Receipt, Replacing
from holdfast.rollouts import names_lock, paths, writer_lock
from holdfast.sqlite import foreign
from holdfast.state import said
from holdfast.state.directory import RECEIPTS
from holdfast.threads import store
from holdfast.threads.model import Thread

if TYPE_CHECKING:
    from holdfast.state.handle import State


_PATIENCE_MS = 2_000  # the locks are held meanwhile; the next who reads the row has it mended


class InHomeChange(msgspec.Struct, frozen=True):
    """What was done to a home, or with ``dry_run`` would be.

    ``receipt``: the id to undo it by; None when nothing was done. ``thread`` is
    as it is now. ``left_out``: sub-agents' threads that could not be included,
    ``(id, why)``. ``notes`` are for a person.
    """

    thread: Thread
    plan: Plan
    receipt: str | None = None
    left_out: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def folder_of(state: State) -> str:
    """Return where the receipts of a state directory lie."""
    return os.path.join(state.path, RECEIPTS)


@contextmanager
def locked(
    named: Thread, family: Sequence[Thread], dry_run: bool
) -> Iterator[tuple[list[Thread], list[tuple[str, str]]]]:
    """Hold the writer's lock of each thread that nobody else writes; ``Busy`` when it is the ``named`` one.

    Yields the threads held, and the others with why not. A dry run makes no lock files, and holds nothing.
    """
    held: list[Thread] = []
    left_out: list[tuple[str, str]] = []
    with ExitStack() as locks:
        for each in family:
            try:
                if not dry_run:
                    locks.enter_context(writer_lock(named.home, each.id))
                held.append(each)
            except Busy as busy:
                if each is named:
                    raise
                left_out.append((each.id, str(busy)))
        yield held, left_out


@contextmanager
def names_locked(home: str, dry_run: bool) -> Iterator[None]:
    """Hold the lock of the names file; not for a dry run."""
    with ExitStack() as held:
        if not dry_run:
            held.enter_context(names_lock(home))
        yield


def carry_out(
    state: State,
    plan: Plan,
    thread: Thread,
    left_out: tuple[tuple[str, str], ...],
    dry_run: bool,
    said_of: str = "",
    notes: tuple[str, ...] = (),
) -> InHomeChange:
    """Write the receipt of ``plan``, do it, and return what became of ``thread``.

    ``said_of``: what people said of it (see ``store.UNSAY``) and the files say from now on.
    """
    notes = notes if plan.changes else ()
    if dry_run:
        return InHomeChange(thread, plan, None, left_out, notes)
    receipt_id = None
    if plan.changes:
        try:
            receipt = receipts.write(folder_of(state), plan)
        except OSError as error:
            kind = Full if error.errno in (errno.ENOSPC, errno.EDQUOT) else Refused
            raise kind(
                f"no receipt could be written in {folder_of(state)}, so nothing was done: {error.strerror or error}"
            ) from error
        try:
            receipt_id = receipts.carry_out(receipt, foreign).id
        except HalfDone:
            follow(state, plan, [])
            raise
    subjects = dict.fromkeys((thread.id, *plan.subjects))
    notes += follow(state, plan, [(subject, said_of) for subject in subjects if said_of])
    return InHomeChange(state.threads.get(thread.id) or thread, plan, receipt_id, left_out, notes)


def undo(state: State, receipt_id: str, *, dry_run: bool) -> Receipt | None:
    """Undo a receipt; None when there is none of this id."""
    return _settle(state, receipt_id, partial(receipts.undo, databases=foreign, replacing=_hand()), dry_run)


def finish(state: State, receipt_id: str) -> Receipt | None:
    """Do the rest of a receipt; None when there is none of this id."""
    return _settle(state, receipt_id, partial(receipts.carry_out, databases=foreign, replacing=_hand()), False)


def standings(receipt: Receipt) -> list[receipts.Standing]:
    """Return how the files and rows of each step stand now. Only looks."""
    return receipts.standings(receipt, foreign)


def _hand() -> Replacing:
    from holdfast.doctor.replacing import Hand  # 20 ms, for the few receipts that are of the doctor

    return Hand()


def _settle(state: State, receipt_id: str, do: Callable[[Receipt], Receipt], dry_run: bool) -> Receipt | None:
    """Undo a receipt or finish it, with the locks its files need."""
    state.engine_to_write()  # a handle that only reads changes no home either
    receipt = receipts.find(folder_of(state), receipt_id)
    if receipt is None or dry_run:
        return receipt
    plan = receipt.plan
    with ExitStack() as held:
        for subject in plan.subjects:
            held.enter_context(writer_lock(plan.folder, subject))
        if any(isinstance(change, Append | Rewrite) and change.shared for change in plan.changes):
            held.enter_context(names_lock(plan.folder))
        try:
            return do(receipt)
        finally:
            follow(state, plan, [])


def follow(state: State, plan: Plan, unsaid: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Have the index know at once, and take back what was said and the files say now."""
    home = plan.folder
    engine = state.engine_to_write()
    if home not in {each.path for each in state.homes}:
        return ()
    notes: tuple[str, ...] = ()
    try:
        if files := _rollouts_of(state, plan):
            gate.refold(engine, home, files, wait_ms=_PATIENCE_MS)
    except Busy as busy:
        notes = (f"The index follows a little later: {busy}.",)
    if unsaid:
        with state.write() as tx:
            rows = [each.home_id for each in state.look_up_homes(tx) if each.path == home]
            taken_back = [store.unsay(tx, rows, parsed(subject), what) for subject, what in unsaid]
            if any(taken_back):
                state.promise_snapshot(said.moment(tx))
    return notes


def parsed(thread_id: str) -> bytes:
    """Return the 16 bytes of an id that is one of ours."""
    id16 = ids.parse(thread_id)
    assert id16 is not None  # ours
    return id16


def _rollouts_of(state: State, plan: Plan) -> list[str]:
    """Return every rollout the plan concerns, as the index spells it: relative to the home, plain."""
    roots = {os.path.realpath(f"{plan.folder}/{root}") + "/": root for root in (paths.SESSIONS, paths.ARCHIVED)}
    found = [
        f"{root}/{paths.logical(path).removeprefix(real)}"
        for change in plan.changes
        for path in paths_of(change)
        for real, root in roots.items()
        if path.startswith(real)
    ]
    for subject in plan.subjects:  # whose name changed, and no file
        thread = state.threads.get(subject)
        if thread is not None and thread.home == plan.folder:
            found.append(os.path.relpath(thread.rollout_path, plan.folder))
    return list(dict.fromkeys(found))
