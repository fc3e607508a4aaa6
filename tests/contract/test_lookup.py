"""Where a thread's rollout lies: never another thread's file, whatever the row says; and the row is mended after."""

from __future__ import annotations

import pytest

import holdfast
from holdfast import Refused, ids
from holdfast.rollouts import verify
from holdfast.rollouts.transcript import Words
from homes import NOON_MS, MadeHome
from rows import statement

POINT = "UPDATE threads SET file_id = (SELECT file_id FROM threads WHERE thread_id = :other) WHERE thread_id = :id"


def point_at(state, id, other):
    """Make the row of ``id`` lead to the file of ``other``, as a database from a copied home does."""
    with state.write() as tx:
        assert tx.run(statement(POINT), id=ids.parse(id), other=ids.parse(other)) == 1


def repaired(state):
    """Wait for the repairs that reads have asked for."""
    state.chores.close()
    assert state.chores.last_error == ""


def rows_point_home(state):
    with state.read() as tx:
        both = "SELECT t.n FROM threads t JOIN files f ON f.file_id = t.file_id"
        return tx.rows(statement(f"{both} WHERE f.thread_id IS DISTINCT FROM t.thread_id")) == []


def words_in(turns):
    return [entry.text for turn in turns for entry in turn.entries if isinstance(entry, Words)]


@pytest.fixture
def two(make_home):
    home: MadeHome = make_home()
    return home, home.thread("first words of ann"), home.thread("first words of bob")


def test_find_thread_path_accepts_existing_state_db_path_without_canonical_filename(make_home, open_state):
    home = make_home()
    id = home.thread("an old one")
    odd = home.path / "sessions" / "rollout-from-my-backup.jsonl"
    home.change(lambda: home.file(id).rename(odd))
    state = open_state(home)

    found = state.threads.find(id)

    assert (found.file, found.verified, found.source, found.repair) == (str(odd), True, "index", None)


def test_find_thread_path_falls_back_when_db_path_points_to_another_thread(two, open_state):
    home, ann, bob = two
    state = open_state(home)
    point_at(state, ann, bob)

    found = state.threads.find(ann)

    assert found.file == str(home.file(ann))
    assert (found.verified, found.source, found.repair) == (True, "files", "file-of-another")
    repaired(state)
    again = state.threads.find(ann)
    assert (again.file, again.source, again.repair) == (str(home.file(ann)), "index", None)
    assert state.threads.find(bob).file == str(home.file(bob))
    assert rows_point_home(state)


def test_find_thread_path_falls_back_when_the_file_was_replaced_by_another_thread(two, open_state):
    home, ann, bob = two
    state = open_state(home)
    place = home.file(ann)
    home.move(ann, "sessions/2026/11/22")
    home.write(place, home.file(bob).read_bytes())

    found = state.threads.find(ann)

    assert found.file == str(home.path / "sessions/2026/11/22" / place.name)
    assert (found.verified, found.repair) == (True, "file-of-another")
    repaired(state)
    assert state.threads.find(ann).source == "index"
    assert state.threads.get(ann).rollout_path == found.file
    assert len(state.threads.list()) == 2
    assert rows_point_home(state)


def test_find_prefers_sqlite_path_by_id(make_home, open_state):
    home = make_home()
    id = home.thread("somewhere unlikely", folder="sessions/keep")
    home.copy(id, "sessions/2026/11/21")  # where a search of the files would look first; same words, same time
    state = open_state(home)
    assert state.threads.get(id).rollout_path == str(home.path / "sessions/keep" / home.files(id)[0].name)

    found = state.threads.find(id)

    assert (found.path, found.source) == (state.threads.get(id).rollout_path, "index")


def test_read_thread_falls_back_when_sqlite_path_points_to_another_thread(two, open_state):
    home, ann, bob = two
    state = open_state(home)
    point_at(state, ann, bob)

    conversation = state.threads.read(ann)

    assert conversation.thread.id == ann
    assert conversation.thread.rollout_path == str(home.file(ann))
    assert words_in(conversation.turns) == ["first words of ann"]
    repaired(state)
    assert rows_point_home(state)


def test_read_thread_falls_back_when_the_file_was_replaced_by_another_thread(two, open_state):
    home, ann, bob = two
    state = open_state(home)
    place = home.file(ann)
    home.move(ann, "archived_sessions")
    home.write(place, home.file(bob).read_bytes())

    conversation = state.threads.read(ann)

    assert conversation.thread.rollout_path == str(home.path / "archived_sessions" / place.name)
    assert words_in(conversation.turns) == ["first words of ann"]
    repaired(state)
    assert state.threads.get(ann).archived


def test_a_thread_whose_file_now_holds_another_and_that_lies_nowhere_else_is_not_found(two, open_state):
    home, ann, bob = two
    state = open_state(home)
    home.write(home.file(ann), home.file(bob).read_bytes())

    assert state.threads.find(ann) is None
    assert state.threads.read(ann) is None
    repaired(state)
    assert state.threads.get(ann).missing_since_ms is not None
    assert [thread.id for thread in state.threads.list()] == [bob]


def test_a_thread_whose_file_is_gone_is_not_found_and_its_row_says_so_soon(two, open_state):
    home, ann, bob = two
    state = open_state(home)
    home.delete(ann)

    assert state.threads.find(ann) is None
    repaired(state)
    assert state.threads.get(ann).missing_since_ms is not None
    assert [thread.id for thread in state.threads.list()] == [bob]


def test_looking_for_what_never_was_leaves_no_trace(two, open_state):
    home, _, _ = two
    state = open_state(home)
    before = state.engine.status().transactions

    assert state.threads.find("01a1fa07-0000-7000-8000-000000000000") is None
    assert state.threads.get("01a1fa07-0000-7000-8000-000000000000") is None
    assert state.threads.read("01a1fa07-0000-7000-8000-000000000000") is None
    assert state.threads.resolve("no such name") is None
    repaired(state)
    assert state.engine.status().transactions == before


def test_a_moved_file_is_found_before_the_next_index_and_its_row_follows(two, open_state):
    home, ann, _ = two
    state = open_state(home)
    home.move(ann, "archived_sessions")

    found = state.threads.find(ann)

    assert (found.file, found.repair) == (str(home.file(ann)), "file-missing")
    repaired(state)
    assert state.threads.get(ann).rollout_path == str(home.file(ann))
    assert state.threads.find(ann).repair is None


def test_a_fork_that_is_mended_keeps_the_words_it_inherited(make_home, open_state):
    home = make_home()
    origin = home.thread("how it all began", paginated=True)
    fork = home.thread("another way", paginated=True, forked_from=origin, base=(origin, 3))
    state = open_state(home)
    assert state.threads.get(fork).preview == "how it all began"
    home.move(fork, "sessions/2026/11/22")

    assert state.threads.find(fork).repair == "file-missing"

    repaired(state)
    assert state.threads.get(fork).rollout_path == str(home.file(fork))
    assert state.threads.get(fork).preview == "how it all began"


def test_a_thread_younger_than_the_index_is_found_read_and_named(two, open_state):
    home, _, _ = two
    state = open_state(home)
    young = home.thread("just now", created_ms=NOON_MS + 1)

    assert state.threads.find(young).file == str(home.file(young))
    assert state.threads.read(young).thread.title == "just now"
    assert state.threads.resolve(young).title == "just now"
    assert state.threads.rename(young, "the young one").name == "the young one"
    assert state.threads.get(young).name == "the young one"


def test_inside_a_transaction_a_thread_younger_than_the_index_is_refused_with_a_way_out(two, open_state):
    home, _, _ = two
    state = open_state(home)
    young = home.thread("just now", created_ms=NOON_MS + 1)
    with state.write() as tx, pytest.raises(holdfast.Refused, match="younger than the index") as refused:
        state.threads.within(tx).rename(young, "the young one")
    assert "state.index()" in refused.value.remedy
    state.index()
    with state.write() as tx:
        assert state.threads.within(tx).rename(young, "the young one").name == "the young one"


def test_only_archived_or_only_active_threads_are_found_when_asked(make_home, open_state):
    home = make_home()
    active, archived = home.thread("active"), home.thread("archived", archived=True)
    state = open_state(home)

    assert state.threads.find(active, archived=False) is not None
    assert state.threads.find(active, archived=True) is None
    assert state.threads.find(archived, archived=True) is not None
    assert state.threads.find(archived, archived=False) is None
    state.threads.archive(active)
    assert state.threads.find(active, archived=True).file == str(home.file(active))
    assert state.threads.find(active, archived=False) is None


def test_a_packed_rollout_is_found_under_its_plain_name(make_home, open_state):
    home = make_home()
    id = home.thread("cold words")
    plain = str(home.file(id))
    home.pack(id)
    state = open_state(home)

    found = state.threads.find(id)

    assert (found.path, found.file) == (plain, f"{plain}.zst")
    assert verify(found.file) == ids.parse(id)
    assert words_in(state.threads.read(id).turns) == ["cold words"]


def test_texts_that_mean_a_thread(make_home, open_state):
    home = make_home()
    old = home.thread("the same title", id="11112222-0000-7000-8000-000000000001")
    new = home.thread("the same title", id="11113333-0000-7000-8000-000000000002", updated_ms=NOON_MS + 9_000)
    named = home.thread("other words", id="44445555-0000-7000-8000-000000000003")
    home.name(named, "Größer 🚀")
    state = open_state(home)

    for state_or_files in (state, holdfast.peek(home, state_dir=home.path.parent / "none")):
        meant = state_or_files.threads.resolve
        assert meant(old).id == meant(old.upper()).id == meant(old.replace("-", "")).id == old
        assert meant("11112").id == old
        assert meant("4444-5").id == named
        assert meant("Größer 🚀").id == named
        assert meant("the same title").id == new  # the one written last
        assert meant("444") is None  # too short for an id, and nobody's name
        with pytest.raises(holdfast.Refused, match=f"begins several thread ids: {old}, {new}"):
            meant("1111")


@pytest.mark.parametrize("blank", ["", " "])
def test_a_blank_text_means_no_thread_not_one_whose_name_was_taken_away(two, open_state, blank):
    home, first, _ = two
    state = open_state(home)
    state.threads.rename(first, "")

    assert state.threads.resolve(blank) is None
    assert state.threads.find(blank) is None
    assert state.threads.delete(blank) is None


def test_texts_that_cannot_be_stored_or_looked_for_are_refused(two, open_state):
    home, first, _ = two
    state = open_state(home)
    for ask in (
        lambda text: state.threads.rename(first, text),
        lambda text: state.threads.set_git(first, branch=text),
        lambda text: state.threads.resolve(text),
        lambda text: state.threads.list(search=text),
        lambda text: state.threads.list(cwds=[text]),
    ):
        with pytest.raises(Refused, match="lone surrogate"):
            ask("a \udc80 b")
    with pytest.raises(Refused, match="100000 characters to search for, 10000 is the most"):
        state.threads.list(search="x" * 100_000)
