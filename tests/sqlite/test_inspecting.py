"""A look at somebody's database leaves no trace, keeps nobody waiting, and tells damage from everything else."""

from __future__ import annotations

import os
import resource
import time

import apsw
import pytest

from holdfast.sqlite import paging, taking, whole
from holdfast.sqlite.inspecting import How, Inspection, UnreadError
from homes import seen
from processes import children

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"

# A careless neighbour: another SQLite, in a process of its own.
NEIGHBOUR = """
import sqlite3
def opened(path, mode="wal"):
    c = sqlite3.connect(path, isolation_level=None, timeout=30)
    c.execute(f"PRAGMA journal_mode = {mode}")
    c.execute("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, body TEXT)")
    return c
def fill(c, count):
    c.execute("BEGIN")
    c.executemany("INSERT INTO notes (body) VALUES (?)", (("x" * 300,) for _ in range(count)))
    c.execute("COMMIT")
"""


@pytest.fixture
def neighbour():
    with children(NEIGHBOUR) as start:
        yield start


@pytest.fixture(autouse=True)
def looks_only():
    """As the process that looks: run by root, SQLite leaves the owners of files alone."""
    taking.leave_owners()
    yield
    apsw.VFS("owners again", "unix").xSetSystemCall("geteuid", 0)


def in_a_minute():
    until_ns = time.monotonic_ns() + 60_000_000_000
    return lambda: until_ns


def inspected(path):
    return Inspection(str(path), in_a_minute())


def unread(path, *, text="SELECT count(*) FROM notes", deadline=None):
    """Return how a look at ``path`` ends that does not end well."""
    with pytest.raises(UnreadError) as caught, Inspection(str(path), deadline or in_a_minute(), read_ms=50) as found:
        found.rows(text)
    return caught.value.unread


def made(path, mode="wal", rows=100):
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA journal_mode = {mode}")
    connection.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)")
    connection.executemany("INSERT INTO notes (body) VALUES (?)", [("x" * 300,)] * rows)
    connection.close()
    return path


# --- the ways in ---------------------------------------------------------------


@pytest.mark.parametrize("mode", ["wal", "delete", "truncate", "persist"])
def test_a_database_that_nobody_has_open_is_read_and_left_as_it_was(tmp_path, mode):
    made(tmp_path / "a.db", mode)
    before = seen(tmp_path)

    with inspected(tmp_path / "a.db") as found:
        assert found.number("SELECT count(*) FROM notes") == 100
        assert found.check("notes") == []

    assert seen(tmp_path) == before


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_live_database_is_read_up_to_its_last_commit_and_its_owner_goes_on(tmp_path, neighbour, mode):
    child = neighbour("c = opened(sys.argv[1], sys.argv[2])\nwhile True: fill(c, 10); pause('filled')",
                      tmp_path / "a.db", mode)  # fmt: skip
    assert child.line() == "filled"
    with inspected(tmp_path / "a.db") as found:
        for rows in (10, 20, 30):
            before = seen(tmp_path)
            assert found.number("SELECT count(*) FROM notes") == rows
            assert seen(tmp_path) == before
            child.tell()
            assert child.line() == "filled"


def test_the_log_of_a_killed_writer_is_read_with_its_index_and_without(tmp_path, neighbour):
    child = neighbour("c = opened(sys.argv[1]); fill(c, 10); pause('filled')", tmp_path / "a.db")
    assert child.line() == "filled"
    child.kill()
    for index in ("there", "gone"):
        if index == "gone":
            (tmp_path / "a.db-shm").unlink()
        before = seen(tmp_path)
        with inspected(tmp_path / "a.db") as found:
            assert found.number("SELECT count(*) FROM notes") == 10
        assert seen(tmp_path) == before


def test_the_last_owner_that_closes_while_it_is_looked_at_loses_nothing(tmp_path, neighbour):
    child = neighbour("c = opened(sys.argv[1]); fill(c, 10); pause('filled'); c.close()", tmp_path / "a.db")
    assert child.line() == "filled"
    with inspected(tmp_path / "a.db") as found:
        assert found.number("SELECT count(*) FROM notes") == 10
        child.tell()
        assert child.wait() == 0
        assert found.number("SELECT count(*) FROM notes") == 10
    with inspected(tmp_path / "a.db") as found:
        assert found.number("SELECT count(*) FROM notes") == 10


def test_what_is_opened_while_it_is_looked_at_without_locks_is_read_anew(tmp_path, neighbour):
    made(tmp_path / "a.db")
    with inspected(tmp_path / "a.db") as found:
        assert found.number("SELECT count(*) FROM notes") == 100
        child = neighbour("c = opened(sys.argv[1]); fill(c, 10); pause('filled')", tmp_path / "a.db")
        assert child.line() == "filled"

        assert found.number("SELECT count(*) FROM notes") == 110


# --- short ---------------------------------------------------------------------


def test_a_statement_that_does_not_end_is_ended_and_called_slow(tmp_path):
    made(tmp_path / "a.db")
    with inspected(tmp_path / "a.db") as found:
        with pytest.raises(UnreadError) as caught:
            found.rows(ENDLESS)
        assert caught.value.unread.how is How.SLOW
        assert found.number("SELECT count(*) FROM notes") == 100  # and the next one is not


def test_no_read_begins_after_the_deadline(tmp_path):
    made(tmp_path / "a.db")

    assert unread(tmp_path / "a.db", deadline=lambda: 1).how is How.SLOW


def test_a_large_table_is_read_in_many_reads_that_see_what_is_written_between(tmp_path):
    made(tmp_path / "a.db", rows=3_000)
    with inspected(tmp_path / "a.db") as found:
        pages = paging.pages(found, "notes", ["body"])
        first = next(pages)
        writer = apsw.Connection(str(tmp_path / "a.db"))
        writer.execute("DELETE FROM notes WHERE id > 2900")
        rest = [row for page in pages for row in page]

    assert [row["rowid"] for row in (*first, *rest)] == list(range(1, 2_901))
    assert len(first) < 1_000
    writer.close()


def test_pages_that_take_too_long_get_smaller_until_they_do_not(tmp_path):
    path = made(tmp_path / "a.db", rows=600)
    slow = " AND ".join(["(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
                         " SELECT count(*) FROM n WHERE i + notes.id > 0) > 0"])  # fmt: skip
    with Inspection(str(path), in_a_minute(), read_ms=40) as found:
        pages = list(paging.pages(found, "notes", ["id"], slow))

    assert [row["id"] for page in pages for row in page] == list(range(1, 601))
    assert len(pages) > 2


def test_one_moment_is_of_one_moment(tmp_path, neighbour):
    child = neighbour("c = opened(sys.argv[1])\nwhile True: fill(c, 10); pause('filled')", tmp_path / "a.db")
    assert child.line() == "filled"
    with inspected(tmp_path / "a.db") as found:
        with found.moment():
            assert found.number("SELECT count(*) FROM notes") == 10
            child.tell()
            assert child.line() == "filled"
            assert found.number("SELECT count(*) FROM notes") == 10
        assert found.number("SELECT count(*) FROM notes") == 20


def test_a_sample_is_from_everywhere_and_a_small_table_is_its_own_sample(tmp_path):
    made(tmp_path / "a.db", rows=5_000)
    with inspected(tmp_path / "a.db") as found:
        sample = [row["id"] for row in paging.sample(found, "notes", ["id"], most=320)]

    assert len(sample) <= 320
    assert min(sample) == 1
    assert max(sample) > 4_500


def test_texts_that_are_no_utf8_are_read_with_their_bytes_written_out(tmp_path):
    made(tmp_path / "a.db", rows=1)
    writer = apsw.Connection(str(tmp_path / "a.db"))
    writer.execute("UPDATE notes SET body = CAST(x'61ff62' AS TEXT)")
    writer.close()

    with inspected(tmp_path / "a.db") as found:
        assert found.rows("SELECT id, body FROM notes") == [{"id": 1, "body": "a\\xffb"}]


# --- told apart ------------------------------------------------------------------


def test_what_is_not_there_or_is_no_file_is_unreadable(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()

    for name in ("nothing", "folder", "pipe", "empty"):
        assert unread(tmp_path / name).how is How.UNREADABLE


def test_a_folder_in_the_place_of_the_log_or_the_journal_is_unreadable(tmp_path):
    for mode, name in (("delete", "a.db-journal"), ("wal", "a.db-wal")):
        (tmp_path / mode).mkdir()
        path = made(tmp_path / mode / "a.db", mode)
        (tmp_path / mode / name).mkdir()
        assert unread(path).how is How.UNREADABLE


def test_no_descriptors_is_unreadable(tmp_path):
    path = made(tmp_path / "a.db")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        assert unread(path).how is How.UNREADABLE
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_journal_of_a_killed_writer_is_left_for_the_next_one_and_unreadable(tmp_path, neighbour):
    child = neighbour(
        "c = opened(sys.argv[1], 'delete'); fill(c, 500)\n"
        "c.execute('PRAGMA cache_size = 1'); c.execute('BEGIN')\n"
        "c.execute('UPDATE notes SET body = 2'); pause('written')",
        tmp_path / "a.db",
    )
    assert child.line() == "written"
    child.kill()
    before = seen(tmp_path)

    assert unread(tmp_path / "a.db").how is How.UNREADABLE
    assert seen(tmp_path) == before


def test_a_writer_that_holds_everything_is_locked(tmp_path, neighbour):
    child = neighbour(
        "c = opened(sys.argv[1], 'delete'); c.execute('BEGIN EXCLUSIVE'); pause('held')", tmp_path / "a.db"
    )
    assert child.line() == "held"

    assert unread(tmp_path / "a.db").how is How.LOCKED


def test_a_schema_that_is_another_one_is_unreadable_and_not_damage(tmp_path):
    made(tmp_path / "a.db")

    assert unread(tmp_path / "a.db", text="SELECT nothing FROM notes").how is How.UNREADABLE


def test_pages_that_are_noise_are_corrupt(tmp_path):
    path = made(tmp_path / "a.db", rows=3_000)
    with path.open("r+b") as file:
        file.seek(40 * 4_096)
        file.write(bytes(range(255, -1, -1)) * 16)

    assert unread(path, text="SELECT sum(length(body)) FROM notes").how is How.CORRUPT
    assert whole.problems(str(path), in_a_minute()()) != []


def test_a_file_cut_short_and_one_that_never_was_a_database_are_corrupt(tmp_path):
    path = made(tmp_path / "a.db", rows=3_000)
    os.truncate(path, 100 * 4_096)
    (tmp_path / "page.html").write_bytes(b"<html>" * 1_000)

    assert unread(path, text="SELECT sum(length(body)) FROM notes").how is How.CORRUPT
    assert unread(tmp_path / "page.html").how is How.CORRUPT


def test_the_whole_of_a_live_database_is_checked_on_a_copy(tmp_path, neighbour):
    child = neighbour("c = opened(sys.argv[1]); fill(c, 5000); pause('filled')", tmp_path / "a.db")
    assert child.line() == "filled"
    before = seen(tmp_path)

    assert whole.problems(str(tmp_path / "a.db"), in_a_minute()()) == []
    assert seen(tmp_path) == before
