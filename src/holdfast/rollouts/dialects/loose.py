"""Reading JSON that may lie: a bad field is dropped, the rest is kept. Pure.

Fast when nothing is wrong: one typed decode. Only when that fails is the value
taken apart field by field.
"""

from __future__ import annotations

import re
from typing import Any, Generic, TypeVar

import msgspec

from holdfast.rollouts.facts import TEXT_CHARS_MAX

T = TypeVar("T", bound=msgspec.Struct)

Broken = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not the JSON asked for (``ValidationError`` is one of them)."""

# Every escape in a JSON text, one match each, so that the backslash of `\\ud800` is never taken for the
# start of one. A pair of surrogates is one character and stays; a lone one is no character at all.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)

INT_MAX = 2**63 - 1
_JSON_BYTES_MAX = 16 * 1024  # a source or a sandbox policy takes a few hundred; longer ones are damage


def mended(raw: bytes) -> bytes:
    """Return ``raw`` with what is no UTF-8 and every lone surrogate replaced by U+FFFD."""
    if not raw.isascii():
        raw = raw.decode("utf-8", "replace").encode()
    if b"\\u" in raw:
        raw = _ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], raw)
    return raw


class Shape(Generic[T]):
    """How one kind of JSON object is read into ``struct``, every field of which has a default."""

    def __init__(self, struct: type[T]) -> None:
        self._struct = struct
        self._decode = msgspec.json.Decoder(struct).decode
        self._fields = [(field.name, field.encode_name, field.type) for field in msgspec.structs.fields(struct)]

    def read(self, raw: bytes | msgspec.Raw) -> T | None:
        """Return what ``raw`` holds of the struct; None when it is no JSON object at all."""
        try:
            return self._decode(raw)
        except Broken:
            return self._read_loosely(mended(bytes(raw)))

    def _read_loosely(self, raw: bytes) -> T | None:
        try:
            found = _AS_RAWS.decode(raw)
        except Broken:
            return None
        good: dict[str, Any] = {}
        for name, key, kind in self._fields:
            if key in found:
                try:
                    good[name] = msgspec.json.decode(found[key], type=kind)
                except Broken:
                    continue
        return self._struct(**good)


_AS_RAWS: msgspec.json.Decoder[dict[str, msgspec.Raw]] = msgspec.json.Decoder(dict[str, msgspec.Raw])


def text(value: str | None, chars_max: int = 1 << 62) -> str | None:
    """Return ``value`` without NUL characters (no database text may hold one) and cut; None stays None."""
    if value is None:
        return None
    if "\0" in value:
        value = value.replace("\0", "\ufffd")
    return value if len(value) <= chars_max else value[:chars_max]


def short(value: str | None) -> str | None:
    """Return ``value`` as ``text`` does, cut to what a path or a name may take."""
    return None if value is None else text(value, TEXT_CHARS_MAX)


def compact(raw: msgspec.Raw) -> str | None:
    """Return JSON without white space, as Codex stores it; a string comes bare.

    None when it is absent, null, broken or over 16 KiB.
    """
    if not raw or len(raw) > _JSON_BYTES_MAX:
        return None
    given = bytes(raw)
    if given not in _compact:
        if len(_compact) >= _COMPACT_MAX:
            _compact.clear()
        _compact[given] = _made_compact(given)
    return _compact[given]


_LIST_BYTES_MAX = 256 * 1024  # of tools: more than a model can be told


def json_list(raw: msgspec.Raw) -> str | None:
    """Return a JSON list without white space; None when it is none, broken, or over 256 KiB."""
    if len(raw) > _LIST_BYTES_MAX:
        return None
    try:
        dense = mended(msgspec.json.format(bytes(raw), indent=-1))
        msgspec.json.decode(dense)  # whatever it holds can be read again
        return dense.decode() if dense.startswith(b"[") else None
    except Broken:
        return None


# The same few policies stand in every turn of every thread of a home.
_compact: dict[bytes, str | None] = {}
_COMPACT_MAX = 64  # of at most 16 KiB each


def _made_compact(given: bytes) -> str | None:
    if given == b"null":
        return None
    try:
        dense = mended(msgspec.json.format(given, indent=-1))
        return short(msgspec.json.decode(dense, type=str)) if dense.startswith(b'"') else dense.decode()
    except Broken:
        return None


def whole(value: int | None) -> int | None:
    """Return ``value`` when it fits in 63 bits and is not negative."""
    return value if value is not None and 0 <= value <= INT_MAX else None
