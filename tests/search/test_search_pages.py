"""Page after page, every thread once."""

from __future__ import annotations

import pytest

from holdfast import search
from holdfast.errors import Refused
from homes import NOON_MS


def pages(found, words, limit, **filters):
    ids, cursor = [], None
    while True:
        hits = found.find(words, limit=limit, cursor=cursor, **filters)
        assert len(hits) <= limit
        ids += [hit.thread.id for hit in hits]
        cursor = hits.next_cursor
        if cursor is None:
            return ids


@pytest.fixture
def tied(make_home, searched):
    """Forty threads of which many speak in the same second, and several times."""
    home = make_home()
    made = []
    for n in range(40):
        at = NOON_MS + (n % 3) * 1_000
        words = [f"needle {n}"] * (1 + n % 4)
        made.append(home.thread(*words, created_ms=at, updated_ms=at + (n % 2) * 5_000, archived=n % 5 == 0))
    found = searched(home)
    found.follow()
    return found, made


@pytest.mark.parametrize("limit", [1, 2, 7, 39, 40, 100])
def test_pages_cover_each_thread_once(tied, limit):
    found, made = tied
    whole = found.ids("needle", limit=1_000, archived=None)
    assert sorted(whole) == sorted(made)
    assert pages(found, "needle", limit, archived=None) == whole
    assert pages(found, "need*", limit, archived=None) == whole
    assert pages(found, "needl", limit, archived=None) == whole  # understood as a beginning
    assert pages(found, "eedle", limit, archived=None) == whole  # and as a part


def test_pages_of_a_filter_hold_what_the_filter_lets_pass(tied):
    found, made = tied
    assert sorted(pages(found, "needle", 3)) == sorted(id for n, id in enumerate(made) if n % 5)
    assert sorted(pages(found, "needle", 3, archived=True)) == sorted(id for n, id in enumerate(made) if n % 5 == 0)


def test_a_thread_that_speaks_between_two_pages_is_not_shown_twice(tied):
    found, _ = tied
    first = found.find("needle", limit=5)
    ids = [hit.thread.id for hit in first]
    found.home.append(ids[0], "needle again", ms=NOON_MS + 60_000)
    found.follow()
    rest = []
    cursor = first.next_cursor
    while cursor:
        hits = found.find("needle", limit=5, cursor=cursor)
        rest += [hit.thread.id for hit in hits]
        cursor = hits.next_cursor
    assert len(set(ids + rest)) == len(ids + rest) == 32


def test_a_cursor_belongs_to_its_question(tied):
    found, _ = tied
    cursor = found.find("needle", limit=5).next_cursor
    for words, filters in (("needles", {}), ("needle", {"archived": None}), ("needle", {"cwds": ("/x",)})):
        with pytest.raises(Refused, match="another search"):
            found.find(words, cursor=cursor, **filters)
    for bad in ("x", "é", "AAAA", cursor[:-3], "W10"):
        with pytest.raises(Refused):
            found.find("needle", cursor=bad)


@pytest.mark.parametrize("limit", [0, -1, 1_001])
def test_a_bad_limit_is_refused(tied, limit):
    with pytest.raises(Refused, match="limit"):
        tied[0].find("needle", limit=limit)


def test_only_the_homes_that_were_asked_for_are_searched(make_home, searched):
    large, small = make_home("large"), make_home("small")
    for n in range(50):
        large.thread(f"needle {n}")
    inside = small.thread("needle of the small home", id="01a1fdfa-4600-7000-8000-0000000000ff")
    found = searched(large)
    found.scan()
    found.home = small
    found.scan()
    found.home = large
    found.feed()
    homes = {home.path: home for home in found.homes}
    assert len(found.find("needle", limit=100)) == 51
    hits = search.find(found.engine, found.index, [homes[str(small)]], "needle")
    assert [hit.thread.id for hit in hits] == [inside]
    assert search.find(found.engine, found.index, [], "needle") == search.Hits(hits=())
    assert search.status(found.engine, found.index, [homes[str(small)]]).messages == 1
