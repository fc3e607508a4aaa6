"""What a worker finds in its environment: where the board is, which task it has, and under which fence."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping

from holdfast import board as boards
from holdfast.board.model import Claimed
from holdfast.engine import Read

PROMPT_BYTES_MAX = 100_000
"""Beyond that a prompt is in a file: one string of an environment is at most 128 KiB (execve(2))."""

_ENDING = """
## When you are done

Before you end, say how it went, with one of these commands (they know your task):

- `holdfast board done --summary "what was done"`
- `holdfast board review --summary "what is to be looked at"`
- `holdfast board block why it cannot go on`

`holdfast board heartbeat` says that you are still at it; `holdfast board comment` leaves word for others. Files that
are to be kept go into the folder `artefacts` of a scratch workspace.
"""

# Where a git of the operator's works is not where one of the worker's does.
_DROPPED = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR")


def inherited(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return what the operator's environment has, and a ``PATH`` on which ``holdfast`` is found when we know one."""
    found = {name: text for name, text in environment.items() if name not in _DROPPED}
    path = found.get("PATH", os.defpath)
    beside = os.path.dirname(os.path.abspath(sys.executable))
    if shutil.which("holdfast", path=path) is None and shutil.which("holdfast", path=beside):
        found["PATH"] = f"{path}{os.pathsep}{beside}"
    return found


def prompt(tx: Read, task_id: int) -> str:
    """Return what a worker is told of its task, as Markdown, and how it says that it is over."""
    return boards.context(tx, task_id).markdown() + _ENDING


def of_task(
    claimed: Claimed, *, named: str, board: str, workspace: str, branch: str, prompt: str, prompt_path: str
) -> dict[str, str]:
    """Return what is said of the task. A prompt that is too long is written to ``prompt_path``.

    ``HOLDFAST_PROMPT`` then says where it is. Raises ``OSError`` when it cannot be written.
    """
    task = claimed.task
    told = {
        "STATE": named,
        "BOARD": board,
        "TASK": str(task.task_id),
        "FENCE": str(claimed.fence),
        "RUN": str(claimed.run),
        "ATTEMPT": str(claimed.attempt),
        "STAGE": task.stage,
        "ASSIGNEE": task.assignee,
        "TENANT": task.tenant,
        "WORKSPACE": workspace,
        "BRANCH": branch,
        "PROMPT": prompt,
    }
    data = prompt.encode(errors="replace")
    if len(data) > PROMPT_BYTES_MAX:
        with open(prompt_path, "wb") as file:
            file.write(data)
        told["PROMPT_FILE"] = prompt_path
        told["PROMPT"] = f"Your task is in the file {prompt_path}. Read all of it first."
    return {f"HOLDFAST_{name}": _passable(text) for name, text in told.items()}


def _passable(text: str) -> str:
    # A NUL ends a string of an environment; half a surrogate pair is no character of any encoding.
    return text.replace("\0", "�").encode(errors="replace").decode()
