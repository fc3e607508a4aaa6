r"""Text from transcripts, made safe to print. Pure.

A title may hold anything a model or a web page wrote: colour codes, "clear the
screen", a title bar, marks that turn text round. None of it may reach a
terminal; escape sequences are taken out, other control characters show as
U+FFFD, and invisible marks that reorder text are dropped.
"""

from __future__ import annotations

import re
from functools import cache

_SEQUENCE = (
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor (ECMA-48 §5.4)
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]{0,4096}(?:\x07|\x1b\\|\x9c)"  # OSC, DCS, ...: strings
    r"|\x1b[ -/]*[0-~]"  # two-character escapes
)
_BREAK = "\r\n?|[\x0b\x0c\x85\u2028\u2029]"
_INVISIBLE = "[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
_CONTROL = "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]"
_IN_JSON = "[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
_NOT_ASCII = "[\x7f-\U0010ffff]"
_compiled = cache(re.compile)  # when first met: to compile them all takes 6 ms, and most text needs none

_TAB = 4
_ONE_LINE_MAX = 4_000  # characters looked at: no terminal is wider


def block(text: str) -> str:
    """Return ``text`` with its lines kept and everything unprintable gone."""
    if text.isprintable():  # most text: no control, format or private character, no separator but spaces
        return text
    text = _compiled(_BREAK).sub("\n", _compiled(_SEQUENCE).sub("", text))
    return _compiled(_CONTROL).sub("\ufffd", _compiled(_INVISIBLE).sub("", text)).expandtabs(_TAB)


def line(text: str) -> str:
    """Return ``text`` on one line, runs of white space as one space: safe in a column, and between tabs."""
    return " ".join(block(text[:_ONE_LINE_MAX]).split())


def json_text(text: str, *, ascii_only: bool) -> str:
    r"""Return the JSON document ``text`` with what a terminal would obey as ``\uXXXX``: the same document."""
    if text.isascii():  # json.dumps escapes the controls of ASCII, all but DEL
        return text.replace("\x7f", "\\u007f")
    return _compiled(_NOT_ASCII if ascii_only else _IN_JSON).sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    point = ord(found[0])
    if point < 0x10000:
        return f"\\u{point:04x}"
    point -= 0x10000
    return f"\\u{0xD800 + (point >> 10):04x}\\u{0xDC00 + (point & 0x3FF):04x}"
