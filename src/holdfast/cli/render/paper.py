"""What lines are written on: so wide, with these colours and these letters. Wraps by the columns a terminal uses."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.cli.render import out, safe

WIDE = 100
"""Columns of a text that goes to nobody's terminal, where it is to be drawn; sentences are not wrapped there."""

_NARROWEST = 24
_ASCII = str.maketrans(
    {"…": "...", "≤": "<=", "≥": ">=", "×": "x", "→": "->", "–": "-", "—": "-", "·": "-", "“": '"', "”": '"', "’": "'"}
)


@dataclass(frozen=True, slots=True)
class Paper:
    """``columns``: None where lines may be as long as they are. ``ascii``: no other letters."""

    columns: int | None = None
    ascii: bool = False
    red: str = ""
    yellow: str = ""
    green: str = ""
    blue: str = ""
    bold: str = ""
    dim: str = ""
    plain: str = ""

    @property
    def drawn(self) -> int:
        """How wide a picture may be."""
        return max(_NARROWEST, min(self.columns or WIDE, 140))

    def text(self, given: str) -> str:
        """Return ``given`` on one line, safe to print."""
        line = safe.line(given)
        if self.ascii and not line.isascii():
            return line.translate(_ASCII).encode("ascii", "backslashreplace").decode()
        return line

    def wrapped(self, given: str, first: int, rest: int) -> Iterator[str]:
        """Yield ``given`` in lines that fit beside ``first`` columns, and beside ``rest`` from the second line on."""
        text = self.text(given)
        if self.columns is None:
            yield text
            return
        room = max(self.columns - first, 8)
        line = ""
        for word in text.split(" "):
            if line and width(line) + 1 + width(word) <= room:
                line += " " + word
                continue
            if line:
                yield line
                room = max(self.columns - rest, 8)
            line = word
            while width(line) > room:  # a path: broken where it must be
                cut = _fitting(line, room)
                yield line[:cut]
                line = line[cut:]
                room = max(self.columns - rest, 8)
        yield line

    def cut(self, given: str, columns: int) -> str:
        """Return the end of ``given`` in at most ``columns``: of a path, what tells it from others."""
        text = self.text(given)
        if width(text) <= columns:
            return text
        mark = "..." if self.ascii else "…"
        kept = text
        while kept and width(kept) > columns - len(mark):
            kept = kept[1:]
        return mark + kept


def paper() -> Paper:
    """Return what stdout is."""
    ascii_only = _is_ascii()
    if not out.is_terminal():
        return Paper(ascii=ascii_only)
    import shutil

    red, yellow, green, blue, bold, dim, plain = out.styles(
        "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[34m", "\x1b[1m", "\x1b[2m", "\x1b[0m"
    )
    columns = max(shutil.get_terminal_size().columns, _NARROWEST)
    return Paper(columns, ascii_only, red, yellow, green, blue, bold, dim, plain)


def width(text: str) -> int:
    """Return how many columns of a terminal ``text`` takes."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(each) else 1 + (unicodedata.east_asian_width(each) in "WF") for each in text)


def _fitting(line: str, room: int) -> int:
    used = 0
    for number, letter in enumerate(line):
        used += width(letter)
        if used > room:
            return max(number, 1)
    return len(line)


def _is_ascii() -> bool:
    encoding = str(getattr(sys.stdout, "encoding", "") or "").lower().replace("-", "")
    named = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_CTYPE", "LANG"))), "")
    return not encoding.startswith("utf") or named in ("C", "POSIX")
