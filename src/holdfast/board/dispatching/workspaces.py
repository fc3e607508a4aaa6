"""Where a worker works: a folder of its own, one that somebody named, or a git worktree of its own.

A task keeps its workspace from attempt to attempt. When it is over, a scratch
folder goes once its artefacts are kept, and a worktree when nothing is in it
that is not committed. A folder that somebody named is never touched.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.board.dispatching import worktrees
from holdfast.board.dispatching.worktrees import CannotBeMade
from holdfast.board.model import Board, Task

ARTEFACTS = "artefacts"
"""What a worker leaves in this folder of its scratch workspace is kept with the task."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder to work in, and the branch that is checked out there, if it is a worktree."""

    path: str
    branch: str = ""


class Workspaces:
    """The workspaces in one folder of this machine. Safe to call from several threads for several tasks."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def prepare(self, board: Board, task: Task) -> Workspace:
        """Return where to work on ``task``; made, or as its last attempt left it. Raises ``CannotBeMade``."""
        try:
            match task.workspace_kind:
                case "scratch":
                    path = self._path("scratch", board.slug, task.task_id)
                    os.makedirs(path, mode=0o700, exist_ok=True)
                    return Workspace(path)
                case "directory":
                    return Workspace(self._named(board, task))
                case "worktree":
                    path = self._path("worktrees", board.slug, task.task_id)
                    branch = task.branch or f"holdfast/task-{task.task_id}"
                    worktrees.prepare(self._named(board, task), path, branch)
                    return Workspace(path, branch)
        except OSError as error:
            raise CannotBeMade(f"no workspace for the task: {error}") from error

    def left(self) -> Iterator[tuple[str, str, int, str]]:
        """Yield the workspaces that are here: the kind, the board, the task and the folder."""
        for kind in ("scratch", "worktrees"):
            for board in _names(os.path.join(self._folder, kind)):
                for name in _names(os.path.join(self._folder, kind, board)):
                    number = name.removeprefix("task-")
                    if number.isdigit():
                        yield kind, board, int(number), os.path.join(self._folder, kind, board, name)

    def remove(self, kind: str, path: str) -> str:
        """Take a workspace away that nobody works in; return why it stays, "" when it is gone."""
        if kind == "worktrees":
            return worktrees.remove(path)
        shutil.rmtree(path, ignore_errors=True)  # no link in it is followed
        return "it cannot be deleted" if os.path.exists(path) else ""

    def _path(self, kind: str, board: str, task_id: int) -> str:
        return os.path.join(self._folder, kind, board, f"task-{task_id}")

    def _named(self, board: Board, task: Task) -> str:
        path = task.workspace or board.workdir
        if not path:
            raise CannotBeMade(
                f"the task is to be done in a {task.workspace_kind}, and neither it nor its board names one"
            )
        path = os.path.expanduser(path)
        if not os.path.isabs(path):
            raise CannotBeMade(f"its workspace {path!r} is no absolute path")
        if not os.path.isdir(path):
            raise CannotBeMade(f"its workspace {path} is not there, or is no folder")
        return path


def artefacts(path: str) -> list[str]:
    """Return the files a worker left to be kept, by their names below the folder of artefacts. No link is followed."""
    root = os.path.join(path, ARTEFACTS)
    found = []
    for above, _, names in os.walk(root):
        for name in names:
            whole = os.path.join(above, name)
            if os.path.isfile(whole) and not os.path.islink(whole):
                found.append(os.path.relpath(whole, root))
    return sorted(found)


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
