"""Boards carried in and out: from a Hermes ``kanban.db``, to JSON and back, to Markdown for people.

An import writes in batches of bounded time, each task whole in one of them.
Interrupted or killed, what was written stays, and the same import run again
brings what is missing. An export is of one moment, and its file or folder gets
its name when it is whole.

The functions import what they need when they are called: whoever lists tasks needs none of it, and the process
that reads a board of Hermes takes only the values from here.
"""

from __future__ import annotations

import os
from typing import IO, Any

from holdfast.board.exchange.model import Attachments, Counts, ExchangeProgress, ExportReport, ImportReport, OnProgress
from holdfast.board.rules import check_slug
from holdfast.engine import Engine
from holdfast.errors import Refused

__all__ = [
    "Counts",
    "ExchangeProgress",
    "ExportReport",
    "ImportReport",
    "export_json",
    "export_markdown",
    "import_hermes",
    "import_json",
]

Path = str | os.PathLike[str]


def import_hermes(
    engine: Engine,
    path: Path,
    *,
    board: str | None = None,
    dry_run: bool = False,
    attachments: bool = True,
    on_progress: OnProgress | None = None,
) -> list[ImportReport]:
    """Import a Hermes ``kanban.db``, or every board under a Hermes root; a report for each, the default one first.

    ``board``: the slug it gets here; None: the one it has there. Only with one
    board. Nothing about the file changes, whoever writes to it meanwhile.

    Raises ``Refused`` (no board there; several, and ``board`` given), ``Damaged``
    (nothing in it can be read), ``Busy``, ``Full`` (no room for the copy that is read).
    Of several boards one that cannot be read keeps no other from coming: its report says why.
    """
    from holdfast.board.exchange import importing
    from holdfast.board.hermes.places import places

    found = places(os.fspath(path))
    if board is not None:
        check_slug(board)
        if len(found) > 1:
            names = ", ".join(place.slug for place in found)
            raise Refused(
                f"{os.fspath(path)} has {len(found)} boards ({names}), which cannot all become {board}",
                remedy=f"Name one by its file, as {found[0].db}.",
            )
    how: dict[str, Any] = {"dry_run": dry_run, "attachments": attachments, "on_progress": on_progress}
    if len(found) == 1:
        return [importing.from_hermes(engine, found[0], board, **how)]
    return [importing.one_of_several(engine, place, **how) for place in found]


def import_json(
    engine: Engine,
    source: Path | IO[bytes],
    *,
    board: str | None = None,
    dry_run: bool = False,
    on_progress: OnProgress | None = None,
) -> ImportReport:
    """Import what ``export_json`` wrote. ``board`` None: the slug it was exported from.

    Raises ``Refused`` (no such file; of a newer holdfast), ``Damaged`` (torn, or no export of a board): then
    nothing was written.
    """
    from holdfast.board.exchange import importing

    if board is not None:
        check_slug(board)
    return importing.from_json(engine, source, board, dry_run=dry_run, on_progress=on_progress)


def export_json(
    engine: Engine,
    target: Path | IO[bytes],
    *,
    board: str = "default",
    attachments: Attachments = "inline",
    replace: bool = False,
    on_progress: OnProgress | None = None,
) -> ExportReport:
    """Write a board as JSON lines, of one moment; ``docs/board-import.md`` has the format.

    Raises ``Refused`` (no such board; the file is there and ``replace`` was not asked for), ``Full``, ``Unsupported``.
    """
    from holdfast.board.exchange import exporting

    return exporting.to_json(engine, target, board, attachments=attachments, replace=replace, on_progress=on_progress)


def export_markdown(
    engine: Engine,
    target: Path | IO[bytes],
    *,
    board: str = "default",
    replace: bool = False,
    on_progress: OnProgress | None = None,
) -> ExportReport:
    """Write a board for people to read: one file when ``target`` is a stream or ends in ``.md``, else a folder.

    A folder has ``README.md`` (all tasks by status), ``tasks/`` (a file each) and ``attachments/``. Raises as
    ``export_json`` does.
    """
    from holdfast.board.exchange import paper

    return paper.to_markdown(engine, target, board, replace=replace, on_progress=on_progress)
