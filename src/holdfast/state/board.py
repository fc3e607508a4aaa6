"""``state.board``: each door is one transaction around the function of the same name in ``holdfast.board``.

Inside a transaction of yours use those functions: then the task and what you write with it come together.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from holdfast import board as room
from holdfast import holds, postgres
from holdfast.board import (
    Board,
    Capped,
    Claimed,
    Context,
    Created,
    Event,
    Idle,
    Known,
    Link,
    Page,
    Run,
    Stats,
    Swept,
    Taken,
    Task,
    Waiting,
)
from holdfast.board.rules import LEASE_MS
from holdfast.state.board_data import BoardData

if TYPE_CHECKING:
    from holdfast.board.dispatching import Dispatcher, Leader
    from holdfast.holds import Owner
    from holdfast.state.handle import State


class BoardDoor(BoardData):
    """Boards of tasks. Every outcome is a value; see ``holdfast.board``."""

    def __init__(self, state: State) -> None:
        self._state = state

    # --- boards --------------------------------------------------------------

    def create_board(self, slug: str, **words: Any) -> Board:
        """Make a board. See ``board.create_board`` for the words."""
        with self._state.write() as tx:
            return room.create_board(tx, slug, **words)

    def get_board(self, slug: str) -> Board | None:
        """Return the board, or None when there is none."""
        if self._state.engine is None:
            return None
        with self._state.read() as tx:
            return room.get_board(tx, slug)

    def boards(self, *, archived: bool = False) -> Sequence[Board]:
        """Return the boards by their slugs; with ``archived`` also those that were put away."""
        if self._state.engine is None:
            return []
        with self._state.read() as tx:
            return room.boards(tx, archived=archived)

    def edit_board(self, slug: str, **fields: Any) -> Board:
        """Change ``name``, ``description``, ``workdir`` or ``running_max`` of a board."""
        with self._state.write() as tx:
            return room.edit_board(tx, slug, **fields)

    def archive_board(self, slug: str) -> Board:
        """Put a board away. Raises ``Refused`` while one of its tasks runs."""
        with self._state.write() as tx:
            return room.archive_board(tx, slug)

    def restore_board(self, slug: str) -> Board:
        """Take a board up again."""
        with self._state.write() as tx:
            return room.restore_board(tx, slug)

    def cap(self, board: str, assignee: str | None, running_max: int | None) -> None:
        """Let at most ``running_max`` tasks of ``assignee`` (None: of the board) run at once; None ends the cap."""
        with self._state.write() as tx:
            room.cap(tx, board, assignee, running_max)

    # --- tasks ---------------------------------------------------------------

    def create(self, title: str, **words: Any) -> Created | Known:
        """Make a task. See ``board.create`` for the words."""
        with self._state.write() as tx:
            return room.create(tx, title, **words)

    def get(self, ref: int | str, *, board: str | None = None) -> Task | None:
        """Return the task with this number or alias, or None when there is none."""
        if self._state.engine is None:
            return None
        with self._state.read() as tx:
            return room.get(tx, ref, board=board)

    def link(self, parent: int, child: int, gate: Any = "done") -> Task:
        """Have ``child`` wait for ``parent`` behind a gate."""
        with self._state.write() as tx:
            return room.link(tx, parent, child, gate)

    def unlink(self, parent: int, child: int) -> Task:
        """Take the link away."""
        with self._state.write() as tx:
            return room.unlink(tx, parent, child)

    def edit(self, task_id: int, **fields: Any) -> Task:
        """Change what a task says. See ``board.edit`` for the fields."""
        with self._state.write() as tx:
            return room.edit(tx, task_id, **fields)

    def assign(self, task_id: int, assignee: str) -> Task:
        """Give a task to somebody; '' to nobody."""
        with self._state.write() as tx:
            return room.assign(tx, task_id, assignee)

    def move_to(self, task_id: int, board: str) -> Task:
        """Put a task onto another board."""
        with self._state.write() as tx:
            return room.move_to(tx, task_id, board)

    def move(self, task_id: int, status: str, *, why: str = "") -> Task:
        """Put a task into another column by hand."""
        with self._state.write() as tx:
            return room.move(tx, task_id, status, why=why)

    def schedule(self, task_id: int, due_ms: int) -> Task:
        """Have the task not done before ``due_ms``."""
        with self._state.write() as tx:
            return room.schedule(tx, task_id, due_ms)

    def block(self, task_id: int, reason: str, *, kind: str = "needs_input", fence: int | None = None) -> Task:
        """Say that the task cannot go on. Raises ``Stale`` when the claim was lost."""
        with self._freeing() as tx:
            return room.block(tx, task_id, reason, kind=kind, fence=fence)

    def unblock(self, task_id: int, note: str = "") -> Task:
        """Let a blocked task go on."""
        with self._state.write() as tx:
            return room.unblock(tx, task_id, note)

    def cancel(self, task_id: int, why: str = "cancelled") -> Task:
        """Have the task not done; who is at it is ``Stale``."""
        with self._freeing() as tx:
            return room.cancel(tx, task_id, why)

    def archive(self, task_id: int) -> Task:
        """Put a task away."""
        with self._freeing() as tx:
            return room.archive(tx, task_id)

    def restore(self, task_id: int) -> Task:
        """Take a task up again as it was."""
        with self._state.write() as tx:
            return room.restore(tx, task_id)

    def reopen(self, task_id: int, why: str = "") -> Task:
        """Have a task that is over done again."""
        with self._state.write() as tx:
            return room.reopen(tx, task_id, why)

    def reclaim(self, task_id: int, why: str = "") -> Task:
        """Take a task from whoever is at it."""
        with self._freeing() as tx:
            return room.reclaim(tx, task_id, why)

    # --- doing them ----------------------------------------------------------

    def claim(
        self, task_id: int, owner: Owner | None = None, *, lease_ms: int = LEASE_MS, **words: Any
    ) -> Claimed | Taken | Waiting | Capped:
        """Claim this one task, or learn why not."""
        with self._state.write() as tx:
            return room.claim(tx, task_id, owner or holds.me(), lease_ms=lease_ms, **words)

    def claim_next(
        self, board: str = "default", owner: Owner | None = None, *, lease_ms: int = LEASE_MS, **words: Any
    ) -> Claimed | Idle:
        """Claim what is to be done next on a board. See ``board.claim_next`` for the words."""
        with self._state.write() as tx:
            return room.claim_next(tx, board, owner or holds.me(), lease_ms=lease_ms, **words)

    def renew(self, task_id: int, fence: int, *, lease_ms: int = LEASE_MS, note: str = "") -> int:
        """Extend the claim; return when it ends then. Raises ``Stale`` when it was lost."""
        with self._freeing() as tx:
            return room.renew(tx, task_id, fence, lease_ms=lease_ms, note=note)

    def hand_over(self, task_id: int, fence: int, owner: Owner, *, log: str | None = None) -> Task:
        """Make ``owner`` the one whose death ends the claim. Raises ``Stale`` when the claim was lost."""
        with self._state.write() as tx:
            return room.hand_over(tx, task_id, fence, owner, log=log)

    def done(self, task_id: int, *, fence: int | None = None, **words: Any) -> Task:
        """Say that the task is done. Raises ``Stale`` when the claim was lost."""
        with self._freeing() as tx:
            return room.done(tx, task_id, fence=fence, **words)

    def review(self, task_id: int, *, fence: int, summary: str = "") -> Task:
        """Hand the work in to be reviewed. Raises ``Stale`` when the claim was lost."""
        with self._freeing() as tx:
            return room.review(tx, task_id, fence=fence, summary=summary)

    def request_changes(self, task_id: int, why: str, *, fence: int | None = None) -> Task:
        """Send what was handed in back to be worked on."""
        with self._freeing() as tx:
            return room.request_changes(tx, task_id, why, fence=fence)

    def fail(self, task_id: int, *, fence: int, error: object, **words: Any) -> Task:
        """Say that the attempt failed. Raises ``Stale`` when the claim was lost."""
        with self._freeing() as tx:
            return room.fail(tx, task_id, fence=fence, error=error, **words)

    def release(self, task_id: int, *, fence: int, retry_in_ms: int = 0) -> Task:
        """Give the task back undone. Raises ``Stale`` when the claim was lost."""
        with self._freeing() as tx:
            return room.release(tx, task_id, fence=fence, retry_in_ms=retry_in_ms)

    def sweep(self, board: str | None = None) -> Swept:
        """Make ready what is due, and end the claims of workers that died or fell silent."""
        with self._freeing() as tx:
            return room.sweep(tx, board)

    # --- looking -------------------------------------------------------------

    def events(
        self, *, board: str | None = None, task: int | None = None, after: int = 0, limit: int = 1_000
    ) -> Sequence[Event]:
        """Return what happened after the event ``after``, in order."""
        if self._state.engine is None:
            return []
        with self._state.read() as tx:
            return room.events(tx, board=board, task=task, after=after, limit=limit)

    def history(self, task_id: int, *, limit: int = 50) -> Sequence[Event]:
        """Return the last events of a task, oldest first."""
        if self._state.engine is None:
            return []
        with self._state.read() as tx:
            return room.history(tx, task_id, limit=limit)

    def listing(self, board: str = "default", **words: Any) -> Page:
        """Return tasks of a board, some at a time. See ``board.listing`` for the words."""
        if self._state.engine is None:
            return Page((), None)
        with self._state.read() as tx:
            return room.listing(tx, board, **words)

    def links(self, task_id: int) -> Sequence[Link]:
        """Return what a task waits for, and what waits for it."""
        if self._state.engine is None:
            return []
        with self._state.read() as tx:
            return room.links(tx, task_id)

    def stats(self, board: str = "default") -> Stats | None:
        """Return how a board stands. None: there is no state yet."""
        if self._state.engine is None:
            return None
        with self._state.read() as tx:
            return room.stats(tx, board)

    def why(self, task_id: int) -> str | None:
        """Return one sentence: what holds the task where it is, and what changes that. None: there is no state yet."""
        if self._state.engine is None:
            return None
        with self._state.read() as tx:
            return room.why(tx, task_id)

    def context(self, task_id: int) -> Context | None:
        """Return what a worker of this task is to know; ``.markdown()`` to be read. None: there is no state yet."""
        if self._state.engine is None:
            return None
        with self._state.read() as tx:
            return room.context(tx, task_id)

    def runs(self, task_id: int) -> Sequence[Run]:
        """Return the attempts at a task, oldest first."""
        if self._state.engine is None:
            return []
        with self._state.read() as tx:
            return room.runs(tx, task_id)

    # --- the dispatcher -------------------------------------------------------

    def dispatcher(
        self,
        command: str | Sequence[str],
        *,
        board: str | None = "default",
        tell: Callable[[str], object] = lambda _line: None,
        **how: Any,
    ) -> Dispatcher:
        """Return what runs ``command`` for each task of ``board`` (None: of all); ``.run()`` it.

        A line is the shell's; words are a command. ``tell`` is given a line about each thing that happens. ``how``:
        the words of ``dispatching.How``. Its files lie below ``board/`` in the state directory.
        """
        from holdfast.board.dispatching import Dispatcher, How  # for the few who dispatch

        engine = self._state.engine_to_write()
        named, folder = self._state.path, "board"
        if isinstance(engine, postgres.Store):
            named = engine.url
            folder = f"board-{hashlib.blake2b(engine.path.encode(), digest_size=6).hexdigest()}"
        return Dispatcher(
            engine,
            command,
            folder=os.path.join(self._state.path, folder),
            named=named,
            board=board,
            how=How(**how),
            tell=tell,
        )

    def dispatchers(self) -> Sequence[Leader]:
        """Return who dispatches which board, its workers and the lanes that are paused. One short read."""
        if self._state.engine is None:
            return []
        from holdfast.board.dispatching import leaders

        with self._state.read() as tx:
            return leaders(tx)

    def _freeing(self) -> Any:
        return self._state.engine_to_write().write(reserve=True)
