"""A claimed task on its way to a worker: workspace, process, record, the claim's owner; then it begins."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast import board as boards
from holdfast.board.dispatching import environment, run_logs
from holdfast.board.dispatching.claims import Claim
from holdfast.board.dispatching.model import How, Working
from holdfast.board.dispatching.records import Record, Records
from holdfast.board.dispatching.spawning import Worker
from holdfast.board.dispatching.tending import Tended
from holdfast.board.dispatching.workspaces import Workspace, Workspaces
from holdfast.board.dispatching.worktrees import CannotBeMade
from holdfast.board.model import Board, Claimed
from holdfast.clock import boot_ms
from holdfast.engine import Engine
from holdfast.holds import Owner

if TYPE_CHECKING:
    from holdfast.board.dispatching.lanes import Lane


@dataclass(frozen=True, slots=True)
class Site:
    """What all starts of one dispatcher have in common."""

    words: Sequence[str]
    folder: str
    named: str
    me: Owner
    how: How
    records: Records
    workspaces: Workspaces


class Start:
    """One start: ``make_ready`` once nothing of an earlier worker runs, and when it is ``ready``, ``go``."""

    def __init__(self, board: Board, claimed: Claimed, claim: Claim, *, wake: Callable[[], object]) -> None:
        self.board = board
        self.claimed = claimed
        self.claim = claim
        self.workspace: Workspace | None = None
        self.error: CannotBeMade | None = None
        self.asked = False
        """Whether ``make_ready`` was called."""
        self._begun_ms = boot_ms()
        self._wake = wake
        self._worker: Worker | None = None
        self._record: Record | None = None

    @property
    def lane(self) -> Lane:
        """Whose task it is."""
        return self.board.slug, self.claimed.task.assignee

    @property
    def ready(self) -> bool:
        """Whether its workspace is there, or cannot be made."""
        return self.workspace is not None or self.error is not None

    def make_ready(self, site: Site) -> None:
        """Make the workspace. A worktree may take git a while: on a thread, and ``wake`` is called after it."""
        self.asked = True
        if self.claimed.task.workspace_kind != "worktree":
            self._prepare(site.workspaces)
            return
        work = (self._prepare, site.workspaces, self._wake)
        run = contextvars.copy_context().run
        threading.Thread(target=run, args=work, name="holdfast-board-worktree", daemon=True).start()

    def go(self, engine: Engine, site: Site) -> Tended:
        """Start the worker, say whose the claim is now, and let the command begin. One short read, one commit.

        May be called again after ``Busy``. Raises ``CannotBeMade``; ``OSError``
        when the machine has no process or descriptor left; ``Stale`` when the claim was lost.
        """
        if self.error is not None:
            raise self.error
        if self._worker is None:
            self._spawn(engine, site)
        assert self._worker is not None and self._record is not None
        with engine.write(reserve=True) as tx:
            boards.hand_over(tx, self.claim.task_id, self.claim.fence, self._worker.owner, log=self._record.log)
        self._worker.begin()
        return Tended(self._record, self._worker, self.claim, site.how)

    def drop(self, records: Records) -> None:
        """End what was started; nothing of it began. The claim stays."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None
        records.drop(self.claimed.run)

    def working(self) -> Working:
        """Return what a leader tells of it."""
        task = self.claimed.task
        since_ms = boot_ms() - self._begun_ms
        return Working(task.task_id, self.claimed.run, self.claimed.attempt, task.assignee, 0, since_ms, "starting")

    def _prepare(self, workspaces: Workspaces, then: Callable[[], object] = lambda: None) -> None:
        try:
            self.workspace = workspaces.prepare(self.board, self.claimed.task)
        except CannotBeMade as error:
            self.error = error
        except BaseException as error:
            self.error = CannotBeMade(f"{type(error).__name__}: {error}")
        then()

    def _spawn(self, engine: Engine, site: Site) -> None:
        claimed, task, workspace = self.claimed, self.claimed.task, self.workspace
        assert workspace is not None  # it is ready, and without an error
        with engine.read() as tx:
            prompt = environment.prompt(tx, task.task_id)
        told = environment.of_task(
            claimed,
            named=site.named,
            board=self.board.slug,
            workspace=workspace.path,
            branch=workspace.branch,
            prompt=prompt,
            prompt_path=site.records.prompt_path(claimed.run),
        )
        log = run_logs.make(site.folder, self.board.slug, task.task_id, claimed.run)
        worker = Worker(
            site.words,
            folder=workspace.path,
            environment=environment.inherited() | told,
            log=log,
            end=site.records.end_path(claimed.run),
            label=f"worker of task {task.task_id}",
        )
        self._worker = worker
        self._record = Record(
            run_id=claimed.run,
            task_id=task.task_id,
            board=self.board.slug,
            assignee=task.assignee,
            attempt=claimed.attempt,
            fence=claimed.fence,
            worker=worker.owner,
            keeper=site.me,
            began_ms=boot_ms(),
            time_max_ms=task.time_max_ms or site.how.time_max_ms,
            silence_max_ms=task.silence_max_ms or site.how.silence_max_ms,
            log=log,
        )
        site.records.put(self._record)
