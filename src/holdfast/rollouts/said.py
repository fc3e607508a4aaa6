"""What people and agents said in a rollout, for the search index: where it stands, and its words.

Each message once. Rollouts hold most of them twice, as the person saw them and
as the model did; only the first kind counts, so nothing a harness slipped in
between (``<environment_context>`` and the like) is ever found.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec

from holdfast.rollouts import pieces
from holdfast.rollouts.dialects import codex
from holdfast.rollouts.fold import without_prefix
from holdfast.rollouts.items import AgentMessage, UserMessage
from holdfast.rollouts.lines import LINE_BYTES_MAX
from holdfast.rollouts.opening import NotRegular
from holdfast.rollouts.stream import open_either, whole_lines

_USER, _AGENT, _ITEM = b'"user_message"', b'"agent_message"', b'"item_completed"'  # a line without one says nothing


class Said(msgspec.Struct, frozen=True, gc=False):
    """One message: its line is ``length`` bytes at ``offset`` of the text; ``role`` is user or agent."""

    offset: int
    length: int
    role: str
    timestamp_ms: int | None
    text: str


class Messages:
    """Yields what was said behind ``offset``. Afterwards ``end`` is where to go on when the file has grown.

    ``problem`` says why nothing, or not all, could be read; else it is empty.
    """

    def __init__(self, path: str, offset: int = 0) -> None:
        self.end = offset
        self.problem = ""
        self._path = path

    def __iter__(self) -> Iterator[Said]:
        try:
            for line, end in whole_lines(self._path, self.end):
                if (_USER in line or _AGENT in line or _ITEM in line) and (said := _said(line, end - len(line) - 1)):
                    yield said
                self.end = end
        except NotRegular:
            self.problem = "not a regular file"
        except OSError as error:
            self.problem = error.strerror or str(error)


def messages(path: str, offset: int = 0) -> Messages:
    """Return an iterator over the messages of a rollout behind ``offset`` that also knows where it ended.

    ``path`` is absolute, in either spelling. Reads about 1 GB/s. Never raises ``OSError``.
    """
    return Messages(path, offset)


def message_at(path: str, offset: int, length: int) -> Said | None:
    """Return the message whose line is ``length`` bytes at ``offset``, or None when that is none (any more).

    Reads just that line; of a compressed file, all that comes before it, too.
    """
    if not 0 < length <= LINE_BYTES_MAX or offset < 0:
        return None
    try:
        fd, _, packed = open_either(path)
        try:
            line = _cut_out(fd, offset, length) if packed else os.pread(fd, length, offset)
        finally:
            os.close(fd)
    except (OSError, NotRegular):
        return None
    return _said(line, offset) if len(line) == length else None


def _cut_out(fd: int, offset: int, length: int) -> bytes:
    at = 0
    found = []
    for piece in pieces.Zst(fd):
        if at + len(piece) > offset:
            found.append(piece[max(offset - at, 0) : offset + length - at])
        at += len(piece)
        if at >= offset + length:
            break
    return b"".join(found)


def _said(line: bytes, offset: int) -> Said | None:
    match codex.parse(line):
        case UserMessage(text=text, timestamp_ms=timestamp_ms):
            role, text = "user", without_prefix(text)
        case AgentMessage(text=text, timestamp_ms=timestamp_ms):
            role = "agent"
        case _:
            return None
    return Said(offset, len(line), role, timestamp_ms, text) if text.strip() else None
