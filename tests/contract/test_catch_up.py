"""A short look where new things mostly are: it sees them, and never takes its part for the whole."""

from __future__ import annotations

import pytest

from holdfast.threads import homes
from homes import NOON_MS

DAY_MS = 86_400_000


@pytest.fixture
def home(make_home):
    """Threads of four days; the day before the last two has a thread that was written last of all."""
    home = make_home()
    home.old = home.thread("of the first day", created_ms=NOON_MS)
    home.alive = home.thread("still going", created_ms=NOON_MS + DAY_MS, updated_ms=NOON_MS + 4 * DAY_MS)
    home.third = home.thread("of the third day", created_ms=NOON_MS + 2 * DAY_MS)
    home.last = home.thread("of the last day", created_ms=NOON_MS + 3 * DAY_MS)
    return home


@pytest.fixture
def state(open_state, home):
    return open_state(home)


def titles(state):
    return [thread.title for thread in state.threads.list()]


def test_a_thread_of_today_is_seen(state, home):
    home.thread("brand new", created_ms=NOON_MS + 5 * DAY_MS)

    assert state.catch_up() == 1
    assert titles(state)[0] == "brand new"


def test_a_thread_of_an_old_day_that_goes_on_is_seen(state, home):
    home.append(home.alive, "and on", ms=NOON_MS + 6 * DAY_MS)

    assert state.catch_up() == 1
    assert state.threads.get(home.alive).updated_at_ms == NOON_MS + 6 * DAY_MS


def test_a_thread_that_codex_archived_or_named_is_seen(state, home):
    home.move(home.last, "archived_sessions")
    home.name(home.third, "the third")

    state.catch_up()

    assert state.threads.get(home.last).archived
    assert state.threads.get(home.last).missing_since_ms is None
    assert state.threads.get(home.third).name == "the third"


def test_what_lies_elsewhere_is_left_to_a_whole_look(state, home):
    home.thread("put into an old folder", created_ms=NOON_MS + 1)

    assert state.catch_up() == 0
    assert "put into an old folder" not in titles(state)
    (report,) = state.index()
    assert (report.indexed, report.unchanged) == (1, 4)


def test_a_file_out_of_sight_is_not_called_missing(state, home):
    home.move(home.last, "sessions/somewhere/else")

    state.catch_up()

    assert state.threads.get(home.last).missing_since_ms is None
    assert state.threads.find(home.last).file == str(home.file(home.last))


def test_with_nothing_new_nothing_is_written(state):
    before = state.engine.status().transactions

    assert state.catch_up() == 0
    assert state.engine.status().transactions == before


def test_a_home_whose_index_was_cut_short_does_not_become_whole_by_a_short_look(state, home):
    with state.write() as tx:
        tx.script("UPDATE homes SET indexed_ms = NULL")
    home.thread("brand new", created_ms=NOON_MS + 5 * DAY_MS)

    assert state.catch_up() == 0
    with state.read() as tx:
        assert [known.indexed_ms for known in homes.listing(tx)] == [None]
    (report,) = state.index()
    assert (report.indexed, report.threads) == (1, 5)
