"""A home is where it is: moved, it stays itself; copied, it is another; several live side by side."""

from __future__ import annotations

import os
import shutil

import pytest

import holdfast
from homes import MadeHome, seen
from rows import statement


def home_rows(state):
    with state.read() as tx:
        return [row["path"] for row in tx.rows(statement("SELECT path FROM homes ORDER BY home_id"))]


def test_a_home_that_moved_keeps_what_was_said_and_its_threads_lie_in_the_new_place(home, open_state, tmp_path):
    state = open_state(home)
    ids = {thread.id for thread in state.threads.list(archived=None, limit=1000)}
    id = next(iter(state.threads.list())).id
    state.threads.rename(id, "kept")
    state.close()
    moved = tmp_path / "elsewhere" / "home"
    moved.parent.mkdir()
    os.rename(home.path, moved)
    before = seen(moved)

    state = open_state(moved)

    assert (state.reports[0].indexed, state.reports[0].unchanged) == (0, len(ids))
    assert home_rows(state) == [str(moved)]
    threads = list(state.threads.list(archived=None, limit=1000))
    assert {thread.id for thread in threads} == ids
    assert all(thread.home == str(moved) and os.path.exists(thread.rollout_path) for thread in threads)
    assert state.threads.get(id).name == "kept"
    found = state.threads.find(id)
    assert (found.home, found.source, found.repair) == (str(moved), "index", None)
    assert seen(moved) == before


def test_a_home_that_moved_and_grew_on_the_way_is_still_itself(make_home, open_state, tmp_path):
    made = make_home("old place")
    ids = [made.thread(f"thread {number}") for number in range(3)]
    state = open_state(made)
    state.threads.rename(ids[0], "kept")
    state.close()
    made.append(ids[0], "more")
    made.pack(ids[1])
    made.delete(ids[2])
    os.rename(made.path, tmp_path / "new place")
    there = MadeHome(tmp_path / "new place")
    there.thread("written in the new place", id="01a1fdfa-4600-7000-8000-0000000000aa")

    state = open_state(there)

    assert home_rows(state) == [str(there)]
    assert state.threads.get(ids[0]).name == "kept"
    assert len(state.threads.list()) == 3
    assert state.threads.get(ids[2]).missing_since_ms is not None


def test_a_copy_beside_its_original_is_a_home_of_its_own_and_never_leads_back(home, open_state, tmp_path):
    state = open_state(home)
    id = next(iter(state.threads.list())).id
    state.threads.rename(id, "the original")
    copy = tmp_path / "copy"
    shutil.copytree(home.path, copy, symlinks=True)
    before = seen(copy)

    with open_state(copy) as other:
        assert home_rows(other) == [str(home), str(copy)]
        threads = list(other.threads.list(archived=None, limit=1000))
        assert len(threads) == len(home.files())
        assert {thread.home for thread in threads} == {str(copy)}
        assert other.threads.get(id).name != "the original"
        for thread in threads:
            found = other.threads.find(thread.id)
            assert found.file.startswith(f"{copy}/")
            assert found.repair is None
            assert other.threads.read(thread.id).thread.rollout_path.startswith(f"{copy}/")
        other.threads.rename(id, "the copy")
        other.threads.archive(id)
    assert state.threads.get(id).name == "the original"
    assert not state.threads.get(id).archived
    assert seen(copy) == before
    home.check()


def test_a_copy_made_of_hard_links_is_another_home_while_the_original_is_there(make_home, open_state, tmp_path):
    made = make_home("original")
    id = made.thread("words")
    state = open_state(made)
    made.change(lambda: shutil.copytree(made.path, tmp_path / "links", copy_function=os.link))

    with open_state(tmp_path / "links") as other:
        assert home_rows(other) == [str(made), str(tmp_path / "links")]
        assert other.threads.get(id).rollout_path.startswith(str(tmp_path / "links"))
    assert state.threads.get(id).home == str(made)


def test_a_copy_stays_itself_when_the_original_goes(make_home, open_state, tmp_path):
    made = make_home("original")
    id = made.thread("words")
    state = open_state(made)
    state.threads.rename(id, "the original")
    state.close()
    shutil.copytree(made.path, tmp_path / "copy")
    shutil.rmtree(made.path)

    state = open_state(tmp_path / "copy")

    assert home_rows(state) == [str(made), str(tmp_path / "copy")]
    assert state.threads.get(id).name is None  # other inodes: nobody can know that it is meant to be the same


def test_another_home_in_the_place_of_the_first_is_told_by_its_files(make_home, open_state):
    made = make_home()
    old = made.thread("the first home")
    state = open_state(made)
    state.close()
    made.change(lambda: shutil.rmtree(made.path))
    made.change(lambda: made.path.mkdir())
    new = made.thread("the second home", id="01a1fdfa-4600-7000-8000-0000000000bb")

    state = open_state(made)

    assert [thread.id for thread in state.threads.list()] == [new]
    assert state.threads.get(old).missing_since_ms is not None


def test_homes_of_two_agents_are_kept_apart_and_listed_together(tmp_path, open_state):
    one, two = (MadeHome.recorded(version, tmp_path) for version in ("0.141", "0.169"))
    both = open_state(one, two)

    assert [report.home for report in both.reports] == [str(one), str(two)]
    threads = list(both.threads.list(limit=1000, archived=None))
    assert len(threads) == len(one.files()) + len(two.files())
    assert sum(status.threads for status in both.status().homes) == len(threads)
    with open_state(one) as alone:
        assert len(alone.threads.list(limit=1000, archived=None)) == len(one.files())
        assert {status.path for status in alone.status().homes} == {str(one), str(two)}
        other = next(thread.id for thread in threads if thread.home == str(two))
        assert alone.threads.get(other) is None
        assert alone.threads.find(other) is None
        assert both.threads.get(other).home == str(two)
    one.check()
    two.check()


def test_a_home_that_vanishes_under_an_open_state_loses_no_row(make_home, open_state, tmp_path):
    made = make_home()
    id = made.thread("words")
    state = open_state(made)
    aside = tmp_path / "aside"
    os.rename(made.path, aside)

    for ask in (lambda: state.index(), lambda: state.index(full=True)):
        with pytest.raises(holdfast.Refused, match="there is no home at"):
            ask()
    assert state.threads.find(id) is None
    state.chores.close()
    assert state.chores.last_error == ""
    made.change(lambda: os.rename(aside, made.path))
    assert state.threads.get(id).missing_since_ms is None
    state.index()
    assert [thread.id for thread in state.threads.list()] == [id]


def test_sessions_on_a_disk_that_is_not_mounted_are_out_of_sight_and_not_gone(make_home, open_state, tmp_path):
    home = make_home()
    id = home.thread("words")
    state = open_state(home)
    disk = tmp_path / "disk"
    home.change(lambda: (home.path / "sessions").rename(disk))
    home.change(lambda: (home.path / "sessions").symlink_to(disk))
    disk.rename(tmp_path / "elsewhere")

    (report,) = state.index()

    assert (report.vanished, [(each.path, each.code) for each in report.problems]) == (
        0,
        [("sessions", "folder-unreadable")],
    )
    assert state.threads.find(id) is None
    state.chores.close()
    assert [each.id for each in state.threads.list()] == [id]


def test_no_state_goes_where_the_sessions_of_a_home_really_lie(make_home, tmp_path):
    home = make_home()
    (tmp_path / "disk").mkdir()
    home.change(lambda: (home.path / "sessions").symlink_to(tmp_path / "disk"))

    with pytest.raises(holdfast.Refused, match="would lie inside the home"):
        holdfast.open(home, state_dir=tmp_path / "disk" / "state")
