"""With `in_home` the home's own files are changed, as Codex would: exactly those that are named, and back again."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import holdfast
from holdfast import receipts
from holdfast.rollouts import writer_lock
from holdfast.state import said
from homes import NOON_MS, thread_id


@pytest.fixture
def made(make_home, open_state):
    """A thread with a sub-agent that has one too, a paginated thread, and an archived one; some have names."""
    home = make_home()
    home.top = home.thread("begin")
    home.child = home.thread("look there", parent=home.top)
    home.grandchild = home.thread("and there", parent=home.child)
    home.paginated = home.thread("numbered", paginated=True)
    home.archived = home.thread("long ago", archived=True)
    home.name(home.top, "first name")
    home.name(home.paginated, "other name")
    return home, open_state(home)


def looks(home):
    """Names, contents and times of all files but the locks, which Codex itself leaves lying about."""
    return {
        str(path.relative_to(home.path)): (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode)
        if path.is_file()
        else None
        for path in sorted(home.path.rglob("*"))
        if "lock" not in str(path.relative_to(home.path))
    }


def in_home(home, do):
    """Do it, as one who may change the home; return the answer, and the files that look different now."""
    before = looks(home)
    answer = home.change(do)
    after = looks(home)
    return answer, {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}


def refused(home, do, match, kind=holdfast.Refused):
    """Expect this; the lock files that were made on the way are no change."""

    def expect():
        with pytest.raises(kind, match=match):
            do()

    before = looks(home)
    home.change(expect)
    assert looks(home) == before


def half_done(do, match):
    with pytest.raises(holdfast.HalfDone, match=match):
        do()


def relative(home, *ids):
    return {str(home.file(id).relative_to(home.path)) for id in ids}


def listed(state, **filters):
    return {thread.id for thread in state.threads.list(**filters)}


CHANGES = {
    "archive": lambda home, state: state.threads.archive(home.top, in_home=True),
    "unarchive": lambda home, state: state.threads.unarchive(home.archived, in_home=True),
    "rename": lambda home, state: state.threads.rename(home.top, "näw", in_home=True),
    "rename paginated": lambda home, state: state.threads.rename(home.paginated, "näw", in_home=True),
    "git": lambda home, state: state.in_home.set_git(home.top, branch="b", sha="1"),
    "memory": lambda home, state: state.in_home.set_memory_mode(home.top, "disabled"),
    "delete": lambda home, state: state.in_home.delete(home.top),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_was_changed_in_the_home_is_known_at_once_and_can_be_undone_to_the_byte(made, what):
    home, state = made
    before, threads = looks(home), state.threads.list(archived=None).threads

    done = home.change(lambda: CHANGES[what](home, state))
    changed = state.threads.list(archived=None).threads
    assert changed != threads
    state.index(full=True)
    assert state.threads.list(archived=None).threads == changed  # it was known without a look

    assert home.change(lambda: state.in_home.undo(done.receipt)).state == "undone"
    assert looks(home) == before
    assert state.threads.list(archived=None).threads == threads
    assert home.change(lambda: state.in_home.undo(done.receipt)).state == "undone"  # again: nothing
    assert looks(home) == before


@pytest.mark.parametrize("what", CHANGES)
def test_a_dry_run_tells_the_steps_and_changes_nothing(made, what, monkeypatch):
    home, state = made
    methods = {
        "archive": lambda: state.in_home.archive(home.top, dry_run=True),
        "unarchive": lambda: state.in_home.unarchive(home.archived, dry_run=True),
        "rename": lambda: state.in_home.rename(home.top, "n", dry_run=True),
        "rename paginated": lambda: state.in_home.rename(home.paginated, "n", dry_run=True),
        "git": lambda: state.in_home.set_git(home.top, branch="b", dry_run=True),
        "memory": lambda: state.in_home.set_memory_mode(home.top, "disabled", dry_run=True),
        "delete": lambda: state.in_home.delete(home.top, dry_run=True),
    }
    planned = methods[what]()
    assert planned.receipt is None
    assert state.in_home.receipts() == []
    home.check()

    done = home.change(lambda: CHANGES[what](home, state))
    assert [type(each) for each in planned.plan.changes] == [type(each) for each in done.plan.changes]


def test_archive_moves_the_thread_and_its_sub_agents_and_nothing_else(made):
    home, state = made
    old = relative(home, home.top, home.child, home.grandchild)

    done, changed = in_home(home, lambda: state.threads.archive(home.top, in_home=True))

    new = {f"archived_sessions/{os.path.basename(path)}" for path in old}
    assert changed == old | new
    assert done.thread.archived
    assert listed(state) == {home.paginated}
    assert state.threads.find(home.child).source == "index"
    again, changed = in_home(home, lambda: state.threads.archive(home.top, in_home=True))
    assert (again.receipt, changed) == (None, set())


def test_unarchive_puts_the_file_into_the_folder_of_its_day_as_written_just_now(made):
    home, state = made
    before = home.file(home.archived).stat().st_mtime

    done, changed = in_home(home, lambda: state.threads.unarchive(home.archived, in_home=True))

    assert not done.thread.archived
    assert str(home.file(home.archived).relative_to(home.path)).startswith("sessions/2026/11/21/rollout-")
    assert len(changed) == 2
    assert home.file(home.archived).stat().st_mtime > before


def test_delete_removes_every_file_in_both_places_and_spellings_and_only_their_names(made):
    home, state = made
    home.copy(home.child, "archived_sessions")
    home.pack(home.grandchild)
    names = home.path / "session_index.jsonl"
    home.change(lambda: names.write_bytes(names.read_bytes() + b'\xff torn {"id":\n{"id": "no"}\n'))
    files = {
        str(path.relative_to(home.path)) for id in (home.top, home.child, home.grandchild) for path in home.files(id)
    }

    done, changed = in_home(home, lambda: state.in_home.delete(home.top))

    assert len(files) == 4
    assert changed == files | {"session_index.jsonl"}
    left = names.read_bytes().splitlines()
    assert [json.loads(left[0])["id"], *left[1:]] == [home.paginated, b'\xff torn {"id":', b'{"id": "no"}']
    assert done.left_out == ()
    assert listed(state, archived=None) == {home.paginated, home.archived}


def test_both_spellings_of_a_thread_move_together(made):
    home, state = made
    plain = home.file(home.paginated)
    home.change(lambda: plain.with_name(plain.name + ".zst").write_bytes(b"whatever it holds"))

    home.change(lambda: state.threads.archive(home.paginated, in_home=True))

    assert [path.parent.name for path in home.files(home.paginated)] == ["archived_sessions"] * 2


def test_a_name_begins_on_a_line_of_its_own_even_behind_a_torn_one(made):
    home, state = made
    names = home.path / "session_index.jsonl"
    home.change(lambda: names.write_bytes(names.read_bytes() + b'{"id": "half'))

    done = home.change(lambda: state.threads.rename(home.top, " given ", in_home=True))

    assert done.thread.name == "given"
    lines = names.read_bytes().split(b"\n")
    assert lines[-3:][0] == b'{"id": "half'
    assert json.loads(lines[-2])["thread_name"] == "given"
    refused(home, lambda: state.threads.rename(home.top, " ", in_home=True), "Codex has no way to say that")


def test_git_facts_that_are_not_given_stay_and_none_clears_one(made):
    home, state = made

    home.change(lambda: state.in_home.set_git(home.top, branch="b", sha="1", origin_url="o"))
    home.change(lambda: state.in_home.set_memory_mode(home.top, "disabled"))
    thread = home.change(lambda: state.in_home.set_git(home.top, branch=None, sha="2")).thread

    assert (thread.git_branch, thread.git_sha, thread.git_origin_url) == (None, "2", "o")
    assert thread.memory_mode == "disabled"
    last = json.loads(home.file(home.top).read_text().splitlines()[-1])
    assert last["payload"]["git"] == {"commit_hash": "2", "repository_url": "o"}


def test_of_a_paginated_thread_git_and_memory_are_not_in_its_files(made):
    home, state = made
    for change in (
        lambda: state.in_home.set_git(home.paginated, branch="b"),
        lambda: state.in_home.set_memory_mode(home.paginated, "disabled"),
    ):
        refused(home, change, "in its own database only")
    renamed = home.change(lambda: CHANGES["rename paginated"](home, state))
    assert "does not read this one" in renamed.notes[0]


def test_what_was_said_beside_the_home_is_taken_back_when_the_files_say_it(made):
    home, state = made
    state.threads.rename(home.top, "said")
    state.threads.archive(home.top)
    state.threads.unarchive(home.archived)

    home.change(lambda: state.threads.rename(home.top, "in the file", in_home=True))
    home.change(lambda: state.threads.archive(home.top, in_home=True))
    kept = home.change(lambda: state.threads.archive(home.archived, in_home=True))

    assert kept.receipt is None and kept.thread.archived  # its file lay there already
    thread = state.threads.get(home.top)
    assert (thread.name, thread.archived) == ("in the file", True)
    with state.read() as tx:
        assert said.read(tx).said == ()
    home.move(home.top, "sessions/2026/11/21")
    state.index()
    assert not state.threads.get(home.top).archived  # nothing of ours stands in the way of the files


# --- who and what stands in the way ------------------------------------------------------


def test_a_thread_that_is_being_written_is_left_alone_and_the_writer_is_named(made, child):
    home, state = made
    holder = child(
        "from holdfast.rollouts import writer_lock\nwith writer_lock(ARGS[0], ARGS[1]):\n    pause('held')",
        home.path,
        home.top,
    )
    home.change(holder.line)
    for what in ("archive", "delete", "git"):
        with pytest.raises(holdfast.Busy, match=rf"another writer: .*pid {holder.pid}"):
            home.change(lambda what=what: CHANGES[what](home, state))
    home.change(lambda: (holder.tell(), holder.wait()))

    with writer_lock(str(home), home.top):
        refused(home, lambda: CHANGES["archive"](home, state), "written by this process", holdfast.Busy)
    assert state.in_home.receipts() == []
    home.change(lambda: CHANGES["archive"](home, state))


def test_a_sub_agent_that_is_being_written_does_not_stop_the_rest(made):
    home, state = made

    def archive():
        with writer_lock(str(home), home.child):
            return state.threads.archive(home.top, in_home=True)

    done = home.change(archive)

    assert [id for id, _ in done.left_out] == [home.child]
    assert "written by this process" in done.left_out[0][1]
    assert listed(state, archived=True) >= {home.top, home.grandchild}
    assert home.child in listed(state)


@pytest.mark.parametrize("what", ["archive", "delete", "git"])
def test_a_file_that_is_not_named_for_its_thread_is_refused(made, what):
    home, state = made
    file = home.file(home.top)
    home.change(lambda: file.rename(file.with_name(f"rollout-2026-11-21T12-00-00-{thread_id(99)}.jsonl")))
    state.index()

    refused(home, lambda: CHANGES[what](home, state), r"not named for thread|no file of thread")


def test_a_link_out_of_the_home_is_not_followed(made, tmp_path):
    home, state = made
    file, away = home.file(home.top), tmp_path / "away"
    home.change(lambda: (file.rename(away), file.symlink_to(away)))
    state.index()
    before = away.read_bytes()

    for what in ("archive", "delete", "git"):
        refused(home, lambda what=what: CHANGES[what](home, state), "symbolic link")
    assert away.read_bytes() == before and file.is_symlink()


def test_a_file_that_says_it_is_another_threads_is_not_deleted(made):
    home, state = made
    wrong = home.path / f"sessions/2026/11/21/rollout-2026-11-21T12-00-01-{home.top}.jsonl"
    home.change(lambda: wrong.write_bytes(home.file(home.paginated).read_bytes()))

    home.change(lambda: state.in_home.delete(home.top))

    assert home.files(home.top) == [wrong]


def test_a_folder_whose_name_is_no_text_is_left_alone(made):
    home, state = made
    odd = os.fsencode(home.path / "sessions/2026/11") + b"/\xff"
    name = os.fsencode(home.file(home.top).name)
    home.change(lambda: (os.mkdir(odd), os.link(home.file(home.top), odd + b"/" + name)))

    refused(home, lambda: state.in_home.delete(home.top), "is not UTF-8: no receipt could hold it")


def test_a_file_that_lies_there_already_is_never_replaced(made):
    home, state = made
    there = home.path / "archived_sessions" / home.file(home.top).name
    home.change(lambda: there.write_bytes(b"precious"))

    refused(home, lambda: state.threads.archive(home.top, in_home=True), "would be replaced")
    assert there.read_bytes() == b"precious"


def test_a_peek_and_a_transaction_change_no_home(made, where):
    home, state = made
    with holdfast.peek(home, **where) as peeked, pytest.raises(holdfast.Refused, match="reading only"):
        peeked.threads.archive(home.top, in_home=True)
    with state.write() as tx, pytest.raises(holdfast.Refused, match="inside a transaction"):
        state.threads.within(tx).archive(home.top, in_home=True)
    assert state.threads.archive(thread_id(98), in_home=True) is None


def test_of_a_thread_in_two_homes_that_home_is_changed_which_is_meant(make_home, open_state):
    home, copy = make_home("home"), make_home("copy")
    home.id = home.thread("words")
    copy.thread("words", id=home.id, updated_ms=NOON_MS + 60_000)
    state = open_state(home, copy)

    done = copy.change(lambda: state.threads.archive(home.id, in_home=True))

    assert done.plan.folder == str(copy)
    assert copy.file(home.id).parent.name == "archived_sessions"


# --- undoing -------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["archive", "git", "unarchive"])
def test_what_was_worked_in_since_is_not_undone(made, what):
    home, state = made
    done = home.change(lambda: CHANGES[what](home, state))
    home.append(home.archived if what == "unarchive" else home.top, "on we go")

    refused(home, lambda: state.in_home.undo(done.receipt), "changed since, by somebody else")
    assert receipts.find(str(state.path) + "/receipts", done.receipt).state == "done"


@pytest.mark.parametrize("what", ["rename", "delete"])
def test_names_that_codex_gave_since_stay_when_ours_is_undone(made, what):
    home, state = made
    done = home.change(lambda: CHANGES[what](home, state))
    home.name(home.archived, "since then")

    home.change(lambda: state.in_home.undo(done.receipt))

    state.index()
    names = {thread.id: thread.name for thread in state.threads.list(archived=None)}
    assert (names[home.top], names[home.archived]) == ("first name", "since then")


def test_a_deleted_thread_comes_back_from_a_state_on_another_disk(made, monkeypatch):
    home, state = made
    before = looks(home)
    link = os.link

    def links_nowhere(source, target, **more):
        # As across two disks: only within one folder's disk can a file have two names.
        if ("receipts" in str(source)) != ("receipts" in str(target)):
            raise OSError(18, "Invalid cross-device link")
        link(source, target, **more)

    monkeypatch.setattr(os, "link", links_nowhere)
    done = home.change(lambda: state.in_home.delete(home.top))
    home.change(lambda: state.in_home.undo(done.receipt))

    assert looks(home) == before


def test_a_receipt_is_a_readable_file_for_its_owner_alone_and_holds_what_went(made, state_dir):
    home, state = made
    content = home.file(home.top).read_bytes()

    done = home.change(lambda: state.in_home.delete(home.top))

    folder = state_dir / "receipts" / done.receipt
    assert {path.stat().st_mode & 0o777 for path in (folder, folder.parent)} == {0o700}
    assert (folder / "receipt.json").stat().st_mode & 0o777 == 0o600
    written = json.loads((folder / "receipt.json").read_text())
    assert written["title"] == f"delete thread {home.top} and 2 of its sub-agents"
    step = next(step for step in written["steps"] if home.top in step["what"])
    assert step["what"].startswith("remove ") and step["undo"].startswith("put the copy back to ")
    assert (folder / step["copy"]).read_bytes() == content


def test_only_so_many_receipts_are_kept_but_none_that_was_stopped_in_the_middle(made, state_dir):
    home, state = made
    folder = str(state_dir / "receipts")
    plan = state.in_home.archive(home.paginated, dry_run=True).plan
    stopped = receipts.write(folder, plan, kept=2)
    for _ in range(4):
        done = receipts.write(folder, state.in_home.rename(home.top, "n", dry_run=True).plan, kept=2)
        home.change(lambda done=done: receipts.carry_out(done))

    assert [each.id for each in receipts.listing(folder)][:1] == [done.id]
    assert len(receipts.listing(folder)) == 3
    assert stopped.id in {each.id for each in receipts.listing(folder)}
    receipts.write(folder, plan, bytes_max=0)
    assert {each.state for each in receipts.listing(folder)} == {"unfinished"}


def test_what_changed_between_plan_and_deed_stops_it_before_anything_is_done(made, state_dir):
    home, state = made
    receipt = receipts.write(str(state_dir / "receipts"), state.in_home.archive(home.top, dry_run=True).plan)
    home.append(home.grandchild, "meanwhile")

    with pytest.raises(holdfast.Stale, match="was changed after this was planned; nothing was done"):
        receipts.carry_out(receipt)
    home.check()
    assert receipts.listing(str(state_dir / "receipts")) == []


def test_what_cannot_be_done_in_the_middle_is_told_with_the_receipt_to_undo_it(made, state_dir):
    home, state = made
    before = looks(home)
    away = home.path / "sessions/2026/11/22"
    file = home.file(home.child)
    home.move(home.child, "sessions/2026/11/22")
    state.index()
    before = looks(home)
    code = """
import holdfast, os, sys
home, state_dir, id, folder = sys.argv[1:]
link = os.link
def full(source, target, **more):
    if folder in source:
        raise OSError(5, "Input/output error")
    link(source, target, **more)
os.link = full
rename = os.rename
def broken(source, target):
    if folder in str(source):
        raise OSError(5, "Input/output error")
    rename(source, target)
os.rename = broken
with holdfast.open(home, state_dir=state_dir, search=False) as state:
    try:
        state.threads.archive(id, in_home=True)
    except holdfast.HalfDone as error:
        print(error)
    print(state.threads.get(id).archived)
"""
    told = home.change(
        lambda: subprocess.run(
            [sys.executable, "-c", code, str(home), str(state_dir), home.top, str(away)],
            capture_output=True, text=True, check=True,
        )
    ).stdout.splitlines()  # fmt: skip
    (receipt,) = state.in_home.receipts()

    assert told[0].startswith(f"stopped carrying out the receipt {receipt.id} at step 2 of 3 (move {away}/{file.name}")
    assert told[0].endswith("Input/output error")
    assert told[1] == "True"  # the index follows what was done
    assert (receipt.state, receipt.steps_done) == ("unfinished", 1)
    home.change(lambda: state.in_home.undo(receipt.id))
    assert looks(home) == before
    again = home.change(lambda: state.threads.archive(home.top, in_home=True))
    assert len(again.plan.changes) == 3


def test_when_not_even_the_first_step_can_be_done_nothing_is_left_behind(make_home, open_state, monkeypatch):
    home = make_home()
    id = home.thread("words")
    state = open_state(home)

    def broken(*_, **__):
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(os, "link", broken)
        patched.setattr(os, "rename", lambda a, b: os.replace(a, b) if "receipts" in str(a) else broken())
        refused(home, lambda: state.threads.archive(id, in_home=True), "Read-only file system; nothing was changed")

    assert state.in_home.receipts() == []


def test_a_first_step_that_was_done_by_half_is_no_nothing(made, monkeypatch):
    home, state = made
    before = looks(home)
    unlink = os.unlink

    def keeps(path, **more):
        if "/sessions/" in str(path):
            raise OSError(1, "Operation not permitted")
        unlink(path, **more)

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", keeps)
        home.change(lambda: half_done(lambda: state.threads.archive(home.top, in_home=True), "at step 1 of 3"))

    (receipt,) = state.in_home.receipts()
    assert str(receipts.standings(receipt)[0]) == "between"
    home.change(lambda: state.in_home.undo(receipt.id))
    assert looks(home) == before


def test_sessions_may_be_a_link_to_another_folder(make_home, open_state, tmp_path):
    home = make_home()
    id = home.thread("words")
    home.change(
        lambda: ((home.path / "sessions").rename(tmp_path / "far"), (home.path / "sessions").symlink_to("../far"))
    )
    state = open_state(home)
    before = looks(home)

    done = home.change(lambda: state.threads.archive(id, in_home=True))
    assert done.thread.archived and state.threads.find(id).source == "index"
    home.change(lambda: state.in_home.undo(done.receipt))

    assert looks(home) == before
    assert not state.threads.get(id).archived


def test_what_was_stopped_in_the_middle_can_be_finished(made, state_dir):
    home, state = made
    receipt = receipts.write(str(state_dir / "receipts"), state.in_home.archive(home.top, dry_run=True).plan)

    assert home.change(lambda: state.in_home.finish(receipt.id)).state == "done"

    assert {home.top, home.child, home.grandchild} <= listed(state, archived=True)


def test_a_name_that_was_undone_without_our_knowing_is_gone_with_the_next_index(made):
    """As when the undo was killed before the index followed: the names file has its old content, size and time."""
    home, state = made
    receipt = home.change(lambda: state.threads.rename(home.top, "näw", in_home=True)).receipt
    found = receipts.find(str(state.path) + "/receipts", receipt)
    home.change(lambda: receipts.undo(found))

    state.index()

    assert state.threads.get(home.top).name == "first name"
