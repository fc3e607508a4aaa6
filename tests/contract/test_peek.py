"""A peek leaves no trace anywhere, and tells what an index would."""

from __future__ import annotations

import os

import pytest

import holdfast
from homes import seen


@pytest.fixture
def around(tmp_path):
    """Everything the test can write to: names and contents, not only of the home."""

    def look():
        return {path: what for path, what in seen(tmp_path).items() if not path.startswith("reference")}

    return look


@pytest.fixture
def indexed(home, tmp_path):
    """The same home through an index, whose state lies where the peek does not look."""
    with holdfast.open(home, state_dir=tmp_path / "reference", search=False) as state:
        yield state


def test_a_peek_without_a_state_creates_nothing_and_answers_as_an_index_would(home, indexed, tmp_path, around):
    before = around()

    with holdfast.peek(home, state_dir=tmp_path / "none") as peek:
        assert peek.engine is None
        for archived in (False, True, None):
            from_index = {thread.id: thread for thread in indexed.threads.list(limit=1000, archived=archived)}
            page = peek.threads.list(limit=1000, archived=archived)
            assert page.source == "files"
            assert {thread.id: thread for thread in page} == from_index
        for id, thread in from_index.items():
            assert peek.threads.get(id) == thread
            assert peek.threads.resolve(id) == thread
            found, same = peek.threads.find(id), indexed.threads.find(id)
            assert (found.path, found.file, found.verified) == (same.path, same.file, True)
            assert (found.source, found.repair) == ("files", None)
            conversation, same = peek.threads.read(id), indexed.threads.read(id)
            assert conversation.thread == same.thread
            assert conversation.turns == same.turns
            if thread.name:
                assert peek.threads.resolve(thread.name) == indexed.threads.resolve(thread.name)
            if thread.title:
                assert peek.threads.resolve(thread.title) == indexed.threads.resolve(thread.title)
        assert peek.threads.get("01a1fa07-0000-7000-8000-000000000000") is None
        assert peek.threads.find("no such thing") is None
        assert peek.holds() == []
        assert peek.status().homes[0].indexed_ms is None
    assert around() == before


def test_a_peek_at_a_state_reads_its_index_and_changes_no_byte_of_it(home, indexed, tmp_path, around):
    id = next(iter(indexed.threads.list())).id
    indexed.threads.rename(id, "said here")
    indexed.close()
    before = seen(tmp_path)

    with holdfast.peek(home, state_dir=tmp_path / "reference") as peek:
        page = peek.threads.list(limit=1000, archived=None)
        assert (page.source, page.complete, len(page)) == ("index", True, len(home.files()))
        assert peek.threads.resolve("said here").id == id
        assert peek.threads.read(id).thread.name == "said here"

    assert seen(tmp_path) == before


def test_a_peek_at_a_state_that_is_open_elsewhere_sees_what_was_committed(home, indexed, tmp_path):
    id = next(iter(indexed.threads.list())).id
    with holdfast.peek(home, state_dir=tmp_path / "reference") as peek:
        indexed.threads.rename(id, "just now")
        assert peek.threads.get(id).name == "just now"


def test_a_peek_finds_a_moved_file_and_leaves_the_row_to_those_who_may_write(make_home, open_state, state_dir, where):
    home = make_home()
    id = home.thread("words")
    open_state(home).close()
    home.move(id, "archived_sessions")
    before = seen(state_dir)

    with holdfast.peek(home, **where) as peek:
        found = peek.threads.find(id)
        assert (found.file, found.repair) == (str(home.file(id)), "file-missing")
        assert peek.threads.read(id).thread.rollout_path == str(home.file(id))

    assert seen(state_dir) == before


@pytest.mark.parametrize("state", ["none", "reference"])
def test_a_peek_refuses_to_write_and_says_what_to_use_instead(home, indexed, tmp_path, state):
    id = next(iter(indexed.threads.list())).id
    indexed.close()
    before = seen(tmp_path)
    with holdfast.peek(home, state_dir=tmp_path / state) as peek:
        for write in (
            lambda: peek.threads.rename(id, "x"),
            lambda: peek.threads.archive(id),
            lambda: peek.threads.unarchive(id),
            lambda: peek.index(),
            lambda: peek.write(),
            lambda: peek.submit(lambda tx: None),
        ):
            with pytest.raises(holdfast.Refused) as refused:
                write()
            assert "holdfast.open()" in refused.value.remedy
    assert seen(tmp_path) == before


def test_a_peek_at_no_home_is_refused(tmp_path):
    with pytest.raises(holdfast.Refused, match="there is no home at"):
        holdfast.peek(tmp_path / "nowhere", state_dir=tmp_path / "none")
    assert os.listdir(tmp_path) == []


def test_a_peek_at_a_home_that_the_state_does_not_know_reads_its_files(make_home, open_state, state_dir, where):
    known, unknown = make_home("known"), make_home("unknown")
    known.thread("known words")
    id = unknown.thread("unknown words")
    open_state(known).close()
    before = seen(state_dir)

    with holdfast.peek(unknown, **where) as peek:
        assert [thread.id for thread in peek.threads.list()] == [id]
        assert peek.threads.get(id).title == "unknown words"
        assert peek.threads.resolve("unknown words").id == id
        assert peek.threads.find(id).file == str(unknown.file(id))
    assert seen(state_dir) == before
