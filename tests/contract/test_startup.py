"""Opening: the index is there before the handle is, one process makes it, the others wait, but not for ever."""

from __future__ import annotations

import threading

import pytest
from contract_helpers import spelled

import holdfast
from engines import open_engine
from holdfast import holds
from holdfast.ingest import gate
from holdfast.threads import homes as home_rows

INDEXES_SLOWLY = """
import holdfast
import json
HOME, WHERE = ARGS[0], json.loads(ARGS[1])
def tell(progress):
    say(f"at {progress.files_done} of {progress.files}")
    hear()
with holdfast.open(HOME, **WHERE, search=False, on_progress=tell) as state:
    say("indexed", state.reports[0].threads)
"""

HOLDS_THE_INDEX = """
KEPT, RESOURCE, NOTE = ARGS
with open_engine(KEPT) as store:
    with store.write() as tx:
        hold = holds.take(tx, RESOURCE, holds.me("test"), lease_ms=15_000)
        hold = holds.renew(tx, hold, lease_ms=15_000, note=NOTE)
    with holds.kept(store, hold, 15_000):
        say("held")
        hear()
    say("released")
    hear()
"""


class Looks:
    """Called by a waiter at each look; an event says that it waits."""

    def __init__(self):
        self.waiting = threading.Event()
        self.seen = []

    def __call__(self, progress):
        self.seen.append(progress)
        if progress.by is not None:
            self.waiting.set()


def in_thread(work):
    """Run ``work`` beside the test; return a function that waits for what it gives."""
    answer = []
    thread = threading.Thread(target=lambda: answer.append(work()))
    thread.start()

    def result():
        thread.join(60)
        return answer[0]

    return result


@pytest.fixture
def a_home(make_home):
    home = make_home()
    for number in range(3):
        home.thread(f"question {number}")
    return home


@pytest.fixture
def resource(a_home, where, kept):
    """The name of the hold on indexing a home that nobody has indexed yet; its database is ready."""
    other = a_home.path.parent / "elsewhere"
    other.mkdir()
    holdfast.open(other, **where, search=False).close()
    with open_engine(kept) as store, store.write() as tx:
        return gate.resource(home_rows.ensure(tx, str(a_home)))


def test_state_db_init_backfills_before_returning(home, open_state):
    state = open_state(home)

    assert state.reports[0].complete
    assert state.reports[0].indexed == len(home.files())
    assert state.homes[0].indexed_ms is not None
    page = state.threads.list(archived=None, limit=1000)
    assert (page.source, page.complete, len(page)) == ("index", True, len(home.files()))


def test_try_init_waits_for_concurrent_startup_backfill(a_home, where, open_state, child):
    other = child(INDEXES_SLOWLY, a_home, spelled(where))
    assert other.line() == "at 3 of 3"  # it has the hold, and is not finished
    looks = Looks()
    opening = in_thread(lambda: open_state(a_home, on_progress=looks))
    assert looks.waiting.wait(60)

    other.tell()

    assert other.line() == "indexed 3"
    state = opening()
    assert state.reports[0].waited
    assert state.reports[0].indexed == 0  # the other did the work
    assert state.reports[0].threads == 3
    assert len(state.threads.list()) == 3
    assert f"pid {other.pid}" in looks.seen[0].by


def test_try_init_times_out_waiting_for_stuck_startup_backfill(a_home, resource, kept, where, child):
    other = child(HOLDS_THE_INDEX, kept, resource, "41 %")
    assert other.line() == "held"

    with pytest.raises(holdfast.Busy) as raised:
        holdfast.open(a_home, **where, search=False, wait_ms=1)

    assert str(raised.value).startswith(f"timed out waiting for the index of {a_home} (41 %, by pid {other.pid} ")
    assert "damaged" not in str(raised.value)
    assert "wait=False" in raised.value.remedy


def test_an_index_begun_by_another_is_taken_over_when_it_gives_up(a_home, resource, kept, open_state, child):
    other = child(HOLDS_THE_INDEX, kept, resource, "41 %")
    assert other.line() == "held"
    looks = Looks()
    opening = in_thread(lambda: open_state(a_home, on_progress=looks))
    assert looks.waiting.wait(60)

    other.tell()

    state = opening()
    assert state.reports[0].indexed == 3


def test_a_dead_indexer_is_replaced_at_once_whatever_its_lease(a_home, resource, kept, open_state, child):
    other = child(HOLDS_THE_INDEX, kept, resource, "41 %")
    assert other.line() == "held"
    other.kill()

    state = open_state(a_home, wait_ms=0)

    assert state.reports[0].indexed == 3
    assert not state.reports[0].waited


def test_an_indexer_that_dies_while_others_wait_is_replaced_whatever_its_lease(
    a_home, resource, kept, open_state, child
):
    other = child(HOLDS_THE_INDEX, kept, resource, "41 %")
    assert other.line() == "held"
    looks = Looks()
    opening = in_thread(lambda: open_state(a_home, on_progress=looks, wait_ms=10_000))  # its lease has 15 s to run
    assert looks.waiting.wait(60)

    other.kill()

    assert opening().reports[0].indexed == 3


def test_a_handle_opened_without_waiting_answers_from_the_files_while_another_indexes(
    a_home, resource, kept, open_state, child
):
    other = child(HOLDS_THE_INDEX, kept, resource, "41 %")
    assert other.line() == "held"

    state = open_state(a_home, wait=False)

    page = state.threads.list()
    assert (len(page), page.source) == (3, "files")
    with pytest.raises(holdfast.Busy, match="goes on after 0 s"):
        state.wait_for_index(0)
    other.tell()
    (report,) = state.wait_for_index(60)
    assert report.threads == 3
    page = state.threads.list()
    assert (len(page), page.source, page.complete) == (3, "index", True)


def test_closing_while_the_index_waits_for_another_ends_the_wait(a_home, resource, kept, open_state, child):
    other = child(HOLDS_THE_INDEX, kept, resource, "41 %")
    assert other.line() == "held"
    state = open_state(a_home, wait=False)

    state.close()

    with pytest.raises(holdfast.Busy, match="stopped waiting"):
        state.wait_for_index()


def test_what_was_taken_for_the_index_is_given_back(a_home, open_state):
    state = open_state(a_home)
    assert state.holds() == []
    with state.read() as tx:
        assert holds.listing(tx) == []


@pytest.mark.parametrize(
    ("where", "why"),
    [("nowhere", "there is no home at"), ("file", "is not a directory"), ("home/state", "would lie inside the home")],
)
def test_what_is_no_home_or_no_place_for_a_state_is_refused_and_nothing_made(make_home, tmp_path, where, why):
    made = make_home()
    (tmp_path / "file").write_text("")
    home, state_dir = (made, tmp_path / where) if "state" in where else (tmp_path / where, tmp_path / "state")

    with pytest.raises(holdfast.Refused, match=why):
        holdfast.open(home, state_dir=state_dir)

    assert not state_dir.exists()


def test_a_home_named_twice_or_through_a_link_is_one_home(make_home, tmp_path, open_state):
    made = make_home()
    made.thread("once")
    (tmp_path / "link").symlink_to(made.path)

    state = open_state(made, tmp_path / "link", str(made) + "/")

    assert [home.path for home in state.homes] == [str(made)]
    assert len(state.threads.list()) == 1
