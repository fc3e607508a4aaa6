"""Whatever happens to a file: a salvage ends, invents nothing, and leaves behind only what is not there any more."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import apsw
import pytest
from marked import SCHEMA, beginning_of_marks, fill, rows_of, touched

from holdfast.doctor.salvage import salvage
from holdfast.errors import HoldfastError

ROWS = 250


@dataclass
class File:
    """A file being damaged. ``hit``: pages whose bytes are no longer those of before."""

    data: bytearray
    page_bytes: int
    rng: random.Random
    tails: set[int]  # pages that rows go on in: nothing in them says whose they are
    hit: set[int]
    loose: int = 0
    """How many rows may come out changed, since nothing in the file can tell."""

    @property
    def pages(self) -> int:
        return len(self.data) // self.page_bytes

    def any(self, least: int = 2) -> int:
        return self.rng.randrange(least, self.pages + 1)

    def at(self, page: int) -> int:
        return (page - 1) * self.page_bytes

    def read(self, page: int) -> bytes:
        return bytes(self.data[self.at(page) : self.at(page) + self.page_bytes])

    def put(self, page: int, data: bytes, offset: int = 0) -> None:
        self.hit.add(page)
        self.data[self.at(page) + offset : self.at(page) + offset + len(data)] = data


def noise(file: File) -> None:
    file.put(file.any(), file.rng.randbytes(file.page_bytes))


def zeros(file: File) -> None:
    page = file.any()
    file.loose += page in file.tails
    file.put(page, bytes(file.page_bytes))


def swap(file: File) -> None:
    one, other = file.any(), file.any()
    first, second = file.read(one), file.read(other)
    file.loose += 2 * (one in file.tails) + 2 * (other in file.tails)
    file.loose += _entries(file, one, other) + _entries(file, other, one)
    file.put(one, second)
    file.put(other, first)


def copy(file: File) -> None:
    one, other = file.any(), file.any()
    file.loose += 2 * (one in file.tails) + _entries(file, one, other)
    file.put(one, file.read(other))


def _entries(file: File, one: int, other: int) -> int:
    """Return how many entries of an index may be taken for rows WITHOUT ROWID: those of a leaf, or all below a page."""
    places = {2: 1_000, 10: int.from_bytes(file.read(other)[3:5], "big")}
    return places.get(file.read(other)[0], 0) if file.read(one)[0] in places else 0


def flip(file: File) -> None:
    file.loose += 2
    file.put(file.any(), bytes((1 << file.rng.randrange(8),)), file.rng.randrange(file.page_bytes))


def outline(file: File) -> None:
    """Where cells are, and how many, is not so any more."""
    page = file.any()
    file.loose += 2
    at = file.rng.randrange(0, 60)
    file.put(page, file.rng.randbytes(file.rng.randrange(1, 5)), at)


def huge(file: File) -> None:
    """Cells that say they are as large as can be said."""
    page = file.any()
    file.loose += 16
    kind = file.read(page)[0]
    head = 12 if kind in (2, 5) else 8
    for place in range(file.rng.randrange(1, 9)):
        at = int.from_bytes(file.read(page)[head + 2 * place : head + 2 * place + 2], "big")
        size = file.rng.choice((b"\xff" * 9, b"\x87\xff\xff\xff\x7f", b"\x8f\xff\xff\xff\x7f", b"\xff\x7f"))
        file.put(page, size, min(at, file.page_bytes - len(size)))


def loop(file: File) -> None:
    """A page that is its own child, or goes on in itself, or in any other."""
    page = file.any()
    file.loose += 2
    number = file.rng.choice((page, file.any(), 1, 0xFFFFFFFF)).to_bytes(4, "big")
    file.put(page, number, file.rng.choice((0, 8, file.page_bytes - 4, file.rng.randrange(file.page_bytes - 4))))


def cut_short(file: File) -> None:
    size = file.rng.randrange(file.page_bytes, len(file.data))
    file.hit |= set(range(size // file.page_bytes + 1, file.pages + 1))
    del file.data[size:]


def first_page(file: File) -> None:
    file.put(1, file.rng.randbytes(file.page_bytes))


EXACT = (noise, noise, noise, zeros, first_page, cut_short)
ALL = (*EXACT, swap, copy, flip, outline, huge, loop)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    made = {}

    def make(page_bytes, auto_vacuum=0):
        if (page_bytes, auto_vacuum) not in made:
            path = tmp_path_factory.mktemp("whole") / "a.db"
            fill(path, ROWS, page_bytes, seed=page_bytes, auto_vacuum=auto_vacuum)
            made[page_bytes, auto_vacuum] = path, rows_of(path), tails_of(path)
        return made[page_bytes, auto_vacuum]

    return make


def tails_of(path: Path) -> set[int]:
    connection = apsw.Connection(str(path))
    try:
        return {page for (page,) in connection.execute("SELECT pageno FROM dbstat WHERE pagetype = 'overflow'")}
    finally:
        connection.close()


def attack(whole, folder: Path, seed: int, kinds) -> None:
    rng = random.Random(seed)
    page_bytes = rng.choice((512, 1_024, 4_096))
    path, was, tails = whole(page_bytes, rng.choice((0, 0, 2)))
    before = path.read_bytes()
    file = File(bytearray(before), page_bytes, rng, tails, set())
    done = [rng.choice(kinds) for _ in range(rng.choice((1, 1, 2, 3, 6, 12)))]
    for each in done:
        if file.pages > 2:
            each(file)
    told = f"seed {seed}, pages of {page_bytes}: {', '.join(each.__name__ for each in done)}"
    source, target = folder / "a.db", folder / "b.db"
    source.write_bytes(file.data)
    try:
        found = salvage(str(source), str(target), known=SCHEMA)
    except HoldfastError as error:
        raise AssertionError(f"{told}: {error}") from error
    try:
        assert found.integrity == (), told
        now = rows_of(target)
        counted = {table.name: table.rows for table in found.tables}
        assert {name: len(rows) for name, rows in now.items()} == {name: counted[name] for name in now}, told
        changed = [row for name in now for key, row in now[name].items() if was[name].get(key) != row]
        assert len(changed) <= file.loose, f"{told}: {changed[:3]}"
        if set(kinds) == set(EXACT):
            lost = touched([before[file.at(page) : file.at(page) + page_bytes] for page in file.hit])
            missing = {(name, key) for name in was for key in was[name].keys() - now[name].keys()}
            assert missing <= lost, told
            assert all(beginning_of_marks(value) for value in lost_and_found(target)), told
    finally:
        source.unlink()
        target.unlink()


def lost_and_found(path: Path) -> list[object]:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'lost_and_found'").fetchall():
            return []
        return [value for row in connection.execute("SELECT * FROM lost_and_found") for value in row[5:]]
    finally:
        connection.close()


@pytest.mark.parametrize("seed", range(40))
def test_what_is_there_comes_out_whatever_pages_are_lost(whole, tmp_path, seed):
    attack(whole, tmp_path, seed, EXACT)


@pytest.mark.parametrize("seed", range(100, 160))
def test_no_row_is_invented_and_nothing_goes_on_for_ever(whole, tmp_path, seed):
    attack(whole, tmp_path, seed, ALL)


@pytest.mark.torture
@pytest.mark.parametrize("kinds", [EXACT, ALL], ids=["pages", "all"])
def test_thousands_of_damaged_files(whole, tmp_path, kinds):
    """About five minutes on a quiet machine."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    for each in range(5_000):
        attack(whole, tmp_path, seed + each, kinds)
