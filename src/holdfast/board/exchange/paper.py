"""A board written as Markdown: one file, or a folder with a file for each task."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from tempfile import SpooledTemporaryFile
from typing import IO

from holdfast.board.exchange import markdown, reading
from holdfast.board.exchange.exporting import Counting, Target, bytes_of, path_of, writing
from holdfast.board.exchange.files import new_folder
from holdfast.board.exchange.markdown import Brief
from holdfast.board.exchange.model import Card, ExchangeProgress, ExportReport, OnProgress
from holdfast.board.exchange.storing import Tally
from holdfast.board.model import Board
from holdfast.engine import Engine, Read

_README = "README.md"
_IN_MEMORY_BYTES = 1 << 20
_A_FOLDER_HAS = 1_000  # files: more than that are slow to look at


def to_markdown(
    engine: Engine, target: Target, slug: str, *, replace: bool, on_progress: OnProgress | None
) -> ExportReport:
    """See ``export_markdown``."""
    began = time.monotonic()
    path = path_of(target)
    with engine.read() as tx:
        made = _Paper(tx, reading.there(tx, slug), on_progress)
        if path is None or path.endswith(".md"):
            with writing(target, replace=replace) as out:
                made.one_file(out)
            files, size = 1, out.bytes
        else:
            with new_folder(path, replace=replace) as folder:
                files, size = made.folder(folder)
    return ExportReport(
        path=path,
        board=slug,
        format="markdown",
        counts=made.tally.counts(),
        files=files,
        bytes=size,
        duration_ms=round((time.monotonic() - began) * 1000),
    )


class _Paper:
    """One board: first what the lists say of each task, then the tasks."""

    def __init__(self, tx: Read, board: Board, on_progress: OnProgress | None) -> None:
        self._tx = tx
        self._board = board
        self._facts = reading.facts(tx, board)
        self._on_progress = on_progress
        self.tally = Tally()
        self._briefs = reading.briefs(tx, board)
        self._titles = {each.id: each.title for each in self._briefs}

    def one_file(self, out: Counting) -> None:
        """Write all of it, by status; of each, the tasks by their numbers."""
        for text in markdown.head(self._facts, self._briefs, self._tx.now_ms):
            out.write(text.encode())
        with ExitStack() as stack:
            columns: dict[str, IO[bytes]] = {}
            for card in self._cards():
                if card.status not in columns:
                    columns[card.status] = stack.enter_context(SpooledTemporaryFile(_IN_MEMORY_BYTES))
                columns[card.status].write(b"\n" + "".join(markdown.task(card, 3, self._titles, None)).encode())
            for status in filter(columns.__contains__, markdown.ORDER):
                out.write(f"\n## {status.capitalize()}\n".encode())
                columns[status].seek(0)
                while piece := columns[status].read(_IN_MEMORY_BYTES):
                    out.write(piece)

    def folder(self, path: str) -> tuple[int, int]:
        """Write a file for each task and attachment, and one that lists them; return how many, and their bytes."""
        links = {each.id: _place(int(each.id)) for each in self._briefs}
        files = size = 0
        for card in self._cards():
            text = "".join(markdown.task(card, 1, self._titles, "../../attachments")).encode()
            size += _write(os.path.join(path, links[card.id]), text)
            for about in card.attachments:
                name = f"{about.id}{markdown.suffix(about.name)}"
                size += _write(os.path.join(path, "attachments", name), bytes_of(self._tx, about))
                self.tally.add(attachments=1, attachment_bytes=about.size_bytes)
            files += 1 + len(card.attachments)
        parts = [*markdown.head(self._facts, self._briefs, self._tx.now_ms)]
        for status, briefs in self._by_status():
            parts += markdown.table(status, briefs, links)
        size += _write(os.path.join(path, _README), "".join(parts).encode())
        return files + 1, size

    def _by_status(self) -> Iterator[tuple[str, list[Brief]]]:
        for status in markdown.ORDER:
            if found := [each for each in self._briefs if each.status == status]:
                yield status, sorted(found, key=lambda each: (-each.priority, each.id))

    def _cards(self) -> Iterator[Card]:
        for page in reading.pages(self._tx, self._board):
            for card in page:
                self.tally.take(card)
                yield card
            if self._on_progress is not None:
                done = self.tally.counts().tasks
                self._on_progress(ExchangeProgress("tasks", self._board.slug, done, len(self._briefs)))


def _place(task_id: int) -> str:
    return f"tasks/{task_id // _A_FOLDER_HAS:04d}/{task_id}.md"


def _write(path: str, data: bytes) -> int:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "xb") as file:
        file.write(data)
    return len(data)
