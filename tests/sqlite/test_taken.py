"""Another program's live database is read, and it never hears of it: its files, its locks, its log are as they were."""

from __future__ import annotations

import os
import random

import pytest

from foreign_files import seen
from processes import children

# A neighbour with the SQLite of Python, as Hermes is one.
NEIGHBOUR = """
import sqlite3
path = sys.argv[1]
def connected():
    c = sqlite3.connect(path, isolation_level=None)
    c.execute("PRAGMA journal_mode = WAL")
    return c
c = connected()
c.execute("CREATE TABLE IF NOT EXISTS t (a INTEGER PRIMARY KEY, b TEXT)")
"""

READER = """
from holdfast.sqlite.taken import taken
def rows(copy):
    return [row for page in copy.pages("t", ["a", "b"]) for row in page]
"""


@pytest.fixture
def neighbour():
    with children(NEIGHBOUR) as start:
        yield start


@pytest.fixture
def reader():
    with children(READER) as start:
        yield start


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "theirs.db")


COUNT = """
with taken(sys.argv[1]) as copy:
    say(len(rows(copy)), len(copy.problems), len(copy.lost))
    hear()
"""


def test_a_database_in_use_is_as_it_was_and_nothing_of_it_is_held_while_rows_are_read(path, neighbour, reader):
    owner = neighbour("""
for n in range(200): c.execute("INSERT INTO t (b) VALUES (?)", ("x" * 100,))
pause("ready")
c.execute("INSERT INTO t (b) VALUES ('after')")
say(c.execute("SELECT count(*) FROM t").fetchone()[0])
hear()
""", path)  # fmt: skip
    assert owner.line() == "ready"
    before = seen(path)
    assert len(before[0]) == 3  # with its log and its index
    assert before[1]  # and its locks
    other = reader(COUNT, path)
    assert other.line() == "200 0 0"

    assert seen(path) == before  # also while the copy is open

    other.tell()
    assert other.lines() == []
    assert seen(path) == before
    owner.tell()
    assert owner.line() == "201"


def test_each_copy_is_of_one_moment_while_another_writes_and_empties_its_log(path, neighbour, reader):
    owner = neighbour("""
say("ready")
import select
n = 0
while not select.select([0], [], [], 0)[0]:
    c.execute("BEGIN IMMEDIATE")
    c.execute("INSERT INTO t (b) VALUES (?)", (str(n),))
    c.execute("INSERT INTO t (b) VALUES (?)", (str(n),))
    c.execute("COMMIT")
    n += 1
    if n % 50 == 0: c.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
say(n, c.execute("PRAGMA integrity_check").fetchone()[0])
""", path)  # fmt: skip
    assert owner.line() == "ready"

    other = reader("""
counts = []
while len(counts) < 12 or counts[-1] == counts[0]:  # a writer that was not let run has nothing to show
    with taken(sys.argv[1]) as copy:
        found = [row["b"] for row in rows(copy)]
        assert found == [str(n // 2) for n in range(len(found))], found[-5:]
        assert len(found) % 2 == 0 and not copy.problems
        counts.append(len(found))
        say(len(found))
""", path)  # fmt: skip
    counts = [int(line) for line in other.lines()]
    owner.tell()
    done, sound = owner.line().split()

    assert len(counts) >= 12
    assert counts == sorted(counts)
    assert int(done) * 2 >= counts[-1]
    assert sound == "ok"


@pytest.mark.parametrize("with_index", [True, False], ids=["index", "no-index"])
def test_a_log_that_a_killed_process_left_is_read_and_left(path, neighbour, reader, with_index):
    owner = neighbour("""
for n in range(50): c.execute("INSERT INTO t (b) VALUES ('x')")
pause("ready")
""", path)  # fmt: skip
    assert owner.line() == "ready"
    owner.process.kill()
    owner.process.wait()
    if not with_index:
        os.unlink(f"{path}-shm")
    before = seen(path)

    assert reader(COUNT, path).line() == "50 0 0"

    assert seen(path) == before


def test_the_log_of_a_process_that_lost_its_locks_stays_and_so_do_its_rows(path, neighbour, reader):
    """Any close of a descriptor of the file cancels a process's locks; the next who opens would empty the index."""
    owner = neighbour("""
for n in range(50): c.execute("INSERT INTO t (b) VALUES ('x')")
open(path, "rb").close()
open(path + "-shm", "rb").close()
pause("ready")
for n in range(50): c.execute("INSERT INTO t (b) VALUES ('x')")
say(c.execute("SELECT count(*) FROM t").fetchone()[0], c.execute("PRAGMA integrity_check").fetchone()[0])
hear()
""", path)  # fmt: skip
    assert owner.line() == "ready"
    before = seen(path)
    assert before[1] == []

    assert reader(COUNT, path).line() == "50 0 0"

    assert seen(path) == before
    owner.tell()
    assert owner.line() == "100 ok"


def test_a_transaction_that_a_killed_process_left_half_written_is_not_read_as_done(path, neighbour, reader):
    owner = neighbour("""
c.execute("PRAGMA journal_mode = DELETE")
for n in range(500): c.execute("INSERT INTO t (b) VALUES (?)", ("before" * 100,))
c.execute("PRAGMA cache_size = 5")
c.execute("BEGIN IMMEDIATE")
c.execute("UPDATE t SET b = ?", ("half" * 150,))
pause("ready")
""", path)  # fmt: skip
    assert owner.line() == "ready"
    owner.process.kill()
    owner.process.wait()
    before = seen(path)
    assert f"{os.path.basename(path)}-journal" in before[0]

    other = reader("with taken(sys.argv[1]) as copy: say({row['b'][:6] for row in rows(copy)}, len(rows(copy)))", path)
    assert other.line() == "{'before'} 500"

    assert seen(path) == before


def test_a_database_that_nobody_uses_gets_no_files_beside_it(path, neighbour, reader):
    assert neighbour("c.close(); say('done')", path).lines() == ["done"]
    before = seen(path)
    assert list(before[0]) == [os.path.basename(path)]

    assert reader(COUNT, path).line() == "0 0 0"

    assert seen(path) == before


def test_of_a_damaged_table_the_rows_on_both_sides_are_read_and_where_it_ends_is_told(path, neighbour, reader):
    fill = "for n in range(2000): c.execute('INSERT INTO t (b) VALUES (?)', (f'{n} ' + 'x' * 100,))\n"
    assert neighbour(fill + "c.close(); say('done')", path).lines() == ["done"]
    pages = os.path.getsize(path) // 4096
    with open(path, "r+b") as file:
        file.seek(pages // 2 * 4096)
        file.write(random.Random(1).randbytes(4096))
    before = seen(path)

    lines = reader("""
with taken(sys.argv[1]) as copy:
    found = rows(copy)
    say(len(found), found[0]["a"], found[-1]["a"], len(set(row["a"] for row in found)))
    say(copy.lost["t"])
""", path).lines()  # fmt: skip

    count, first, last, different = map(int, lines[0].split())
    assert (first, last) == (1, 2000)
    assert 1900 < count < 2000
    assert different == count
    assert "rows from its beginning" in lines[1]
    assert "malformed" in lines[1]
    assert seen(path) == before


def test_what_is_no_text_in_utf_8_is_read_with_its_bytes_written_out(path, neighbour, reader):
    assert neighbour(r"""
c.execute("INSERT INTO t (b) VALUES ('good'), (CAST(x'61ff62' AS TEXT)), (x'00ff'), (1.5), (NULL)")
c.close(); say('done')""", path).lines() == ["done"]  # fmt: skip

    lines = reader("""
with taken(sys.argv[1]) as copy:
    say([row["b"] for row in rows(copy)])
    say(copy.mended)
""", path).lines()  # fmt: skip

    assert lines == [repr(["good", r"a\xffb", b"\x00\xff", "1.5", None]), repr([("t", 2, "b")])]


@pytest.mark.parametrize(
    ("make", "kind", "told"),
    [
        (lambda path: None, "Refused", "No such file"),
        (os.mkdir, "Refused", "no plain file"),
        (os.mkfifo, "Refused", "no plain file"),
        (lambda path: open(path, "xb").close(), "Damaged", "is empty"),
        (lambda path: write(path, b"a note, not a database\n" * 100), "Damaged", "does not begin like one"),
        (lambda path: write(path, b"SQLite format 3\0" + b"\xff" * 4080), "Damaged", "theirs.db"),
    ],
    ids=["missing", "folder", "fifo", "empty", "text", "header"],
)
def test_what_is_no_database_is_refused_in_a_sentence(path, reader, make, kind, told):
    make(path)

    lines = reader("""
from holdfast.errors import HoldfastError
try:
    with taken(sys.argv[1]) as copy: say(rows(copy))
except HoldfastError as error: say(type(error).__name__, error)
""", path).lines()  # fmt: skip

    assert lines[0].split()[0] == kind
    assert told in lines[0]


def test_a_process_that_has_a_store_open_is_told_to_leave_it_to_another(path, neighbour, reader, tmp_path):
    assert neighbour("c.close(); say('done')", path).lines() == ["done"]

    lines = reader("""
from holdfast.clock import wall_ms
from holdfast.errors import Refused
from holdfast.sqlite import Store
with Store.open(sys.argv[2], clock=wall_ms):
    try:
        with taken(sys.argv[1]) as copy: say(rows(copy))
    except Refused as error: say(error)
""", path, tmp_path / "ours.db").lines()  # fmt: skip

    assert "this process has databases open" in lines[0]


def test_nothing_of_the_copy_is_left_when_its_reader_is_killed(path, neighbour, tmp_path, monkeypatch):
    assert neighbour("c.close(); say('done')", path).lines() == ["done"]
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    with children(READER) as start:
        other = start(COUNT, path)
        assert other.line() == "0 0 0"
        other.process.kill()
        other.process.wait()

    assert os.listdir(tmp_path / "tmp") == []


def write(path, data):
    with open(path, "xb") as file:
        file.write(data)
