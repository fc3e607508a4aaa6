"""SQL as other people wrote it: which word begins a text, where a statement ends, what it depends on.

Reads texts only; whether they mean anything is SQLite's to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import apsw

from holdfast.sqlite.exceptions import ProgrammingError

_SKIPPED = re.compile(r"(?:\s+|--[^\n]*(?:\n|$)|/\*.*?(?:\*/|$)|;)*", re.DOTALL)
_WORD = re.compile(r"[A-Za-z]+")
_TEMPORARY = re.compile(
    r"CREATE\s+(?:TEMP|TEMPORARY)\b|CREATE\s+(?:VIRTUAL\s+)?(?:TABLE|VIEW|TRIGGER|(?:UNIQUE\s+)?INDEX)\s+"
    r"(?:IF\s+NOT\s+EXISTS\s+)?[\"'`\[]?temp[\"'`\]]?\s*\.",
    re.IGNORECASE,
)
_ROWID = re.compile(r"\blast_insert_rowid\s*\(", re.IGNORECASE)
_CHANGES = re.compile(r"\b(?:total_)?changes\s*\(", re.IGNORECASE)
_SAVEPOINT = re.compile(
    r"(?:SAVEPOINT|RELEASE(?:\s+SAVEPOINT)?|ROLLBACK(?:\s+TRANSACTION)?\s+TO(?:\s+SAVEPOINT)?)\s+(.+?)[\s;]*$",
    re.IGNORECASE | re.DOTALL,
)

# What begins a transaction by itself, as the standard library has it: no WITH, no CREATE.
_CHANGING = frozenset(("INSERT", "UPDATE", "DELETE", "REPLACE"))


@dataclass(frozen=True, slots=True)
class Text:
    """One statement. ``word`` is its first, in capitals, or empty when there is none."""

    sql: str
    word: str
    single: bool
    """Whether it is one statement, and not the first of several."""
    changing: bool
    """Whether it is INSERT, UPDATE, DELETE or REPLACE."""
    temporary: bool
    asks_rowid: bool
    asks_changes: bool
    savepoint: str
    """The name in SAVEPOINT, RELEASE or ROLLBACK TO, folded; else empty."""


def one(sql: str) -> Text:
    """Return what ``read`` returns. Raises ``ProgrammingError`` unless it is one statement."""
    if not isinstance(sql, str):
        raise TypeError(f"execute() argument 1 must be str, not {type(sql).__name__}")
    if "\0" in sql:
        raise ProgrammingError("the query contains a null character")
    text = read(sql)
    if not text.single:
        raise ProgrammingError("You can only execute one statement at a time.")
    return text


@lru_cache(512)
def read(sql: str) -> Text:
    """Return what a text says of itself. Read once for each of the last 512 texts."""
    body = sql[_skipped(sql) :]
    found = _WORD.match(body)
    word = found[0].upper() if found else ""
    named = _SAVEPOINT.match(body) if word in ("SAVEPOINT", "RELEASE", "ROLLBACK") else None
    return Text(
        sql,
        word,
        single=len(list(split(sql, 2))) < 2,
        changing=word in _CHANGING,
        temporary=_TEMPORARY.match(body) is not None,
        asks_rowid=_ROWID.search(body) is not None,
        asks_changes=_CHANGES.search(body) is not None,
        savepoint=named[1].strip("\"'`[]").lower() if named else "",
    )


def split(script: str, most: int = 0) -> Iterator[str]:
    """Yield the statements of a script, in order; after ``most`` of them, if that is not 0, the rest is not read.

    A semicolon inside a text, a comment or the body of a trigger ends nothing
    (sqlite.org/c3ref/complete.html). What is unfinished at the end comes as it is.
    """
    begun = at = count = 0
    while (end := script.find(";", at)) >= 0:
        at = end + 1
        piece = script[begun:at]
        if not apsw.complete(piece):
            continue
        begun = at
        if _skipped(piece) < len(piece):
            yield piece
            count += 1
            if count == most:
                return
    rest = script[begun:]
    if _skipped(rest) < len(rest):
        yield rest


def _skipped(sql: str) -> int:
    found = _SKIPPED.match(sql)
    return found.end() if found else 0
