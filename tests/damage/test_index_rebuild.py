"""A state.db that is damaged, or gone: told, left as it is, and made again with everything people said."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys

import pytest

import holdfast
from holdfast import Busy, Damaged, Refused, Stale, board, holds, jobs
from index_helpers import (
    expected_labels,
    index_of,
    indexed_alone,
    labels,
    thread_id,
)
from rows import findings, statement

COUNT = 120


def open_home(home, state_dir, **options):
    return holdfast.open(home, state_dir=state_dir, search=False, **options)


def say_things(state):
    state.threads.rename(thread_id(1), "mine")
    state.threads.rename(thread_id(20), "")  # takes away what the home's own names file says
    state.threads.archive(thread_id(2))
    state.threads.unarchive(thread_id(9))


def check_things(state):
    assert state.threads.get(thread_id(1)).name == "mine"
    assert state.threads.get(thread_id(20)).name is None
    assert state.threads.get(thread_id(40)).name == "name 40"
    assert state.threads.get(thread_id(2)).archived
    assert not state.threads.get(thread_id(9)).archived
    assert len(state.threads.list(archived=None, limit=500)) == COUNT


def fence(state):
    with state.write() as tx:
        hold = holds.take(tx, "a probe", holds.me(), lease_ms=1)
        holds.release(tx, hold)
    return hold.fence


def bytes_of(state_dir):
    return {
        name: (state_dir / name).read_bytes() for name in sorted(os.listdir(state_dir)) if name.startswith("state.db")
    }


@pytest.fixture
def home(homes):
    return homes.make(COUNT)


@pytest.fixture
def kept(home, tmp_path):
    """A state in which things were said, closed; its path and the last fence it gave."""
    path = tmp_path / "kept"
    with open_home(home, path) as state:
        say_things(state)
        last = fence(state)
    return path, last


def truncated(db):
    os.truncate(db, os.stat(db).st_size // 3 + 100)


def to_one_page(db):
    os.truncate(db, 4096)


def to_half_a_page(db):
    os.truncate(db, 2000)


def overwritten(db):
    db.write_bytes(random.Random(1).randbytes(os.stat(db).st_size))


def header_gone(db):
    with open(db, "r+b") as file:
        file.write(b"\0" * 100)


def words_instead(db):
    db.write_text("this is no database\n" * 1000)


def half_of_it_random(db):
    with open(db, "r+b") as file:
        size = os.stat(db).st_size
        file.seek(size // 2)
        file.write(random.Random(2).randbytes(size - size // 2))


def every_second_page_random(db):
    with open(db, "r+b") as file:
        for page in range(2, os.stat(db).st_size // 4096, 2):
            file.seek(page * 4096)
            file.write(random.Random(page).randbytes(4096))


def emptied_with_a_log(db):
    db.with_name("state.db-wal").write_bytes(random.Random(3).randbytes(8192))
    os.truncate(db, 0)


def gone_with_a_log(db):
    db.with_name("state.db-wal").write_bytes(random.Random(3).randbytes(8192))
    db.unlink()


DAMAGES = (
    truncated,
    to_one_page,
    to_half_a_page,
    overwritten,
    header_gone,
    words_instead,
    half_of_it_random,
    every_second_page_random,
    emptied_with_a_log,
    gone_with_a_log,
)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_database_is_told_left_as_it_is_and_made_again_with_what_was_said(damage, home, kept):
    path, last_fence = kept
    damage(path / "state.db")
    before = bytes_of(path)

    for _ in range(2):
        with pytest.raises(Damaged) as told:
            open_home(home, path)
        assert "--rebuild" in told.value.remedy
        assert {name: before.get(name) for name in bytes_of(path) if name in before} == before

    report = holdfast.rebuild(home, state_dir=path)

    for name, data in before.items():
        if name != "state.db.seat":
            with open(f"{report.moved_to}/{name}", "rb") as file:
                assert file.read() == data
    assert report.said == 4
    with open_home(home, path) as state:
        check_things(state)
        assert fence(state) > last_fence
    assert index_of(path)[1] == indexed_alone(home, path.with_name("alone"))[1]


def test_what_was_said_last_counts_when_the_database_itself_can_still_be_read(home, kept):
    path, _ = kept
    for snapshot in (path / "backups").iterdir():
        snapshot.unlink()

    report = holdfast.rebuild(home, state_dir=path)

    assert (report.said, report.said_from) == (4, "database")
    with open_home(home, path) as state:
        check_things(state)


@pytest.mark.parametrize("newest", [b"", b'{"epoch": 1, "homes": [', b"\0" * 4096, b'{"epoch": "x"}', b"\xff\xfe"])
def test_a_snapshot_that_is_not_whole_gives_way_to_the_one_before(newest, home, kept):
    path, _ = kept
    overwritten(path / "state.db")
    (path / "backups" / "said-999999999999999.json").write_bytes(newest)

    report = holdfast.rebuild(home, state_dir=path)

    assert (report.said, report.said_from) == (4, "snapshot")


def test_without_any_snapshot_a_rebuild_says_that_nothing_was_saved(home, kept):
    path, _ = kept
    overwritten(path / "state.db")
    shutil.rmtree(path / "backups")

    report = holdfast.rebuild(home, state_dir=path)

    assert (report.said, report.said_from) == (0, "nowhere")
    with open_home(home, path) as state:
        assert labels(state) == expected_labels(COUNT)


def test_fences_grow_with_every_rebuild(home, kept):
    path, last = kept
    for _ in range(3):
        holdfast.rebuild(home, state_dir=path)
        with open_home(home, path) as state:
            assert fence(state) > last
            last = fence(state)


def outlive_snapshots(state):
    """Say so many things that all older snapshots of what people said are gone."""
    for n in range(10):
        state.threads.rename(thread_id(50), f"again {n}")
        state.chores.close()
        state._chores = type(state.chores)()


def test_a_rebuild_brings_back_every_home_and_keeps_what_was_said_of_those_that_are_away(home, homes, kept):
    path, _ = kept
    away = homes.make(10, "away")
    with open_home(away, path) as state:
        state.threads.rename(thread_id(3), "of the other")
    os.rename(away, away.with_name("elsewhere"))
    overwritten(path / "state.db")

    report = holdfast.rebuild(home, state_dir=path)

    assert report.homes == (str(home),)
    with open_home(home, path) as state:
        check_things(state)
        outlive_snapshots(state)
    os.rename(away.with_name("elsewhere"), away)
    with open_home(away, path) as state:
        assert state.threads.get(thread_id(3)).name == "of the other"


# Jobs and memories, which no rollout tells


def remember(state):
    state.memory.put(thread_id(1), "use make test", "tests")
    state.memory.put(thread_id(2), "it is wrong", "wrong")
    state.memory.invalidate(thread_id(2), "it was")
    state.memory.use([thread_id(1)])
    state.jobs.enqueue("mail", "7", payload={"to": "ann"}, idempotency_key="once")
    state.jobs.cap("mail", 2)
    with state.write() as tx:
        for key in ("done", "begun"):
            claim = jobs.claim(tx, "k", key, holds.me(), watermark=jobs.Watermark(5, "x"))
            if key == "done":
                jobs.finish(tx, claim, {"words": 3})
    return claim


def check_remembered(state, claim):
    assert [memory.raw_memory for memory in state.memory.last(9)] == ["use make test"]
    assert {memory.used_count for memory in state.memory.get(thread_id(1))} == {1}
    assert {memory.invalid_reason for memory in state.memory.get(thread_id(2))} == {"it was"}
    assert isinstance(state.jobs.enqueue("mail", "8", idempotency_key="once"), jobs.Known)
    assert isinstance(state.jobs.claim("k", "done", watermark=jobs.Watermark(5, "x")), jobs.UpToDate)
    with pytest.raises(Stale):
        state.jobs.finish(claim)
    again = state.jobs.claim("k", "begun")
    assert again.fence > claim.fence
    assert again.attempt == 1
    assert isinstance(state.jobs.claim_next(["mail"]), jobs.Claimed)


def test_a_rebuild_keeps_jobs_and_memories_and_ends_claims(home, homes, tmp_path):
    path = tmp_path / "kept"
    with open_home(homes.make(3, "first"), path):
        pass  # so that the home is not the first there
    with open_home(home, path) as state:
        claim = remember(state)
        before = state.memory.list()
    os.rename(home.with_name("first"), home.with_name("away"))

    report = holdfast.rebuild(home, state_dir=path)

    assert (report.brought["jobs"], report.brought["thread_memories"], report.not_all_of) == (3, 4, ())
    with open_home(home, path) as state:
        assert state.memory.list() == before
        check_remembered(state, claim)
    os.rename(home.with_name("away"), home.with_name("first"))


def test_a_rebuild_keeps_boards_and_ends_claims(home, kept):
    path, _ = kept
    with open_home(home, path) as state:
        state.board.edit_board("default", description="kept")
        state.board.create_board("other")
        parent = state.board.create("parent", request="once").task.task_id
        child = state.board.create("child", parents=[parent]).task.task_id
        elsewhere = state.board.create("elsewhere", board="other").task.task_id
        state.board.comment(parent, "a word", author="ann")
        state.board.attach(parent, "a.txt", b"bytes", author="ann")
        claim = state.board.claim(parent)
        assert isinstance(claim, board.Claimed)

    report = holdfast.rebuild(home, state_dir=path)

    assert (report.brought["tasks"], report.brought["boards"], report.not_all_of) == (3, 2, ())
    with open_home(home, path) as state:
        assert state.board.get_board("default").description == "kept"
        assert [state.board.get(task_id).status for task_id in (parent, child, elsewhere)] == ["ready", "todo", "ready"]
        assert isinstance(state.board.create("again", request="once"), board.Known)
        assert [each.body for each in state.board.comments(parent)] == ["a word"]
        assert [each.name for each in state.board.attachments(parent)] == ["a.txt"]
        with pytest.raises(Stale):
            state.board.done(parent, fence=claim.fence)
        assert state.board.claim(parent).fence > claim.fence
        assert state.board.stats().counts["todo"] == 1
        with state.read() as tx:
            assert findings(tx) == []


def test_what_can_be_read_of_jobs_is_kept_when_threads_cannot(home, kept):
    path, _ = kept
    with open_home(home, path) as state:
        claim = remember(state)
        with state.read() as tx:
            (row,) = tx.rows(statement("SELECT rootpage AS page FROM sqlite_schema WHERE name = 'threads'"))
    with open(path / "state.db", "r+b") as file:
        file.seek((row["page"] - 1) * 4096)
        file.write(random.Random(4).randbytes(4096))

    report = holdfast.rebuild(home, state_dir=path)

    assert (report.said_from, report.brought["jobs"], report.not_all_of) == ("snapshot", 3, ())
    with open_home(home, path) as state:
        check_remembered(state, claim)


def test_what_cannot_be_read_of_memories_is_told_and_costs_nothing_else(home, kept):
    path, _ = kept
    with open_home(home, path) as state:
        remember(state)
        with state.read() as tx:
            (row,) = tx.rows(statement("SELECT rootpage AS page FROM sqlite_schema WHERE name = 'thread_memories'"))
    with open(path / "state.db", "r+b") as file:
        file.seek((row["page"] - 1) * 4096)
        file.write(random.Random(5).randbytes(4096))

    report = holdfast.rebuild(home, state_dir=path)

    assert (report.brought["jobs"], report.not_all_of) == (3, ("thread_memories",))
    with open_home(home, path) as state:
        check_things(state)
        assert state.memory.list() == []


# In use


@pytest.mark.parametrize("doing", ["pause('open')", "tx = state.read(); tx.__enter__(); pause('open')"])
def test_a_rebuild_is_refused_while_another_process_has_the_database_open(doing, home, kept, child):
    path, _ = kept
    user = child(f"with open_home() as state:\n    {doing}\n", home, path)
    assert user.line() == "open"
    before = sorted(os.listdir(path))

    with pytest.raises(Busy, match=rf"is in use: pid {user.pid} "):
        holdfast.rebuild(home, state_dir=path)

    assert sorted(os.listdir(path)) == before
    user.kill()
    assert holdfast.rebuild(home, state_dir=path).said == 4


def test_a_rebuild_is_refused_while_this_process_has_the_database_open(home, kept):
    path, _ = kept
    with open_home(home, path) as state:
        with pytest.raises(Busy, match=rf"is in use: pid {os.getpid()} "):
            holdfast.rebuild(home, state_dir=path)
        state.threads.rename(thread_id(1), "mine")
    assert holdfast.rebuild(home, state_dir=path).said == 4


def test_a_process_whose_database_is_replaced_writes_no_more(home, kept):
    path, _ = kept
    with open_home(home, path) as state:
        os.rename(path / "state.db", path / "aside.db")
        with pytest.raises(Damaged, match="somebody moved, replaced or deleted"):
            state.threads.rename(thread_id(1), "lost")
    os.rename(path / "aside.db", path / "state.db")
    with open_home(home, path) as state:
        check_things(state)


def test_a_database_of_another_program_is_refused_and_not_touched(home, tmp_path):
    path = tmp_path / "state"
    path.mkdir()
    code = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('create table theirs (x)'); db.close()"
    subprocess.run([sys.executable, "-c", code, path / "state.db"], check=True)
    before = (path / "state.db").read_bytes()

    with pytest.raises(Refused, match="another program's database"):
        open_home(home, path)
    assert (path / "state.db").read_bytes() == before
    with pytest.raises(Refused):
        holdfast.rebuild(home, state_dir=path)
    assert (path / "state.db").read_bytes() == before


# Gone


def deleted(db):
    db.unlink()


def emptied(db):
    os.truncate(db, 0)


@pytest.mark.parametrize("loss", [deleted, emptied])
@pytest.mark.parametrize("wait", [True, False])
def test_a_database_that_is_gone_is_a_new_index_with_everything_people_said(loss, wait, home, kept):
    path, last_fence = kept
    loss(path / "state.db")

    with open_home(home, path, wait=wait) as state:
        state.wait_for_index()
        check_things(state)
        assert fence(state) > last_fence


def test_of_a_database_that_is_gone_each_home_gets_its_own_words_when_it_is_opened(home, homes, kept):
    path, _ = kept
    other = homes.make(10, "other")
    with open_home(other, path) as state:
        state.threads.rename(thread_id(3), "of the other")
    deleted(path / "state.db")

    with open_home(home, path) as state:
        check_things(state)
        outlive_snapshots(state)
    with open_home(other, path) as state:
        assert state.threads.get(thread_id(3)).name == "of the other"


def test_what_was_said_since_is_not_undone_by_an_old_snapshot(home, kept):
    path, _ = kept
    deleted(path / "state.db")
    with open_home(home, path) as state:
        state.threads.rename(thread_id(1), "newer")
    with open_home(home, path) as state:
        state.index(full=True)
        assert state.threads.get(thread_id(1)).name == "newer"


def test_a_clock_that_was_set_back_makes_no_older_snapshot_the_newest(home, kept):
    path, _ = kept
    snapshots = path / "backups"
    last = sorted(snapshots.iterdir())[-1]
    last.rename(snapshots / "said-099999999999999.json")
    with open_home(home, path) as state:
        state.threads.rename(thread_id(1), "newer")
    deleted(path / "state.db")

    with open_home(home, path) as state:
        assert state.threads.get(thread_id(1)).name == "newer"


def test_what_a_killed_process_began_to_save_is_cleared_away(home, kept):
    path, _ = kept
    old, young = (path / "backups" / f".said-00000000000000{n}.json.{n}" for n in (1, 2))
    for partial in (old, young):
        partial.write_bytes(b'{"epoch"')
    os.utime(old, (1_000_000_000, 1_000_000_000))

    with open_home(home, path) as state:
        state.threads.rename(thread_id(1), "newer")

    assert not old.exists()
    assert young.exists()  # somebody may still be writing it


def test_the_whole_state_directory_may_be_deleted(home, kept):
    path, _ = kept
    shutil.rmtree(path)

    with open_home(home, path) as state:
        assert labels(state) == expected_labels(COUNT)


@pytest.mark.parametrize("damage", [damage for damage in DAMAGES if damage is not gone_with_a_log])
def test_a_look_at_a_damaged_database_tells_the_same_and_changes_nothing(damage, home, kept):
    path, _ = kept
    damage(path / "state.db")
    before = bytes_of(path)

    with pytest.raises(Damaged), holdfast.peek(home, state_dir=path) as state:
        labels(state)
        state.status()

    assert bytes_of(path) == before


@pytest.mark.parametrize("loss", [deleted, emptied, gone_with_a_log])
def test_a_look_where_the_database_is_gone_answers_from_the_files_and_makes_nothing(loss, home, kept):
    path, _ = kept
    loss(path / "state.db")
    before = bytes_of(path)

    with holdfast.peek(home, state_dir=path) as state:
        assert labels(state) == expected_labels(COUNT)

    assert bytes_of(path) == before


def test_what_was_said_of_a_thread_whose_file_is_away_waits_for_it(make_home, open_state, state_dir):
    home = make_home()
    home.id, home.other = home.thread("first words"), home.thread("other words")
    state = open_state(home)
    state.threads.rename(home.id, "the name")
    state.threads.archive(home.id)
    gone = home.change(lambda: state.in_home.delete(home.id))
    state.close()

    holdfast.rebuild(home, state_dir=state_dir)
    state = open_state(home)
    assert state.threads.get(home.id) is None
    state.threads.rename(home.other, "another")  # and a snapshot of what was said since
    state.chores.close()
    state.close()
    holdfast.rebuild(home, state_dir=state_dir)

    state = open_state(home)
    home.change(lambda: state.in_home.undo(gone.receipt))
    thread = state.threads.get(home.id)
    assert (thread.name, thread.archived) == ("the name", True)
    assert state.threads.get(home.other).name == "another"
    assert state.threads.unarchive(home.id).archived is False
    state.index(full=True)
    assert state.threads.get(home.id).archived is False
