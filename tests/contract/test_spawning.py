"""Who spawned whom: said by a harness, else by the rollout of the child; walked in any shape it may have."""

from __future__ import annotations

import random

import pytest

import holdfast
from homes import NOON_MS, thread_id
from rows import findings, statement


@pytest.fixture
def tree(make_home, open_state):
    """root spawned a and b, a spawned c. The rollout of b says that lone did; the harness knows better."""
    home = make_home()
    home.lone, home.root = home.thread("lone"), home.thread("root")
    home.a = home.thread("a", parent=home.root)
    home.b = home.thread("b", parent=home.lone)
    home.c = home.thread("c", parent=home.a)
    state = open_state(home)
    state.threads.spawned(home.root, home.b)
    return home, state


def told(spawns):
    return [(each.id, each.parent_id, each.status, each.said) for each in spawns]


def listed(state, **question):
    return [thread.id for thread in state.threads.list(sort="created", direction="asc", archived=None, **question)]


def test_children_and_descendants_keep_direction_and_status(tree):
    home, state = tree
    a, b, c = (
        (home.a, home.root, "open", False),
        (home.b, home.root, "open", True),
        (home.c, home.a, "open", False),
    )
    assert told(state.threads.children("root")) == [a, b]
    assert told(state.threads.descendants(home.root)) == [a, b, c]
    assert told(state.threads.children("a")) == [c]
    assert state.threads.children("lone") == state.threads.descendants(home.c) == []
    assert state.threads.children("nobody") is state.threads.descendants("nobody") is None


def test_a_said_edge_wins_over_the_rollout_wherever_it_shows(tree):
    home, state = tree
    assert state.threads.get(home.b).parent_thread_id == home.root
    assert listed(state, parent=home.root) == [home.a, home.b]
    assert listed(state, parent=home.lone) == []
    assert listed(state, ancestor=home.root) == [home.a, home.b, home.c]
    state.index(full=True)
    assert state.threads.get(home.b).parent_thread_id == home.root


def test_status_is_kept_and_filters_without_hiding_what_is_below(tree):
    home, state = tree
    assert state.threads.set_spawn_status(home.a, "closed").said
    assert [each.id for each in state.threads.children("root", "open")] == [home.b]
    assert [each.id for each in state.threads.children("root", status="closed")] == [home.a]
    assert [each.id for each in state.threads.descendants("root", "open")] == [home.b, home.c]
    assert state.threads.set_spawn_status(home.a, "open").parent_id == home.root
    assert state.threads.set_spawn_status(home.lone, "closed") is None
    for wrong in ("", "Open", "shut"):
        with pytest.raises(holdfast.Refused, match="open, closed"):
            state.threads.set_spawn_status(home.a, wrong)


def test_an_edge_may_come_before_the_rollout_of_the_child(tree):
    home, state = tree
    unborn = thread_id(99, NOON_MS + 5)
    assert state.threads.spawned("root", unborn, "closed").status == "closed"
    assert (unborn, home.root, "closed", True) in told(state.threads.children("root"))
    assert unborn not in listed(state, parent=home.root)

    home.thread("born", id=unborn, created_ms=NOON_MS + 5)
    state.index()

    assert state.threads.get(unborn).parent_thread_id == home.root
    assert unborn in listed(state, parent=home.root)


def test_who_would_be_spawned_by_itself_is_refused(tree):
    home, state = tree
    for parent, child in [(home.c, home.root), (home.root, home.root), (home.c, home.a)]:
        with pytest.raises(holdfast.Refused, match="circle"):
            state.threads.spawned(parent, child)
    assert state.threads.spawned("no such thread", home.a) is None
    with pytest.raises(holdfast.Refused, match="no thread id"):
        state.threads.spawned("root", "a")


def test_a_circle_that_damage_made_is_walked_once_and_found(make_home, open_state):
    home = make_home()
    one, other = thread_id(1), thread_id(2)
    home.thread("one", id=one, parent=other)
    home.thread("other", id=other, parent=one)
    below = home.thread("below", parent=one)
    state = open_state(home)

    assert [each.id for each in state.threads.descendants(one)] == [other, below]
    assert listed(state, ancestor=one) == [other, below]
    with state.read() as tx:
        assert findings(tx) == []  # nobody said it: what a rollout says of itself is its own affair
    with state.write() as tx:
        tx.run(statement("INSERT INTO thread_edges SELECT home_id, thread_id, parent_thread_id, 'open' FROM threads"
                         " WHERE parent_thread_id IS NOT NULL"))  # fmt: skip
        assert {found.code for found in findings(tx)} == {"thread-spawn-circle"}
        tx.run(statement("DELETE FROM thread_edges"))


def test_a_parent_and_an_ancestor_together_are_refused_whoever_answers(tree, tmp_path):
    home, state = tree
    for handle in (state, holdfast.peek(home, state_dir=tmp_path / "none")):
        with pytest.raises(holdfast.Refused, match="not both"):
            handle.threads.list(parent=home.root, ancestor=home.root)
        with pytest.raises(holdfast.Refused, match="no thread id"):
            handle.threads.list(ancestor="root")


def test_without_an_index_families_are_what_the_rollouts_say(tree, tmp_path):
    home, _ = tree
    peeked = holdfast.peek(home, state_dir=tmp_path / "none")
    assert listed(peeked, ancestor=home.root) == [home.a, home.c]
    assert listed(peeked, parent=home.lone) == [home.b]


@pytest.mark.parametrize("sort", ["updated", "created", "recency"])
@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_families_are_paged_without_gaps_whatever_ties(make_home, open_state, sort, direction):
    rng = random.Random(7)
    home = make_home()
    root = home.thread("root")
    ids, parents = [root], {}
    for number in range(60):
        parent = rng.choice(ids[-8:])
        ids.append(home.thread("w", parent=parent if number % 3 else None, updated_ms=NOON_MS + rng.randrange(4)))
        parents[ids[-1]] = parent
    state = open_state(home)
    for number, (child, parent) in enumerate(parents.items()):
        if number % 3 == 0:
            state.threads.spawned(parent, child)
    for question, expected in [
        ({"ancestor": root}, set(ids[1:])),
        ({"parent": root}, {child for child, parent in parents.items() if parent == root}),
    ]:
        walked, cursor = [], None
        while True:
            page = state.threads.list(limit=7, cursor=cursor, sort=sort, direction=direction, **question)
            walked += [thread.id for thread in page]
            if (cursor := page.next_cursor) is None:
                break
        whole = [each.id for each in state.threads.list(limit=1000, sort=sort, direction=direction)]
        assert walked == [id for id in whole if id in expected]


def test_a_family_of_one_home_is_not_that_of_its_copy(make_home, open_state):
    home, copy = make_home("home"), make_home("copy")
    root = home.thread("root")
    copy.thread("root", id=root, updated_ms=NOON_MS + 60_000)
    child = home.thread("child")
    copy.thread("child", id=child)
    state = open_state(home, copy)
    state.threads.spawned(root, child)  # of the copy, which was written last
    assert [each.home for each in state.threads.list(parent=root)] == [str(copy)]
    assert len(state.threads.children(root)) == 1
    assert open_state(home).threads.children(root) == []
