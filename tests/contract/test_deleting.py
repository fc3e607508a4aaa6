"""A deleted thread is out of every answer, whatever is written to its rollout, and comes back as it was."""

from __future__ import annotations

import pytest
from contract_helpers import only_sqlite, ways

import holdfast
from homes import NOON_MS


@pytest.fixture
def tree(make_home, open_state):
    home = make_home()
    home.root = home.thread("root words")
    home.a = home.thread("a words", parent=home.root)
    home.b = home.thread("b words", parent=home.a)
    home.other = home.thread("other words")
    return home, open_state(home, search=True)


def shown(state):
    return {thread.id for thread in state.threads.list(archived=None, missing=True, limit=1000)}


@only_sqlite("words are searched in a directory")
def test_a_preview_says_what_would_go_children_first_and_changes_nothing(tree):
    home, state = tree
    state.wait_for_search()
    state.threads.set_tools(home.a, [])
    state.threads.spawned(home.root, home.a)

    preview = state.threads.preview_delete("root words")

    assert [each.id for each in preview.threads] == [home.b, home.a, home.root]
    assert [each.file for each in preview.threads] == [str(home.file(id)) for id in (home.b, home.a, home.root)]
    assert preview.bytes == sum(home.file(id).stat().st_size for id in (home.b, home.a, home.root))
    assert [(each.label, each.messages, each.tools, each.edges) for each in preview.threads] == [
        ("b words", 1, None, 0),
        ("a words", 1, 0, 1),
        ("root words", 1, None, 1),
    ]
    alone = state.threads.preview_delete(home.root, descendants=False)
    assert [each.id for each in alone.threads] == [home.root]
    assert shown(state) == {home.root, home.a, home.b, home.other}
    assert state.threads.preview_delete("nobody") is None


def test_a_preview_names_who_holds_it(tree):
    from holdfast import holds

    home, state = tree
    with state.write() as tx:
        holds.take(tx, f"memory:{home.root}", holds.me("extractor"), lease_ms=60_000)
    (held,) = state.threads.preview_delete(home.root).threads[-1].holds
    assert held.startswith(f"memory:{home.root} by ")


@only_sqlite("words are searched in a directory")
def test_a_deleted_thread_and_all_it_spawned_are_in_no_answer(tree):
    home, state = tree
    state.wait_for_search()
    state.threads.rename(home.a, "called so")

    deleted = state.threads.delete("root words")

    assert deleted.thread_ids == (home.b, home.a, home.root)
    assert shown(state) == {home.other}
    for id in deleted.thread_ids:
        assert state.threads.get(id) is state.threads.resolve(id) is state.threads.find(id) is None
        assert state.threads.read(id) is state.threads.tools(id) is state.threads.children(id) is None
        assert state.threads.rename(id, "x") is state.threads.delete(id) is state.threads.refresh(id) is None
    assert state.threads.resolve("called so") is None
    assert [hit.thread.id for hit in state.threads.search("words")] == [home.other]
    assert list(state.threads.list(search="words", parent=home.root)) == []
    state.wait_for_search()
    assert state.status().search_messages == 1  # what they said has left the index, too


@only_sqlite("words are searched in a directory")
def test_it_is_no_hit_before_its_words_have_left_the_index(tree):
    home, state = tree
    state.wait_for_search()
    with state.write() as tx:  # inside a transaction nothing is fed
        state.threads.within(tx).delete(home.root)
    assert state.status().search_messages == 4
    assert [hit.thread.id for hit in state.threads.search("words")] == [home.other]


def test_the_beginning_of_its_id_means_it_no_more(make_home, open_state):
    home = make_home()
    gone = home.thread("gone", id="02b1fdfa-4600-7000-8000-000000000001")
    kept = home.thread("kept", id="02b1fdfa-4600-7000-8000-000000000002")
    state = open_state(home)
    state.threads.delete(gone)
    assert state.threads.resolve("02b1fdfa").id == kept
    state.threads.delete(kept)
    assert state.threads.resolve("02b1fdfa") is None
    with pytest.raises(holdfast.Refused, match="begins several"):
        state.threads.undelete("02b1fdfa")


@ways("written", "reindexed", "moved", "copied", "opened", "archived", sqlite=("lost",))
def test_nothing_brings_it_back_but_a_person(tree, open_state, state_dir, how):
    home, state = tree
    state.threads.delete(home.root)
    match how:
        case "written":
            home.append(home.root, "I am still here", ms=NOON_MS + 99_000)
            state.catch_up()
        case "reindexed":
            state.index(full=True)
        case "moved":
            home.move(home.root, "sessions/2026/11/23")
        case "archived":
            home.move(home.root, "archived_sessions")
        case "copied":
            home.copy(home.root, "sessions/2026/11/23")
        case "opened" | "lost":
            state.close()
            if how == "lost":
                (state_dir / "state.db").write_bytes(b"no database" * 1000)
                holdfast.rebuild(home, state_dir=state_dir)
            state = open_state(home)
    state.index()
    assert shown(state) == {home.other}
    assert state.threads.resolve(home.root) is None

    assert state.threads.undelete(home.root).id == home.root

    assert shown(state) == {home.root, home.a, home.b, home.other}


@only_sqlite("words are searched in a directory")
def test_undelete_brings_back_what_went_with_it_and_nothing_that_went_before(tree):
    home, state = tree
    state.threads.set_tools(home.a, [])
    state.threads.delete(home.b)
    state.threads.delete(home.root)
    assert {each.id for each in state.threads.list(deleted=True)} == {home.root, home.a, home.b}
    assert all(each.deleted_at_ms for each in state.threads.list(deleted=True))

    back = state.threads.undelete("root words")

    assert (back.id, back.deleted_at_ms) == (home.root, None)
    assert shown(state) == {home.root, home.a, home.other}
    assert state.threads.tools(home.a) == []
    state.wait_for_search()
    assert {hit.thread.id for hit in state.threads.search("words")} == {home.root, home.a, home.other}
    assert [each.id for each in state.threads.descendants(home.root)] == [home.a]
    assert state.threads.undelete(home.b[:-1]).id == home.b
    assert state.threads.undelete(home.b) is None
    assert list(state.threads.list(deleted=True)) == []


def test_a_delete_that_fails_deletes_nothing_and_can_be_tried_again(tree):
    home, state = tree
    with pytest.raises(ZeroDivisionError), state.write() as tx:
        assert state.threads.within(tx).delete(home.root) is not None
        assert state.threads.within(tx).get(home.b) is None
        1 / 0  # noqa: B018
    assert shown(state) == {home.root, home.a, home.b, home.other}
    assert len(state.threads.delete(home.root).thread_ids) == 3


def test_a_parent_that_is_deleted_alone_leaves_its_children(tree):
    home, state = tree
    assert state.threads.delete(home.a, descendants=False).thread_ids == (home.a,)
    assert shown(state) == {home.root, home.b, home.other}
    assert [each.id for each in state.threads.descendants(home.root)] == [home.b]
    assert state.threads.children(home.root) == []
    assert state.threads.delete(home.root).thread_ids == (home.b, home.root)  # through the one that went before


def test_a_fork_of_a_deleted_thread_is_still_read_whole(make_home, open_state):
    home = make_home()
    origin = home.thread("how it began", paginated=True)
    fork = home.thread("a fork", paginated=True, base=(origin, 3))
    state = open_state(home)
    before = state.threads.read(fork)
    state.threads.delete(origin)
    assert state.threads.read(fork) == before
    assert len(before.turns) == 2


def test_of_a_thread_in_two_homes_only_that_of_one_is_deleted(make_home, open_state):
    home, copy = make_home("home"), make_home("copy")
    id = home.thread("words")
    copy.thread("words", id=id, updated_ms=NOON_MS + 60_000)
    state = open_state(home, copy)

    assert state.threads.delete(id).home == str(copy)

    assert [thread.home for thread in state.threads.list()] == [str(home)]
    assert state.threads.find(id).home == str(home)


def test_while_a_home_is_indexed_again_the_files_do_not_show_what_was_deleted(tree, where):
    home, state = tree
    state.threads.delete(home.root)
    with state.write() as tx:
        from rows import statement

        tx.run(statement("UPDATE homes SET indexed_ms = NULL"))
    peeked = holdfast.peek(home, **where)
    assert {thread.id for thread in peeked.threads.list(deleted=True)} == {home.root, home.a, home.b}
    assert [thread.id for thread in peeked.threads.list()] == [home.other]
    assert peeked.threads.get(home.root) is peeked.threads.resolve("root words") is None
    peeked.close()
    state.index(full=True)
