"""One rollout as text for a model: what was said and done, its beginning and its end, within a budget.

Read line by line: of a rollout of 300 MB no more is held than the budget, and
one line of it.
"""

from __future__ import annotations

from collections import deque

import msgspec

from holdfast.errors import Busy
from holdfast.logs import redact
from holdfast.rollouts import items
from holdfast.rollouts.dialects import codex
from holdfast.rollouts.fold import without_prefix
from holdfast.rollouts.opening import NotRegular
from holdfast.rollouts.stream import whole_lines

BYTES_PER_TOKEN = 3
"""English and code take about 4; other scripts less. A budget should not be too small by much."""
_ENTRY_CHARS_MAX = 12_000
_MARGIN = 8_000  # looked at for secrets beyond what is kept, so that none is cut in half unseen
_SKIPPED = ("# AGENTS.md instructions", "<skill>", "<environment_context>", "<user_instructions>")


def serialize(path: str, tokens_max: int) -> str:
    """Return the thread in the rollout at ``path`` (either spelling) as JSON lines, secrets redacted.

    At most about ``tokens_max`` tokens: half from the beginning, half from the
    end, and a line that says what is missing between. Thoughts, images and
    what the harness put in are left out. Raises ``Busy`` when the file cannot
    be read.
    """
    half = tokens_max * BYTES_PER_TOKEN // 2
    head: list[bytes] = []
    tail: deque[bytes] = deque()
    head_bytes = tail_bytes = dropped = 0
    full = False
    try:
        for line, _ in whole_lines(path, tail=True):
            entry = _entry(line)
            if entry is None:
                continue
            if not full and head_bytes + len(entry) <= half:
                head.append(entry)
                head_bytes += len(entry)
                continue
            full = True  # the beginning ends here, also when a shorter entry would still fit
            tail.append(entry)
            tail_bytes += len(entry)
            while tail_bytes > half and len(tail) > 1:
                tail_bytes -= len(tail.popleft())
                dropped += 1
    except (OSError, NotRegular) as error:
        why = getattr(error, "strerror", None) or "not a regular file"
        raise Busy(f"{path} cannot be read: {why}", remedy="It is tried again later.") from None
    if dropped:
        head.append(msgspec.json.encode({"left_out": f"{dropped} entries"}))
    return b"\n".join([*head, *tail]).decode()


def _entry(line: bytes) -> bytes | None:
    match codex.parse(line):
        case items.UserMessage(text=text):
            words = without_prefix(text)
            if words.lstrip().startswith(_SKIPPED):
                return None
            return _line("user", words)
        case items.AgentMessage(text=text):
            return _line("agent", text)
        case items.ToolCall(name=name, arguments=arguments):
            return _line(f"call {name}"[:100], arguments)
        case items.ToolOutput(text=text):
            return _line("output", text)
    return None


def _line(who: str, text: str) -> bytes | None:
    return msgspec.json.encode({"who": who, "text": _within(text)}) if text.strip() else None


def _within(text: str) -> str:
    if len(text) <= _ENTRY_CHARS_MAX:
        return redact.text(text)
    half = _ENTRY_CHARS_MAX // 2
    head = redact.text(text[: half + _MARGIN])[:half]
    tail = redact.text(text[-half - _MARGIN :])[-half:]
    return f"{head}\n[... {len(text) - 2 * half} characters left out ...]\n{tail}"
