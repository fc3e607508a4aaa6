"""``connect``: what code written for sqlite3 finds again, and where it is told that it does not."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest
from connect_helpers import descriptors, sidecars

from holdfast import sqlite
from holdfast.errors import Busy, HoldfastError, Refused
from holdfast.sql import statement
from holdfast.sqlite import Limits, Store

SCHEMA = """
-- a comment; with a semicolon
CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE, stars INTEGER DEFAULT 0);
CREATE TABLE IF NOT EXISTS log (note INTEGER REFERENCES notes (id), what TEXT);
CREATE TRIGGER IF NOT EXISTS noted AFTER INSERT ON notes BEGIN
    INSERT INTO log VALUES (new.id, 'made; by trigger');
END;
"""


@pytest.fixture
def open_one(path):
    """Connect to the file of this test; all are closed afterwards."""
    opened = []

    def open_one(**options):
        opened.append(sqlite.connect(path, **options))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()
    sqlite.close_idle()
    assert sidecars(path) == []


@pytest.fixture
def conn(open_one):
    conn = open_one()
    conn.executescript(SCHEMA)
    return conn


def texts(conn):
    return [text for (text,) in conn.execute("SELECT text FROM notes ORDER BY id")]


def in_thread(work):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def test_a_harness_as_they_are_written(path):
    local = threading.local()

    def connection():
        if not hasattr(local, "conn"):
            local.conn = sqlite.connect(path, timeout=10)
            local.conn.row_factory = sqlite.Row
            local.conn.execute("PRAGMA journal_mode=WAL")
            local.conn.execute("PRAGMA busy_timeout=10000")
            local.conn.execute("PRAGMA synchronous=NORMAL")
            local.conn.execute("PRAGMA foreign_keys=ON")
        return local.conn

    def migrate():
        conn = connection()
        if conn.execute("PRAGMA user_version").fetchone()[0] < 1:
            conn.executescript(SCHEMA)
            conn.execute("PRAGMA user_version = 1")
            conn.commit()
        columns = {row["name"] for row in conn.execute("PRAGMA table_info(notes)")}
        if "done" not in columns:
            conn.execute("ALTER TABLE notes ADD COLUMN done INTEGER")

    def tick(number):
        conn = connection()
        conn.execute("BEGIN IMMEDIATE")
        try:
            conn.execute("INSERT INTO notes (text) VALUES (:text)", {"text": f"note {number}"})
            conn.execute("COMMIT")
        except sqlite.OperationalError:
            conn.execute("ROLLBACK")
            raise
        with sqlite.connect(path) as short:
            return short.execute("SELECT count(*) FROM notes").fetchone()[0]

    migrate()
    migrate()
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(tick, range(40)))
    assert max(seen) == 40
    row = connection().execute("SELECT * FROM notes WHERE text = ?", ("note 7",)).fetchone()
    assert (row["TEXT"], row[2], row.keys()) == ("note 7", 0, ["id", "text", "stars", "done"])
    with pytest.raises(sqlite.IntegrityError, match="FOREIGN KEY constraint failed"):
        connection().execute("INSERT INTO log VALUES (99, 'of nothing')")
    connection().close()


def test_leaving_with_commits_and_closes_and_an_exception_takes_back(conn, open_one):
    with open_one() as other:
        other.execute("INSERT INTO notes (text) VALUES ('kept')")
    with pytest.raises(KeyError), open_one() as failing:
        failing.execute("INSERT INTO notes (text) VALUES ('lost')")
        raise KeyError
    assert texts(conn) == ["kept"]
    for closed in (other, failing):
        with pytest.raises(sqlite.ProgrammingError, match="closed database"):
            closed.execute("SELECT 1")


def test_a_transaction_is_seen_by_its_connection_only_until_it_commits(conn, open_one):
    conn.execute("INSERT INTO notes (text) VALUES ('a')")
    assert conn.in_transaction
    assert (texts(conn), texts(open_one())) == (["a"], [])
    conn.commit()
    assert not conn.in_transaction
    assert texts(open_one()) == ["a"]
    conn.execute("DELETE FROM notes")
    conn.rollback()
    assert texts(conn) == ["a"]


def test_who_waits_for_an_open_transaction_is_told_who_has_it_and_since_when(conn, open_one):
    conn.execute("INSERT INTO notes (text) VALUES ('a')")

    def wait():
        with pytest.raises(sqlite.OperationalError) as told:
            open_one(timeout=0.03).execute("INSERT INTO notes (text) VALUES ('b')")
        return told.value

    for error in (wait(), in_thread(wait)):  # also in the thread that has it: another may commit
        assert str(error).startswith("database is locked: waited ")
        assert "held by thread 'MainThread' of this process for " in str(error)
        assert (error.sqlite_errorname, type(error.__cause__)) == ("SQLITE_BUSY", Busy)
    in_thread(conn.commit)  # any thread may end it
    assert in_thread(lambda: texts(open_one())) == ["a"]


def test_another_process_names_the_process_that_holds_a_transaction(conn, child):
    conn.execute("INSERT INTO notes (text) VALUES ('a')")
    other = child("""
try: connect(PATH, timeout=0.03).execute("INSERT INTO notes (text) VALUES ('b')")
except OperationalError as error: say(error)
""")
    assert f"held by pid {os.getpid()} " in other.line()


def test_a_held_transaction_joins_no_group_and_keeps_nobody_from_committing(open_one, path):
    # A member of a group returns when the last has committed. One that stays open would be waited for.
    conn = open_one(limits=Limits(group_ms=60_000))
    conn.executescript(SCHEMA)
    with Store.open(path, application_id=None) as store:
        first_is_in, another_waits = threading.Event(), threading.Event()
        insert = statement("INSERT INTO notes (text) VALUES ('of the store')")

        def write():
            with store.write() as tx:
                tx.run(insert)
                first_is_in.set()
                while not store._core.baton._line.wanted:
                    another_waits.wait(0.001)
            return "returned"

        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(write)
            first_is_in.wait()
            conn.execute("INSERT INTO notes (text) VALUES ('held')")
            try:
                assert done.result(10) == "returned"
                assert conn.in_transaction
            finally:
                conn.commit()
    assert texts(conn) == ["of the store", "held"]


def test_writes_in_autocommit_share_a_commit(path, open_one, conn):
    with Store.open(path, application_id=None) as store:
        before = store.status()
        start = threading.Barrier(8)

        def work(number):
            mine = open_one(isolation_level=None)
            start.wait()
            for turn in range(25):
                mine.execute("INSERT INTO notes (text) VALUES (?)", (f"{number}-{turn}",))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        after = store.status()
    assert after.transactions - before.transactions == 200
    assert after.groups - before.groups < 200
    assert len(texts(conn)) == 200


def test_a_connection_that_is_dropped_gives_its_transaction_back(conn, open_one, path):
    gc.disable()
    try:
        dropped = sqlite.connect(path)
        dropped.execute("INSERT INTO notes (text) VALUES ('lost')")
        with contextlib.suppress(sqlite.IntegrityError):
            dropped.execute("INSERT INTO notes (text) VALUES ('lost')")
        del dropped
        open_one().execute("DELETE FROM notes")  # waits, at most its 5 s
    finally:
        gc.enable()


def test_a_thread_that_ends_in_a_transaction_gives_it_back_and_the_connection_says_so(conn, open_one):
    shared = open_one()
    thread = threading.Thread(
        target=lambda: shared.execute("INSERT INTO notes (text) VALUES ('lost')"), name="short-lived"
    )
    thread.start()
    thread.join()
    conn.execute("INSERT INTO notes (text) VALUES ('kept')")
    conn.commit()
    with pytest.raises(sqlite.OperationalError, match="thread 'short-lived' began it, and ended without commit"):
        shared.commit()
    shared.execute("INSERT INTO notes (text) VALUES ('again')")
    shared.commit()
    assert texts(conn) == ["kept", "again"]


@pytest.mark.parametrize("closing", [True, False], ids=["closed", "dropped"])
def test_ten_thousand_ticks_keep_the_descriptors_and_the_inode(path, closing):
    """Open, ask, write, close or not: what Hermes does at each tick."""
    with sqlite.connect(path) as conn:
        conn.executescript(SCHEMA)
    seen = set()
    for tick in range(10_000):
        conn = sqlite.connect(path, durability="full")
        conn.execute("SELECT * FROM notes WHERE id = ?", (tick,)).fetchall()
        if tick % 50 == 0:
            conn.execute("INSERT INTO notes (text) VALUES (?)", (f"note {tick}",))
            conn.commit()
            seen.add((descriptors(path), os.stat(path).st_ino))
        if closing:
            conn.close()
    conn.close()
    assert len({inode for _, inode in seen}) == 1
    assert max(count for count, _ in seen) <= 8  # a writer and two readers: db, -wal, a shared -shm, and the seat
    sqlite.close_idle()
    assert (descriptors(path), sidecars(path)) == (0, [])


def test_sixty_four_threads_that_die_without_closing_leave_nothing(path):
    with sqlite.connect(path) as conn:
        conn.executescript(SCHEMA)
    kept, most = sqlite.connect(path), []

    def work(number):
        conn = sqlite.connect(path, timeout=30)
        for turn in range(5):
            conn.execute("INSERT INTO notes (text) VALUES (?)", (f"{number}-{turn}",))
            conn.commit()
            conn.execute("SELECT * FROM notes ORDER BY id DESC LIMIT 5").fetchone()
        conn.execute("INSERT INTO notes (text) VALUES (?)", (f"{number}-open",))
        most.append(descriptors(path))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept.execute("UPDATE notes SET stars = 1")
    kept.commit()
    assert len(texts(kept)) == 64 * 5
    assert max(most) <= 8
    kept.close()
    sqlite.close_idle()
    assert (descriptors(path), sidecars(path)) == (0, [])


@pytest.mark.parametrize("how", ["conn.close()", "del conn", "pass", "conn.execute('DELETE FROM t')"])
def test_a_process_that_ends_leaves_one_file(child, path, how):
    other = child(f"""
conn = connect(PATH)
conn.executescript("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
{how}
say("done")
""")
    assert other.line() == "done"
    assert other.wait() == 0
    assert sidecars(path) == []
    with sqlite.connect(path) as conn:
        assert conn.execute("SELECT a FROM t").fetchall() == [(1,)]
    sqlite.close_idle()


def test_a_store_that_leaves_last_closes_the_file_there_and_then(conn, path):
    conn.commit()
    store = Store.open(path, application_id=None)
    conn.close()
    assert descriptors(path) > 0
    store.close()
    assert (descriptors(path), sidecars(path)) == (0, [])


def test_a_forked_child_in_mid_transaction_is_told_and_the_parent_commits(conn, child, path):
    conn.commit()
    other = child("""
conn = connect(PATH)
conn.execute("INSERT INTO notes (text) VALUES ('of the parent')")
pid = os.fork()
if pid == 0:
    for _ in range(2):
        try: conn.execute("SELECT 1")
        except OperationalError as error: say(type(error).__name__, error)
    os._exit(0)
os.waitpid(pid, 0)
conn.commit()
say("committed")
""")
    assert "forked in the middle of a transaction" in other.line()
    assert "was forked while" in other.line()
    assert other.line() == "committed"
    assert texts(conn) == ["of the parent"]


def test_a_forked_child_outside_of_a_transaction_goes_on(conn, child):
    conn.commit()
    other = child("""
conn = connect(PATH)
conn.execute("SELECT 1")
pid = os.fork()
conn.execute("INSERT INTO notes (text) VALUES (?)", (str(pid == 0),))
conn.commit()
if pid == 0: os._exit(0)
os.waitpid(pid, 0)
say("done")
""")
    assert other.line() == "done"
    assert sorted(texts(conn)) == ["False", "True"]


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_another_programs_file_is_taken_as_it_is(path, mode):
    theirs = apsw.Connection(path)
    theirs.execute(f"PRAGMA journal_mode = {mode}").fetchall()
    theirs.execute("PRAGMA application_id = 77; PRAGMA user_version = 12; CREATE TABLE t (a TEXT)").fetchall()
    theirs.execute("CREATE INDEX folded ON t (lower(a)); INSERT INTO t VALUES ('ÄRGER')").fetchall()
    schema = theirs.execute("SELECT * FROM sqlite_schema").fetchall()
    theirs.close()
    with sqlite.connect(path) as conn:
        assert conn.execute("SELECT * FROM sqlite_schema").fetchall() == schema
        conn.execute("INSERT INTO t VALUES ('ÖL')")
        for name, value in (("application_id", 77), ("user_version", 12), ("journal_mode", "wal"), ("foreign_keys", 0)):
            assert conn.execute(f"PRAGMA {name}").fetchone() == (value,)
        # Our lower() folds more than theirs; their index must stay as they would write it.
        assert conn.execute("SELECT lower(a) FROM t ORDER BY a").fetchall() == [("Ärger",), ("Öl",)]
    sqlite.close_idle()
    theirs = apsw.Connection(path)
    assert theirs.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    theirs.close()


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
@pytest.mark.parametrize("application_id", [0, 77])
def test_a_store_refuses_another_programs_file_and_leaves_every_byte(path, mode, application_id):
    theirs = apsw.Connection(path)
    theirs.execute(f"PRAGMA journal_mode = {mode}").fetchall()
    theirs.execute(f"PRAGMA application_id = {application_id}; CREATE TABLE theirs (id)").fetchall()
    theirs.close()
    before, names = Path(path).read_bytes(), set(os.listdir(os.path.dirname(path)))

    with pytest.raises(Refused, match=r"another program's database.*left as it is"):
        Store.open(path)

    assert Path(path).read_bytes() == before
    assert set(os.listdir(os.path.dirname(path))) - names <= {"state.db.seat"}


def test_a_refused_file_that_was_killed_keeps_its_log(path, child):
    child("""
connection = apsw.Connection(PATH)
connection.execute("PRAGMA journal_mode = WAL; PRAGMA application_id = 77; CREATE TABLE theirs (id)").fetchall()
say("in")
os._exit(0)
""").wait()
    before = [Path(path + end).read_bytes() for end in ("", "-wal")]
    with pytest.raises(Refused):
        Store.open(path)
    assert [Path(path + end).read_bytes() for end in ("", "-wal")] == before


def test_a_file_without_tables_becomes_a_stores(path):
    sqlite.connect(path).close()
    sqlite.close_idle()
    for _ in range(2):
        with Store.open(path) as store, store.write() as tx:
            tx.script("CREATE TABLE IF NOT EXISTS t (a)")


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("PRAGMA journal_mode = DELETE", "write-ahead log"),
        ("PRAGMA synchronous = OFF", "power cut"),
        ("PRAGMA locking_mode = EXCLUSIVE", "other processes"),
        ("PRAGMA mmap_size = 1000000", "SIGBUS"),
        ("PRAGMA writable_schema = ON", "unreadable"),
        ("PRAGMA temp.user_version = 3", "one schema"),
        ("PRAGMA of_tomorrow = 1", "not known"),
        ("ATTACH 'other.db' AS other", "keeps one file"),
        ("CREATE TEMP TABLE t (a)", "temporary"),
        ("CREATE TABLE IF NOT EXISTS temp.t (a)", "temporary"),
        ("SELECT changes()", "rowcount"),
    ],
)
def test_what_a_shared_file_cannot_do_is_refused_with_a_sentence(conn, sql, why):
    with pytest.raises(sqlite.NotSupportedError, match=why):
        conn.execute(sql)


@pytest.mark.parametrize("name", ["", ":memory:"])
def test_what_is_no_file_is_refused(name):
    with pytest.raises(sqlite.NotSupportedError, match="takes the path of a file"):
        sqlite.connect(name)


def test_a_path_without_a_directory_makes_none(tmp_path):
    with pytest.raises(sqlite.OperationalError, match="unable to open database file"):
        sqlite.connect(tmp_path / "missing" / "notes.db")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_database_is_a_database_error_and_stays(tmp_path):
    (tmp_path / "notes.db").write_text("no database" * 100)
    with pytest.raises(sqlite.DatabaseError, match="not a database"):
        sqlite.connect(tmp_path / "notes.db")
    assert (tmp_path / "notes.db").read_text() == "no database" * 100


def test_no_cursor_pins_the_log(conn, path):
    conn.executemany("INSERT INTO notes (text) VALUES (?)", [(str(number),) for number in range(100)])
    conn.commit()
    cursor = conn.execute("SELECT * FROM notes")
    assert cursor.fetchone() is not None
    assert sqlite.pinners(path) == []
    conn.execute("VACUUM")
    assert conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
    assert len(cursor.fetchall()) == 99


def test_each_connection_has_its_own_last_id_and_count(conn, open_one):
    other = open_one(isolation_level=None)
    conn.execute("INSERT INTO notes (text) VALUES ('a')")
    conn.commit()
    other.execute("INSERT INTO log VALUES (1, 'x')")
    other.execute("INSERT INTO log VALUES (1, 'y')")
    conn.execute("INSERT OR IGNORE INTO notes (text) VALUES ('a')")
    conn.commit()
    assert conn.execute("SELECT last_insert_rowid()").fetchone() == (1,)
    assert (conn.total_changes, other.total_changes) == (2, 2)  # a note and what its trigger wrote


def test_foreign_keys_are_each_connections_own(conn, open_one):
    strict, loose = open_one(isolation_level=None), open_one(isolation_level=None)
    strict.execute("PRAGMA foreign_keys = ON")
    for _ in range(2):
        loose.execute("INSERT INTO log VALUES (99, 'x')")
        with pytest.raises(sqlite.IntegrityError):
            strict.execute("INSERT INTO log VALUES (99, 'x')")


def test_a_failed_statement_of_no_meaning_leaves_no_lock(conn, open_one):
    for sql, values in (("INSERT INTO nowhere VALUES (1)", ()), ("INSERT INTO notes (text) VALUES (?)", (1, 2))):
        with contextlib.suppress(sqlite.Error):
            conn.execute(sql, values)
        assert not conn.in_transaction
    open_one(timeout=0).execute("DELETE FROM notes")


def test_values_that_sqlite_has_no_word_for_are_refused(conn):
    with pytest.raises(OverflowError, match="too large"):
        conn.execute("SELECT ?", (2**70,))
    with pytest.raises(sqlite.ProgrammingError, match=r"type object.*convert the rest"):
        conn.execute("SELECT ?", (object(),))


def test_one_except_clause_catches_them_all(conn):
    with pytest.raises(HoldfastError, match="syntax error"):
        conn.execute("SELEC 1")
