"""SQLite files that are damaged: each way changes bytes so that no sound SQLite would have written them."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path

import apsw

PAGE = 4_096


def whole(path: Path, *, rows: int = 3_000) -> None:
    """Make a file with trees of each kind: rows, keys, indexes, long rows, free pages, words, a map of pointers."""
    draw = random.Random(1)
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA page_size = {PAGE}; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = DELETE")
    connection.execute("""
        CREATE TABLE notes (id INTEGER PRIMARY KEY, title TEXT NOT NULL, size INT, body BLOB);
        CREATE INDEX notes_by_title ON notes (title);
        CREATE TABLE words (word TEXT, lang TEXT, uses INT, PRIMARY KEY (lang, word)) WITHOUT ROWID;
        CREATE TABLE gone (a, b);
    """)
    with connection:
        for number in range(rows):
            body = draw.randbytes(9_000 if number % 100 == 0 else 60)
            connection.execute(
                "INSERT INTO notes VALUES (?, ?, ?, ?)", (number + 1, f"title {number:06} {'x' * 30}", number, body)
            )
            connection.execute("INSERT INTO words VALUES (?, ?, ?)", (f"word {number:06}", "abc"[number % 3], number))
            connection.execute("INSERT INTO gone VALUES (?, ?)", (number, draw.randbytes(200)))
        connection.execute("DELETE FROM gone WHERE a > 20")
    connection.close()


class File:
    """The bytes of a whole file, by pages, and which page is what."""

    def __init__(self, path: Path) -> None:
        self.path = path
        connection = apsw.Connection(str(path))
        found = connection.execute("SELECT name, pagetype, pageno FROM dbstat ORDER BY path").fetchall()
        self.free = connection.execute("PRAGMA freelist_count").fetchall()[0][0]
        connection.close()
        self._pages: dict[tuple[str, str], list[int]] = {}
        for name, kind, number in found:
            self._pages.setdefault((name, kind), []).append(number)
        self.bytes = bytearray(path.read_bytes())

    def pages(self, name: str, kind: str) -> list[int]:
        """Return the pages of a tree: ``leaf``, ``internal`` or ``overflow``."""
        return self._pages[name, kind]

    def middle(self, name: str, kind: str = "leaf") -> int:
        """Return where a page in the middle of a tree begins."""
        pages = self.pages(name, kind)
        return (pages[len(pages) // 2] - 1) * PAGE

    def put(self, at: int, data: bytes) -> None:
        self.bytes[at : at + len(data)] = data

    def write(self) -> None:
        self.path.write_bytes(self.bytes)


def _zeros(name: str, kind: str) -> Callable[[File, random.Random], None]:
    return lambda file, draw: file.put(file.middle(name, kind), bytes(PAGE))


def _noise(name: str, kind: str) -> Callable[[File, random.Random], None]:
    return lambda file, draw: file.put(file.middle(name, kind), draw.randbytes(PAGE))


def _header(at: int, data: bytes) -> Callable[[File, random.Random], None]:
    return lambda file, draw: file.put(at, data)


def _swapped(name: str) -> Callable[[File, random.Random], None]:
    def damage(file: File, draw: random.Random) -> None:
        one, other = ((page - 1) * PAGE for page in draw.sample(file.pages(name, "leaf"), 2))
        first, second = file.bytes[one : one + PAGE], file.bytes[other : other + PAGE]
        file.put(one, second)
        file.put(other, first)

    return damage


def _copied(name: str) -> Callable[[File, random.Random], None]:
    def damage(file: File, draw: random.Random) -> None:
        one, other = ((page - 1) * PAGE for page in draw.sample(file.pages(name, "leaf"), 2))
        file.put(one, bytes(file.bytes[other : other + PAGE]))

    return damage


def _in_leaf(name: str, offset: int, data: bytes) -> Callable[[File, random.Random], None]:
    return lambda file, draw: file.put(file.middle(name) + offset, data)


def _cut(share: float) -> Callable[[File, random.Random], None]:
    def damage(file: File, draw: random.Random) -> None:
        del file.bytes[int(len(file.bytes) * share) // PAGE * PAGE :]

    return damage


def _cut_at(size: int) -> Callable[[File, random.Random], None]:
    def damage(file: File, draw: random.Random) -> None:
        del file.bytes[size:]

    return damage


def _doubled_child(file: File, draw: random.Random) -> None:
    """Two entries of an interior page lead to one child."""
    at = file.middle("notes", "internal") if ("notes", "internal") in file._pages else 0
    pointers = at + 12
    one, other = struct.unpack_from(">HH", file.bytes, pointers)
    file.put(at + other, bytes(file.bytes[at + one : at + one + 4]))


def _chain_out(file: File, draw: random.Random) -> None:
    file.put(file.middle("notes", "overflow"), struct.pack(">I", 0x7FFF_0000))


def _chain_ends(file: File, draw: random.Random) -> None:
    """The chain of a long row ends too early."""
    first = file.pages("notes", "overflow")[0]
    file.put((first - 1) * PAGE, bytes(4))


def _record_header(file: File, draw: random.Random) -> None:
    """A record says that its header is longer than all of it."""
    at = file.middle("notes")
    cell = struct.unpack_from(">H", file.bytes, at + 8)[0]
    file.put(at + cell + 3, b"\xff\x7f")


def _renamed_key(file: File, draw: random.Random) -> None:
    """A title in a row is no longer the one that its index has."""
    at = file.bytes.find(b"title 0015", file.middle("notes"))
    while at < 0 or (at // PAGE + 1) not in file.pages("notes", "leaf"):
        at = file.bytes.find(b"title 00", at + 1)
    file.put(at, b"TITLE")


def _lost_entry(file: File, draw: random.Random) -> None:
    """An index has one entry less than its table has rows."""
    at = file.middle("notes_by_title")
    count = struct.unpack_from(">H", file.bytes, at + 3)[0]
    file.put(at + 3, struct.pack(">H", count - 1))


def _free_trunk(file: File, draw: random.Random) -> None:
    trunk = struct.unpack_from(">I", file.bytes, 32)[0]
    file.put((trunk - 1) * PAGE, struct.pack(">II", 0x7FFF_0000, 0x0FFF_FFFF))


PATTERNS: dict[str, Callable[[File, random.Random], None]] = {
    "the magic is gone": _header(0, bytes(16)),
    "the first page is zeros": _header(0, bytes(PAGE)),
    "the first page is noise": lambda file, draw: file.put(100, draw.randbytes(PAGE - 100)),
    "the kind of the first page is none": _header(100, b"\x07"),
    "no page size": _header(16, b"\x00\x07"),
    "more pages than the file has": lambda file, draw: file.put(28, struct.pack(">I", len(file.bytes) // PAGE + 500)),
    "more free pages than there are": _header(36, struct.pack(">I", 77_777)),
    "a free list that leads out of the file": _free_trunk,
    "a leaf of rows is zeros": _zeros("notes", "leaf"),
    "a leaf of rows is noise": _noise("notes", "leaf"),
    "an interior page of rows is zeros": _zeros("notes", "internal"),
    "an interior page of rows is noise": _noise("notes", "internal"),
    "two leaves of rows changed places": _swapped("notes"),
    "a leaf of rows is there twice": _copied("notes"),
    "a leaf of an index is zeros": _zeros("notes_by_title", "leaf"),
    "a leaf of an index is noise": _noise("notes_by_title", "leaf"),
    "two leaves of an index changed places": _swapped("notes_by_title"),
    "a leaf of an index is there twice": _copied("notes_by_title"),
    "an interior page of an index is zeros": _zeros("notes_by_title", "internal"),
    "an index lost an entry": _lost_entry,
    "a row has another key than its index": _renamed_key,
    "a leaf of keys is zeros": _zeros("words", "leaf"),
    "a leaf of keys is noise": _noise("words", "leaf"),
    "two leaves of keys changed places": _swapped("words"),
    "a page of a long row is zeros": _zeros("notes", "overflow"),
    "a chain that leads out of the file": _chain_out,
    "a chain that ends early": _chain_ends,
    "a child that is there twice": _doubled_child,
    "a leaf with more cells than fit": _in_leaf("notes", 3, b"\x7f\xff"),
    "a cell that lies outside of its page": _in_leaf("notes", 8, b"\xff\xf0"),
    "a leaf that says it is none": _in_leaf("notes", 0, b"\x05"),
    "a record with no end": _record_header,
    "cut in the middle": _cut(0.5),
    "cut in its header": _cut_at(17),
    "cut in its first page": _cut_at(1_000),
    "its last pages are missing": _cut(0.95),
    "the map of pointers is zeros": lambda file, draw: file.put(PAGE, bytes(PAGE)),
}
"""Each way, by its name. Those that only a comparison of rows with indexes can find are in ``ONLY_DEEP``."""
