"""Three characters at a time: what is indexed of a title, and what a needle asks for. Pure.

A list that looks for a needle compares it with ``LIKE``, in ASCII as it is and
else under our ``lower()``. Neither finds a needle where the folded text does not
have the folded needle, and with it all of its trigrams.
"""

from __future__ import annotations

NEEDLE_CHARS_MAX = 4_096  # far below the 50,000 bytes that LIKE takes (sqlite.org/limits.html)
_CHARS = 3
_GRAMS_MAX = 32  # a long needle is as rare by some of its trigrams as by all
_LAST = "\U0010ffff"

# FTS5 ends a text at NUL, and reads noncharacters as U+FFFD.
_SAME = str.maketrans({"\0": " ", "\ufffe": "\ufffd", "\uffff": "\ufffd"})


def fold(text: str) -> str:
    """Return ``text`` as its trigrams are taken."""
    if text.isascii():
        return text.lower().replace("\0", " ")
    return text.lower().translate(_SAME)


def indexed(text: str) -> str:
    """Return ``text`` as the index takes it. Behind its end there is room for each character to begin a trigram."""
    return f"{fold(text)}\n\n"


def is_answerable(needle: str) -> bool:
    """Return True unless trigrams cannot tell which texts may hold ``needle``."""
    # A pattern ends at NUL: that is another question. A lone surrogate is in no text, and in no question either.
    return 0 < len(needle) <= NEEDLE_CHARS_MAX and not any(
        char == "\0" or "\ud800" <= char <= "\udfff" for char in needle
    )


def match(needle: str) -> str | None:
    """Return the FTS5 expression for texts that may hold ``needle``; None when it is too short for a trigram."""
    folded = fold(needle)
    grams = list(dict.fromkeys(folded[at : at + _CHARS] for at in range(len(folded) - _CHARS + 1)))
    step = -(-len(grams) // _GRAMS_MAX)
    return " AND ".join('"' + gram.replace('"', '""') + '"' for gram in grams[::step]) if grams else None


def span(needle: str) -> tuple[str, str]:
    """Return the first and the last trigram that can begin with ``needle``, which is too short for one."""
    folded = fold(needle)
    return folded, folded + _LAST * (_CHARS - len(folded))
