import os
import threading

import apsw
import pytest
from sqlite_helpers import INSERT, TEXTS, q, texts

from holdfast.errors import Busy, Refused, Unsupported
from holdfast.sql import parse
from holdfast.sqlite import Store, core, settings
from holdfast.sqlite.reads import Readers


def test_a_write_is_kept_when_its_body_ends_and_taken_back_when_it_raises(store):
    with store.write() as tx:
        assert tx.run(INSERT, text="kept") == 1
    with pytest.raises(ZeroDivisionError), store.write() as tx:
        tx.run(INSERT, text="lost")
        raise ZeroDivisionError
    assert texts(store) == ["kept"]


def test_rows_are_dicts_and_a_missing_row_is_none(store):
    with store.write() as tx:
        assert tx.run_many(INSERT, ({"text": text} for text in "abc")) == 3
        assert tx.row(q("SELECT id, text AS t FROM notes WHERE id = :id"), id=2) == {"id": 2, "t": "b"}
        assert tx.row(q("SELECT 1 FROM notes WHERE id = :id"), id=9) is None
        assert tx.rows(q("SELECT 1 FROM notes WHERE id = :id"), id=9) == []
        assert tx.row(q("INSERT INTO notes (text) VALUES ('d'), ('e') RETURNING text")) == {"text": "d"}
    assert texts(store) == list("abcde")


def test_run_counts_the_rows_it_changed_and_nothing_else(store):
    with store.write() as tx:
        tx.run_many(INSERT, [{"text": "x"}] * 3)
        assert tx.run(q("CREATE TABLE other (id INTEGER PRIMARY KEY)")) == 0
        assert tx.run(q("UPDATE notes SET text = 'y' WHERE id < :id"), id=3) == 2
        assert tx.run(q("DELETE FROM notes WHERE id = :id RETURNING id"), id=1) == 1


def test_a_column_renamed_by_another_connection_has_its_new_name_at_once(store, path):
    everything = q("SELECT * FROM notes")
    with store.write() as tx:
        tx.run(INSERT, text="a")
    with store.read() as tx:
        assert tx.row(everything) == {"id": 1, "text": "a"}
    other = apsw.Connection(path)
    other.execute("ALTER TABLE notes RENAME COLUMN text TO words")
    other.close()
    with store.read() as tx:
        assert tx.row(everything) == {"id": 1, "words": "a"}


@pytest.mark.parametrize(
    ("text", "params", "word"),
    [
        ("SELECT :absent", {}, "absent"),
        ("SELECT :x", {"x": object()}, "object"),
        ("SELEC 1", {}, "syntax"),
        ("COMMIT", {}, "begins and ends"),
        ("SAVEPOINT mine", {}, "begins and ends"),
        ("INSERT INTO notes (id, text) VALUES (1, NULL)", {}, "NOT NULL"),
    ],
)
def test_a_call_that_must_be_changed_is_refused_and_costs_the_transaction_nothing(store, text, params, word):
    with store.write() as tx:
        tx.run(INSERT, text="a")
        with pytest.raises(Refused, match=word):
            tx.run(q(text), **params)
    assert texts(store) == ["a"]


def test_a_statement_with_open_slots_is_refused(store):
    from holdfast.sql import _statement

    (text,) = parse("-- name: listed\nSELECT text FROM notes {where}").values()
    statement = _statement("listed", text, text)
    with store.read() as tx:
        with pytest.raises(Refused, match="where"):
            tx.rows(statement)
        assert tx.rows(statement.fill(where="WHERE id = 1")) == []


def test_a_script_runs_whole_or_not_at_all_and_may_not_commit(store):
    with pytest.raises(Refused, match="not authorized"), store.write() as tx:
        tx.script("CREATE TABLE a (id INTEGER); COMMIT; CREATE TABLE b (id INTEGER)")
    with store.write() as tx:
        tx.script("CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY);")
        tx.user_version = 7
    with store.read() as tx:
        assert tx.user_version == 7
        assert tx.row(q("SELECT count(*) AS n FROM sqlite_schema WHERE name IN ('a', 'b')")) == {"n": 2}


def test_the_schema_number_goes_back_with_its_transaction(store):
    with pytest.raises(KeyError), store.write() as tx:
        tx.user_version = 9
        raise KeyError
    with store.read() as tx:
        assert tx.user_version == 0


def test_a_transaction_that_is_over_is_refused(store):
    with store.write() as tx:
        pass
    with store.read() as seen:
        pass
    with pytest.raises(Refused, match="over"):
        tx.run(INSERT, text="late")
    with pytest.raises(Refused, match="over"):
        seen.rows(TEXTS)


def test_a_write_inside_a_write_of_the_same_thread_is_refused_and_the_outer_one_goes_on(store):
    with store.write() as tx:
        with pytest.raises(Refused, match="inside a write"), store.write():
            pass
        tx.run(INSERT, text="outer")
    assert texts(store) == ["outer"]


def test_a_read_inside_a_read_joins_it_and_sees_the_same_moment(store):
    with store.read() as outer:
        assert outer.rows(TEXTS) == []
        with store.write() as tx:
            tx.run(INSERT, text="new")
        with store.read() as inner:
            assert inner is outer
            assert inner.rows(TEXTS) == []
        assert outer.rows(TEXTS) == []
    assert texts(store) == ["new"]


def test_reads_that_overlap_in_one_thread_end_with_the_last(store):
    first, second = store.read(), store.read()
    first.__enter__()
    tx = second.__enter__()
    first.__exit__(None, None, None)
    assert tx.rows(TEXTS) == []
    second.__exit__(None, None, None)
    with pytest.raises(Refused):
        tx.rows(TEXTS)


def test_a_read_cannot_write_whatever_it_runs(store):
    with store.read() as tx, pytest.raises(Refused, match="readonly"):
        tx.rows(q("INSERT INTO notes (text) VALUES ('x') RETURNING id"))
    assert texts(store) == []


def test_a_read_waits_for_a_reader_until_its_deadline(make):
    store = make(readers=1, read_wait_ms=20)
    entered, leave = threading.Event(), threading.Event()

    def hold():
        with store.read():
            entered.set()
            leave.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    entered.wait(10)
    with pytest.raises(Busy, match=r"waited \d+ ms for one of the 1 readers"), store.read():
        pass
    leave.set()
    holder.join()
    assert texts(store) == []


def test_the_clock_is_read_once_and_after_the_seat_is_taken(store):
    ticks = iter(range(100, 200))
    store.clock = lambda: next(ticks)
    with store.write() as tx:
        assert (tx.now_ms, tx.now_ms) == (100, 100)
    with store.read() as tx:
        assert tx.now_ms == 101


def test_a_clock_that_fails_leaves_nothing_taken(store):
    def broken():
        raise ValueError("no time")

    store.clock = broken
    with pytest.raises(ValueError, match="no time"), store.write():
        pass
    with pytest.raises(ValueError, match="no time"), store.read():
        pass
    store.clock = lambda: 5
    with store.write() as tx:
        tx.run(INSERT, text="a")
    assert texts(store) == ["a"]


def test_lower_folds_every_script_and_is_the_same_on_every_connection(store):
    with store.write() as tx:
        tx.run(INSERT, text="ÄRGER in ΑΘΗΝΑ")
        assert tx.row(q("SELECT lower(NULL) AS none, lower(12) AS twelve")) == {"none": None, "twelve": "12"}
    with store.read() as tx:
        found = tx.rows(q("SELECT id FROM notes WHERE lower(text) LIKE lower(:q)"), q="%Ärger%αθηνα")
    assert found == [{"id": 1}]


@pytest.mark.parametrize("version", ["3.51.3", "3.54.1", "3.50.7", "3.44.6", "4.0.0"])
def test_a_sqlite_with_the_fix_is_supported(version):
    settings.check_version(version)


@pytest.mark.parametrize("version", ["3.51.2", "3.50.6", "3.49.9", "3.45.0", "3.44.5", "3.40.1"])
def test_a_sqlite_that_can_lose_commits_is_unsupported(version):
    with pytest.raises(Unsupported, match=version):
        settings.check_version(version)


def test_every_connection_is_set_up_before_it_is_used(store):
    wanted = {"foreign_keys": 1, "trusted_schema": 0, "cell_size_check": 1, "mmap_size": 0, "temp_store": 2}
    with store.write() as tx:
        seen = {name: tx.row(q(f"PRAGMA {name}")) for name in wanted}
        assert {name: next(iter(row.values())) for name, row in seen.items()} == wanted
        assert tx.row(q("PRAGMA synchronous")) == {"synchronous": 2}
        assert tx.row(q("PRAGMA wal_autocheckpoint")) == {"wal_autocheckpoint": 4000}
        assert tx.row(q("PRAGMA auto_vacuum")) == {"auto_vacuum": 2}
        with pytest.raises(Refused, match="no such column"):
            tx.row(q('SELECT "not a column"'))
    with store.read() as tx:
        seen = {name: tx.row(q(f"PRAGMA {name}")) for name in wanted}
        assert {name: next(iter(row.values())) for name, row in seen.items()} == wanted
        assert tx.row(q("PRAGMA query_only")) == {"query_only": 1}


def test_two_handles_share_one_core_and_the_last_close_removes_the_sidecars(store, path, tmp_path, clock):
    second = Store.open(tmp_path / "." / "state.db", clock=clock)
    with second.write() as tx:
        tx.run(INSERT, text="second")
    assert texts(store) == ["second"]
    with pytest.raises(Refused, match="durability"):
        Store.open(path, clock=clock, durability="normal")
    store.close()
    store.close()
    assert texts(second) == ["second"]
    with pytest.raises(Refused, match="closed"):
        store.read()
    second.close()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["state.db", "state.db.seat"]
    assert (tmp_path / "state.db").stat().st_mode & 0o777 == 0o600


def interrupted_once(monkeypatch, owner, name):
    """Have Ctrl-C come just after ``owner.name`` did its work, once."""
    real = getattr(owner, name)

    def once(*args, **options):
        monkeypatch.setattr(owner, name, real)
        real(*args, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, name, once)


def test_ctrl_c_just_after_a_write_began_shuts_nobody_out(store, path, clock, monkeypatch):
    interrupted_once(monkeypatch, core, "begin_immediate")
    with pytest.raises(KeyboardInterrupt), store.write():
        pass

    neighbour = apsw.Connection(path)
    neighbour.execute("BEGIN IMMEDIATE; ROLLBACK")
    neighbour.close()
    with store.write(wait_ms=0) as tx:
        tx.run(INSERT, text="next")
    assert texts(store) == ["next"]


@pytest.mark.parametrize("times", [1, 3])  # more often than there are readers
def test_ctrl_c_just_after_a_read_began_leaves_no_old_snapshot_behind(store, times, monkeypatch):
    for _ in range(times):
        interrupted_once(monkeypatch, Readers, "begin")
        with pytest.raises(KeyboardInterrupt), store.read():
            pass

    with store.write() as tx:
        tx.run(INSERT, text="since")
    for _ in range(3):
        assert texts(store) == ["since"]


@pytest.mark.parametrize(("value", "told"), [("\udc80", "lone surrogate"), (1 << 64, "int too (large|big)")])
def test_a_value_that_sqlite_cannot_hold_is_refused_and_the_rest_is_kept(store, value, told):
    with store.write() as tx:
        tx.run(INSERT, text="kept")
        for ask in (tx.row, tx.rows, tx.tuples, tx.run):
            with pytest.raises(Refused, match=told):
                ask(q("SELECT 1 FROM notes WHERE text = :text"), text=value)
        with pytest.raises(Refused, match=told):
            tx.run_many(INSERT, [{"text": value}])
    assert texts(store) == ["kept"]


def test_a_look_minds_no_index_that_a_full_disk_left_unfinished(store, path):
    with store.write() as tx:
        tx.run(INSERT, text="kept")
    store.close()
    for suffix, content in (("-wal", b""), ("-shm", b"abc")):
        with open(path + suffix, "wb") as file:
            file.write(content)
    with Store.peek(path) as looking:
        assert texts(looking) == ["kept"]
    assert os.path.getsize(path + "-shm") == 3
