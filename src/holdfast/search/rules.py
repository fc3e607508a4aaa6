"""What a person's words ask for, which row a message gets, and where a page goes on. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from holdfast.errors import Refused
from holdfast.search import words
from holdfast.search.model import Filters
from holdfast.threads import cursors

ASKED_CHARS_MAX = 2_000
PIECES_MAX = 32  # FTS5 takes expressions 256 deep (sqlite.org/fts5.html); past 32 words it is a document
SLOT_BITS = 16
"""A row id is ``second << 16 | slot``: 65,536 messages a second, and the next ones in the second after."""

ROLES = ("title", "user", "agent")

_SECOND_MAX = 1 << 40  # a time beyond is none; the row id must fit in 63 bits
_ASKED = re.compile(r'"(?P<quoted>[^"]*)(?P<close>"\*?|$)|(?P<plain>[^\s"]+)')
_THREAD = "\ue000"  # private use: no letter, so `words.prepare` leaves it in no text of anybody's


class Piece(msgspec.Struct, frozen=True):
    """Words that must stand in a row.

    With ``prefix`` the last one may go on; with ``part`` the first one may
    begin before, too.
    """

    text: str
    tokens: tuple[str, ...]
    prefix: bool = False
    part: bool = False
    quoted: bool = False


def parse(asked: str) -> tuple[Piece, ...]:
    """Return what ``asked`` asks for: all of the pieces must be in one message.

    ``"quoted words"`` stand in a row, ``need*`` is the beginning of a word,
    and anything else is meant as it is written. Raises ``Refused`` when there
    is no letter and no digit in it, or too much.
    """
    if len(asked) > ASKED_CHARS_MAX:
        raise Refused(f"{len(asked)} characters to search for, {ASKED_CHARS_MAX} is the most")
    pieces = dict.fromkeys(piece for match in _ASKED.finditer(asked) if (piece := _piece(match)).tokens)
    if not pieces:
        raise Refused(
            f"nothing to search for in {asked[:40]!r}: it has no letter and no digit",
            remedy='Give some words, a "phrase in quotes", or the beginning of a word: need*',
        )
    if len(pieces) > PIECES_MAX:
        raise Refused(f"{len(pieces)} words to search for, {PIECES_MAX} is the most")
    return tuple(pieces)


def _piece(match: re.Match[str]) -> Piece:
    quoted = match["quoted"] is not None
    text = match["quoted"] if quoted else match["plain"]
    starred = (match["close"] or "").endswith("*") if quoted else text.endswith("*")
    return piece(text, prefix=starred, quoted=quoted)


def piece(text: str, *, prefix: bool = False, quoted: bool = False) -> Piece:
    """Return ``text`` as words in a row.

    A run of an unspaced script is indexed as its pairs and its last
    character: asked for, that last one is left out, because the run may go on;
    and a single character is the beginning of a pair.
    """
    found = words.tokens(text)
    segments = words.segments(text)
    if segments and segments[-1][1]:
        if len(segments[-1][0]) == 1:
            prefix = True
        else:
            found.pop()
    return Piece(text, tuple(found), prefix=prefix, quoted=quoted)


def match(pieces: Sequence[Piece]) -> str:
    """Return the FTS5 expression for all of ``pieces``."""
    # Tokens hold letters and digits only, so nothing in them can end the quotes.
    return " AND ".join(f'"{" ".join(piece.tokens)}"{"*" if piece.prefix else ""}' for piece in pieces)


def match_any(tokens: Sequence[str]) -> str:
    """Return the FTS5 expression for any one of ``tokens``."""
    return " OR ".join(f'"{token}"' for token in tokens)


def narrowed(expression: str, threads: Sequence[int]) -> str:
    """Return ``expression``, in texts of ``threads`` only."""
    return f"({' OR '.join(map(thread_word, threads))}) AND ({expression})"


def thread_word(n: int) -> str:
    """Return the word that every text of thread ``n`` ends with, quoted for FTS5."""
    return f'"{_THREAD}{n}"'


def indexed(text: str, n: int) -> str:
    """Return ``text`` (prepared) of thread ``n`` as the index takes it."""
    return f"{text} {_THREAD}{n}"


def title_text(name: str | None, title: str, chars_max: int = 500) -> str:
    """Return what is searched of a thread's name and title."""
    return f"{(name or '')[:chars_max]}\n{title[:chars_max]}".strip()


def second(ms: int) -> int:
    """Return the second of a message at ``ms``, kept within what a row id can hold."""
    return min(max(ms // 1000, 0), _SECOND_MAX)


class Slots:
    """Gives row ids out. ``taken`` is the highest row id in use of each second that may be asked for, -1 for none."""

    def __init__(self, taken: dict[int, int]) -> None:
        self._last = dict(taken)

    def __contains__(self, at: int) -> bool:
        return at in self._last

    def add(self, taken: dict[int, int]) -> None:
        """Say what is in use of more seconds."""
        self._last.update(taken)

    def next(self, at: int) -> int | None:
        """Return the next free row id of second ``at``; None when it has no more."""
        row = max(self._last[at] + 1, at << SLOT_BITS)
        if row >> SLOT_BITS != at:
            return None
        self._last[at] = row
        return row


class Cursor(cursors.Cursor, frozen=True, array_like=True):
    """Where a page ended: the row of its last hit, and how the words were understood (``stage``)."""

    row: int
    stage: int


_CURSOR_VERSION = 1


def question(asked: str, homes: Sequence[int], filters: Filters) -> str:
    """Return a short hash of a question: a cursor answers only the one it came from."""
    return cursors.question((asked.encode(errors="replace"), sorted(homes), filters))


def encode_cursor(question: str, row: int, stage: int) -> str:
    """Return the cursor after ``row``, as text safe in a URL."""
    return cursors.encode(Cursor(_CURSOR_VERSION, question, row, stage))


def decode_cursor(question: str, text: str) -> Cursor:
    """Return what ``encode_cursor`` wrote. Raises ``Refused`` for other text, or the cursor of another question."""
    return cursors.decode(
        text,
        Cursor,
        version=_CURSOR_VERSION,
        question=question,
        others="another search: its words or its filters were different",
    )
