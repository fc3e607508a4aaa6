"""An export as a file of lines: looked through once, whole, and then read line by line, parents first."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import IO, TypeAlias

import msgspec

from holdfast.board.exchange import format
from holdfast.board.exchange.format import FileLine, Line
from holdfast.board.exchange.model import BoardFacts, Card, ExchangeProgress, OnProgress
from holdfast.board.exchange.rules import parents_first
from holdfast.errors import Damaged, Refused, Unsupported
from holdfast.findings import Finding

Source: TypeAlias = str | os.PathLike[str] | IO[bytes]

_SAY_EVERY = 1_000


@dataclass(slots=True)
class Document:
    """Where everything lies in a file that is whole."""

    board: BoardFacts
    tasks: dict[int | str, int] = field(default_factory=dict)
    files: list[int] = field(default_factory=list)
    order: list[int | str] = field(default_factory=list)
    left_out: set[tuple[int | str, int | str]] = field(default_factory=set)
    """Links that cannot be: parent, child."""
    findings: list[Finding] = field(default_factory=list)


def name(source: Source) -> str:
    """Return what to call a source."""
    if isinstance(source, (str, os.PathLike)):
        return os.path.abspath(os.path.expanduser(source))
    return str(getattr(source, "name", "a stream"))


@contextmanager
def opened(source: Source) -> Iterator[IO[bytes]]:
    """Yield a file to go back and forth in: a stream is kept in ``$TMPDIR`` meanwhile."""
    if isinstance(source, (str, os.PathLike)):
        with ExitStack() as stack:
            try:
                file = stack.enter_context(open(name(source), "rb"))
            except OSError as error:
                raise Refused(f"{name(source)} cannot be read: {error.strerror}") from error
            yield file
        return
    with tempfile.TemporaryFile(prefix="holdfast-") as kept:
        try:
            shutil.copyfileobj(source, kept)
        except OSError as error:
            raise Unsupported(f"{name(source)} cannot be read: {error.strerror}") from error
        kept.seek(0)
        yield kept


def look_through(file: IO[bytes], called: str, on_progress: OnProgress | None) -> Document:
    """Return where everything lies. Reads all of it, decodes it, and keeps none of it.

    Raises ``Damaged`` for what is no export, is torn, or holds what no board
    could; ``Refused`` for one of a newer version.
    """
    document: Document | None = None
    links: list[tuple[int | str, int | str]] = []
    end = None
    total = at = 0
    for number, text in enumerate(file, 1):
        begin, at = at, at + len(text)
        line = _decoded(text, called, number)
        if document is None:
            document = Document(_first(line, called))
            total = line.tasks or 0
        elif end is not None:
            raise _damaged(called, number, "something follows the last line")
        elif line.task is not None:
            _take(document, line.task, begin, called, number)
            links += [(parent.id, line.task.id) for parent in line.task.parents]
            if on_progress is not None and len(document.tasks) % _SAY_EVERY == 0:
                on_progress(ExchangeProgress("reading", document.board.slug, len(document.tasks), total))
        elif line.attachment is not None:
            if line.attachment.task not in document.tasks:
                raise _damaged(called, number, f"it is of a task {line.attachment.task} that does not come before")
            document.files.append(begin)
        elif line.end is not None:
            end = line.end
        else:
            raise _damaged(called, number, "it is neither a task nor an attachment, nor the end")
    if document is None:
        raise Damaged(f"{called} is empty", remedy=_REMEDY)
    if end is None or (end.tasks, end.attachments) != (len(document.tasks), len(document.files)):
        told = "no last line" if end is None else f"{end.tasks} tasks and {end.attachments} attachments told at its end"
        raise Damaged(
            f"{called} is torn: {len(document.tasks)} tasks and {len(document.files)} attachments, {told};"
            " nothing was written",
            remedy=_REMEDY,
        )
    _arrange(document, links)
    return document


def cards(file: IO[bytes], document: Document) -> Iterator[Card]:
    """Yield the tasks, each after its parents."""
    for key in document.order:
        file.seek(document.tasks[key])
        card = format.decode(file.readline()).task
        assert card is not None  # it was one when it was looked through
        card.parents = [each for each in card.parents if (each.id, key) not in document.left_out]
        yield format.mend(card)


def files(file: IO[bytes], document: Document) -> Iterator[FileLine]:
    """Yield the attachments, as they come in the file."""
    for begin in document.files:
        file.seek(begin)
        line = format.decode(file.readline()).attachment
        assert line is not None
        yield line


def _decoded(text: bytes, called: str, number: int) -> Line:
    try:
        if not text.endswith(b"\n"):
            raise _damaged(called, number, "it has no end")
        return format.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _damaged(called, number, str(error)) from error


def _first(line: Line, called: str) -> BoardFacts:
    if line.holdfast_board is None or line.board is None:
        raise Damaged(f"{called} is no export of a board: its first line does not say so", remedy=_REMEDY)
    if line.holdfast_board > format.VERSION:
        raise Refused(
            f"{called} is of version {line.holdfast_board}; {format.VERSION} is known here",
            remedy="Import it with the holdfast that wrote it, or a newer one.",
        )
    return line.board


def _take(document: Document, card: Card, begin: int, called: str, number: int) -> None:
    if card.id in document.tasks:
        raise _damaged(called, number, f"a task {card.id} came before")
    if problem := next(format.problems(card), None):
        raise _damaged(called, number, f"task {card.id}: {problem}")
    document.tasks[card.id] = begin


def _arrange(document: Document, links: list[tuple[int | str, int | str]]) -> None:
    order = parents_first(list(document.tasks), links)
    document.order = order.keys
    for code, odd, why in (
        ("import-link-dangling", order.dangling, "its parent is not in the file"),
        ("import-link-cycle", order.cyclic, "it closes a circle"),
    ):
        for parent, child in odd:
            document.left_out.add((parent, child))
            document.findings.append(Finding(code, f"{parent} → {child}", why, "a link that can be", "Left out."))


def _damaged(called: str, number: int, why: str) -> Damaged:
    return Damaged(f"{called}, line {number}: {why}; nothing was written", remedy=_REMEDY)


_REMEDY = "Export the board again, or give the file as `export_json` wrote it."
