"""The index is made again when it is lost, damaged, or of another state.db; nothing of that reaches the caller."""

from __future__ import annotations

import os
import shutil
from hashlib import blake2b

import pytest
from search_helpers import child

from holdfast import schema, search
from holdfast.clock import wall_ms
from holdfast.errors import Damaged
from holdfast.sql import Statement
from holdfast.sqlite import Store
from homes import NOON_MS


@pytest.fixture
def full(make_home, searched):
    home = make_home()
    for n in range(30):
        home.thread(f"needle {n}", "some words " * 50, created_ms=NOON_MS + n * 1_000)
    found = searched(home)
    found.follow()
    return found


def run(found, text):
    with found.engine.write() as tx:
        tx.run(Statement("test", text, text, frozenset(), frozenset()))


@pytest.mark.parametrize("size", ["0", "100", "same"])
def test_garbage_in_place_of_the_file_is_replaced_when_it_is_opened(full, size):
    full.index.close()
    length = full.path.stat().st_size if size == "same" else int(size)
    full.path.write_bytes(b"\xa5garbage" * 100_000 if size == "same" else b"g" * length)
    full.index = search.open_index(full.path, wall_ms)
    assert not full.find("needle").complete
    assert full.feed().messages == 60
    assert len(full.find("needle", limit=100)) == 30


def overwrite_pages(full):
    full.index.close()
    with open(full.path, "r+b") as file:
        for page in range(2, full.path.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(b"\xa5" * 4096)
    full.index = search.open_index(full.path, wall_ms)


def test_pages_that_were_overwritten_are_noticed_and_the_index_is_made_again(full):
    overwrite_pages(full)
    hits = full.find("needle")
    assert (hits.hits, hits.complete) == ((), False)
    report = full.feed()
    assert (report.complete, report.messages) == (True, 60)
    assert len(full.find("needle", limit=100)) == 30


def test_damage_that_feeding_meets_is_mended_by_that_feeding(full):
    overwrite_pages(full)
    full.home.append(full.home.files()[0].name[-42:-6], "one more")
    full.scan()
    report = full.feed()
    assert (report.complete, report.messages) == (True, 61)


def test_a_file_that_is_deleted_while_it_is_open_is_made_again(full):
    for suffix in ("-wal", "-shm", ""):
        os.unlink(f"{full.path}{suffix}")
    full.home.append(full.home.files()[0].name[-42:-6], "one more")
    full.scan()
    report = full.feed()
    assert (report.complete, report.messages) == (True, 61)
    assert len(full.find("needle", limit=100)) == 30
    assert full.ids("more")


def test_another_process_goes_on_with_the_file_that_replaced_its_own(full):
    with child(
        """
assert len(search.find(engine, index, known, "needle", limit=100)) == 30
say("open")
sys.stdin.readline()
report = feed()
say(report.complete, len(search.find(engine, index, known, "needle", limit=100)))
""",
        full.folder,
    ) as other:
        assert other.stdout.readline() == "open\n"
        full.index.suspect()
        assert full.feed().messages == 60
        full.home.append(full.home.files()[0].name[-42:-6], "one more")
        full.scan()
        other.stdin.write("go\n")
        other.stdin.flush()
        assert other.stdout.readline() == "True 30\n"
    assert full.ids("more")


def test_a_state_that_was_made_anew_is_fed_anew(full):
    full.engine.close()
    for suffix in ("", "-wal", "-shm", ".seat"):
        if os.path.exists(full.folder / f"state.db{suffix}"):
            os.unlink(full.folder / f"state.db{suffix}")
    full.home.delete(full.home.files()[0].name[-42:-6])  # so row ids mean other threads
    full.engine = Store.open(full.folder / "state.db", clock=wall_ms)
    schema.migrate(full.engine)
    full.scan()
    assert full.find("needle") == search.Hits(hits=(), complete=False)
    assert full.status.messages == 0
    assert full.feed().messages == 58
    assert len(full.find("needle", limit=100)) == 29


def test_a_state_that_went_back_in_time_is_fed_anew(full, tmp_path):
    full.engine.close()
    shutil.copy(full.folder / "state.db", tmp_path / "old.db")
    full.engine = Store.open(full.folder / "state.db", clock=wall_ms)
    new = full.home.thread("needle of later")
    full.follow()
    full.engine.close()
    shutil.copy(tmp_path / "old.db", full.folder / "state.db")
    full.engine = Store.open(full.folder / "state.db", clock=wall_ms)
    assert full.feed().complete
    assert new not in full.ids("needle", limit=100)
    full.follow()
    assert new in full.ids("needle", limit=100)
    assert len(full.find("needle", limit=100)) == 31


def test_a_new_epoch_is_another_state(full):
    run(full, "UPDATE counters SET value = value + 1 WHERE name = 'epoch'")
    assert not full.find("needle").complete
    assert full.feed().messages == 60
    assert len(full.find("needle", limit=100)) == 30


def test_a_row_id_given_away_again_shows_no_words_of_another_thread(full):
    run(full, "UPDATE threads SET thread_id = randomblob(16) WHERE n = (SELECT max(n) FROM threads)")
    assert len(full.find("needle", limit=100)) == 29


def test_damage_of_state_db_is_told_and_costs_no_index(full):
    root = Statement("root", "SELECT rootpage FROM sqlite_schema WHERE name = 'threads'", "", frozenset(), frozenset())
    with full.engine.read() as tx:
        page = tx.row(root)["rootpage"]
    full.engine.close()
    with open(full.folder / "state.db", "r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xa5" * 4096)
    full.engine = Store.open(full.folder / "state.db", clock=wall_ms)
    homes = full.homes
    inode = full.path.stat().st_ino
    with pytest.raises(Damaged):
        search.find(full.engine, full.index, homes, "needle")
    assert not full.index.damaged
    assert full.path.stat().st_ino == inode


def test_a_disk_without_room_leaves_the_index_incomplete_and_says_so(make_home, searched):
    home = make_home()
    for n in range(30):
        text = " ".join(blake2b(f"{n} {k}".encode()).hexdigest() for k in range(500))
        home.thread(f"needle {n} {text}", created_ms=NOON_MS + n * 1_000)
    found = searched(home)
    found.scan()
    found.index.close()
    limited = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (arguments["bytes"], resource.RLIM_INFINITY))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
report = feed()
say(report.complete, "File too large" in report.problem)
say(search.find(engine, index, known, "needle").complete)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
report = feed()
say(report.complete, len(search.find(engine, index, known, "needle", limit=100)))
"""
    room = max((found.folder / name).stat().st_size for name in ("state.db", "state.db-wal")) + 100_000
    with child(limited, found.folder, bytes=room) as other:
        assert other.communicate(timeout=60)[0].splitlines() == ["False True", "False", "True 30"]


def test_a_peek_answers_and_writes_nothing(full):
    full.index.close()
    before = full.path.read_bytes()
    index = search.peek_index(full.path, wall_ms)
    assert len(search.find(full.engine, index, full.homes, "needle", limit=100)) == 30
    index.close()
    assert full.path.read_bytes() == before
    assert not os.path.exists(f"{full.path}-wal")
    assert search.peek_index(full.folder / "nothing.db", wall_ms) is None
    (full.folder / "bad.db").write_bytes(b"x" * 5_000)
    assert search.peek_index(full.folder / "bad.db", wall_ms) is None
    full.index = search.open_index(full.path, wall_ms)
