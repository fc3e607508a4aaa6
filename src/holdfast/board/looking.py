"""What there is to do, and what became of it. Looks only."""

from __future__ import annotations

from holdfast.board import catalogue
from holdfast.board.model import Run, Task
from holdfast.board.rows import SQL, run, task
from holdfast.engine import Read

_OF_BOARD = SQL["select_task"].fill(which=SQL["which_of_board"])


def runs(tx: Read, task_id: int) -> list[Run]:
    """Return the attempts at a task, oldest first."""
    return [run(row) for row in tx.rows(SQL["list_runs"], task_id=task_id)]


def all_of(tx: Read, board: str) -> list[Task]:
    """Return every task of a board."""
    return [task(row) for row in tx.rows(_OF_BOARD, board_id=catalogue.there(tx, board).board_id)]
