"""One thread as people read it: turns, and what was said, thought and done in each.

Both history modes give the same shape. A fork that continues another file is
shown with that file's lines in front; a fork that copied them, as it is.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from holdfast import ids
from holdfast.rollouts import items
from holdfast.rollouts.dialects import codex
from holdfast.rollouts.fold import without_prefix
from holdfast.rollouts.items import Item
from holdfast.rollouts.opening import NotRegular
from holdfast.rollouts.stream import whole_lines

ResolveBase = Callable[[bytes], str | None]
"""Given the 16 bytes of a thread id, returns the absolute path of its rollout, or None."""

_BASES_MAX = 64  # a fork of a fork of ...: nobody goes further, a damaged home might


class Words(msgspec.Struct, tag="words"):
    """What somebody said. ``role`` is ``user`` or ``agent``; ``phase`` as the agent marked it."""

    role: str
    text: str
    timestamp_ms: int | None = None
    phase: str | None = None
    images: int = 0
    audio: int = 0


class Thought(msgspec.Struct, tag="thought"):
    """The summary of a thought."""

    text: str
    timestamp_ms: int | None = None


class Tool(msgspec.Struct, tag="tool"):
    """A tool that was called, and what it answered; ``output`` None: no answer was written."""

    name: str
    arguments: str
    call_id: str | None = None
    timestamp_ms: int | None = None
    output: str | None = None


class Summary(msgspec.Struct, tag="summary"):
    """Here the model's memory of what came before was replaced by ``text``."""

    text: str
    timestamp_ms: int | None = None


Entry = Words | Thought | Tool | Summary


class Turn(msgspec.Struct):
    """From what the user asked to where the agent stopped.

    ``status``: ``completed``, ``failed``, why it was aborted
    (``interrupted``, ...), or ``open`` when no end was written.
    """

    turn_id: str | None = None
    status: str = "open"
    started_ms: int | None = None
    ended_ms: int | None = None
    duration_ms: int | None = None
    error: str | None = None
    entries: list[Entry] = []

    @property
    def asked(self) -> bool:
        """True when the user said something in it."""
        return any(isinstance(entry, Words) and entry.role == "user" for entry in self.entries)


class Transcript(msgspec.Struct):
    """A thread, turn by turn. ``problems`` are ``(code, detail)``; what they name is missing from ``turns``.

    Codes: ``gone``, ``not-regular``, ``unreadable``, ``line-unread``,
    ``base-missing``, ``base-circle``.
    """

    thread_id: bytes | None = None
    history_mode: str = "legacy"
    turns: list[Turn] = []
    problems: list[tuple[str, str]] = []


def read_transcript(path: str, *, resolve_base: ResolveBase | None = None) -> Transcript:
    """Return the thread in the rollout at ``path`` (absolute, either spelling). Never raises ``OSError``.

    ``resolve_base`` finds the file a fork continues; without it such a fork
    shows only its own lines. All of the thread is held in memory: about three
    times its text. 1 to 2 ms for a file of 50 KB.
    """
    transcript = Transcript()
    chain = [_read(path, transcript.problems)]
    meta = _meta(chain[0])
    if meta is not None:
        transcript.thread_id, transcript.history_mode = meta.id, meta.history_mode
    seen = {transcript.thread_id}
    ends: list[int | None] = [None]
    while meta is not None and meta.base_thread_id is not None:
        base = ids.text(meta.base_thread_id)
        if meta.base_thread_id in seen or len(chain) > _BASES_MAX:
            transcript.problems.append(("base-circle", base))
            break
        seen.add(meta.base_thread_id)
        base_path = resolve_base(meta.base_thread_id) if resolve_base is not None else None
        if base_path is None:
            transcript.problems.append(("base-missing", base))
            break
        ends.append(meta.base_end_ordinal)
        chain.append(_read(base_path, transcript.problems))
        meta = _meta(chain[-1])
    builder = _Builder(transcript.turns)
    for found, end in zip(reversed(chain), reversed(ends), strict=True):
        for item in found:
            if end is not None and item.ordinal is not None and item.ordinal >= end:
                break
            builder.add(item)
    return transcript


def _read(path: str, problems: list[tuple[str, str]]) -> list[Item]:
    found: list[Item] = []
    unread = 0
    try:
        for line, _ in whole_lines(path, tail=True):
            if line.strip():
                item = codex.parse(line)
                if isinstance(item, items.Unread):
                    unread += 1
                else:
                    found.append(item)
    except FileNotFoundError:
        problems.append(("gone", path))
    except NotRegular:
        problems.append(("not-regular", path))
    except OSError as error:
        problems.append(("unreadable", f"{path}: {error.strerror or error}"))
    if unread:
        problems.append(("line-unread", f"{unread} of {path}"))
    return found


def _meta(found: list[Item]) -> items.SessionMeta | None:
    return next((item for item in found if isinstance(item, items.SessionMeta)), None)


class _Builder:
    """Puts items, in order, into turns."""

    def __init__(self, turns: list[Turn]) -> None:
        self._turns = turns
        self._tools: dict[str, Tool] = {}
        self._announced = False  # the current turn began with a line of its own, not just with words

    def add(self, item: Item) -> None:
        at = item.timestamp_ms
        match item:
            case items.TurnStarted():
                self._begin(Turn(item.turn_id, started_ms=at or item.started_ms), announced=True)
            case items.TurnEnded():
                self._end(item)
            case items.UserMessage():
                if not self._open() or not self._announced:
                    self._begin(Turn(started_ms=at), announced=False)
                words = without_prefix(item.text)
                self._put(Words("user", words, at, images=item.images, audio=item.audio))
            case items.AgentMessage():
                self._put(Words("agent", item.text, at, item.phase))
            case items.Reasoning():
                self._put(Thought(item.text, at))
            case items.ToolCall():
                tool = Tool(item.name, item.arguments, item.call_id, at)
                if item.call_id is not None:
                    self._tools[item.call_id] = tool
                self._put(tool)
            case items.ToolOutput():
                self._answer(item)
            case items.Compacted():
                self._put(Summary(item.summary, at))
            case items.RolledBack():
                self._roll_back(item.turns)
            case _:
                pass

    def _open(self) -> bool:
        return bool(self._turns) and self._turns[-1].status == "open"

    def _begin(self, turn: Turn, *, announced: bool) -> None:
        self._turns.append(turn)
        self._announced = announced

    def _put(self, entry: Entry) -> None:
        if not self._turns:
            self._begin(Turn(started_ms=entry.timestamp_ms), announced=False)
        self._turns[-1].entries.append(entry)

    def _end(self, item: items.TurnEnded) -> None:
        if not self._turns:
            return
        turn = self._turns[-1]
        if item.turn_id is not None:
            turn = next((one for one in reversed(self._turns) if one.turn_id == item.turn_id), turn)
        turn.status = item.status
        turn.ended_ms = item.timestamp_ms or item.ended_ms
        turn.duration_ms = item.duration_ms
        turn.error = item.error

    def _answer(self, item: items.ToolOutput) -> None:
        tool = self._tools.get(item.call_id) if item.call_id is not None else None
        if tool is not None and tool.output is None:
            tool.output = item.text
        else:
            self._put(Tool("", "", item.call_id, item.timestamp_ms, output=item.text))

    def _roll_back(self, turns: int) -> None:
        while turns > 0 and self._turns:
            turns -= self._turns.pop().asked
