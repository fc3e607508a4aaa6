"""``state.in_home``: do to a home what Codex itself would do, with a receipt written before.

The only thing here that writes in a home somebody else keeps. What is decided
is in ``rollouts.placing`` and ``codex_rows``, what is done and undone in ``receipts``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from holdfast import receipts
from holdfast.changes import Change
from holdfast.errors import Refused
from holdfast.ingest import gate
from holdfast.receipts import Receipt
from holdfast.rollouts import placing
from holdfast.state import carrying, codex_rows
from holdfast.state.carrying import InHomeChange, carry_out, folder_of, locked, names_locked, parsed
from holdfast.state.codex_rows import Told
from holdfast.state.overlays import UNSET, Unset
from holdfast.threads.lookup import find_thread_path
from holdfast.threads.model import Found, Thread

if TYPE_CHECKING:
    from holdfast.state.handle import State

_NAME_NOT_SEEN = (
    "Codex 0.169 keeps the names of paginated threads in its own database and does not read this one; holdfast does."
)
_ROWS_NOT_SEEN = (
    "Of a paginated thread Codex keeps this in its own database only, which holdfast does not read: "
    "say it without `in_home`, too, to see it here."
)


class InHome:
    """Changes in the homes of a ``State``. Each method means a thread as ``state.threads`` does; None: no such thread.

    All raise ``Busy`` naming who is writing the thread, ``Refused`` when Codex
    would not touch the files either, ``HalfDone`` when stopped in the middle.
    Nothing is changed with ``dry_run``. About ten syncs a call.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def archive(self, text: str, *, dry_run: bool = False) -> InHomeChange | None:
        """Move the thread's file to ``archived_sessions``, and those of the sub-agents it started.

        A thread that lies there already is left as it is; then there is no receipt.
        """
        return self._place(text, dry_run, archived=True)

    def unarchive(self, text: str, *, dry_run: bool = False) -> InHomeChange | None:
        """Move the thread's file back to the folder of its day, as written just now."""
        return self._place(text, dry_run, archived=False)

    def rename(self, text: str, name: str, *, dry_run: bool = False) -> InHomeChange | None:
        """Append the name to ``session_index.jsonl``, and put it into Codex's row where it has one."""
        named = self._named(text)
        if named is None:
            return None
        thread, found = named
        id16 = parsed(thread.id)

        def decide() -> Told:
            line = placing.rename(found.home, id16, name, _now_ms())
            rows, notes = codex_rows.named(found.home, thread.id, name)
            unseen = (_NAME_NOT_SEEN,) if thread.history_mode == "paginated" and not rows else ()
            return Told((*line, *rows), (*unseen, *notes))

        return self._one(f"rename thread {thread.id} to {name.strip()!r}", named, decide, dry_run, "name")

    def set_git(
        self,
        text: str,
        *,
        sha: str | Unset | None = UNSET,
        branch: str | Unset | None = UNSET,
        origin_url: str | Unset | None = UNSET,
        dry_run: bool = False,
    ) -> InHomeChange | None:
        """Append git facts to a legacy rollout, and put them into Codex's row. What is not given stays; None clears.

        Of a paginated thread Codex has the row only: ``Refused`` when there is none.
        """
        given = {"sha": sha, "branch": branch, "origin_url": origin_url}
        git = {key: value for key, value in given.items() if not isinstance(value, Unset)}
        named = self._named(text)
        if named is None:
            return None
        thread, found = named

        def decide() -> Told:
            told = codex_rows.marked(found.home, thread.id, git=git)
            if thread.history_mode == "paginated" and told.changes:
                return Told(told.changes, (_ROWS_NOT_SEEN, *told.notes))
            line = placing.mark(found.home, parsed(thread.id), found.file, _now_ms(), git=git)
            return Told((*line, *told.changes), told.notes)

        said_of = "" if thread.history_mode == "paginated" else "git"
        return self._one(f"set the git facts of thread {thread.id}", named, decide, dry_run, said_of)

    def set_memory_mode(self, text: str, mode: str, *, dry_run: bool = False) -> InHomeChange | None:
        """Set the memory mode, ``enabled`` or ``disabled``: where ``set_git`` puts git facts."""
        named = self._named(text)
        if named is None:
            return None
        thread, found = named

        def decide() -> Told:
            placing.check_memory_mode(mode)
            told = codex_rows.marked(found.home, thread.id, memory_mode=mode)
            if thread.history_mode == "paginated" and told.changes:
                return Told(told.changes, (_ROWS_NOT_SEEN, *told.notes))
            line = placing.mark(found.home, parsed(thread.id), found.file, _now_ms(), memory_mode=mode)
            return Told((*line, *told.changes), told.notes)

        said_of = "" if thread.history_mode == "paginated" else "memory_mode"
        return self._one(f"set the memory mode of thread {thread.id} to {mode}", named, decide, dry_run, said_of)

    def delete(self, text: str, *, dry_run: bool = False) -> InHomeChange | None:
        """Remove every file of the thread and of the sub-agents it started (theirs first), and their names.

        The receipt holds them; as long as it is kept this can be undone.
        Walks the home once. With ``dry_run`` this is the preview.
        """
        named = self._named(text)
        if named is None:
            return None
        thread, found = named
        family = [*reversed(self._descendants(thread)), thread]
        with locked(thread, family, dry_run) as (held, left_out), names_locked(found.home, dry_run):
            decided = placing.delete(found.home, [parsed(each.id) for each in held])
            changes: list[Change] = []
            removed = []
            for each in held:
                of_it = decided[parsed(each.id)]
                if isinstance(of_it, Refused):
                    if each is thread:
                        raise of_it
                    left_out.append((each.id, str(of_it)))
                elif each is thread and not of_it:
                    raise Refused(f"{found.file} is not named for thread {thread.id}: Codex would not touch it either")
                else:
                    changes += of_it
                    removed.append(each)
            changes += placing.forget_names(found.home, [parsed(each.id) for each in removed])
            rows, notes = codex_rows.gone(found.home, [each.id for each in removed])
            changes += rows
            title = f"delete thread {thread.id}{_and_others(len(removed) - 1)}"
            plan = placing.plan(title, found.home, [parsed(each.id) for each in removed], changes)
            return carry_out(self._state, plan, thread, tuple(left_out), dry_run, notes=notes)

    # --- receipts ------------------------------------------------------------------

    def receipts(self) -> list[Receipt]:
        """Return what was done, the newest first."""
        return receipts.listing(folder_of(self._state))

    def undo(self, receipt_id: str, *, dry_run: bool = False) -> Receipt | None:
        """Put back what the receipt with this id changed; None when there is no such receipt.

        Raises ``Refused`` when somebody changed one of the files since, ``Busy``
        when somebody is writing one of the threads. Undone twice is undone once.
        """
        return carrying.undo(self._state, receipt_id, dry_run=dry_run)

    def finish(self, receipt_id: str) -> Receipt | None:
        """Do the rest of what was stopped in the middle; None when there is no such receipt."""
        return carrying.finish(self._state, receipt_id)

    # --- one change ------------------------------------------------------------------

    def _place(self, text: str, dry_run: bool, *, archived: bool) -> InHomeChange | None:
        named = self._named(text)
        if named is None:
            return None
        thread, found = named
        word = "archive" if archived else "unarchive"
        now_ns = time.time_ns()
        family = [thread, *(self._descendants(thread) if archived else ())]
        with locked(thread, family, dry_run) as (held, left_out):
            changes: list[Change] = []
            moved = []
            for each in held:
                try:
                    at = found if each is thread else self._found(each)
                    of_it = () if at is None else self._moves(at, now_ns, archived=archived)
                except Refused as why:
                    if each is thread:
                        raise
                    left_out.append((each.id, str(why)))
                    continue
                changes += of_it
                moved += [each] if of_it else []
            rows, notes = codex_rows.moved(found.home, changes, now_ns, archived=archived)
            changes += rows
            title = f"{word} thread {thread.id}{_and_others(len(moved) - (thread in moved))}"
            plan = placing.plan(title, found.home, [parsed(each.id) for each in moved], changes)
            return carry_out(self._state, plan, thread, tuple(left_out), dry_run, "archived", notes)

    def _moves(self, at: Found, now_ns: int, *, archived: bool) -> tuple[Change, ...]:
        lies_archived = at.path.startswith(f"{at.home}/archived_sessions/")
        if lies_archived is archived:
            return ()
        if archived:
            return placing.archive(at.home, parsed(at.thread_id), at.file)
        return placing.unarchive(at.home, parsed(at.thread_id), at.file, now_ns)

    def _one(
        self,
        title: str,
        named: tuple[Thread, Found],
        decide: Callable[[], Told],
        dry_run: bool,
        said_of: str,
    ) -> InHomeChange:
        thread, found = named
        with locked(thread, [thread], dry_run), ExitStack() as held:
            if said_of == "name":
                held.enter_context(names_locked(found.home, dry_run))
            changes, notes = decide()
            plan = placing.plan(title, found.home, [parsed(thread.id)], changes)
            return carry_out(self._state, plan, thread, (), dry_run, said_of, notes)

    # --- who is concerned --------------------------------------------------------------

    def _named(self, text: str) -> tuple[Thread, Found] | None:
        """Return the thread that is meant, with a row, and where its file lies, checked against the file itself."""
        engine = self._state.engine_to_write()  # a handle that only reads changes no home either
        threads = self._state.threads
        thread = threads.resolve(text)
        if thread is None:
            return None
        found = self._found(thread)
        if found is None:
            return None
        if found.repair is not None:
            gate.refold(engine, found.home, [os.path.relpath(found.path, found.home)])
            thread = threads.get(thread.id) or thread
        return thread, found

    def _found(self, thread: Thread) -> Found | None:
        # In the home of this thread: another may be a copy, and hold the same id.
        with self._state.read() as tx:
            for home in self._state.look_up_homes(tx):
                if home.path == thread.home:
                    found = find_thread_path(tx if home.home_id else None, home, parsed(thread.id))
                    if found is not None and not found.verified:
                        raise Refused(f"{found.file} could not be read, so it may be another thread's: left alone")
                    return found
        return None

    def _descendants(self, thread: Thread) -> list[Thread]:
        """Return the threads of the sub-agents that ``thread`` started, and theirs; parents before children."""
        known = {thread.id: thread}
        waiting = [thread.id]
        while waiting:
            parent, cursor = waiting.pop(0), None
            while True:
                page = self._state.threads.list(parent=parent, archived=None, limit=1_000, cursor=cursor)
                for child in page.threads:
                    if child.id not in known and child.home == thread.home:
                        known[child.id] = child
                        waiting.append(child.id)
                cursor = page.next_cursor
                if cursor is None:
                    break
        return [each for each in known.values() if each is not thread]


def _and_others(count: int) -> str:
    return "" if count <= 0 else f" and {count} of its sub-agents" if count > 1 else " and its sub-agent"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
