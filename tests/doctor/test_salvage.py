"""A salvage gives back every row that is still in the file, and none that was not."""

from __future__ import annotations

import os
import random
import shutil

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.doctor.salvage import salvage
from holdfast.errors import Refused

PAGE = 4_096
SCHEMA = """
CREATE TABLE notes (id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL, size INT, body BLOB, score REAL);
CREATE INDEX notes_by_title ON notes (title);
CREATE INDEX notes_large ON notes (size) WHERE size > 10;
CREATE TABLE words (word TEXT, lang TEXT, uses INT, PRIMARY KEY (lang, word)) WITHOUT ROWID;
CREATE TABLE plain (a, b TEXT, twice AS (b || b), thrice TEXT AS (b || b || b) STORED, c INT);
CREATE VIEW titles AS SELECT title FROM notes;
CREATE TRIGGER no_long AFTER INSERT ON notes WHEN length(new.title) > 9000
BEGIN DELETE FROM notes WHERE id = new.id; END;
"""
TABLES = {
    "notes": "SELECT id, title, size, body, score FROM notes ORDER BY id",
    "words": "SELECT * FROM words ORDER BY lang, word",
    "plain": "SELECT rowid, a, b, twice, thrice, c FROM plain ORDER BY rowid",
}


def filled(path, *, rows=300, seed=7, encoding="UTF-8", page=PAGE):
    """Make a database with all kinds of rows; return what is in it."""
    rng = random.Random(seed)
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA page_size = {page}; PRAGMA encoding = '{encoding}'; {SCHEMA}")
    with connection:
        for number in range(rows):
            body = rng.randbytes(rng.choice((0, 10, 500, 9_000)))
            size = rng.choice((None, 0, 1, -1, 300, -70_000, 2**40, -(2**62)))
            connection.execute(
                "INSERT INTO notes (title, size, body, score) VALUES (?, ?, ?, ?)",
                (f"title {number} é€😀" + "x" * rng.randrange(200), size, body, rng.choice((None, 1.5, 2.0, -1e300))),
            )
            connection.execute("INSERT INTO words VALUES (?, ?, ?)", (f"w{number}", rng.choice("abc"), number))
            connection.execute(
                "INSERT INTO plain (a, b, c) VALUES (?, ?, ?)",
                (rng.choice((None, 1, 2.5, "t", b"b")), f"b{number}", number),
            )
        connection.execute("DELETE FROM notes WHERE id % 10 = 3")
        connection.execute("ALTER TABLE plain ADD COLUMN late TEXT DEFAULT 'was not there'")
    found = contents(connection)
    connection.close()
    return found


def contents(connection):
    return {name: connection.execute(sql).fetchall() for name, sql in TABLES.items()}


def read(path):
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        assert connection.pragma("integrity_check") == "ok"
        return contents(connection)
    finally:
        connection.close()


def schema_of(path):
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return set(connection.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall())
    finally:
        connection.close()


def overwrite(path, number, data, page=PAGE):
    with open(path, "r+b") as file:
        file.seek((number - 1) * page)
        file.write(data)


def pages_of(path, name):
    """Return the pages of a tree by their kind, as SQLite sees them while the file is whole."""
    connection = apsw.Connection(str(path))
    try:
        rows = connection.execute(
            "SELECT pagetype, pageno FROM dbstat WHERE name = ? ORDER BY pageno", (name,)
        ).fetchall()
    finally:
        connection.close()
    found = {}
    for kind, number in rows:
        found.setdefault(kind, []).append(number)
    return found


def ledger(found, name):
    return next(table for table in found.tables if table.name == name)


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
@pytest.mark.parametrize("page", [512, 4_096, 65_536])
def test_a_file_that_is_whole_comes_through_whole(tmp_path, encoding, page):
    was = filled(tmp_path / "a.db", encoding=encoding, page=page)
    found = salvage(str(tmp_path / "a.db"), str(tmp_path / "b.db"))
    assert read(tmp_path / "b.db") == was
    assert schema_of(tmp_path / "b.db") == schema_of(tmp_path / "a.db")
    assert (found.lost_and_found, found.odd, found.integrity) == (0, (), ())
    assert all(table.whole for table in found.tables)
    assert ledger(found, "notes").before == len(was["notes"])  # the index by title told


def test_the_counter_of_a_table_goes_on_where_it_was(tmp_path):
    filled(tmp_path / "a.db", rows=20)
    salvage(str(tmp_path / "a.db"), str(tmp_path / "b.db"))
    connection = apsw.Connection(str(tmp_path / "b.db"))
    connection.execute("DELETE FROM notes; INSERT INTO notes (title) VALUES ('next')")
    assert connection.execute("SELECT id FROM notes").fetchall() == [(21,)]
    connection.close()


def test_rows_of_pages_that_are_lost_are_the_only_ones_missing(tmp_path):
    was = filled(tmp_path / "a.db")
    leaf = pages_of(tmp_path / "a.db", "plain")["leaf"][0]
    overwrite(tmp_path / "a.db", leaf, random.Random(1).randbytes(PAGE))
    found = salvage(str(tmp_path / "a.db"), str(tmp_path / "b.db"))
    now = read(tmp_path / "b.db")
    assert now["notes"] == was["notes"] and now["words"] == was["words"]
    missing = [row[0] for row in was["plain"] if row not in now["plain"]]
    assert missing == list(range(missing[0], missing[0] + len(missing)))  # those of one page, and each of them whole
    assert 0 < len(missing) < len(was["plain"])
    assert ledger(found, "plain").gaps == 1 and not ledger(found, "plain").whole
    assert ledger(found, "notes").whole


def test_leaves_whose_way_is_lost_come_back(tmp_path):
    """Interior pages hold no rows: without them all is still there."""
    was = filled(tmp_path / "a.db")
    for number in pages_of(tmp_path / "a.db", "notes")["internal"]:
        overwrite(tmp_path / "a.db", number, bytes(PAGE))
    found = salvage(str(tmp_path / "a.db"), str(tmp_path / "b.db"))
    assert read(tmp_path / "b.db") == was
    assert ledger(found, "notes").strays == len(was["notes"]) == ledger(found, "notes").before
    assert found.lost_and_found == 0


def test_what_was_deleted_stays_deleted(tmp_path):
    filled(tmp_path / "a.db")
    connection = apsw.Connection(str(tmp_path / "a.db"))
    connection.execute("DELETE FROM notes WHERE id > 100")  # their pages go to the freelist as they are
    was = contents(connection)
    connection.close()
    for number in pages_of(tmp_path / "a.db", "notes")["internal"]:
        overwrite(tmp_path / "a.db", number, bytes(PAGE))
    found = salvage(str(tmp_path / "a.db"), str(tmp_path / "b.db"))
    assert read(tmp_path / "b.db") == was
    assert found.lost_and_found == 0


def test_a_row_that_goes_on_in_a_lost_page_is_kept_as_far_as_it_goes(tmp_path):
    was = filled(tmp_path / "a.db")
    overwrite(tmp_path / "a.db", pages_of(tmp_path / "a.db", "notes")["overflow"][0], b"\xff" * PAGE)
    found = salvage(str(tmp_path / "a.db"), str(tmp_path / "b.db"))
    now = read(tmp_path / "b.db")
    (missing,) = [row for row in was["notes"] if row not in now["notes"]]
    assert ledger(found, "notes").unreadable == 1 == found.lost_and_found
    assert ledger(found, "notes").before == ledger(found, "notes").rows + 1
    connection = apsw.Connection(str(tmp_path / "b.db"))
    ((rowid, of, title, size),) = connection.execute("SELECT rowid_was, why, c1, c2 FROM lost_and_found").fetchall()
    connection.close()
    assert (rowid, title, size) == missing[:3] and of.startswith("of notes, ")


def test_a_page_of_another_table_in_the_wrong_place_is_told_apart(tmp_path):
    """A write that went astray: what lies there is sound, and does not belong."""
    was = filled(tmp_path / "a.db")
    plain, notes = (pages_of(tmp_path / "a.db", name)["leaf"] for name in ("plain", "notes"))
    with open(tmp_path / "a.db", "rb") as file:
        file.seek((plain[0] - 1) * PAGE)
        astray = file.read(PAGE)
    overwrite(tmp_path / "a.db", notes[-1], astray)
    salvage(str(tmp_path / "a.db"), str(tmp_path / "b.db"))
    now = read(tmp_path / "b.db")
    assert set(now["notes"]) <= set(was["notes"])
    assert now["plain"] == was["plain"]


def test_the_first_page_is_lost_and_the_schema_known(tmp_path):
    was = filled(tmp_path / "a.db")
    overwrite(tmp_path / "a.db", 1, random.Random(3).randbytes(PAGE))
    known = [sql.strip() for sql in SCHEMA.split(";\n") if sql.strip().startswith(("CREATE TABLE", "CREATE INDEX"))]
    known = [sql.replace(", c INT)", ", c INT, late TEXT DEFAULT 'was not there')") for sql in known]
    found = salvage(str(tmp_path / "a.db"), str(tmp_path / "b.db"), known=known)
    now = read_tables(tmp_path / "b.db", "notes", "plain")
    assert now["notes"] == was["notes"]
    assert found.guessed and found.page_bytes == PAGE
    assert "the first page is lost" in found.odd[0]


def read_tables(path, *names):
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return {name: connection.execute(TABLES[name]).fetchall() for name in names}
    finally:
        connection.close()


def test_the_log_counts_up_to_its_last_commit(tmp_path):
    filled(tmp_path / "live.db")
    connection = apsw.Connection(str(tmp_path / "live.db"))
    connection.execute("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0").fetchall()
    connection.execute("UPDATE notes SET title = title || '!' WHERE id < 50")
    was = contents(connection)
    first = os.stat(tmp_path / "live.db-wal").st_size
    connection.execute("UPDATE words SET uses = -1")
    for name in ("live.db", "live.db-wal"):
        shutil.copy(tmp_path / name, tmp_path / name.replace("live", "a"))
    connection.close()
    with open(tmp_path / "a.db-wal", "r+b") as file:  # the second commit is torn
        file.seek(first + 24 + 100)
        file.write(b"torn")
    found = salvage(str(tmp_path / "a.db"), str(tmp_path / "b.db"))
    assert read(tmp_path / "b.db") == was
    assert found.log_frames == (first - 32) // (24 + PAGE)


def test_a_row_its_table_does_not_take_is_kept_beside_it(tmp_path):
    connection = apsw.Connection(str(tmp_path / "a.db"))
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, k TEXT)")
    connection.execute("INSERT INTO t VALUES (1, 'same'), (2, 'same'), (3, 'other')")
    connection.execute("PRAGMA writable_schema = ON").fetchall()
    connection.execute("UPDATE sqlite_schema SET sql = 'CREATE TABLE t (id INTEGER PRIMARY KEY, k TEXT UNIQUE)'")
    connection.close()
    found = salvage(str(tmp_path / "a.db"), str(tmp_path / "b.db"))
    assert (ledger(found, "t").rows, ledger(found, "t").refused, found.lost_and_found) == (2, 1, 1)
    connection = apsw.Connection(str(tmp_path / "b.db"))
    assert connection.execute("SELECT of_table, rowid_was, c1 FROM lost_and_found").fetchall() == [("t", 2, "same")]
    connection.close()


def test_words_can_be_searched_again(tmp_path):
    connection = apsw.Connection(str(tmp_path / "a.db"))
    connection.execute(
        "CREATE VIRTUAL TABLE said USING fts5 (text); INSERT INTO said VALUES ('good morning'), ('night')"
    )
    connection.close()
    salvage(str(tmp_path / "a.db"), str(tmp_path / "b.db"))
    connection = apsw.Connection(str(tmp_path / "b.db"))
    assert connection.execute("SELECT rowid FROM said WHERE said MATCH 'morning'").fetchall() == [(1,)]
    connection.close()


def test_a_target_that_exists_is_left_alone(tmp_path):
    filled(tmp_path / "a.db", rows=3)
    (tmp_path / "b.db").write_bytes(b"mine")
    with pytest.raises(Refused, match="is there already"):
        salvage(str(tmp_path / "a.db"), str(tmp_path / "b.db"))
    assert (tmp_path / "b.db").read_bytes() == b"mine"


@pytest.mark.parametrize("data", [b"", b"x", b"SQLite format 3\0", bytes(100_000), b"\x0d" * 70_000], ids=len)
def test_what_is_no_database_gives_an_empty_one(tmp_path, data):
    (tmp_path / "a.db").write_bytes(data)
    found = salvage(str(tmp_path / "a.db"), str(tmp_path / "b.db"))
    assert (found.rows, found.integrity) == (0, ())


damage = st.lists(
    st.tuples(
        st.sampled_from(["noise", "zeros", "another page", "bit", "tail"]),
        st.integers(0, 1 << 30),
        st.integers(0, 1 << 30),
    ),
    min_size=1,
    max_size=6,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "a.db"
    filled(path)
    return path


@given(damage)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_damage_no_row_is_invented(tmp_path_factory, whole, done):
    """But for what nothing in the file can tell: bits flipped in a value, and the last page that a row goes on in."""
    path, was = whole, read(whole)
    ends = set(pages_of(path, "notes")["overflow"])
    folder = tmp_path_factory.mktemp("damaged")
    data = bytearray(path.read_bytes())
    pages, flipped = len(data) // PAGE, False
    for how, one, two in done:
        at, other = (one % pages) * PAGE, (two % pages) * PAGE
        if how == "noise":
            data[at : at + PAGE] = random.Random(two).randbytes(PAGE)
        elif how == "zeros":
            data[at : at + PAGE] = bytes(PAGE)
            flipped = flipped or at // PAGE + 1 in ends
        elif how == "another page":
            data[at : at + PAGE] = data[other : other + PAGE]
            flipped = flipped or at // PAGE + 1 in ends
        elif how == "bit":
            flipped = True
            data[at + two % PAGE] ^= 1 << one % 8
        elif one % 4 == 0:
            data = data[: max(1, at)]
            data += bytes(-len(data) % PAGE)
            pages = len(data) // PAGE
    (folder / "a.db").write_bytes(data)
    found = salvage(str(folder / "a.db"), str(folder / "b.db"))
    assert found.integrity == ()
    connection = apsw.Connection(str(folder / "b.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        for table in found.tables:
            if table.name in TABLES:
                now = connection.execute(TABLES[table.name]).fetchall()
                assert len(now) == table.rows
                assert flipped or set(now) <= set(was[table.name])
    finally:
        connection.close()
    shutil.rmtree(folder)


def test_forty_pages_of_noise_cost_their_own_rows(tmp_path):
    connection = apsw.Connection(str(tmp_path / "a.db"))
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT, number INT)")
    with connection:
        connection.executemany(
            "INSERT INTO t (text, number) VALUES (?, ?)",
            ((f"row {number} " + "x" * 400, number) for number in range(20_000)),
        )
    connection.close()
    leaves = pages_of(tmp_path / "a.db", "t")["leaf"]
    rng = random.Random(5)
    for number in rng.sample(leaves, 4):
        overwrite(tmp_path / "a.db", number, rng.randbytes(PAGE))
    found = salvage(str(tmp_path / "a.db"), str(tmp_path / "b.db"))
    most = 4 * (PAGE // 410)
    assert 20_000 - most <= ledger(found, "t").rows < 20_000
