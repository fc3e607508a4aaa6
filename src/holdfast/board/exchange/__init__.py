"""Boards carried in and out: from a Hermes ``kanban.db``, to JSON and back, to Markdown for people.

An import writes in batches of bounded time, each task whole in one of them.
Interrupted or killed, what was written stays, and the same import run again
brings what is missing. An export is of one moment, and its file or folder gets
its name when it is whole.
"""

from __future__ import annotations

import os
from typing import IO

from holdfast.board.exchange.model import Attachments, Counts, ExchangeProgress, ExportReport, ImportReport, OnProgress
from holdfast.engine import Engine

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
    """
    raise NotImplementedError


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
    raise NotImplementedError


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
    raise NotImplementedError


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
    raise NotImplementedError
