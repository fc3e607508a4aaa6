"""What people and programs say, as a column of text keeps it: JSON that is small, and words that are cut. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.errors import Refused

JSON_BYTES_MAX = 64 * 1024


def dumped(value: Any, what: str, *, remedy: str) -> str | None:
    """Return ``value`` as JSON text, None for None. Raises ``Refused`` for what is no JSON, or over 64 KiB."""
    if value is None:
        return None
    try:
        text = msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Refused(f"the {what} is no JSON: {error}") from error
    if len(text) > JSON_BYTES_MAX:
        raise Refused(f"the {what} has {len(text)} bytes of JSON, of at most {JSON_BYTES_MAX}", remedy=remedy)
    return text.decode()


def loaded(text: str | None) -> Any:
    """Return the JSON value of a column. Raises what ``msgspec`` does when it is none."""
    return None if text is None else msgspec.json.decode(text)


def said(words: object, most: int) -> str:
    """Return what is remembered of what somebody said, or of an error: its text, cut at ``most`` characters."""
    text = str(words) or type(words).__name__
    text = text.encode(errors="backslashreplace").decode()  # a lone surrogate cannot be stored
    return text.replace("\0", "\\0")[:most]
