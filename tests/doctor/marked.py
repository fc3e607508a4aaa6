"""Databases whose rows say their number in every few bytes, so that a page shows which rows have bytes on it."""

from __future__ import annotations

import random
import re
from pathlib import Path

import apsw

SCHEMA = (
    "CREATE TABLE notes (id INTEGER PRIMARY KEY, title TEXT NOT NULL, size INT, body BLOB)",
    "CREATE TABLE words (word TEXT, uses INT, told TEXT, PRIMARY KEY (word)) WITHOUT ROWID",
    "CREATE TABLE plain (kind TEXT NOT NULL, at REAL, said TEXT)",
    "CREATE INDEX notes_by_title ON notes (title)",
)
QUERIES = {
    "notes": "SELECT id, title, size, body FROM notes",
    "words": "SELECT word, uses, told FROM words",
    "plain": "SELECT rowid, kind, at, said FROM plain",
}
MARK = re.compile(rb"<([nwp])(\d{6})>")
TABLE_OF = {b"n": "notes", b"w": "words", b"p": "plain"}


def fill(path: Path, rows: int, page_bytes: int, seed: int, auto_vacuum: int = 0) -> None:
    """Make a database of so many rows in each table; no page has anything that was moved or deleted."""
    rng = random.Random(seed)
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA page_size = {page_bytes}; PRAGMA auto_vacuum = {auto_vacuum}; PRAGMA synchronous = OFF")
    for sql in SCHEMA:
        connection.execute(sql)
    with connection:
        for number in range(1, rows + 1):
            n, w, p = (f"<{letter}{number:06d}>" for letter in "nwp")
            times = rng.choice((1, 3, 20, 20, page_bytes // 4, page_bytes))
            size = rng.choice((None, 0, 1, 300, -70_000, 2**40))
            connection.execute("INSERT INTO notes VALUES (?, ?, ?, ?)", (number, n, size, n.encode() * times))
            connection.execute("INSERT INTO words VALUES (?, ?, ?)", (w, number, w * rng.choice((1, 5, 9))))
            said = p * rng.choice((1, 2, 40))
            connection.execute("INSERT INTO plain VALUES (?, ?, ?)", (p, rng.choice((None, 1.5, 2.0)), said))
    connection.execute("VACUUM")
    connection.close()


def rows_of(path: Path) -> dict[str, dict[object, tuple[object, ...]]]:
    """Return the rows of each table, by their key."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return {name: {row[0]: row for row in connection.execute(sql)} for name, sql in QUERIES.items()}
    finally:
        connection.close()


def beginning_of_marks(value: object) -> bool:
    """Return False for bytes or a text that were never in a row, nor at the beginning of a value of one."""
    data = value.encode() if isinstance(value, str) else value
    return not isinstance(data, bytes) or re.fullmatch(rb"(<[nwp]\d{6}>)*(<([nwp]\d{0,6})?)?", data) is not None


def touched(pages: list[bytes]) -> set[tuple[str, object]]:
    """Return the table and key of each row that has bytes on these pages."""
    found = set()
    for page in pages:
        for letter, digits in MARK.findall(page):
            name = TABLE_OF[letter]
            found.add((name, f"<w{digits.decode()}>" if name == "words" else int(digits)))
    return found
