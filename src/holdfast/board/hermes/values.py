"""Values of Hermes' rows as values of ours. What does not fit becomes a finding, and is kept as it was. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import msgspec

from holdfast.findings import Finding

Value = int | float | str | bytes | None

_SECONDS_MAX = 253_402_300_799  # the end of the year 9999
_SHOWN_CHARS = 120
KEPT = "It is kept as it was in the task's metadata, under `hermes`."


class Odd:
    """Reads the values of one task's rows; ``findings`` and ``kept`` are what it could not use as they stand."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.findings: list[Finding] = []
        self.kept: dict[str, Any] = {}

    def say(self, code: str, measured: str, expected: str, remedy: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(f"hermes-{code}", self.subject, measured, expected, remedy))

    def text(self, row: Mapping[str, Value], column: str) -> str:
        """Return a text, empty for NULL."""
        value = row.get(column)
        if value is None or isinstance(value, str):
            return _storable(value or "")
        if isinstance(value, bytes):
            self._keep(row, column, value, "not-text", "a text")
            return _storable(value.decode(errors="backslashreplace"))
        return str(value)  # a number that means itself

    def number(self, row: Mapping[str, Value], column: str, default: int = 0) -> int:
        """Return a whole number, ``default`` for NULL."""
        found = self.maybe_number(row, column)
        return default if found is None else found

    def maybe_number(self, row: Mapping[str, Value], column: str) -> int | None:
        """Return a whole number, None for NULL and for what is none."""
        value = row.get(column)
        if value is None or isinstance(value, int):
            return value
        if isinstance(value, str) and (found := _whole(value)) is not None:
            self.say("number-as-text", f"{column} is the text {value!r}", "a number", "It was read as one.")
            return found
        if isinstance(value, float) and value == value and abs(value) < 1 << 62:
            return int(value)
        self._keep(row, column, value, "not-a-number", "a number")
        return None

    def time(self, row: Mapping[str, Value], column: str) -> int | None:
        """Return a time in ms, None for NULL and for what is none. There they are in seconds."""
        value = row.get(column)
        if isinstance(value, float) and 0 <= value <= _SECONDS_MAX:
            return int(value * 1000)
        seconds = self.maybe_number(row, column)
        if seconds is None or 0 <= seconds <= _SECONDS_MAX:
            return None if seconds is None else seconds * 1000
        self._keep(row, column, value, "not-a-time", "seconds since 1970")
        return None

    def json(self, row: Mapping[str, Value], column: str) -> Any:
        """Return a JSON value, None for NULL and for nothing. What is no JSON comes as ``{"hermes": {"text": …}}``."""
        value = row.get(column)
        if value is None or value == "":
            return None
        try:
            found = msgspec.json.decode(value if isinstance(value, (str, bytes)) else str(value))
            msgspec.msgpack.encode(found)  # whole numbers beyond 64 bits are JSON, and fit nowhere
        except (msgspec.DecodeError, UnicodeError, ValueError, OverflowError, RecursionError) as error:
            self.say("bad-json", f"{column} is {_shown(value)}: {error}", "JSON", f"{KEPT[:-1]} of its row, as a text.")
            return {"hermes": {"text": self.text(row, column)}}
        return clean(found)

    def _keep(self, row: Mapping[str, Value], column: str, value: Value, code: str, expected: str) -> None:
        name = f"{column} of {row['id']!r}" if isinstance(row.get("id"), int) else column
        self.kept[name if name not in self.kept else f"{name} ({len(self.kept)})"] = plain(value)
        self.say(code, f"{column} is {_shown(value)}", expected, KEPT)


def plain(value: Value) -> Any:
    """Return a value as JSON has it; bytes as base64."""
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return str(value)
    return _storable(value) if isinstance(value, str) else value


def clean(value: Any) -> Any:
    """Return a JSON value without NUL in its texts: PostgreSQL stores none."""
    match value:
        case str():
            return _storable(value)
        case list():
            return [clean(each) for each in value]
        case dict():
            return {_storable(str(key)): clean(each) for key, each in value.items()}
    return value


def _storable(text: str) -> str:
    return text.replace("\0", "\ufffd") if "\0" in text else text


def _whole(text: str) -> int | None:
    try:
        found = int(text, 10)
    except ValueError:
        return None
    return found if abs(found) < 1 << 63 else None


def _shown(value: Value) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}… ({len(text)} characters)"
