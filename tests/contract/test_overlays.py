"""Names and archive marks are a person's: they live in our state, and outlive everything that can be folded again."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest
from contract_helpers import only_sqlite

import holdfast
from holdfast.state import said
from homes import NOON_MS


@pytest.fixture
def named(make_home, open_state):
    home = make_home()
    home.id, home.other = home.thread("first words"), home.thread("other words")
    home.name(home.id, "from the file")
    return home, open_state(home)


def settle(state):
    """Wait for the snapshots that were promised."""
    state.chores.close()
    assert (state.chores.failed, state.chores.last_error) == (0, "")


def snapshots(state_dir):
    return sorted((state_dir / "backups").glob("said-*.json"))


def outlive(state, home, open_state, how):
    match how:
        case "rescan":
            home.append(home.id, "more")
            state.index()
        case "reindex":
            state.index(full=True)
        case "close":
            state.close()
            state = open_state(home)
        case "names file":
            home.name(home.id, "another name in the file")
            state.index()
    return state


WAYS = ["rescan", "reindex", "close", "names file"]


@pytest.mark.parametrize("how", WAYS)
def test_a_name_that_was_given_outlives(named, open_state, how):
    home, state = named
    assert state.threads.rename("from the file", "  the given name ").name == "the given name"

    state = outlive(state, home, open_state, how)

    assert state.threads.get(home.id).name == "the given name"
    assert state.threads.resolve("the given name").id == home.id
    assert [thread.id for thread in state.threads.list(search="GIVEN")] == [home.id]
    assert state.threads.resolve("from the file") is None
    assert state.threads.get(home.other).name is None


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("nothing", ["", "   "])
def test_a_name_that_was_taken_away_stays_away(named, open_state, how, nothing):
    home, state = named
    assert state.threads.rename(home.id, nothing).name is None

    state = outlive(state, home, open_state, how)

    assert state.threads.get(home.id).name is None
    assert state.threads.get(home.id).label == "first words"


@pytest.mark.parametrize("how", WAYS)
def test_archived_here_it_stays_archived_until_taken_back(named, open_state, how):
    home, state = named
    archived = state.threads.archive(home.id)
    assert archived.archived
    assert archived.archived_at_ms is not None

    state = outlive(state, home, open_state, how)

    assert state.threads.get(home.id).archived_at_ms == archived.archived_at_ms
    assert [thread.id for thread in state.threads.list()] == [home.other]
    assert [thread.id for thread in state.threads.list(archived=True)] == [home.id]
    assert state.threads.archive(home.id).archived_at_ms == archived.archived_at_ms  # again: nothing new
    back = state.threads.unarchive(home.id)
    assert (back.archived, back.archived_at_ms) == (False, None)
    assert len(state.threads.list()) == 2


def test_archived_here_and_then_by_the_agent_it_is_archived_and_can_be_taken_back(named, open_state):
    home, state = named
    state.threads.archive(home.id)
    home.move(home.id, "archived_sessions")
    state.index()
    assert state.threads.get(home.id).archived
    assert state.threads.get(home.id).rollout_path == str(home.file(home.id))

    assert not state.threads.unarchive(home.id).archived

    state.index(full=True)
    assert not state.threads.get(home.id).archived
    assert state.threads.archive(home.id).archived
    home.move(home.id, "sessions/2026/11/21")
    state.index()
    assert not state.threads.get(home.id).archived  # the last word was the file's: nothing of ours is left


def test_what_is_said_of_an_unknown_thread_is_none_and_changes_nothing(named):
    _, state = named
    before = state.engine.status().transactions
    for id in ("01a1fa07-0000-7000-8000-000000000000", "no such name"):
        assert state.threads.rename(id, "x") is None
        assert state.threads.archive(id) is None
        assert state.threads.unarchive(id) is None
    assert state.engine.status().transactions == before


def test_renaming_inside_a_transaction_commits_with_it_or_not_at_all(named):
    home, state = named
    with pytest.raises(ZeroDivisionError), state.write() as tx:
        state.threads.within(tx).rename(home.id, "never")
        assert state.threads.within(tx).get(home.id).name == "never"
        1 / 0  # noqa: B018
    assert state.threads.get(home.id).name == "from the file"
    with state.write() as tx:
        state.threads.within(tx).rename(home.id, "ann")
        state.threads.within(tx).archive(home.other)
    assert state.threads.get(home.id).name == "ann"
    assert state.threads.get(home.other).archived
    settle(state)
    with state.read() as tx:
        assert {(each.thread_id, each.name, each.archived) for each in said.read(tx).said} == {
            (home.id, "ann", None),
            (home.other, None, True),
        }


def test_a_read_is_not_for_writing(named):
    home, state = named
    with state.read() as tx, pytest.raises(holdfast.Refused, match=r"for reading: use state\.write\(\)"):
        state.threads.within(tx).rename(home.id, "x")


# --- the second place where it is kept ---------------------------------------------------


@only_sqlite("snapshots lie beside a database in a directory")
def test_a_snapshot_never_misses_what_was_said_in_a_transaction_that_was_still_open(named, state_dir):
    home, state = named
    saving = threading.Thread(target=said.save, args=(state.engine, str(state_dir)))
    with state.write() as tx:
        state.threads.within(tx).rename(home.id, "said inside")
        saving.start()
        saving.join(0.2)  # long enough for one that does not wait for the commit; the right one waits
    saving.join(60)
    settle(state)

    assert snapshots(state_dir)
    for file in snapshots(state_dir):
        assert [each["name"] for each in json.loads(file.read_text())["said"]] == ["said inside"]


@only_sqlite("snapshots lie beside a database in a directory")
def test_every_change_is_followed_by_a_snapshot_and_only_the_last_few_are_kept(named, state_dir, open_state):
    home, state = named
    for number in range(said.KEPT + 3):
        state.threads.rename(home.id, f"name {number}")
        settle(state)
        state.close()
        state = open_state(home)

    kept = snapshots(state_dir)

    assert len(kept) == said.KEPT
    assert said.newest(str(state_dir)).said[0].name == f"name {said.KEPT + 2}"
    assert said.newest(str(state_dir)).homes == (str(home),)
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in kept)
    assert [file for file in (state_dir / "backups").iterdir() if file not in kept] == []  # no half-written one


@only_sqlite("snapshots lie beside a database in a directory")
@pytest.mark.parametrize("damage", [b"", b"{", b'{"epoch": 1, "homes": ["/x"], "said": [{"home"', b"\xff\xfe", b"[]"])
def test_a_torn_snapshot_is_passed_over_for_the_one_before(named, state_dir, damage):
    home, state = named
    state.threads.rename(home.id, "whole")
    settle(state)
    (file,) = snapshots(state_dir)
    file.with_name("said-999999999999999.json").write_bytes(damage)

    assert said.newest(str(state_dir)).said[0].name == "whole"


def test_no_snapshot_is_no_snapshot(state_dir):
    assert said.newest(str(state_dir)) is None


@only_sqlite("snapshots lie beside a database in a directory")
def test_what_was_said_comes_back_from_the_snapshot_when_the_database_is_lost(named, state_dir, open_state):
    home, state = named
    state.threads.rename(home.id, "the given name")
    state.threads.archive(home.other)
    state.close()
    (state_dir / "state.db").write_bytes(b"not a database at all, but long enough to be looked at" * 100)

    report = holdfast.rebuild(home, state_dir=state_dir)

    assert (report.said, report.said_from) == (2, "snapshot")
    state = open_state(home)
    assert state.threads.get(home.id).name == "the given name"
    assert state.threads.get(home.other).archived
    with open(snapshots(state_dir)[-1], encoding="utf-8") as file:
        assert json.load(file)["homes"] == [str(home)]


def said_in_a_program(home, state_dir, end):
    """Run a program that gives a name and ends without closing its state."""
    program = f"""
import os, holdfast
state = holdfast.open({str(home)!r}, state_dir={str(state_dir)!r}, search=False)
state.threads.rename({home.id!r}, "of the parent")
{end}
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    return [each.name for each in said.newest(str(state_dir)).said]


@only_sqlite("snapshots lie beside a database in a directory")
def test_a_program_that_ends_without_close_leaves_a_snapshot(named, state_dir):
    home, state = named
    state.close()

    assert said_in_a_program(home, state_dir, "") == ["of the parent"]


@only_sqlite("snapshots lie beside a database in a directory")
def test_what_a_forked_child_says_is_in_a_snapshot_of_its_own(named, state_dir):
    home, state = named
    state.close()

    # The parent ends as by `kill -9`: nobody but the child is there to write it.
    names = said_in_a_program(
        home,
        state_dir,
        f"""
if os.fork() == 0:
    state.threads.rename({home.other!r}, "of the child")
    state.close()
    os._exit(0)
os.wait()
os._exit(0)
""",
    )

    assert sorted(names) == ["of the child", "of the parent"]


@pytest.fixture
def twice(make_home, open_state):
    """One thread in two homes, as after a home was copied; the copy was worked in last."""
    home, copy = make_home("home"), make_home("copy")
    home.id = home.thread("words")
    copy.thread("words", id=home.id, updated_ms=NOON_MS + 60_000)
    return home, copy, open_state(home, copy)


def test_of_a_thread_in_two_homes_the_one_written_last_is_meant(twice):
    home, copy, state = twice

    assert state.threads.get(home.id).home == str(copy)
    assert state.threads.resolve(home.id[:-1]).home == str(copy)
    assert state.threads.rename(home.id, "named").home == str(copy)
    assert [(each.home, each.name) for each in state.threads.list()] == [(str(copy), "named"), (str(home), None)]


def test_of_a_thread_in_two_homes_the_one_that_is_there_is_archived(twice):
    home, copy, state = twice
    (file,) = home.path.rglob("rollout-*")
    home.change(file.unlink)
    state.index()

    assert state.threads.archive(home.id).home == str(copy)
    assert state.threads.list().threads == ()


@only_sqlite("snapshots lie beside a database in a directory")
def test_what_was_said_by_a_process_that_was_killed_is_kept_by_the_next_one(named, state_dir):
    home, state = named
    state.close()
    code = (
        "import os, sys, holdfast\n"
        "state = holdfast.open(sys.argv[1], state_dir=sys.argv[2], search=False)\n"
        "state.threads.rename(sys.argv[3], 'precious')\n"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(home), str(state_dir), home.id], check=False)
    for kept in snapshots(state_dir):  # should it have been quick enough
        kept.unlink()

    holdfast.open(home, state_dir=state_dir, search=False).close()

    assert [each.name for each in said.newest(str(state_dir)).said] == ["precious"]
