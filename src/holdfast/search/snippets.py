"""The piece of a text that shows why it was found. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from holdfast.search import words
from holdfast.search.rules import Piece

SNIPPET_CHARS = 160
_BEFORE = 48  # characters shown before the first match
_SEEK_SPACE = 16  # how far a cut moves to fall between words
_BETWEEN = r"[\W_]"
_INSIDE = rf"(?:(?![{words.UNSPACED}])[^\W_])"
_BEGINS = rf"(?:(?<![^\W_])|(?<=[{words.UNSPACED}]))"
_ENDS = rf"(?!{_INSIDE})"


def found_in(text: str, pieces: Sequence[Piece]) -> list[tuple[int, int]]:
    """Return where the words of ``pieces`` stand in ``text``, ``(begin, end)`` each, in order, not overlapping."""
    text = text[: words.TEXT_CHARS_MAX]
    folded, origin = _folded(text)
    spans = []
    for piece in pieces:
        for match in _pattern(piece).finditer(folded):
            begin, end = match.span()
            spans.append((origin[begin], origin[end - 1] + 1) if origin else (begin, end))
    kept: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if not kept or begin >= kept[-1][1]:
            kept.append((begin, end))
    return kept


def cut(
    text: str, spans: Sequence[tuple[int, int]], chars: int = SNIPPET_CHARS
) -> tuple[str, tuple[tuple[int, int], ...]]:
    """Return about ``chars`` characters of ``text`` around the first of ``spans``, on one line, and the spans in it."""
    first = spans[0][0] if spans else 0
    begin = max(first - _BEFORE, 0)
    end = min(begin + chars, len(text))
    begin = max(min(begin, end - chars), 0)
    if begin:
        begin = _after_space(text, begin, min(begin + _SEEK_SPACE, first))
    if end < len(text):
        end = _before_space(text, end)
    out = ["…"] if begin else []
    at: dict[int, int] = {}
    for n in range(begin, end):
        char = text[n] if text[n].isprintable() else " "
        if not char.isspace():
            at[n] = len(out)
            out.append(char)
        elif out and out[-1] != " ":
            out.append(" ")
    while out and out[-1] == " ":
        out.pop()
    shown = tuple((at[b], at[e - 1] + 1) for b, e in spans if b in at and e - 1 in at)
    if end < len(text):
        out.append("…")
    return "".join(out), shown


def _folded(text: str) -> tuple[str, list[int]]:
    """Return ``text`` folded, and of each of its characters the place in ``text``; no list when places are the same."""
    if text.isascii():
        return text.lower(), []
    out = []
    origin = []
    for n, char in enumerate(text):
        # Beyond ASCII: a mark vanishes, a ligature becomes two.
        for each in char.lower() if char < "\x80" else words.fold(char):
            out.append(each)
            origin.append(n)
    return "".join(out), origin


def _pattern(piece: Piece) -> re.Pattern[str]:
    """Return what finds the words of ``piece`` in folded text, in the same places as the index does."""
    parts: list[str] = []
    unspaced_before = False
    for word, unspaced, directly in words.segments(piece.text):
        if not parts:
            parts.append("" if unspaced or piece.part else _BEGINS)
        elif not directly:
            parts.append(_BETWEEN + ("*" if unspaced or unspaced_before else "+"))
        parts.append(re.escape(word))
        unspaced_before = unspaced
    if not unspaced_before:
        parts.append(_INSIDE + "*" if piece.prefix else _ENDS)
    return re.compile("".join(parts))


def _after_space(text: str, begin: int, most: int) -> int:
    for n in range(begin, most):
        if text[n].isspace():
            return n + 1
    return begin


def _before_space(text: str, end: int) -> int:
    for n in range(end, max(end - _SEEK_SPACE, 0), -1):
        if text[n].isspace():
            return n
    return end
