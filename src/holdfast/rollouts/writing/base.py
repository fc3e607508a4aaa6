"""Where a fork may begin: a point between two lines of another thread's file. Only reads."""

from __future__ import annotations

import os

from holdfast import ids
from holdfast.errors import Damaged, Refused
from holdfast.rollouts import pieces
from holdfast.rollouts.dialects import codex
from holdfast.rollouts.items import SessionMeta
from holdfast.rollouts.lines import Cutter, split
from holdfast.rollouts.stream import open_either
from holdfast.rollouts.writing.model import HistoryBase
from holdfast.rollouts.writing.tail import FRAGMENT_BYTES_MAX, numbered


def history_base(path: str | os.PathLike[str], end_ordinal: int | None = None) -> HistoryBase:
    """Return the base of a fork that takes over the lines of ``path`` numbered below ``end_ordinal``, or all.

    ``path`` is absolute, in either spelling; half a line at its end is left
    out. Reads the file up to the point. Raises ``Refused`` when no line
    begins there or the thread has no numbers (``legacy``), ``Damaged`` when a
    ``.zst`` cannot be decoded to its end, and ``OSError``.
    """
    path = os.fspath(path)
    fd, began, packed = open_either(path)
    try:
        stream = pieces.Zst(fd) if packed else pieces.plain(fd, 0, began.st_size)
        cutter = Cutter(line_bytes_max=FRAGMENT_BYTES_MAX)
        meta: SessionMeta | None = None
        first = last = None
        for piece in stream:
            block = cutter.feed(piece)
            begin = cutter.offset - len(block)
            for line, end in split(block, begin):
                if meta is None and line.strip():
                    meta = _meta(line, path)
                seen = numbered(line)
                ordinal = seen.ordinal if seen else None
                if ordinal is not None and meta is not None:
                    first = ordinal if first is None else first
                    if end_ordinal is not None and ordinal >= end_ordinal:
                        return _base(meta, first, end_ordinal, begin, path)
                    last = ordinal
                begin = end
        if isinstance(stream, pieces.Zst) and stream.damage:
            raise Damaged(f"{path} is {stream.damage}: a fork of it would hang in the air")
    finally:
        os.close(fd)
    if meta is None or first is None or last is None:
        raise Refused(f"{path} holds no numbered line yet: there is nothing to fork")
    if end_ordinal is not None and end_ordinal != last + 1:
        raise Refused(f"{path} ends with line {last}: it has none before {end_ordinal} to fork at")
    return _base(meta, first, last + 1, cutter.offset, path)


def _meta(line: bytes, path: str) -> SessionMeta:
    meta = codex.parse(line)
    if not isinstance(meta, SessionMeta):
        raise Refused(f"{path} does not begin with a session_meta")
    if meta.history_mode != "paginated":
        raise Refused(
            f"{path} is a {meta.history_mode} thread: its lines have no numbers to fork at",
            remedy="Fork it by copying its lines into a new thread.",
        )
    return meta


def _base(meta: SessionMeta, first: int, end_ordinal: int, offset: int, path: str) -> HistoryBase:
    if end_ordinal <= first:
        origin = f"; fork {ids.text(meta.base_thread_id)}, whose lines come before" if meta.base_thread_id else ""
        raise Refused(f"the lines of {path} begin with {first}: a fork at {end_ordinal} takes none of them{origin}")
    return HistoryBase(ids.text(meta.id), end_ordinal, offset)
