"""Homes as they are on a bad day: not there, no home, not to be written, not to be read, gone in the middle."""

from __future__ import annotations

import os
import shutil

import pytest

import holdfast
from holdfast import Refused
from holdfast.ingest import survey
from holdfast.rollouts.find import Walk
from index_helpers import conversation as items_of
from index_helpers import expected_labels, index_of, labels, make_home, path_of, put, text, thread_id


def open_home(home, state_dir, **options):
    return holdfast.open(home, state_dir=state_dir, search=False, **options)


# Not there, or no home


@pytest.mark.parametrize("call", [open_home, lambda home, state: holdfast.peek(home, state_dir=state)])
def test_a_home_that_does_not_exist_is_refused_and_nothing_is_made(call, tmp_path):
    with pytest.raises(Refused, match="there is no home at"):
        call(tmp_path / "none", tmp_path / "state")

    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_home(tmp_path):
    file = tmp_path / "home"
    file.write_text("x")

    with pytest.raises(Refused, match="is not a directory, so it is no home"):
        open_home(file, tmp_path / "state")

    assert list(tmp_path.iterdir()) == [file]


def test_an_empty_home_is_indexed_and_what_comes_later_is_found(homes, state_dir):
    home = homes.empty()
    with open_home(home, state_dir) as state:
        assert state.reports[0].complete
        assert len(state.threads.list()) == 0
    put(home, path_of(1), text(items_of(1)))
    homes.watch(home)

    with open_home(home, state_dir) as state:
        assert [thread.id for thread in state.threads.list()] == [thread_id(1)]


# Nobody may write, or look


def freeze(home):
    """Take the right to write from everything in ``home``."""
    for folder, _, files in os.walk(home):
        for name in files:
            os.chmod(os.path.join(folder, name), 0o444)
        os.chmod(folder, 0o555)


def test_a_home_that_nobody_may_write_is_indexed_and_read(plain_dir, homes, child):
    home = make_home(plain_dir / "home", 30)
    freeze(home)
    homes.watch(home)
    (plain_dir / "state").mkdir()
    os.chmod(plain_dir / "state", 0o777)
    reader = child(
        """
become_nobody()
with open_home() as state:
    report = state.reports[0]
    say(report.complete, report.threads, report.failed, len(state.threads.read("name 0").turns))
""",
        home,
        plain_dir / "state",
    )

    assert reader.lines() == ["True 30 0 1"]


def test_folders_and_files_that_may_not_be_looked_into_are_named_and_hide_nothing_that_was_known(plain_dir, child):
    home = make_home(plain_dir / "home", 30)
    (plain_dir / "state").mkdir()
    os.chmod(plain_dir / "state", 0o777)
    closed = plain_dir / "home" / "archived_sessions"  # three threads
    reader = child(
        """
become_nobody()
for _ in range(4):
    with open_home() as state:
        report = state.reports[0]
        named = [(problem.path, problem.code) for problem in report.problems]
        say(report.threads, report.vanished, report.failed, report.indexed, report.unchanged, named)
        say(len(state.threads.list(limit=100, archived=None)))
    hear()
""",
        home,
        plain_dir / "state",
    )

    assert [reader.line(), reader.line()] == ["30 0 0 30 0 []", "30"]
    closed.chmod(0)
    reader.tell()
    named = [("archived_sessions", "folder-unreadable")]
    assert [reader.line(), reader.line()] == [f"30 0 0 0 27 {named}", "30"]

    put(home, path_of(30), text(items_of(30))).chmod(0)
    reader.tell()
    named.append((path_of(30), "unreadable"))
    assert [reader.line(), reader.line()] == [f"30 0 1 0 27 {named}", "30"]

    closed.chmod(0o755)
    (home / path_of(30)).chmod(0o644)
    reader.tell()
    assert [reader.line(), reader.line()] == ["31 0 0 1 30 []", "31"]


def test_a_file_that_cannot_be_read_is_tried_three_times_and_then_left_alone(plain_dir, child):
    home = make_home(plain_dir / "home", 3)
    (home / path_of(1)).chmod(0)
    (plain_dir / "state").mkdir()
    os.chmod(plain_dir / "state", 0o777)
    reader = child(
        """
become_nobody()
for _ in range(5):
    with open_home() as state:
        report = state.reports[0]
        with state.read() as tx:
            attempts = tx.row(sql("SELECT max(attempts) AS n FROM files"))["n"]
            taken = tx.row(sql("SELECT fence & 0xFFFF AS n FROM holds"))["n"]
        say(report.failed, attempts, taken, [problem.path for problem in report.problems])
""",
        home,
        plain_dir / "state",
    )

    tries = [(1, 1), (2, 2), (3, 3), (3, 3), (3, 3)]  # attempts, and how often the home was taken in hand
    assert reader.lines() == [f"1 {attempts} {taken} {[path_of(1)]}" for attempts, taken in tries]


# Gone in the middle


def test_a_home_that_vanishes_while_it_is_read_keeps_what_was_read(homes, state_dir):
    home = make_home(state_dir.parent / "home", 500)

    def vanish(progress):
        if home.exists():
            os.rename(home, home.with_name("elsewhere"))

    with open_home(home, state_dir, on_progress=vanish) as state:
        (report,) = state.reports
        assert not report.complete
        assert "home-gone" in {problem.code for problem in report.problems}
        assert report.threads == report.indexed > 0
        assert report.failed == 500 - report.indexed
        assert state.homes[0].indexed_ms is None

    os.rename(home.with_name("elsewhere"), home)
    with open_home(homes.watch(home), state_dir) as state:
        assert state.reports[0].complete
        assert state.reports[0].indexed == report.failed
        assert labels(state) == expected_labels(500)


def test_a_home_that_vanishes_after_it_was_indexed_takes_nothing_along(homes, state_dir):
    home = homes.make(100)
    with open_home(home, state_dir) as state:
        state.threads.rename(thread_id(3), "mine")
        before = [thread.id for thread in state.threads.list(limit=500, archived=None)]
        os.rename(home, home.with_name("elsewhere"))
        with pytest.raises(Refused, match="there is no home at"):
            state.index()
        assert [thread.id for thread in state.threads.list(limit=500, archived=None)] == before
        os.rename(home.with_name("elsewhere"), home)


def test_a_home_that_vanishes_while_it_is_listed_takes_nothing_along(homes, state_dir, monkeypatch):
    home = homes.make(100)

    class Vanishing(Walk):
        def __iter__(self):
            for n, entry in enumerate(super().__iter__()):
                if n == 10:
                    os.rename(home, home.with_name("elsewhere"))
                yield entry

    with open_home(home, state_dir) as state:
        monkeypatch.setattr(survey, "walk", Vanishing)
        (report,) = state.index()
        assert not report.complete
        assert [problem.code for problem in report.problems] == ["home-gone"]
        assert report.vanished == 0
        assert labels(state) == expected_labels(100)
        os.rename(home.with_name("elsewhere"), home)


def test_a_home_that_is_empty_for_a_while_loses_nothing_that_was_said(homes, state_dir):
    # As the folder below an unmounted disk is.
    home = homes.make(100)
    open_home(home, state_dir).close()
    undisturbed, _ = index_of(state_dir)
    with open_home(home, state_dir) as state:
        state.threads.rename(thread_id(3), "mine")
        state.threads.archive(thread_id(4))
    os.rename(home, home.with_name("disk"))
    home.mkdir()
    with open_home(home, state_dir) as state:
        assert state.reports[0].vanished == 100
        assert len(state.threads.list()) == 0
        assert len(state.threads.list(missing=True, archived=None, limit=500)) == 100
        assert state.threads.get(thread_id(3)).name == "mine"
    home.rmdir()
    os.rename(home.with_name("disk"), home)

    with open_home(home, state_dir) as state:
        assert state.threads.get(thread_id(3)).name == "mine"
        assert state.threads.get(thread_id(4)).archived
        state.threads.rename(thread_id(3), "")
        state.threads.unarchive(thread_id(4))
    threads, _ = index_of(state_dir)
    for row in threads.values():
        row["name_said"] = row["archived_said_ms"] = None
    for row in threads.values():
        assert row == undisturbed[f"{home}#{row['thread_id'].hex()}"]


# Copied and moved


def test_a_copy_is_a_home_of_its_own_and_every_answer_names_its_own_files(homes, state_dir):
    home = homes.make(40)
    open_home(home, state_dir).close()
    with open_home(home, state_dir) as state:
        state.threads.rename(thread_id(5), "of the first")
    copy = home.with_name("copy")
    shutil.copytree(home, copy)
    homes.watch(copy)

    with open_home(copy, state_dir) as state:
        for thread in state.threads.list(limit=100, archived=None):
            assert thread.home == str(copy)
            assert thread.rollout_path.startswith(f"{copy}/")
            assert state.threads.find(thread.id).file.startswith(f"{copy}/")
        assert state.threads.get(thread_id(5)).name is None
    with open_home(home, state_dir) as state:
        assert state.threads.get(thread_id(5)).name == "of the first"
        assert state.threads.find(thread_id(5)).file.startswith(f"{home}/")
    with open_home([home, copy], state_dir) as state:
        assert len(state.threads.list(limit=100, archived=None)) == 80


def test_a_copy_does_not_become_its_original_when_that_is_gone(homes, state_dir):
    home = make_home(state_dir.parent / "home", 40)
    with open_home(home, state_dir) as state:
        state.threads.rename(thread_id(5), "of the first")
    copy = home.with_name("copy")
    shutil.copytree(home, copy)
    os.rename(home, home.with_name("away"))
    homes.watch(copy)

    with open_home(copy, state_dir) as state:
        assert state.reports[0].indexed == 40
        assert state.threads.get(thread_id(5)).name is None
    os.rename(home.with_name("away"), home)
    with open_home(homes.watch(home), state_dir) as state:
        assert state.reports[0].indexed == 0
        assert state.threads.get(thread_id(5)).name == "of the first"


def test_a_home_that_was_moved_is_the_same_home_and_nothing_is_read_again(homes, state_dir):
    home = make_home(state_dir.parent / "home", 40)
    with open_home(home, state_dir) as state:
        state.threads.rename(thread_id(5), "of the first")
    moved = home.with_name("moved")
    os.rename(home, moved)
    homes.watch(moved)

    with open_home(moved, state_dir) as state:
        (report,) = state.reports
        assert (report.indexed, report.unchanged, report.threads) == (0, 40, 40)
        assert state.threads.get(thread_id(5)).name == "of the first"
        assert state.threads.find(thread_id(5)).file == f"{moved}/{path_of(5)}"
        assert state.threads.read(thread_id(5)).turns
        assert len(state.status().homes) == 1


# The state directory


@pytest.mark.parametrize("where", [".", "state", "sessions/state", "link"])
def test_a_state_directory_that_would_lie_in_the_home_is_refused_and_nothing_is_made(where, homes, tmp_path):
    home = homes.make(3)
    state = home / where
    if where == "link":
        state = tmp_path / "link"
        state.symlink_to(home / "sessions")
    before = sorted(tmp_path.iterdir())

    for call in (holdfast.open, holdfast.rebuild):
        with pytest.raises(Refused, match="nothing of ours goes into a home"):
            call(home, state_dir=state)

    assert sorted(tmp_path.iterdir()) == before


def test_a_home_reached_through_a_link_is_still_the_home_its_state_must_stay_out_of(homes, tmp_path):
    home = homes.make(3)
    link = tmp_path / "link"
    link.symlink_to(home)

    with pytest.raises(Refused, match="nothing of ours goes into a home"):
        holdfast.open(link, state_dir=home / "state")


def test_a_state_directory_that_cannot_be_written_is_refused_and_peek_still_answers(plain_dir, homes, child):
    home = make_home(plain_dir / "home", 20)
    homes.watch(home)
    with open_home(home, plain_dir / "state"):
        pass
    os.chmod(plain_dir / "state", 0o755)
    os.chmod(plain_dir / "state" / "state.db", 0o644)
    before = {path.name: path.read_bytes() for path in (plain_dir / "state").iterdir()}
    reader = child(
        """
become_nobody()
for state_dir in (STATE, STATE + "/deeper"):
    try:
        holdfast.open(HOME, state_dir=state_dir)
    except holdfast.Unsupported as error:
        say(error)
        say(error.remedy)
with holdfast.peek(HOME, state_dir=STATE) as state:
    page = state.threads.list(archived=None)
    say(page.source, len(page))
""",
        home,
        plain_dir / "state",
    )

    said = reader.lines()

    assert said[0] == f"the state directory {plain_dir}/state cannot be written"
    assert said[2] == f"the state directory {plain_dir}/state/deeper cannot be made: Permission denied"
    assert "--state" in said[1]
    assert "--state" in said[3]
    assert said[4] == "index 20"
    assert {path.name: path.read_bytes() for path in (plain_dir / "state").iterdir()} == before
