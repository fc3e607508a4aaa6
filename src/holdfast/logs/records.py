"""A ``logging.LogRecord`` as a ``Record``: text and plain JSON, cut to size, whatever the host put in it.

Made in the thread that logged: arguments may change or die right after. Nothing
of the host's is kept, only what it said of itself.
"""

from __future__ import annotations

import itertools
import logging
import math
import os
import traceback
from collections.abc import Mapping
from typing import Any

from holdfast.logs.context import current
from holdfast.logs.model import Record

BODY_BYTES = 16_384
EXCEPTION_BYTES = 8_192
FIELDS_BYTES = 4_096
_HUGE_CHARS = 65_536
_FIELD_KEYS = 64
_FIELD_DEPTH = 5
_NAME_BYTES = 512
_FRAMES = 100
_INT64 = 2**63

LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR")
_LEVELNO = {"TRACE": 5, "DEBUG": 10, "INFO": 20, "WARN": 30, "WARNING": 30, "ERROR": 40, "CRITICAL": 50, "FATAL": 50}
OFF = 1_000
"""A level no record has."""

_PLAIN = {*logging.LogRecord("", 0, "", 0, "", (), None).__dict__, "message", "asctime", "taskName"}


def rank(levelno: int) -> int:
    """Return the index in ``LEVELS`` of a level of ``logging``: below 10 is TRACE, from 40 up ERROR."""
    return 0 if levelno < 10 else min(levelno // 10, 4)


def levelno(level: int | str) -> int:
    """Return the number of a level by name or number; "OFF" is above all. Raises ``ValueError``."""
    if isinstance(level, int):
        return level
    name = level.strip().upper()
    number = OFF if name == "OFF" else _LEVELNO.get(name, logging.getLevelName(name))
    if not isinstance(number, int):
        raise ValueError(f"{level!r} is no level; use one of {', '.join(_LEVELNO)}, OFF or a number")
    return number


def made(record: logging.LogRecord, formatter: logging.Formatter | None) -> tuple[Record, int]:
    """Return the record and its size in bytes, roughly.

    ``formatter``, when the host set one, makes the message, the exception included.
    Raises nothing but what a signal handler raises meanwhile.
    """
    own = record.__dict__
    fields: dict[str, Any] | None = None
    size = 200
    thread_id, trace_id = current()
    exception = None
    if formatter is not None:
        message, more, left_out = _formatted(record, formatter), None, 0
    else:
        message, more, left_out = _message(record)
        if record.exc_info or record.exc_text or record.stack_info:
            exception = cut(_exception(record), EXCEPTION_BYTES, keep_end=True)
            size += _bytes(exception)
    if more or not own.keys() <= _PLAIN:
        extra = {key: own[key] for key in own if key not in _PLAIN}
        if isinstance(record.msg, dict):  # what structlog tells its own formatter
            extra.pop("_logger", None)
            extra.pop("_name", None)
        thread_id, trace_id, fields, spent = _fields({**more, **extra} if more else extra, thread_id, trace_id)
        size += spent
    message = cut(message, BODY_BYTES - (size - 200), left_out=left_out)
    return Record(
        id=0,
        ts=int(record.created * 1_000_000),
        level=LEVELS[rank(record.levelno)],
        target=_name(record.name) or "root",
        message=message,
        thread_id=thread_id,
        trace_id=trace_id,
        module=_name(record.module),
        file=_name(record.pathname),
        line=record.lineno if type(record.lineno) is int else None,
        pid=os.getpid(),
        fields=fields or None,
        exception=exception,
    ), size + _bytes(message)


def _fields(
    extra: dict[str, Any], thread_id: str | None, trace_id: str | None
) -> tuple[str | None, str | None, dict[str, Any], int]:
    """Take the ids out of ``extra``: given there, they win over the context."""
    given_thread, given_trace = extra.pop("thread_id", None), extra.pop("trace_id", None)
    if given_thread is not None:
        thread_id = cut(shown(given_thread), _NAME_BYTES)
    if given_trace is not None:
        trace_id = cut(shown(given_trace), _NAME_BYTES)
    fields, spent = plain_dict(extra)
    return thread_id, trace_id, fields, spent


def _message(record: logging.LogRecord) -> tuple[str, dict[str, Any] | None, int]:
    """Return the message, what of it belongs into the fields, and how many characters were never put in."""
    said = record.msg
    args = record.args
    if isinstance(said, dict) and not args:  # structlog hands its event over as a dict
        for key in ("event", "message", "msg"):
            if key in said:
                return shown(said[key]), {name: inner for name, inner in said.items() if name != key}, 0
        return shown(said), None, 0
    try:
        if type(args) is tuple:
            for arg in args:
                if type(arg) is str and len(arg) > _HUGE_CHARS:
                    return _short_message(str(said), args)
        return record.getMessage(), None, 0
    except Exception:
        if not args:
            return shown(said), None, 0
        return shown(said), {"args": list(args) if isinstance(args, tuple) else args}, 0


def _short_message(said: str, args: tuple[Any, ...]) -> tuple[str, None, int]:
    """As ``getMessage``, without a copy of a text so long that it would be cut anyway."""
    short = tuple(arg[:_HUGE_CHARS] if type(arg) is str else arg for arg in args)
    left_out = sum(len(arg) - _HUGE_CHARS for arg in args if type(arg) is str and len(arg) > _HUGE_CHARS)
    return said % short, None, left_out


def _formatted(record: logging.LogRecord, formatter: logging.Formatter) -> str:
    try:
        return formatter.format(record)
    except Exception:
        return _message(record)[0]


def _exception(record: logging.LogRecord) -> str:
    parts = []
    try:
        if record.exc_text:
            parts.append(shown(record.exc_text))
        elif isinstance(record.exc_info, tuple) and record.exc_info[0] is not None:
            kind, error, trace = record.exc_info
            parts.append("".join(traceback.format_exception(kind, error, trace, limit=-_FRAMES)).rstrip("\n"))
    except Exception as failure:
        parts.append(f"<exception that cannot be shown: {type(failure).__name__}>")
    if record.stack_info:
        parts.append(shown(record.stack_info))
    return "\n".join(parts)


def _name(given: object) -> str | None:
    if type(given) is str and 0 < len(given) <= _NAME_BYTES and given.isascii():
        return given  # nearly every one: four of them are in each record
    return cut(shown(given), _NAME_BYTES) if given else None


def shown(value: object) -> str:
    """Return ``str(value)``, or what kind of thing it is when it cannot be shown."""
    try:
        return str.__str__(str(value))  # exactly a str: a subclass may do anything
    except Exception as failure:
        return f"<{type(value).__name__} that cannot be shown: {type(failure).__name__}>"


def cut(text: str, bytes_max: int, *, keep_end: bool = False, left_out: int = 0) -> str:
    """Return ``text`` as valid UTF-8 of at most ``bytes_max`` bytes; what was cut says so, and how long it was.

    ``left_out`` is how many characters it would have had more.
    ``keep_end`` keeps the last three quarters and the first: a traceback says what happened in its last lines.
    """
    text = str.__str__(text)
    if len(text) <= bytes_max and text.isascii():
        return text
    if len(text) <= bytes_max and len(raw := text.encode("utf-8", "replace")) <= bytes_max:
        return raw.decode()
    note = f"… (cut: {len(text) + left_out} characters)"
    room = max(bytes_max - len(note) - 2, 0)
    if not keep_end:
        return _start(text, room) + note
    begin = _start(text, room // 4)
    end = text[-(room - room // 4) :].encode("utf-8", "replace")[-(room - room // 4 - 2) :].decode("utf-8", "ignore")
    return f"{begin}{note}\n{end}"


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _start(text: str, bytes_max: int) -> str:
    return text[:bytes_max].encode("utf-8", "replace")[:bytes_max].decode("utf-8", "ignore")


def plain_dict(given: Mapping[Any, Any]) -> tuple[dict[str, Any], int]:
    """Return ``given`` as JSON of at most about 4 KiB, and how much that is. What did not fit ends in "…"."""
    left = _Room(FIELDS_BYTES)
    return left.plain_dict(given, 0), FIELDS_BYTES - left.bytes


class _Room:
    """How many bytes the fields of one record may still take."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes = bytes_max

    def plain(self, value: Any, depth: int) -> Any:
        try:
            return self._plain(value, depth)
        except Exception as failure:
            return self._text(f"<{type(value).__name__} that cannot be shown: {type(failure).__name__}>")

    def _plain(self, value: Any, depth: int) -> Any:
        if value is None or value is True or value is False:
            self.bytes -= 5
            return value
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, int):
            number = int.__add__(value, 0)
            if -_INT64 <= number < _INT64:
                self.bytes -= 20
                return number
            # Only the digits that fit: a number of a million digits takes seconds to write out.
            return self._text(str(number) if number.bit_length() < 4096 else f"<int of {number.bit_length()} bits>")
        if isinstance(value, float):
            self.bytes -= 20
            number_f = float.__add__(value, 0.0)
            return number_f if math.isfinite(number_f) else str(number_f)
        if depth < _FIELD_DEPTH:
            if isinstance(value, dict):
                return self.plain_dict(value, depth + 1)
            if isinstance(value, (list, tuple, set, frozenset)):
                return self._plain_list(value, depth + 1)
        return self._text(shown(value))

    def plain_dict(self, given: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        items = dict.items(given) if isinstance(given, dict) else given.items()
        for key, value in itertools.islice(items, _FIELD_KEYS + 1):
            if self.bytes <= 0 or len(plain) == _FIELD_KEYS:
                plain["…"] = "cut"
                break
            plain[self._text(key if type(key) is str else shown(key))] = self.plain(value, depth)
        return plain

    def _plain_list(self, given: Any, depth: int) -> list[Any]:
        plain: list[Any] = []
        for value in itertools.islice(type(given).__iter__(given), _FIELD_KEYS + 1):
            if self.bytes <= 0 or len(plain) == _FIELD_KEYS:
                plain.append("…")
                break
            plain.append(self.plain(value, depth))
        return plain

    def _text(self, text: str) -> str:
        if type(text) is str and len(text) <= self.bytes and text.isascii():
            self.bytes -= len(text) + 4
            return text
        text = cut(text, max(self.bytes, 40))
        self.bytes -= _bytes(text) + 4
        return text
