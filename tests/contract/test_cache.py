"""`state.cache(name)`: what was put is found until its time is over or there is no room; many processes, one file."""

from __future__ import annotations

import os
import threading

import msgspec
import pytest

import holdfast
from engines import Clock
from holdfast import Refused
from holdfast.cache import rules
from holdfast.cache.probes import probes
from holdfast.clock import wall_ms
from holdfast.sqlite import Store
from processes import children

PRELUDE = """
import holdfast
state = holdfast.open(sys.argv[1], state_dir=sys.argv[2], search=False)
cache = state.cache("web", bytes_max=200_000)
"""


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def state(make_home, open_state, state_dir, clock):
    state = open_state(make_home().path, clock=clock)
    yield state
    state.close()
    if (state_dir / "cache.db").exists():
        with Store.open(state_dir / "cache.db", clock=wall_ms, durability="normal") as store, store.read() as tx:
            assert probes(tx) == []


@pytest.fixture
def cache(state):
    return state.cache("web")


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, "ü"]}, "", 0, False, [], "x" * 100_000])
def test_what_was_put_is_found_and_a_second_put_takes_its_place(cache, value):
    assert cache.put("key", "before")
    assert cache.put("key", value)

    assert cache.get("key", "nothing") == value
    assert cache.stats().entries == 1


def test_null_is_a_value_and_a_miss_is_the_default(cache):
    assert cache.put("key", None)

    assert cache.get("key", "nothing") is None
    assert cache.get("another", "nothing") == "nothing"


def test_text_and_bytes_are_different_keys_however_long_and_odd(cache):
    keys = ["k", b"k", "", b"", "\udcff", "k" * 5_000, b"k" * 5_000, "k" * 4_999 + "l", "a\0b", "a"]
    for number, key in enumerate(keys):
        assert cache.put(key, number)

    assert [cache.get(key) for key in keys] == list(range(len(keys)))


def test_a_key_of_another_type_is_refused(cache):
    with pytest.raises(Refused, match="not int"):
        cache.get(5)


def test_values_of_another_kind_or_type_are_misses(cache, state_dir):
    cache.put("json", {"n": "no number"})
    cache.put_bytes("bytes", b"[1]")

    assert cache.get_bytes("json") is None
    assert cache.get("bytes") is None
    assert cache.get("json", type=dict[str, int]) is None
    assert cache.get_bytes("bytes") == b"[1]"


def test_a_value_that_is_no_json_or_too_large_is_refused_and_the_old_one_is_gone(state):
    cache = state.cache("small", bytes_max=10_000)
    for value in (object(), "x" * 3_000, {1: {2, object()}}, "\ud800"):
        assert cache.put("key", "old")
        assert not cache.put("key", value)
        assert cache.get("key") is None
    assert cache.stats().refused == 4


def test_caches_of_other_names_do_not_meet(state):
    one, other = state.cache("one"), state.cache("other")
    one.put("key", 1)
    other.put("key", 2)

    assert one.clear()

    assert (one.get("key"), other.get("key")) == (None, 2)
    assert state.cache("one") is one


@pytest.mark.parametrize("name", ["", "x" * 101, "a\nb"])
def test_a_name_nobody_could_read_is_refused(state, name):
    with pytest.raises(Refused):
        state.cache(name)


def test_a_value_is_found_to_the_end_of_its_time_and_not_beyond(cache, clock):
    cache.put("key", 1, ttl_s=10)
    cache.put("for ever", 2)
    clock.advance(9_999)
    assert cache.get("key") == 1
    clock.advance(1)

    assert (cache.get("key"), cache.get("for ever")) == (None, 2)


@pytest.mark.parametrize("ttl_s", [0, -1, float("nan"), float("-inf")])
def test_a_value_without_time_to_live_is_not_kept_and_the_old_one_is_gone(cache, ttl_s):
    cache.put("key", "old")
    assert not cache.put("key", 1, ttl_s=ttl_s)
    assert cache.get("key") is None


def test_a_clock_that_was_set_back_makes_no_value_last_longer(cache, clock):
    cache.put("key", 1, ttl_s=10)
    clock.advance(-86_400_000)
    assert cache.get("key") is None  # else it would be good for a day and ten seconds
    clock.advance(86_400_000 + 10_000)
    assert cache.get("key") is None

    assert cache.put("key", 2, ttl_s=float("inf"))
    assert cache.get("key") == 2


def test_expired_values_are_taken_away_by_and_by_by_those_who_put(cache, clock):
    for n in range(100):
        cache.put(n.to_bytes(4, "big"), n, ttl_s=1)
    clock.advance(1_000)

    for n in range(20):
        cache.put(f"new {n}", n)

    assert cache.stats().entries == 20


def test_a_cache_stays_within_its_bytes_and_what_was_put_longest_ago_goes_first(state):
    cache = state.cache("small", bytes_max=50_000)
    for n in range(200):
        assert cache.put_bytes(f"key {n}", bytes(1_000))
        assert cache.stats().bytes <= 50_000
        cache.put_bytes("key 0", b"renewed")

    kept = [n for n in range(200) if cache.get_bytes(f"key {n}") is not None]
    assert kept == [0, *range(200 - len(kept) + 1, 200)]
    assert len(kept) > 40


def test_all_caches_together_stay_within_the_bytes_of_the_file(state, monkeypatch):
    monkeypatch.setattr("holdfast.cache.store.FILE_BYTES_MAX", 60_000)
    caches = [state.cache(f"cache {n}", bytes_max=50_000) for n in range(4)]
    for n in range(30):
        for cache in caches:
            assert cache.put_bytes(f"key {n}", bytes(1_000))

    assert 50_000 < sum(cache.stats().bytes for cache in caches) <= 60_000


@pytest.mark.parametrize(
    ("sizes", "excess", "last"), [([], 5, None), ([10, 10], 0, None), ([10, 10], 1, 0), ([10, 10], 11, 1), ([3], 9, 0)]
)
def test_no_more_goes_than_must(sizes, excess, last):
    assert rules.upto(list(enumerate(sizes)), excess) == last


def test_delete_says_whether_there_was_something(cache):
    cache.put("key", 1)
    assert [cache.delete("key"), cache.delete("key"), cache.get("key")] == [True, False, None]


def test_a_read_makes_no_file(state, cache, state_dir):
    assert cache.get("key") is None
    assert not cache.delete("key")
    assert cache.clear()
    assert cache.stats().failures == 0
    assert not (state_dir / "cache.db").exists()


# One maker


def test_many_threads_that_want_a_value_make_it_once_and_each_has_its_own_copy(cache):
    begun, go_on, made = threading.Event(), threading.Event(), []

    def make():
        made.append(1)
        begun.set()
        go_on.wait()
        return {"list": [1]}

    got = []
    crowd = [threading.Thread(target=lambda: got.append(cache.get_or("key", make))) for _ in range(8)]
    crowd[0].start()
    begun.wait()
    for thread in crowd[1:]:
        thread.start()
    go_on.set()
    for thread in crowd:
        thread.join()

    assert (made, got) == ([1], [{"list": [1]}] * 8)
    assert len({id(each) for each in got}) == 8


def test_a_maker_that_fails_is_told_and_the_next_one_makes_it(cache):
    def fail():
        raise KeyError("no network")

    with pytest.raises(KeyError):
        cache.get_or("key", fail)
    assert cache.get_or("key", lambda: 1) == 1
    assert cache.get_or("key", fail) == 1


def test_a_maker_may_ask_for_its_own_key_and_make_what_is_no_json(cache):
    thing = object()
    assert cache.get_or("key", lambda: cache.get_or("key", lambda: 2) + 1) == 3
    assert cache.get_or("thing", lambda: thing) is thing


class Page(msgspec.Struct):
    url: str


def test_a_made_value_comes_back_as_its_type(cache):
    assert cache.get_or("key", lambda: Page("x"), type=Page) == Page("x")
    assert cache.get_or("key", lambda: Page("y"), type=Page) == Page("x")


# Who has none


def test_a_closed_state_and_a_peek_are_misses_and_say_why(make_home, state_dir):
    home = make_home().path
    with holdfast.open(home, state_dir=state_dir, search=False) as state:
        cache = state.cache("web")
        cache.put("key", 1)
    before = sorted(os.listdir(state_dir))
    with holdfast.peek(home, state_dir=state_dir) as peeked:
        for each, why in ((cache, "closed"), (peeked.cache("web"), "peek")):
            assert each.get("key") is None
            assert each.get_bytes("key") is None
            assert [each.put("key", 1), each.delete("key"), each.clear()] == [False, False, False]
            assert each.get_or("key", lambda: "made") == "made"
            assert why in each.stats().last_failure
    assert sorted(os.listdir(state_dir)) == before


# Processes


def test_processes_share_a_cache_and_its_cap(make_home, state, state_dir):
    home = state.homes[0].path
    cache = state.cache("web", bytes_max=200_000)
    # One that met the others while it opened the file rests for a second, and refuses everything meanwhile.
    code = "while not cache.put_bytes('open', b''): pass\nbefore = cache.stats().failures\n"
    code += "for n in range(150): cache.put_bytes(f'{os.getpid()} {n}', bytes(2000))\n"
    code += "say(cache.stats().failures - before)\n"
    with children(PRELUDE) as start:
        crowd = [start(code + "state.close()", home, state_dir) for _ in range(3)]
        failures = [int(each.line()) for each in crowd]
        assert [each.wait() for each in crowd] == [0, 0, 0]

    assert 0 < cache.stats().bytes <= 200_000
    assert sum(failures) < 100  # a put may be refused when others write for 50 ms; most are not
    assert any(cache.get_bytes(f"{each.pid} 149") == bytes(2000) for each in crowd)


def test_a_killed_writer_leaves_each_value_whole(state, state_dir):
    code = "n = 0\nwhile True:\n    n += 1; cache.put('key', [n] * 5000); say(n)\n"
    with children(PRELUDE) as start:
        writer = start(code, state.homes[0].path, state_dir)
        last = 0
        for _ in range(30):
            last = int(writer.line())
        writer.kill()

    value = state.cache("web").get("key")
    assert len(value) == 5000
    assert len(set(value)) == 1
    assert value[0] >= last


def test_a_forked_child_uses_the_cache_and_does_not_wait_for_what_its_parent_makes(state, state_dir):
    cache = state.cache("web")
    cache.put("key", "of the parent")
    begun, go_on = threading.Event(), threading.Event()

    def make():
        begun.set()
        go_on.wait()
        return "of the parent"

    maker = threading.Thread(target=lambda: cache.get_or("slow", make))
    maker.start()
    begun.wait()
    pid = os.fork()
    if pid == 0:
        right = cache.get("key") == "of the parent" and cache.get_or("slow", lambda: "own") == "own"
        right = right and cache.get("slow") == "own"  # kept: it was the maker, and did not give up waiting for one
        os._exit(0 if right and cache.put("child", 1) else 1)
    status = os.waitpid(pid, 0)[1]
    go_on.set()
    maker.join()

    assert status == 0
    assert cache.get("child") == 1
