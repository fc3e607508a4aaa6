"""Files that are rare, and what a salvage must not get wrong about them."""

from __future__ import annotations

import os
import struct
import subprocess
import sys

import apsw
import pytest

from holdfast.doctor.salvage import salvage
from holdfast.errors import Unsupported

PAGE = 4_096


def made(path, *statements, reserved=None):
    connection = apsw.Connection(str(path))
    if reserved:
        connection.reserve_bytes(reserve=reserved)
    for sql, *rows in statements:
        if rows:
            with connection:
                connection.executemany(sql, rows[0])
        else:
            connection.execute(sql).fetchall()
    connection.close()


def asked(path, sql):
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def salvaged(tmp_path, **options):
    found = salvage(str(tmp_path / "a.db"), str(tmp_path / "b.db"), **options)
    assert found.integrity == ()
    return found


def patch(path, offset, data):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def test_the_numbers_a_program_gave_its_file_are_kept(tmp_path):
    made(
        tmp_path / "a.db",
        ("PRAGMA auto_vacuum = 2",),
        ("CREATE TABLE t (a)",),
        ("PRAGMA user_version = -7",),
        ("PRAGMA application_id = 1234567",),
    )
    salvaged(tmp_path)
    assert asked(tmp_path / "b.db", "SELECT * FROM pragma_user_version, pragma_application_id") == [(-7, 1_234_567)]
    assert asked(tmp_path / "b.db", "PRAGMA auto_vacuum") == [(2,)]


def test_pages_with_bytes_that_are_reserved_come_through(tmp_path):
    rows = [(n, "x" * (n * 7)) for n in range(1, 900)]
    made(
        tmp_path / "a.db", ("CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT)",), ("INSERT INTO t VALUES (?, ?)", rows),
        reserved=32,
    )  # fmt: skip
    with open(tmp_path / "a.db", "rb") as file:
        assert file.read(21)[20] == 32
    salvaged(tmp_path)
    assert asked(tmp_path / "b.db", "SELECT * FROM t") == rows


def test_rows_older_than_a_column_have_its_default(tmp_path):
    rows = [(n,) for n in range(2_000)]
    made(
        tmp_path / "a.db",
        ("CREATE TABLE t (n INT)",),
        ("INSERT INTO t VALUES (?)", rows),
        ("ALTER TABLE t ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm'",),
    )
    was = asked(tmp_path / "a.db", "SELECT * FROM t")
    (root,) = asked(tmp_path / "a.db", "SELECT rootpage FROM sqlite_schema")[0]
    patch(tmp_path / "a.db", (int(root) - 1) * PAGE, bytes(PAGE))  # then its leaves are found by what is in them
    found = salvaged(tmp_path)
    assert asked(tmp_path / "b.db", "SELECT * FROM t") == was
    assert found.tables[0].strays == len(rows)


def test_a_key_that_only_looks_like_the_rowid_keeps_its_values(tmp_path):
    """``INTEGER PRIMARY KEY DESC`` is no rowid: sqlite.org/lang_createtable.html, section 5."""
    rows = [(n * 10, f"row {n}") for n in range(500)]
    made(
        tmp_path / "a.db",
        ("CREATE TABLE t (id INTEGER PRIMARY KEY DESC, s TEXT)",),
        ("INSERT INTO t VALUES (?, ?)", rows),
    )
    salvaged(tmp_path)
    assert asked(tmp_path / "b.db", "SELECT * FROM t ORDER BY id") == rows


def test_a_text_that_cannot_be_read_is_kept_as_its_bytes(tmp_path):
    made(
        tmp_path / "a.db",
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT)",),
        ("INSERT INTO t VALUES (1, 'a'), (2, CAST(x'63c361' AS TEXT)), (3, 'c')",),
    )
    found = salvaged(tmp_path)
    assert asked(tmp_path / "b.db", "SELECT * FROM t") == [(1, "a"), (3, "c")]
    assert asked(tmp_path / "b.db", "SELECT rowid_was, c1 FROM lost_and_found") == [(2, b"c\xc3a")]
    assert found.tables[0].unreadable == 1


def test_what_an_earlier_salvage_left_is_a_table_like_others(tmp_path):
    made(tmp_path / "a.db", ("CREATE TABLE lost_and_found (a TEXT)",), ("INSERT INTO lost_and_found VALUES ('old')",))
    patch(tmp_path / "a.db", (tmp_path / "a.db").read_bytes().index(b"old"), b"\xff\xfe\xff")
    salvaged(tmp_path)
    assert asked(tmp_path / "b.db", "SELECT * FROM lost_and_found") == []
    assert asked(tmp_path / "b.db", "SELECT c0 FROM lost_and_found_2") == [(b"\xff\xfe\xff",)]


def test_a_freelist_that_lists_pages_in_use_takes_none_away(tmp_path):
    rows = [(n, "x" * 300) for n in range(1, 400)]
    made(
        tmp_path / "a.db", ("CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT)",), ("INSERT INTO t VALUES (?, ?)", rows),
        ("CREATE TABLE gone (s)",), ("INSERT INTO gone VALUES (zeroblob(9000))",), ("DROP TABLE gone",),
    )  # fmt: skip
    with open(tmp_path / "a.db", "rb") as file:
        trunk = struct.unpack(">I", file.read(36)[32:])[0]
    listed = range(2, 20)
    patch(tmp_path / "a.db", (trunk - 1) * PAGE + 4, struct.pack(f">I{len(listed)}I", len(listed), *listed))
    salvaged(tmp_path)
    assert asked(tmp_path / "b.db", "SELECT * FROM t") == rows


def start_of(path, table):
    ((root,),) = asked(path, f"SELECT rootpage FROM sqlite_schema WHERE name = '{table}'")
    return (int(root) - 1) * PAGE


def test_rows_with_more_values_than_columns_are_kept_beside_the_table(tmp_path):
    rows = [(n, f"a {n}", f"b {n}") for n in range(1, 2_000)]
    made(
        tmp_path / "a.db",
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT)",),
        ("INSERT INTO t VALUES (?, ?, ?)", rows),
        ("PRAGMA writable_schema = ON",),
        ("UPDATE sqlite_schema SET sql = 'CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)'",),
    )
    found = salvaged(tmp_path)
    assert asked(tmp_path / "b.db", "SELECT count(*) FROM t") == [(0,)]
    assert asked(tmp_path / "b.db", "SELECT rowid_was, c1, c2 FROM lost_and_found") == rows
    assert found.tables[0].refused == len(rows) == found.lost_and_found


@pytest.mark.parametrize("rule", ["REPLACE", "IGNORE"])
def test_a_table_that_would_drop_rows_in_silence_does_not(tmp_path, rule):
    made(
        tmp_path / "a.db",
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, k TEXT)",),
        ("INSERT INTO t VALUES (?, ?)", [(1, "same"), (2, "same"), (3, "other")]),
        ("PRAGMA writable_schema = ON",),
        (
            "UPDATE sqlite_schema SET sql = 'CREATE TABLE t (id INTEGER PRIMARY KEY, k TEXT UNIQUE ON CONFLICT "
            f"{rule})'",
        ),
    )
    found = salvaged(tmp_path)
    assert asked(tmp_path / "b.db", "SELECT * FROM t") == [(1, "same"), (3, "other")]
    assert (found.tables[0].rows, found.tables[0].refused) == (2, 1)


def test_two_tables_that_changed_places_do_not_take_the_rows_of_each_other(tmp_path):
    """The rowids are the same, only what the rows hold tells."""
    made(
        tmp_path / "a.db",
        ("CREATE TABLE words (a TEXT NOT NULL, b TEXT)",),
        ("CREATE TABLE sizes (a INT, b INT)",),
        ("INSERT INTO words VALUES (?, ?)", [("one", "x"), ("two", None)]),
        ("INSERT INTO sizes VALUES (?, ?)", [(1, 2), (3, 4)]),
    )
    one, other = (start_of(tmp_path / "a.db", name) for name in ("words", "sizes"))
    data = (tmp_path / "a.db").read_bytes()
    patch(tmp_path / "a.db", one, data[other : other + PAGE])
    patch(tmp_path / "a.db", other, data[one : one + PAGE])
    salvaged(tmp_path)
    assert asked(tmp_path / "b.db", "SELECT * FROM words") == []
    assert asked(tmp_path / "b.db", "SELECT rowid_was, c0, c1 FROM lost_and_found WHERE of_table = 'words'") == [
        (1, 1, 2),
        (2, 3, 4),
    ]


def test_a_rowid_that_changed_is_told_by_its_neighbours(tmp_path):
    rows = [(n, "text") for n in range(1, 20)]
    made(tmp_path / "a.db", ("CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT)",), ("INSERT INTO t VALUES (?, ?)", rows))
    cell = b"\x07\x0a\x03\x00\x15text"
    at = (tmp_path / "a.db").read_bytes().index(cell)
    patch(tmp_path / "a.db", at + 1, b"\x7f")
    found = salvaged(tmp_path)
    assert asked(tmp_path / "b.db", "SELECT * FROM t") == [row for row in rows if row[0] != 10]
    assert asked(tmp_path / "b.db", "SELECT rowid_was, c1, why FROM lost_and_found") == [
        (127, "text", "of t, but its rowid is out of order")
    ]
    assert found.tables[0].unreadable == 1


def test_two_rows_that_go_on_in_one_page_are_not_both_believed(tmp_path):
    made(
        tmp_path / "a.db",
        ("CREATE TABLE first (s BLOB)",),
        ("CREATE TABLE second (s BLOB)",),
        ("INSERT INTO first VALUES (?)", [(b"1" * 5_000,)]),
        ("INSERT INTO second VALUES (?)", [(b"2" * 5_000,)]),
    )
    one, other = (start_of(tmp_path / "a.db", name) for name in ("first", "second"))
    data = (tmp_path / "a.db").read_bytes()
    way_on = data[one + PAGE - 4 : one + PAGE]  # the last bytes of the only cell
    patch(tmp_path / "a.db", other + PAGE - 4, way_on)
    found = salvaged(tmp_path)
    assert asked(tmp_path / "b.db", "SELECT * FROM first") == [(b"1" * 5_000,)]
    assert asked(tmp_path / "b.db", "SELECT * FROM second") == []
    assert found.odd == ("1 pages are of two rows each; the row that was read first has them",)
    ((kept,),) = asked(tmp_path / "b.db", "SELECT c0 FROM lost_and_found")
    assert set(kept) == {ord("2")}


def test_a_source_that_is_not_there_is_told_in_our_words(tmp_path):
    with pytest.raises(Unsupported, match="No such file"):
        salvage(str(tmp_path / "none.db"), str(tmp_path / "b.db"))
    assert not os.path.lexists(tmp_path / "b.db")


def test_a_file_of_thirty_gigabytes_that_is_a_hole_costs_what_was_written(tmp_path):
    rows = [(n, "x" * 300) for n in range(1, 4_000)]
    made(tmp_path / "a.db", ("CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT)",), ("INSERT INTO t VALUES (?, ?)", rows))
    written = os.stat(tmp_path / "a.db").st_size // PAGE
    (root,) = asked(tmp_path / "a.db", "SELECT rootpage FROM sqlite_schema")[0]
    patch(tmp_path / "a.db", (int(root) - 1) * PAGE, bytes(PAGE))
    os.truncate(tmp_path / "a.db", 30 << 30)
    told = []
    found = salvaged(tmp_path, on_progress=lambda name, done, pages: told.append((done, pages)))
    assert asked(tmp_path / "b.db", "SELECT count(*) FROM t") == [(len(rows),)]
    assert found.pages == (30 << 30) // PAGE
    assert told == sorted(told) and told[-1] == (told[-1][1], told[-1][1])
    assert written <= told[-1][1] <= written + 32  # file systems give room in pieces


def test_who_watches_can_end_it_and_nothing_is_left_behind(tmp_path):
    rows = [(n, "x" * 3_000) for n in range(1, 900)]
    made(tmp_path / "a.db", ("CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT)",), ("INSERT INTO t VALUES (?, ?)", rows))

    def stop(name, done, pages):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        salvage(str(tmp_path / "a.db"), str(tmp_path / "b.db"), on_progress=stop)
    assert os.listdir(tmp_path) == ["a.db"]


LIMITED = """
import resource, sys
from holdfast.doctor.salvage import salvage
before = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (before + (300 << 20),) * 2)
found = salvage(sys.argv[1], sys.argv[2])
print(found.rows, found.integrity)
"""


@pytest.mark.parametrize("size", [100_000_000, (1 << 31) - 1, (1 << 63) - 1])
def test_cells_that_claim_gigabytes_of_a_ring_cost_no_memory(tmp_path, size):
    """A page full of rows of two gigabytes each, all of them in one ring of pages."""
    made(tmp_path / "a.db", ("CREATE TABLE t (id INTEGER PRIMARY KEY, s BLOB)",), ("INSERT INTO t VALUES (1, x'00')",))
    groups = [size >> shift & 0x7F for shift in range(56, -1, -7)]
    cell = bytes(0x80 | group for group in groups[:-1]) + bytes((groups[-1], 5)) + b"\x04\x00\x8f\xff\xff\x7f"
    first, ring, count, step = 3, 10_000, 90, 20
    page = bytearray(PAGE)
    for place in range(count):
        at = PAGE - step * (place + 1) - 2_000
        page[at : at + len(cell)] = cell
        struct.pack_into(">H", page, 8 + 2 * place, at)
    for at in range(0, 2_000, 4):  # wherever the cell's local part ends, there is a way into the ring
        struct.pack_into(">I", page, PAGE - 2_000 + at, first + at % ring)
    struct.pack_into(">BHHHB", page, 0, 13, 0, count, PAGE - step * count - 2_000, 0)
    with open(tmp_path / "a.db", "r+b") as file:
        file.seek(PAGE)
        file.write(page)
        for number in range(first, first + ring):
            file.write(struct.pack(">I", first + (number - first + 1) % ring) + b"\x41" * (PAGE - 4))
    child = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "a.db"), str(tmp_path / "b.db")],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert child.stdout == "0 ()\n", child.stderr


FULL = """
import resource, sys
from holdfast.doctor.salvage import salvage
from holdfast.errors import Full
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    salvage(sys.argv[1], sys.argv[2])
except Full as error:
    print("full")
"""


@pytest.mark.parametrize(
    "table", ["t (id INTEGER PRIMARY KEY, s TEXT)", "t (id TEXT PRIMARY KEY, s TEXT) WITHOUT ROWID"]
)
def test_no_room_is_told_and_nothing_is_left_behind(tmp_path, table):
    rows = [(n, "x" * 3_000) for n in range(1, 300)]
    made(tmp_path / "a.db", (f"CREATE TABLE {table}",), ("INSERT INTO t VALUES (?, ?)", rows))
    child = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "a.db"), str(tmp_path / "b.db")],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert child.stdout == "full\n", child.stderr
    assert os.listdir(tmp_path) == ["a.db"]


def test_what_the_log_has_is_not_asked_of_the_file(tmp_path):
    """Pages that a commit put into the log may be anything in the file."""
    connection = apsw.Connection(str(tmp_path / "live.db"))
    connection.execute("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0").fetchall()
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT, b BLOB); CREATE INDEX t_by_s ON t (s)")
    with connection:
        for n in range(2_000):
            connection.execute("INSERT INTO t VALUES (?, ?, zeroblob(?))", (n, f"text {n}" * 9, n * 3 % 9_000))
    connection.pragma("wal_checkpoint", "TRUNCATE")
    connection.execute("UPDATE t SET s = s || '!', b = CAST(b || x'01' AS BLOB) WHERE id % 2")
    was = connection.execute("SELECT * FROM t").fetchall()
    for name in ("live.db", "live.db-wal"):
        (tmp_path / name.replace("live", "a")).write_bytes((tmp_path / name).read_bytes())
    connection.close()
    log = (tmp_path / "a.db-wal").read_bytes()
    for at in range(32, len(log), 24 + PAGE):
        (number,) = struct.unpack_from(">I", log, at)
        patch(tmp_path / "a.db", (number - 1) * PAGE, b"\xff" * PAGE)
    salvaged(tmp_path)
    assert asked(tmp_path / "b.db", "SELECT * FROM t") == was
