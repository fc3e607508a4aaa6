"""Which board, which task and which fence a command is about: as it was given, or as the dispatcher said."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from holdfast.cli.failing import NotFound
from holdfast.cli.free_words import TASK
from holdfast.errors import Refused, Stale

if TYPE_CHECKING:
    from holdfast.board import Board, Task
    from holdfast.cli.given import Given
    from holdfast.engine import Read, Write
    from holdfast.state import State

BOARD, FENCE, ASSIGNEE = "HOLDFAST_BOARD", "HOLDFAST_FENCE", "HOLDFAST_ASSIGNEE"
DEFAULT = "default"

ON_BOARD = click.option("--board", metavar="SLUG", help=f"The board; default ${BOARD}, else `{DEFAULT}`.")
A_TASK = click.argument("task", metavar="TASK")
MY_TASK = click.argument("task", metavar="[TASK]", required=False)
TASK_BEFORE_WORDS = click.option("--task", metavar="TASK", help="The task, where it is not the first word.")
WORDS = click.argument("words", nargs=-1, type=click.UNPROCESSED)
A_FENCE = click.option("--fence", metavar="N", type=int, help=f"Of the claim; default ${FENCE}, for its own task.")

_NAME_ONE = "Name one: its number, its alias or the beginning of its title."
_STOP = (
    "Stop: what you do on this task counts no more. Do not claim it again; "
    "`holdfast board show {task}` says what became of it."
)


def opened(given: Given) -> State:
    """Open the state without its homes: a board has nothing to do with threads."""
    import holdfast

    return holdfast.open([], state_dir=given.state_dir, search=False)


def peeked(given: Given) -> State:
    """Open it without creating or changing anything."""
    import holdfast

    return holdfast.peek([], state_dir=given.state_dir)


@contextmanager
def changing(given: Given, *, reserve: bool = False) -> Iterator[Write]:
    """Open the state and one write transaction. ``reserve``: also where there is room for ends only."""
    with opened(given) as state, state.engine_to_write().write(reserve=reserve) as tx:
        yield tx


def kept(given: Given) -> State:
    """Open it like ``peeked``. Raises ``NotFound`` when nothing was ever kept there."""
    state = peeked(given)
    if state.engine is None:
        state.close()
        raise NotFound(
            f"nothing was ever kept in {state.path}", remedy="`holdfast board create TITLE` makes the first task."
        )
    return state


@contextmanager
def looking(given: Given) -> Iterator[Read]:
    """Open one read transaction. Creates nothing. Raises ``NotFound`` as ``kept`` does."""
    with kept(given) as state, state.read() as tx:
        yield tx


def slug_of(board: str | None) -> str:
    """Return the slug of the board that was given, else of the one in the environment, else the default."""
    return board or os.environ.get(BOARD) or DEFAULT


def board_of(tx: Read, board: str | None) -> Board:
    """Return the board meant. Raises ``NotFound``."""
    from holdfast import board as boards

    found = boards.get_board(tx, slug_of(board))
    if found is None:
        raise no_board(slug_of(board))
    return found


def slug_of_id(tx: Read, board_id: int) -> str:
    """Return the slug of the board with this number."""
    from holdfast.board.catalogue import board_by_id

    found = board_by_id(tx, board_id)
    return str(board_id) if found is None else found.slug


def no_board(slug: str) -> NotFound:
    """Return the error for a board that there is not."""
    return NotFound(
        f"there is no board {slug!r}",
        remedy=f"`holdfast board boards list` shows which there are; `holdfast board boards create {slug}` makes it.",
    )


def no_task(text: str) -> NotFound:
    """Return the error for a task that there is not."""
    return NotFound(
        f"there is no task {text!r}",
        remedy="Say its number, its alias or the beginning of its title; `holdfast board list --all` shows them.",
    )


def task_of(tx: Read, text: str | None, board: str | None) -> Task:
    """Return the task meant by ``text``: a number, an alias, or the unique beginning of a title on the board.

    None: the one this worker was given. Raises ``NotFound``, and ``Refused``
    when several fit, or when none was given and there is none in the environment.
    """
    from holdfast import board as boards

    text = os.environ.get(TASK) if text is None else text
    if text is None:
        raise Refused(
            f"no task was named, and ${TASK} is not set, as it is in workers of the dispatcher", remedy=_NAME_ONE
        )
    if not text.strip():
        raise Refused("the name of the task is empty: a variable that is not set, perhaps", remedy=_NAME_ONE)
    found = boards.find(tx, text, board=slug_of(board))
    if found is None:
        raise no_task(text)
    if board is not None and found.board_id != board_of(tx, board).board_id:
        raise NotFound(f"task {found.task_id} is on another board than {board!r}", remedy="Leave --board out.")
    return found


def fence_of(task: Task, fence: int | None) -> int | None:
    """Return the fence that was given, else the environment's if it is for this very task; None: there is none."""
    if fence is not None:
        return fence
    said = os.environ.get(FENCE)
    if not said or os.environ.get(TASK) != str(task.task_id):
        return None
    try:
        return int(said)
    except ValueError:
        raise Refused(f"${FENCE} is {said!r}, which is no number", remedy="Say the fence with --fence.") from None


def needed_fence(task: Task, fence: int | None) -> int:
    """Return the fence as ``fence_of`` does. Raises ``Refused`` when there is none."""
    found = fence_of(task, fence)
    if found is None:
        raise Refused(
            f"this needs the fence of the claim on task {task.task_id}; none was given, and "
            + (f"${FENCE} is not set" if not os.environ.get(FENCE) else f"${FENCE} is of task {os.environ.get(TASK)}"),
            remedy="Say it with --fence; `holdfast board claim` printed it.",
        )
    return found


def who(author: str | None) -> str:
    """Return who says something: as given, the assignee of this worker, or the user."""
    import getpass

    if author or (author := os.environ.get(ASSIGNEE)):
        return author
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user may have no name
        return f"uid {os.getuid()}"


@contextmanager
def stopping(task: Task) -> Iterator[None]:
    """Make ``Stale`` say what a worker whose claim was lost is to do: stop."""
    try:
        yield
    except Stale as stale:
        raise Stale(str(stale), remedy=_STOP.format(task=task.task_id)) from None


def json_value(text: str | None, option: str) -> Any:
    """Return the value of the JSON that ``option`` was given; None when it was not. Raises ``Refused``."""
    import json

    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise Refused(f"{option} is no JSON: {error}", remedy="Quote it for the shell: '{\"key\": 1}'.") from None
