"""Pages of threads: the same from the index and from the files, every filter, both directions, no tie skipped."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import holdfast
from holdfast.ingest.indexing import Indexing
from holdfast.threads import from_files
from holdfast.threads.model import Direction, Query, Sort
from homes import NOON_MS, MadeHome, line, thread_id

SORTS = ("updated", "created", "recency")
DIRECTIONS = ("desc", "asc")
WORDS = ("ÜBER den Wolken", "über alles", "100% sure", "100 percent", "snake_case", "snakeXcase", "back\\slash", "x")
SEARCHES = ("über", "ÜBER", "100%", "e_c", "\\", "X", "SNAKE", "nowhere")
CWDS = ("/home/dev/a", "/home/dev/b", "/srv/ä")


def walk(list_page, **question):
    """Return every thread of a list, page by page; fails when a page repeats one or has none though it promised."""
    threads, cursor = [], None
    while True:
        page = list_page(cursor=cursor, **question)
        threads += page.threads
        assert len({(thread.home, thread.id) for thread in threads}) == len(threads)
        if page.next_cursor is None:
            break
        assert page.threads, "a page promised more and was empty"
        cursor = page.next_cursor
    return threads


def files_of(*homes):
    """Return the ``list`` of the files themselves, without any state."""

    def list_page(*, limit, cursor, sort="updated", direction="desc", **question):
        question |= {"sort": Sort(sort), "direction": Direction(direction)}
        return from_files.page([str(home) for home in homes], Query(**question), limit=limit, cursor=cursor)

    return list_page


# --- any home, any question ------------------------------------------------------------

MOMENTS = st.sampled_from([NOON_MS, NOON_MS + 1, NOON_MS + 1_000])
THREADS = st.lists(
    st.fixed_dictionaries(
        {
            "created_ms": MOMENTS,
            "updated_ms": MOMENTS.map(lambda ms: ms + 2_000),
            "turn_ms": MOMENTS.map(lambda ms: ms + 500),
            "words": st.sampled_from(WORDS),
            "cwd": st.sampled_from(CWDS),
            "provider": st.sampled_from(["mock", "openai", None]),
            "source": st.sampled_from(["cli", "exec", {"subagent": "review"}]),
            "archived": st.booleans(),
            "name": st.sampled_from([None, "Zürich", "100% named"]),
            "parent": st.sampled_from([None, None, thread_id(1)]),
            "copy": st.sampled_from([None, None, None, "archived_sessions", "sessions/copies"]),
            "longer": st.booleans(),
        }
    ),
    max_size=9,
)
QUESTIONS = st.fixed_dictionaries(
    {
        "sort": st.sampled_from(SORTS),
        "direction": st.sampled_from(DIRECTIONS),
        "archived": st.sampled_from([False, True, None]),
    },
    optional={
        "cwds": st.lists(st.sampled_from([*CWDS, "/home/dev//a/", "/unknown"]), max_size=2).map(tuple),
        "providers": st.sampled_from([("mock",), ("mock", "openai"), ("unknown",)]),
        "sources": st.sampled_from([("cli",), ("exec", "subagent"), ("unknown",)]),
        "search": st.sampled_from(SEARCHES),
        "parent": st.just(thread_id(1)),
    },
)


def build(home, specs):
    """Write the threads; return them as the questions see them."""
    threads = []
    for number, spec in enumerate(specs, start=1):
        spec = dict(spec)
        words, name, copy, longer = (spec.pop(key) for key in ("words", "name", "copy", "longer"))
        id = home.thread(words, id=thread_id(number), folder=None, **spec)
        if name:
            home.name(id, name)
        thread = {**spec, "id": id, "texts": (words, name or ""), "kind": spec["source"]}
        if not isinstance(spec["source"], str):
            thread["kind"] = "subagent"
        if copy and not (copy == "archived_sessions" and spec["archived"]):
            also = line(NOON_MS + 9_000, "and so on") if longer else ""
            copied = home.copy(id, copy, also=also)
            older = [file for file in home.files(id) if file != copied]
            ours = (not spec["archived"], spec["updated_ms"], str(older[0]))
            theirs = (copy != "archived_sessions", NOON_MS + 9_000 if longer else spec["updated_ms"], str(copied))
            if theirs > ours:
                thread.update(archived=not theirs[0], updated_ms=theirs[1])
        threads.append(thread)
    return threads


def answer(threads, question):
    """Return the ids that must come, and the time each is ordered by, in order; ties in any order."""
    key = {"updated": "updated_ms", "created": "created_ms", "recency": "turn_ms"}[question["sort"]]
    cwds = [cwd.replace("//", "/").rstrip("/") for cwd in question.get("cwds", ())]
    needle = question.get("search", "").lower()
    fitting = [
        thread
        for thread in threads
        if question["archived"] in (None, thread["archived"])
        and (not cwds or thread["cwd"] in cwds)
        and (not question.get("providers") or thread["provider"] in question["providers"])
        and (not question.get("sources") or thread["kind"] in question["sources"])
        and (not question.get("parent") or thread["parent"] == question["parent"])
        and any(needle in text.lower() for text in thread["texts"])
    ]
    fitting.sort(key=lambda thread: thread[key], reverse=question["direction"] == "desc")
    return {thread["id"] for thread in fitting}, [thread[key] for thread in fitting]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(specs=THREADS, questions=st.lists(QUESTIONS, min_size=1, max_size=4), limit=st.integers(1, 4))
def test_walking_the_pages_gives_each_thread_once_in_order_whoever_answers(specs, questions, limit):
    with tempfile.TemporaryDirectory() as folder:
        home = MadeHome(Path(folder) / "home")
        threads = build(home, specs)
        with holdfast.open(home, state_dir=f"{folder}/state", search=False) as state:
            for question in questions:
                ids, times = answer(threads, question)
                from_index = walk(state.threads.list, limit=limit, **question)
                parent = question.pop("parent", None)
                if parent:
                    question["parent"] = holdfast.ids.parse(parent)
                from_disk = walk(files_of(home), limit=limit, **question)
                for found in (from_index, from_disk):
                    assert {thread.id for thread in found} == ids
                    assert [getattr(thread, f"{question['sort']}_at_ms") for thread in found] == times
                assert {thread.id: thread for thread in from_index} == {thread.id: thread for thread in from_disk}
        home.check()


def test_a_hundred_threads_of_one_moment_are_each_listed_once(make_home, open_state):
    home = make_home()
    ids = {home.thread("the same moment", updated_ms=NOON_MS) for _ in range(100)}
    state = open_state(home)
    for sort, direction, limit in itertools.product(SORTS, DIRECTIONS, (1, 33, 99, 100)):
        for list_page in [state.threads.list] + [files_of(home)] * (limit > 1):
            found = walk(list_page, sort=sort, direction=direction, limit=limit)
            assert len(found) == 100
            assert {thread.id for thread in found} == ids


def test_a_walk_goes_on_after_its_threads_were_written_to_and_skips_none_of_the_others(make_home, open_state):
    home = make_home()
    ids = [home.thread(f"thread {number}", updated_ms=NOON_MS + number) for number in range(6)]
    state = open_state(home)
    first = state.threads.list(limit=2)
    home.append(ids[3], "more", ms=NOON_MS + 500)
    state.index()

    rest = walk(lambda cursor, **question: state.threads.list(cursor=cursor or first.next_cursor, **question), limit=2)

    assert [thread.id for thread in (*first.threads, *rest)] == [ids[5], ids[4], ids[2], ids[1], ids[0]]


# --- each filter alone -------------------------------------------------------------------


@pytest.fixture
def varied(make_home, open_state):
    home = make_home()
    home.a = home.thread("alpha", cwd="/home/dev/a", provider="openai", source="cli", updated_ms=NOON_MS + 1)
    home.b = home.thread("beta", cwd="/home/dev/b", provider="mock", source="exec", updated_ms=NOON_MS + 2)
    home.c = home.thread("gamma", source={"subagent": "review"}, parent=home.a, updated_ms=NOON_MS + 3, provider=None)
    home.d = home.thread("delta", archived=True, updated_ms=NOON_MS + 4)
    return home, open_state(home)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ({}, "cba"),
        ({"archived": True}, "d"),
        ({"archived": None}, "dcba"),
        ({"direction": "asc", "archived": None}, "abcd"),
        ({"cwds": ["/home/dev/a"]}, "a"),
        ({"cwds": ["/home/dev/./a/", "/home/dev/b"]}, "ba"),
        ({"cwds": ["/home/dev"]}, ""),
        ({"providers": ["openai"]}, "a"),
        ({"providers": ["openai", "nobody"]}, "a"),
        ({"providers": ["nobody"]}, ""),
        ({"sources": ["subagent"]}, "c"),
        ({"sources": ["cli", "exec"]}, "ba"),
        ({"sources": ["cli"], "providers": ["mock"]}, ""),
        ({"sources": ["exec"], "providers": ["mock"], "cwds": ["/home/dev/b"]}, "b"),
        ({"search": "ALPHA"}, "a"),
        ({"search": "a", "sources": ["exec"]}, "b"),
        ({"search": ""}, "cba"),
        ({"search": "%"}, ""),
        ({"limit": 1000}, "cba"),
    ],
)
def test_a_filter_lets_through_what_it_says(varied, question, expected):
    home, state = varied
    ids = [getattr(home, letter) for letter in expected]

    page = state.threads.list(**question)

    assert [thread.id for thread in page] == ids
    assert (page.source, page.complete, page.next_cursor) == ("index", True, None)
    with holdfast.peek(home, state_dir=home.path.parent / "none") as peek:
        assert [thread.id for thread in peek.threads.list(**question)] == ids


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_children_are_listed_by_their_parent_in_any_order(make_home, open_state, sort, direction):
    home = make_home()
    parent = home.thread("the parent")
    children = [
        home.thread("a child", parent=parent, created_ms=NOON_MS + 10 * n, updated_ms=NOON_MS + 100 * n)
        for n in range(3)
    ]
    home.thread("another's", parent=children[0])
    state = open_state(home)

    found = walk(state.threads.list, limit=1, parent=parent, sort=sort, direction=direction)

    assert [thread.id for thread in found] == (children if direction == "asc" else children[::-1])
    assert all(thread.parent_thread_id == parent for thread in found)


def test_a_fork_is_found_by_the_words_it_inherited_whoever_answers(make_home, open_state):
    home = make_home()
    origin = home.thread("how it all began", paginated=True)
    fork = home.thread("another way", paginated=True, base=(origin, 3))
    of_fork = home.thread("a third way", paginated=True, base=(fork, 6))
    state = open_state(home)

    for list_page in (state.threads.list, files_of(home)):
        assert {thread.id for thread in walk(list_page, limit=2, search="BEGAN")} == {origin, fork, of_fork}
        assert {thread.id for thread in walk(list_page, limit=2, search="another way")} == {fork}
        assert {thread.preview for thread in walk(list_page, limit=2)} == {"how it all began"}


def test_two_homes_are_one_list_and_a_thread_of_both_is_there_twice(make_home, open_state):
    one, two = make_home("one"), make_home("two")
    shared = one.thread("in both", updated_ms=NOON_MS)
    two.thread("in both", id=shared, updated_ms=NOON_MS)
    only = [one.thread("only one", updated_ms=NOON_MS + 1), two.thread("only two", created_ms=NOON_MS + 2)]
    state = open_state(one, two)

    for list_page, limit in itertools.product((state.threads.list, files_of(one, two)), (1, 2, 3, 4, 5)):
        found = walk(list_page, limit=limit)
        assert sorted((thread.home, thread.id) for thread in found) == sorted(
            [(str(one), shared), (str(two), shared), (str(one), only[0]), (str(two), only[1])]
        )
    with open_state(two) as second:
        assert {thread.home for thread in second.threads.list()} == {str(two)}


# --- what is refused ---------------------------------------------------------------------


def test_a_cursor_answers_only_the_question_it_came_from(varied):
    _, state = varied
    cursor = state.threads.list(limit=1).next_cursor

    assert len(state.threads.list(limit=2, cursor=cursor)) == 2  # another limit is the same question
    for other in ({"sort": "created"}, {"direction": "asc"}, {"archived": None}, {"cwds": ["/x"]}, {"search": "a"}):
        with pytest.raises(holdfast.Refused, match="belongs to another list"):
            state.threads.list(cursor=cursor, **other)


@pytest.mark.parametrize("cursor", ["nonsense", "====", "ä", "W10", "WzEsIngiXQ", "\0"])
def test_what_is_no_cursor_is_refused(varied, cursor):
    home, state = varied
    for threads in (state.threads, holdfast.peek(home, state_dir=home.path.parent / "none").threads):
        with pytest.raises(holdfast.Refused, match="is no cursor"):
            threads.list(cursor=cursor)


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_limit_out_of_bounds_is_refused(varied, limit):
    home, state = varied
    for threads in (state.threads, holdfast.peek(home, state_dir=home.path.parent / "none").threads):
        with pytest.raises(holdfast.Refused, match=f"limit is {limit}, it must be 1 to 1000"):
            threads.list(limit=limit)


@pytest.mark.parametrize(
    ("question", "why"),
    [
        ({"sort": "size"}, "'size' is not one of: updated, created, recency"),
        ({"direction": "up"}, "'up' is not one of: desc, asc"),
        ({"parent": "ann"}, "'ann' is no thread id"),
    ],
)
def test_a_question_that_cannot_be_meant_is_refused(varied, question, why):
    _, state = varied
    with pytest.raises(holdfast.Refused, match=why):
        state.threads.list(**question)


def test_more_combinations_than_a_statement_should_have_are_refused_with_a_number(varied):
    home, state = varied
    for n in range(70):
        home.thread("in a directory of its own", cwd=f"/srv/{n}")
    state.index()
    cwds = [f"/srv/{n}" for n in range(70)]
    assert len(state.threads.list(cwds=cwds[:64], limit=100)) == 64
    with pytest.raises(holdfast.Refused, match="70 combinations"):
        state.threads.list(cwds=cwds)


# --- a home that is half indexed ----------------------------------------------------------


def test_pages_of_a_home_that_is_half_indexed_say_so_and_what_is_missing_comes_from_the_files(
    make_home, open_state, monkeypatch
):
    home = make_home()
    ids = [home.thread(f"thread {number}", updated_ms=NOON_MS + number) for number in range(150)]
    full_page_of_index = 64  # the first batch

    def stop_after_the_first_batch(progress):
        if progress.files_done < progress.files:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_state(home, on_progress=stop_after_the_first_batch)
    with _without_index(open_state, home, monkeypatch) as state:
        page = state.threads.list(limit=10)
        assert (page.source, page.complete, len(page)) == ("index", False, 10)
        page = state.threads.list(limit=full_page_of_index + 1)
        assert (page.source, len(page)) == ("files", full_page_of_index + 1)
        for limit in (7, 40, 100):
            found = walk(state.threads.list, limit=limit)
            assert [thread.id for thread in found] == ids[::-1]
        assert state.threads.get(ids[0]).id == ids[0]  # not in the index yet
        assert state.threads.resolve("thread 3").id == ids[3]


def test_a_walk_that_began_in_the_files_skips_no_tie_when_the_index_is_ready_meanwhile(
    make_home, open_state, monkeypatch
):
    home = make_home()
    # The newest 64 files are indexed first, the oldest last: rows come in another order than ids.
    ids = {home.thread("a tie", created_ms=NOON_MS + 1_000 * n, updated_ms=NOON_MS + 99_000) for n in range(70)}
    with _without_index(open_state, home, monkeypatch) as state:
        first = state.threads.list(limit=4)
        assert first.source == "files"
        monkeypatch.undo()
        state.index()
        assert state.threads.list().source == "index"

        rest = walk(lambda cursor, **q: state.threads.list(cursor=cursor or first.next_cursor, **q), limit=30)

    assert sorted(thread.id for thread in (*first.threads, *rest)) == sorted(ids)


def test_a_thread_can_be_named_before_its_home_is_indexed_and_keeps_the_name(make_home, open_state, monkeypatch):
    home = make_home()
    origin = home.thread("how it began", paginated=True)
    fork = home.thread("another way", paginated=True, base=(origin, 3))
    with _without_index(open_state, home, monkeypatch) as state:
        assert state.threads.rename(fork, "named early").name == "named early"
        assert state.threads.resolve("named early").id == fork
        assert {thread.id for thread in state.threads.list()} == {origin, fork}
        monkeypatch.undo()
        state.index()
        assert {thread.name for thread in state.threads.list()} == {None, "named early"}
        assert state.threads.get(fork).preview == "how it began"


def _without_index(open_state, home, monkeypatch):
    """Open without waiting, with an indexer that does nothing until the test lets it."""
    monkeypatch.setattr(Indexing, "run", lambda self, survey: (_ for _ in ()).throw(holdfast.Busy("not today")))
    state = open_state(home, wait=False)
    with pytest.raises(holdfast.Busy, match="not today"):
        state.wait_for_index()
    state._indexing = None
    return state


def test_a_filter_of_one_value_may_be_given_as_that_value(make_home, open_state):
    home = make_home()
    home.thread("by hand", source="cli")
    ours = home.thread("by a script", source="exec")

    assert [thread.id for thread in open_state(home).threads.list(sources="exec")] == [ours]
