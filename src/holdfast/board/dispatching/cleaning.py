"""Take away what is over on this machine: workspaces, once what is to be kept of them is, and old logs."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable

from holdfast import board as boards
from holdfast.board.dispatching import run_logs
from holdfast.board.dispatching.starting import Site
from holdfast.board.dispatching.workspaces import ARTEFACTS, artefacts
from holdfast.board.model import Status, Task
from holdfast.clock import boot_ms
from holdfast.engine import Engine
from holdfast.errors import HoldfastError
from holdfast.origin import internal

_EVERY_MS = 60_000
_OVER = (Status.DONE, Status.CANCELLED)


class Cleaning:
    """Looks once a minute, and when asked, on a thread that ends when it is done."""

    def __init__(
        self,
        engine: Engine,
        site: Site,
        board: str | None,
        *,
        busy: Callable[[], set[int]],
        tell: Callable[[str], object],
    ) -> None:
        self._engine = engine
        self._site = site
        self._board = board
        self._busy = busy
        self._tell = tell
        self._thread: threading.Thread | None = None
        self._due_ms = 0
        self._at = 0
        self._stays: dict[str, str] = {}
        self._stop = False

    def is_at(self, task_id: int) -> bool:
        """Return True while the workspace of a task may be going away. Asked after the task counts as busy."""
        return self._at == task_id

    def look(self, *, now: bool = False) -> None:
        """Begin, when it is time or ``now``, unless it is at it."""
        if now:
            self._due_ms = 0
        if boot_ms() < self._due_ms or (self._thread is not None and self._thread.is_alive()):
            return
        self._due_ms = boot_ms() + _EVERY_MS
        self._thread = threading.Thread(target=self._run, name="holdfast-board-cleaning", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it after the workspace at hand."""
        self._stop = True
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        with internal("dispatcher"):
            try:
                for kind, board, task_id, path in self._site.workspaces.left():
                    if self._stop:
                        return
                    if self._board in (None, board):
                        self._one(kind, board, task_id, path)
                run_logs.drop_old(self._site.folder, self._site.how.logs_days)
            except (HoldfastError, OSError) as error:  # the next look will do
                self._tell(f"could not clean up: {error}")

    def _one(self, kind: str, board: str, task_id: int, path: str) -> None:
        # First this, then the look at who is busy; a start counts as busy first, and asks `is_at` then.
        self._at = task_id
        try:
            if task_id in self._busy():
                return
            with self._engine.read() as tx:
                task = boards.get(tx, task_id)
            if task is None or not _is_over(task):
                return
            why = self._keep(task, board, path) if kind == "scratch" else ""
            why = why or self._site.workspaces.remove(kind, path)
            if why and self._stays.get(path) != why:
                self._tell(f"the workspace of task {task_id} stays at {path}: {why}")
                self._stays[path] = why
        finally:
            self._at = 0

    def _keep(self, task: Task, board: str, path: str) -> str:
        """Keep what the worker left to be kept; return why the workspace has to stay, or ""."""
        names = artefacts(path)
        if not names:
            return ""
        target = os.path.join(self._site.folder, ARTEFACTS, board, f"task-{task.task_id}")
        try:
            for name in names:
                kept = os.path.join(target, name)
                os.makedirs(os.path.dirname(kept), mode=0o700, exist_ok=True)
                shutil.copy2(os.path.join(path, ARTEFACTS, name), kept, follow_symlinks=False)
        except OSError as error:
            return f"its artefacts cannot be kept: {error}"
        self._tell(f"{len(names)} artefacts of task {task.task_id} are at {target}")
        return ""


def _is_over(task: Task) -> bool:
    return (task.archived_from or task.status) in _OVER
