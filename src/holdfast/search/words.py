"""What a word is: the one place where texts and questions are folded and cut. Pure.

Upper and lower case, accents and compatibility forms make no difference
(``Ｃafé`` is ``cafe``). A word is a run of letters and digits, so
``needle-zebra``, ``open.py`` and ``snake_case`` are two words in a row each.
Scripts written without spaces are cut into pairs of characters that overlap.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

TEXT_CHARS_MAX = 1 << 20
"""What follows in a longer message is not searched: it is an attachment somebody pasted."""

# Han, kana, Hangul, Bopomofo; and Thai, Lao, Burmese and Khmer, which have no spaces between words either.
UNSPACED = (
    "\u0e01-\u0e30\u0e32-\u0e33\u0e40-\u0e46\u0e81-\u0eb0\u0ec0-\u0ec6\u1000-\u102a\u1780-\u17b3"
    "\u1100-\u11ff\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3105-\u318e\u31a0-\u31bf"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
)

_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
_UNSPACED_RUN = re.compile(f"[{UNSPACED}]+")
_NO_LETTER = re.compile(rf"(?![{UNSPACED}])\W")  # Han of a later Unicode than Python's is Han all the same
_TOKEN = re.compile(r"[A-Za-z0-9\x80-\U0010ffff]+")
_SEGMENT = re.compile(f"[{UNSPACED}]+|(?:(?![{UNSPACED}])[A-Za-z0-9\x80-\U0010ffff])+")
_ASCII_LOWER = {upper: upper + 32 for upper in range(65, 91)}
_KEPT_MARKS = (0, 7, 8, 9)  # combining classes: none, nukta, the voicing of kana, virama
_RUN_REMEMBERED = 16


def prepare(text: str) -> str:
    """Return ``text`` as it is indexed. What is ASCII comes back as it is; 0.3 us per run of other characters."""
    text = text[:TEXT_CHARS_MAX]
    if text.isascii():
        return text
    return _UNSPACED_RUN.sub(_pairs, _BEYOND_ASCII.sub(_fold_match, text))


def tokens(text: str) -> list[str]:
    """Return the words of ``text`` as the index holds them."""
    return _TOKEN.findall(prepare(text).translate(_ASCII_LOWER))


def fold(text: str) -> str:
    """Return ``text`` in lower case, without accents and compatibility forms; ASCII punctuation stays."""
    if not text.isascii():
        text = _BEYOND_ASCII.sub(_fold_match, text)
    return text.translate(_ASCII_LOWER)


def segments(text: str) -> list[tuple[str, bool, bool]]:
    """Return the words of ``text``, folded but not cut: ``(word, is unspaced, follows the one before directly)``."""
    found = []
    end = -1
    for match in _SEGMENT.finditer(fold(text)):
        found.append((match[0], _UNSPACED_RUN.match(match[0]) is not None, match.start() == end))
        end = match.end()
    return found


def _fold_match(match: re.Match[str]) -> str:
    run = match[0]
    return _fold_short(run) if len(run) <= _RUN_REMEMBERED else _fold_run(run)


def _fold_run(run: str) -> str:
    """Fold a run of characters beyond ASCII; what is no letter and no digit becomes a space."""
    if _UNSPACED_RUN.fullmatch(run) and unicodedata.is_normalized("NFKC", run):
        return run
    # Symbols first: NFKD would make letters of some (``™``), and glue them to the word before.
    run = _NO_LETTER.sub(lambda found: found[0] if unicodedata.combining(found[0]) else " ", run)
    run = unicodedata.normalize("NFKD", run)
    run = _NO_LETTER.sub(lambda found: found[0] if unicodedata.combining(found[0]) in _KEPT_MARKS else "", run)
    run = unicodedata.normalize("NFKC", run.casefold())
    return _NO_LETTER.sub(" ", run)


_fold_short = lru_cache(maxsize=8192)(_fold_run)


def _pairs(match: re.Match[str]) -> str:
    """Return each character with its neighbour, and the last one alone: so one character is the beginning of a word."""
    run = match[0]
    return f" {' '.join(map(str.__add__, run, run[1:]))} {run[-1]} "
