"""Where the boards of a Hermes root lie. Looks at names only; opens nothing."""

from __future__ import annotations

import os

from holdfast.board.hermes.model import Place
from holdfast.errors import Refused

_DB = "kanban.db"
DEFAULT = "default"


def places(path: str) -> list[Place]:
    """Return the boards at ``path``: a ``kanban.db``, a board's folder, or a Hermes root; the default one first.

    Raises ``Refused`` when there is none.
    """
    path = os.path.abspath(os.path.expanduser(path))
    if not os.path.isdir(path):
        if not os.path.lexists(path):
            raise Refused(f"there is no {path}", remedy="Name a kanban.db, or the folder it lies in.")
        return [_place(path)]
    found = [os.path.join(path, _DB)] if os.path.lexists(os.path.join(path, _DB)) else []
    boards = os.path.join(path, "kanban", "boards")
    names = sorted(os.listdir(boards)) if os.path.isdir(boards) else []
    found += [os.path.join(boards, name, _DB) for name in names if _is_board(boards, name)]
    if not found:
        raise Refused(
            f"{path} has no board of Hermes: neither {_DB} nor kanban/boards/*/{_DB}",
            remedy="Name a kanban.db, or the folder it lies in.",
        )
    return [_place(db) for db in found]


def _is_board(boards: str, name: str) -> bool:
    # `_archived` holds boards that were removed; each can be named by its path.
    return not name.startswith("_") and name != DEFAULT and os.path.lexists(os.path.join(boards, name, _DB))


def _place(db: str) -> Place:
    folder = os.path.dirname(db)
    if os.path.basename(os.path.dirname(folder)) == "boards":
        return Place(
            db=db,
            slug=os.path.basename(folder),
            board_json=os.path.join(folder, "board.json"),
            attachments=os.path.join(folder, "attachments"),
        )
    kanban = os.path.join(folder, "kanban")
    beside = os.path.join(kanban, "attachments")
    return Place(
        db=db,
        slug=DEFAULT,
        board_json=os.path.join(kanban, "boards", DEFAULT, "board.json"),
        attachments=beside if os.path.isdir(beside) else os.path.join(folder, "attachments"),
    )
