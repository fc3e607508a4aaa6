"""One item as one line, as Codex 0.169 spells it. Pure.

``{"timestamp": …, "ordinal": …, "type": …, "payload": {…}}``; legacy lines
have no ordinal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from holdfast.errors import Refused
from holdfast.rollouts.writing.model import ORDINAL_MAX

DEPTH_MAX = 100
"""Codex reads 127 levels (serde_json's limit), the line itself is two of them."""

TURN_ENDS = frozenset({"task_complete", "turn_complete", "turn_aborted"})

_encode = msgspec.json.Encoder().encode
_STAMPED = ("timestamp", "ordinal")
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


class Batch(msgspec.Struct, gc=False):
    """Items as lines. ``next_ordinal`` is for the line after them; None in a legacy file."""

    block: bytes
    count: int
    next_ordinal: int | None
    ends_turn: bool


def batch(items: Iterable[Mapping[str, Any]], *, now_ms: int, ordinal: int | None, line_bytes_max: int) -> Batch:
    """Return ``items`` as one block of lines, the first of which gets ``ordinal``.

    Keys beside ``type`` and ``payload`` are kept, behind them. Raises
    ``Refused`` when one of them is no line, so that a batch is taken whole or not at all.
    """
    stamp = f'{{"timestamp":"{timestamp(now_ms)}",'.encode()
    lines = []
    ends_turn = False
    for at, item in enumerate(items):
        try:
            kind, payload = item["type"], item["payload"]
        except (KeyError, TypeError) as error:
            raise Refused(f"item {at} of the batch has no type and payload: {_shown(item)}") from error
        if type(kind) is not str or not isinstance(payload, Mapping):
            raise Refused(f"item {at} of the batch: the type is a text, the payload a mapping; got {_shown(item)}")
        try:
            number = b"" if ordinal is None else b'"ordinal":%d,' % ordinal
            line = b'%b%b"type":%b,"payload":%b' % (stamp, number, _encode(kind), _encode(payload))
            line += b"}\n" if len(item) == 2 else _rest(item, at)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:  # also of texts with lone surrogates
            raise Refused(f"item {at} of the batch ({_shown(kind)}) is no JSON: {error}") from error
        if len(line) > line_bytes_max:
            raise Refused(
                f"item {at} of the batch ({_shown(kind)}) takes a line of {len(line)} bytes, "
                f"the most that is read back is {line_bytes_max}"
            )
        if line.count(b"{") + line.count(b"[") > DEPTH_MAX and depth(line) > DEPTH_MAX:
            raise Refused(f"item {at} of the batch ({_shown(kind)}) is nested deeper than {DEPTH_MAX} levels")
        if ordinal is not None:
            if ordinal > ORDINAL_MAX:
                raise Refused(f"the numbers of this thread end at {ORDINAL_MAX}; nothing was written")
            ordinal += 1
        if kind == "event_msg" and payload.get("type") in TURN_ENDS:
            ends_turn = True
        lines.append(line)
    block = lines[0] if len(lines) == 1 else b"".join(lines)
    return Batch(block, len(lines), ordinal, ends_turn)


def _rest(item: Mapping[str, Any], at: int) -> bytes:
    for name in _STAMPED:
        if name in item:
            raise Refused(f"item {at} of the batch brings its own {name}; the writer stamps it")
    rest = {key: value for key, value in item.items() if key not in ("type", "payload")}
    return b",%b\n" % _encode(rest)[1:]


def depth(line: bytes) -> int:
    """Return how deep ``line`` (JSON) is nested."""
    deepest = now = 0
    for char in _TEXT.sub(b"", line):
        if char in b"{[":
            now += 1
            deepest = max(deepest, now)
        elif char in b"}]":
            now -= 1
    return deepest


@lru_cache(maxsize=4)
def timestamp(now_ms: int) -> str:
    """Return ms since the epoch as a line spells it: UTC, with ms and ``Z``."""
    return f"{_second(now_ms // 1000)}.{now_ms % 1000:03}Z"


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _shown(what: object) -> str:
    return repr(what)[:80]
