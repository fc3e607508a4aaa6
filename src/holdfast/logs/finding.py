"""Lines that may be answers, found in the bytes of a frame before any of them is decoded. Pure.

Never passes over an answer: what is found is decoded and asked properly. JSON may
write a letter in more than one way, and case folding makes letters out of others,
so where a frame has such places the lines around them are looked at, too.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterator, Sequence

from holdfast.logs.matching import LogQuery, wanted_levels

_PLAIN = re.compile(r"[A-Za-z0-9_.:-]+")
# Within one value of a record whatever the rest is, and never escaped but as \uXXXX.
_RUN = re.compile(r"[A-Za-z0-9_.-]+")
_BEGINNING = re.compile(r"\^?((?:[A-Za-z0-9_-]|\\[.-])+(?![*?{]))")
# \u001b and its like are what our writers write; any other may be a letter, or be written otherwise once decoded.
_ESCAPED = re.compile(rb"\\u(?!00(?:0[0-7bef]|1[0-9a-f]))")
_NUMBER = re.compile(rb"[0-9eE.+-]+")
# A number that is written otherwise once it was decoded: 1e5 becomes 100000.0.
_OTHER_NUMBER = re.compile(rb"[0-9][eE][+-]?[0-9]|[0-9]{20}|(?=[0-9.]{17})[0-9]+\.[0-9]")
FOLDED = "ß\u0130\u0149\u017f\u01f0\u1e96\u1e97\u1e98\u1e99\u1e9a\u1e9e\u212a\ufb00\ufb01\ufb02\ufb03\ufb04\ufb05\ufb06"
"""All letters beyond ASCII that fold to some within it: the Kelvin sign is a k."""
_FOLDED = re.compile("|".join(FOLDED).encode())
_ASCII = bytes(range(0x80))

_Places = Callable[[bytes, bool], Iterator[int]]


def finder(query: LogQuery) -> Callable[[bytes, bool], Iterator[bytes]]:
    """Return what yields, of the lines in a text, those that may answer ``query``, in order.

    It takes the text, and whether that is ``plain`` (``format.Summary``): then there is less to look for.
    """
    filters = _filters(query)
    if not filters:
        return lambda text, plain: filter(None, text.split(b"\n"))
    first, *others = filters

    def lines(text: bytes, plain: bool) -> Iterator[bytes]:
        for line in _lines_at(text, first(text, plain)):
            if all(next(other(line, plain), None) is not None for other in others):
                yield line

    return lines


def _lines_at(text: bytes, places: Iterator[int]) -> Iterator[bytes]:
    """Yield each line that one of these ascending places is in, once."""
    end = 0
    for place in places:
        if place >= end:
            begin = text.rfind(b"\n", 0, place) + 1
            newline = text.find(b"\n", place)
            end = len(text) if newline < 0 else newline
            yield text[begin:end]


def _filters(query: LogQuery) -> list[_Places]:
    """Return, the choosiest first, what finds places in lines of which an answer has one of each."""
    found = []
    if query.search is not None and (run := _longest(query.search.casefold())):
        found.append(_folded(run))
    if query.regex is not None and (run := _certain(query.regex)):
        found.append(_exact(run.encode()))
    if query.thread_ids and not query.include_threadless and all(map(_PLAIN.fullmatch, query.thread_ids)):
        found.append(_one_of([thread.encode() for thread in query.thread_ids]))
    if query.targets and all(map(_PLAIN.fullmatch, query.targets)):
        found.append(_one_of([target.encode() for target in query.targets]))
    levels = wanted_levels(query)
    if levels is not None:
        found.append(_one_of([level.encode() for level in sorted(levels)]))
    return found


def _longest(text: str) -> str:
    """Return the longest piece of ``text`` that stands in a line as it is, whatever value it is in."""
    return max(_RUN.findall(text), key=len, default="")


def _certain(pattern: str) -> str:
    """Return letters that every text fitting ``pattern`` has; "" when that is not plain to see."""
    beginning = _BEGINNING.match(pattern)
    if beginning is None or "|" in pattern or "(?" in pattern:
        return ""
    return _longest(beginning[1].replace("\\", ""))


def _folded(run: str) -> _Places:
    needle = run.encode()

    def places(text: bytes, plain: bool) -> Iterator[int]:
        more = [] if plain else _doubtful(text, needle)
        # What is not ASCII is little, mostly, and looked through at once.
        if not text.isascii() and _FOLDED.search(text.translate(None, _ASCII)):
            more += [found.start() for found in _FOLDED.finditer(text)]
        return _merged(_each(text.lower(), needle), more)

    return places


def _exact(needle: bytes) -> _Places:
    return lambda text, plain: _merged(_each(text, needle), [] if plain else _doubtful(text, needle))


def _doubtful(text: bytes, needle: bytes = b"") -> list[int]:
    found = [at.start() for at in _ESCAPED.finditer(text)] if b"\\u" in text else []
    if _NUMBER.fullmatch(needle):
        found += [at.start() for at in _OTHER_NUMBER.finditer(text)]
    return found


def _one_of(needles: Sequence[bytes]) -> _Places:
    if len(needles) == 1:
        return _exact(needles[0])

    # Each for itself: a pattern of alternatives is five times slower.
    def places(text: bytes, plain: bool) -> Iterator[int]:
        return _merged(heapq.merge(*(_each(text, needle) for needle in needles)), [] if plain else _doubtful(text))

    return places


def _merged(places: Iterator[int], more: list[int]) -> Iterator[int]:
    return iter(sorted({*places, *more})) if more else places


def _each(text: bytes, needle: bytes) -> Iterator[int]:
    """Yield where ``needle`` is, once a line."""
    at = text.find(needle)
    while at >= 0:
        yield at
        at = text.find(b"\n", at)
        at = text.find(needle, at) if at >= 0 else at
