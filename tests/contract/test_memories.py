"""Memories by thread and scope: what is stored, in which order it comes back, and when it goes."""

from __future__ import annotations

import pytest

from holdfast import ids
from holdfast.adapters import runtime_rows
from holdfast.adapters.runtime_types import ThreadMetadata, utc
from holdfast.errors import Refused
from holdfast.memory import store
from holdfast.memory.model import Extracted, Settings
from holdfast.threads import homes
from rows import statement

CWD, USER = ("cwd", "/w"), ("user", "user")
FOUND = Extracted("raw", "summary", "slug")


@pytest.fixture
def home(engine):
    with engine.write() as tx:
        return homes.ensure(tx, "/home/dev/.codex")


@pytest.fixture
def thread(engine, home):
    """Put a row of a thread with this number; return its 16 bytes."""

    def put(number, cwd="/w"):
        id16 = number.to_bytes(16, "big")
        metadata = ThreadMetadata(
            id=ids.text(id16), rollout_path=f"sessions/rollout-{number}.jsonl", created_at=utc(1_700_000_000),
            updated_at=utc(1_700_000_000), cwd=cwd, first_user_message="hello",
        )  # fmt: skip
        with engine.write() as tx:
            runtime_rows.put(tx, home, metadata)
        return id16

    return put


def put(engine, home, id16, scope=USER, found=FOUND):
    with engine.write() as tx:
        return store.put(tx, home.home_id, id16, scope, found)


def last(engine, home, scope=USER, n=10):
    with engine.read() as tx:
        return [memory.thread_id for memory in store.last(tx, [home.home_id], scope, n)]


def test_updated_advances_when_the_clock_stands_still_and_when_it_falls_back(engine, home, thread, clock):
    one = thread(1)
    times = [put(engine, home, one).updated_at_ms for _ in range(3)]
    clock.advance(-3_600_000)
    times.append(put(engine, home, one).updated_at_ms)
    clock.advance(7_200_000)
    times.append(put(engine, home, one).updated_at_ms)
    assert times[:4] == [times[0] + n for n in range(4)]
    assert times[4] == clock.ms


def test_the_last_written_comes_first_also_when_the_clock_stands_still(engine, home, thread):
    for id16 in (thread(2), thread(3), thread(1)):
        put(engine, home, id16)
    assert [text[-1] for text in last(engine, home)] == ["1", "3", "2"]
    assert [text[-1] for text in last(engine, home, n=2)] == ["1", "3"]
    with engine.write() as tx:  # no write of ours makes a tie; of one, the larger id comes first
        tx.run(statement("UPDATE thread_memories SET updated_ms = 1"))
    assert [text[-1] for text in last(engine, home)] == ["3", "2", "1"]
    assert last(engine, home, n=0) == last(engine, home, n=-1) == []
    assert len(last(engine, home, n=1 << 70)) == 3


def test_a_scope_is_matched_exactly(engine, home, thread):
    put(engine, home, thread(1), ("cwd", "/w"))
    put(engine, home, thread(2), ("cwd", "/w/child"))
    put(engine, home, thread(3), ("cwd", "/W"))
    put(engine, home, thread(4), ("user", "/w"))
    assert [text[-1] for text in last(engine, home, ("cwd", "/w"))] == ["1"]
    assert last(engine, home, ("cwd", "/%")) == last(engine, home, ("cwd", "/w/")) == []


def test_what_is_invalid_is_not_given_to_anybody_until_it_is_made_again(engine, home, thread):
    one = thread(1)
    put(engine, home, one)
    with engine.write() as tx:
        assert store.invalidate(tx, home.home_id, one, "it was wrong") == 1
        assert store.invalidate(tx, home.home_id, one, "again") == 0
    assert last(engine, home) == []
    with engine.read() as tx:
        assert store.wanted(tx, [home.home_id], USER, Settings()) == []
        (kept,) = store.of_thread(tx, home.home_id, one)
    assert kept.invalid_reason == "it was wrong"
    assert put(engine, home, one).invalidated_at_ms is None
    assert len(last(engine, home)) == 1


def test_uses_are_counted_and_outlive_a_new_text(engine, home, thread, clock):
    one, two = thread(1), thread(2)
    put(engine, home, one), put(engine, home, one, CWD), put(engine, home, two)
    with engine.write() as tx:
        assert store.use(tx, home.home_id, [one, one, b"\0" * 16]) == 1
    assert put(engine, home, one).used_count == 1
    with engine.read() as tx:
        assert {memory.used_count for memory in store.of_thread(tx, home.home_id, one)} == {1}


def test_the_most_used_are_chosen_then_the_most_recent_and_given_in_the_order_of_ids(engine, home, thread, clock):
    put(engine, home, thread(1))
    with engine.write() as tx:
        store.use(tx, home.home_id, [(1).to_bytes(16, "big")])
    for number in range(2, 6):
        clock.advance(1_000)
        put(engine, home, thread(number))
    with engine.read() as tx:
        chosen = store.wanted(tx, [home.home_id], USER, Settings(selected_max=3))
    assert [memory.thread_id[-1] for memory in chosen] == ["1", "4", "5"]
    clock.advance(Settings().unused_max_ms - 1_000)
    with engine.read() as tx:  # the others were neither made nor used lately
        assert [memory.thread_id[-1] for memory in store.wanted(tx, [home.home_id], USER, Settings())] == ["4", "5"]


def test_what_comes_in_while_a_scope_is_put_together_leaves_it_dirty(engine, home, thread):
    one = thread(1)
    put(engine, home, one), put(engine, home, one, CWD)
    with engine.read() as tx:
        seen = store.dirty_scopes(tx)
    assert seen.keys() == {USER, CWD}
    put(engine, home, one)
    with engine.write() as tx:
        assert store.clean(tx, seen) == 1
        assert store.dirty_scopes(tx).keys() == {USER}


def test_forgetting_is_by_thread_and_leaves_the_scope_dirty(engine, home, thread):
    one, two = thread(1), thread(2)
    put(engine, home, one), put(engine, home, one, CWD), put(engine, home, two)
    with engine.write() as tx:
        store.set_dirty(tx, USER, False)
        store.set_dirty(tx, CWD, False)
        assert store.forget(tx, home.home_id, one) == 2
        assert store.forget(tx, home.home_id, one) == 0
        assert store.dirty_scopes(tx).keys() == {USER, CWD}
    assert [text[-1] for text in last(engine, home)] == ["2"]


def test_memories_go_with_the_row_of_their_thread(engine, home, thread):
    one = thread(1)
    put(engine, home, one)
    with engine.write() as tx:
        tx.run(statement("DELETE FROM threads WHERE thread_id = :id"), id=one)
        tx.run(statement("DELETE FROM files WHERE thread_id = :id"), id=one)
        assert store.of_thread(tx, home.home_id, one) == []


def test_only_what_has_a_row_can_be_remembered(engine, home):
    with pytest.raises(Refused, match="thread not found"):
        put(engine, home, b"\1" * 16)


def test_an_older_fence_never_takes_the_artefacts_back(engine):
    with engine.write() as tx:
        assert store.put_generation(tx, "here", 7, "gen-7", {"a": 1}, {})
        assert not store.put_generation(tx, "here", 6, "gen-6", {}, {})
        assert store.generation(tx, "here").folder == "gen-7"
        assert store.lock_generation(tx, "here") == "gen-7"
        assert store.drop_generation(tx, "here")
        assert store.lock_generation(tx, "here") is None


def test_memories_of_a_deleted_thread_are_given_to_nobody_until_it_is_back(engine, home, thread):
    one = thread(1)
    put(engine, home, one)
    for deleted_ms, count in ((1, 0), (None, 1)):
        with engine.write() as tx:
            tx.run(statement("UPDATE threads SET deleted_said_ms = :ms"), ms=deleted_ms)
        assert len(last(engine, home)) == count
        with engine.read() as tx:
            assert len(store.newest(tx, [home.home_id])) == count
