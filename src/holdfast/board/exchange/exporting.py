"""A board written as JSON lines: one read transaction, one pass, and a name when it is whole."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TypeAlias

from msgspec.structs import asdict

from holdfast.board.attaching import Check, part_count, present, read_part
from holdfast.board.attaching import get_attachment as get_file
from holdfast.board.exchange import format, reading
from holdfast.board.exchange.files import new_file
from holdfast.board.exchange.format import FileLine, Line
from holdfast.board.exchange.model import Attachments, Card, CardFile, ExchangeProgress, ExportReport, OnProgress
from holdfast.board.exchange.storing import Tally
from holdfast.board.model import Board
from holdfast.engine import Engine, Read

Target: TypeAlias = str | os.PathLike[str] | IO[bytes]


class Counting:
    """A stream that knows how many bytes went into it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.bytes = 0

    def write(self, data: bytes) -> None:
        """Write all of it."""
        self._stream.write(data)
        self.bytes += len(data)


def to_json(
    engine: Engine,
    target: Target,
    slug: str,
    *,
    attachments: Attachments,
    replace: bool,
    on_progress: OnProgress | None,
) -> ExportReport:
    """See ``export_json``."""
    began = time.monotonic()
    with engine.read() as tx:
        board = reading.there(tx, slug)
        with writing(target, replace=replace) as out:
            tally = _lines(tx, board, out, attachments, on_progress)
    return ExportReport(
        path=path_of(target),
        board=slug,
        format="json",
        counts=tally.counts(),
        files=1,
        bytes=out.bytes,
        duration_ms=round((time.monotonic() - began) * 1000),
    )


def _lines(tx: Read, board: Board, out: Counting, attachments: Attachments, on_progress: OnProgress | None) -> Tally:
    total = reading.count(tx, board)
    tally = Tally()
    first = Line(holdfast_board=format.VERSION, exported_ms=tx.now_ms, board=reading.facts(tx, board), tasks=total)
    _put(out, first)
    with_files: list[Card] = []
    for page in reading.pages(tx, board):
        for card in page:
            _put(out, Line(task=card))
            tally.take(card)
            if card.attachments:
                with_files.append(Card(id=card.id, title="", status="", created_ms=0, changed_ms=0, ready_ms=0))
                with_files[-1].attachments = card.attachments
        if on_progress is not None:
            on_progress(ExchangeProgress("tasks", board.slug, tally.counts().tasks, total))
    for card in with_files if attachments == "inline" else ():
        for about in card.attachments:
            _put(out, Line(attachment=FileLine(task=card.id, data=bytes_of(tx, about), **asdict(about))))
            tally.add(attachments=1, attachment_bytes=about.size_bytes)
            if on_progress is not None:
                on_progress(ExchangeProgress("attachments", board.slug, tally.counts().attachments))
    _put(out, Line(end=tally.counts()))
    return tally


def bytes_of(tx: Read, about: CardFile) -> bytes:
    """Return the bytes of an attachment, checked. Raises ``Damaged``."""
    found = present(get_file(tx, about.id), about.id)
    check = Check(found)
    parts = []
    for at in range(part_count(found)):
        part = read_part(tx, about.id, at)
        check.add(part)
        parts.append(part or b"")
    check.end()
    return b"".join(parts)


@contextmanager
def writing(target: Target, *, replace: bool) -> Iterator[Counting]:
    """Yield where to write: the caller's stream, or a file that gets its name at the end."""
    if isinstance(target, (str, os.PathLike)):
        with new_file(os.fspath(target), replace=replace) as file:
            yield Counting(file)
    else:
        yield Counting(target)


def path_of(target: Target) -> str | None:
    """Return the path that was named, None for a stream."""
    return os.path.abspath(os.path.expanduser(target)) if isinstance(target, (str, os.PathLike)) else None


def _put(out: Counting, line: Line) -> None:
    out.write(format.encode(line) + b"\n")
