"""W12, W19, W20, and forks: when it is told, to whom, and when no more."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest
from watch_helpers import all_until_quiet, paths_until, told

from holdfast.errors import Refused
from holdfast.watch import Changed
from holdfast.watch.rules import due_s
from processes import Child


def test_w12_a_window_begins_with_the_first_event_and_a_throttle_with_the_last_that_was_told():
    never = float("-inf")
    assert due_s(10.0, never, 0.05, 0.0) == 10.05
    assert due_s(10.0, 9.9, 0.05, 0.0) == 10.05
    assert due_s(10.0, never, 0.0, 1.0) == 10.0
    assert due_s(10.0, 9.5, 0.0, 1.0) == 10.5
    assert due_s(10.0, 9.9, 0.2, 0.2) == 10.2


def test_w12_what_happens_within_the_window_is_one_event_and_writing_on_does_not_put_it_off(watch, tree):
    subscription = watch().subscribe(tree / "src", debounce_ms=200)
    stop = threading.Event()

    def write():
        number = 0
        while not stop.wait(0.01):
            (tree / "src" / f"x{number % 3}").write_text(str(number))
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert isinstance(subscription.next(10), Changed)
        assert len(subscription.next(10).paths) == 3
    finally:
        stop.set()
        writer.join()


def test_w12_throttled_the_first_is_told_at_once_and_the_rest_together_at_the_end(watch, tree):
    watcher = watch()
    subscription = watcher.subscribe(tree / "src", debounce_ms=0, throttle_ms=60_000)
    (tree / "src" / "a").write_text("x")
    assert subscription.next(10) == Changed((str(tree / "src" / "a"),))
    for name in "cb":
        (tree / "src" / name).write_text("x")
    assert subscription.next(0.3) is None
    watcher.close()
    assert set(told(list(subscription))) >= {str(tree / "src" / name) for name in "bc"}
    assert subscription.next() is None


def test_w12_closing_the_watcher_tells_what_waits_and_then_the_end(watch, tree):
    watcher = watch()
    subscription = watcher.subscribe(tree / "src", debounce_ms=60_000)
    (tree / "src" / "a").write_text("x")
    assert subscription.next(0.2) is None  # it has reached the window by now
    watcher.close()
    assert list(subscription) == [Changed((str(tree / "src" / "a"),))]


def test_asyncio_waits_without_a_thread_of_its_own_and_ends_with_the_subscription(watch, tree):
    async def main():
        watcher = watch()
        subscription = watcher.subscribe(tree / "src")
        found = []

        async def read():
            found.extend([event async for event in subscription])

        await asyncio.to_thread((tree / "src" / "a").write_text, "x")
        first = await subscription.anext()
        reader = asyncio.create_task(read())
        await asyncio.to_thread(subscription.close)
        await asyncio.wait_for(reader, 10)
        return [first, *found]

    assert asyncio.run(main()) == [Changed((str(tree / "src" / "a"),))]


def test_w20_nothing_is_told_of_a_root_once_remove_has_returned(watch, tree):
    watcher = watch()
    subscription = watcher.subscribe(tree / "src" / "deep", debounce_ms=0)
    for number in range(200):
        subscription.add(tree / "src", recursive=False)
        (tree / "src" / f"x{number % 5}").write_text(str(number))
        if number % 3 == 0:
            subscription.next(0.01)
        assert subscription.remove(tree / "src")
        event = subscription.next(0)
        assert event is None or not told([event]) & {str(tree / "src" / f"x{each}") for each in range(5)}


def test_w20_a_root_twice_is_refused_and_nobody_ends_what_is_anothers(watch, tree):
    watcher = watch()
    mine, other = watcher.subscribe(tree / "src"), watcher.subscribe(tree / "src")
    with pytest.raises(Refused, match="already"):
        mine.add(tree / "src")
    assert not other.remove(tree / "src" / "deep")
    other.close()
    other.close()
    (tree / "src" / "x").write_text("x")
    paths_until(mine, tree / "src" / "x")
    assert list(other) == []
    with pytest.raises(Refused, match="closed"):
        other.add(tree / "src")


FORK = """
import pathlib, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from holdfast.errors import Unsupported
from holdfast.watch import Watcher
tree = pathlib.Path(sys.argv[1])
with Watcher(tree / "state") as watcher:
    subscription = watcher.subscribe(tree / "src")
    for number in range(5):
        pid = os.fork()
        if pid == 0:
            refused = 0
            for ask in (watcher.status, lambda: watcher.subscribe(tree), lambda: subscription.next(0),
                        lambda: subscription.remove(tree / "src"), lambda: subscription.add(tree)):
                try:
                    ask()
                except Unsupported:
                    refused += 1
            subscription.close()
            watcher.close()
            with Watcher(tree / "state") as own:
                mine = own.subscribe(tree / "src")
                (tree / "src" / f"child{number}").write_text("x")
                refused += mine.next(10) is not None
            os._exit(refused)
        _, status = os.waitpid(pid, 0)
        seen = subscription.next(10)
        say(os.waitstatus_to_exitcode(status), f"child{number}" in str(seen), len(os.listdir("/proc/self/fd")))
"""


def test_a_forked_child_is_refused_and_may_make_its_own_and_the_parents_goes_on(tree):
    child = Child(FORK, tree)
    try:
        lines = [child.line().split() for _ in range(5)]
    finally:
        child.end()
    assert [line[:2] for line in lines] == [["6", "True"]] * 5
    assert len({line[2] for line in lines}) == 1


def test_two_subscriptions_get_each_their_own(watch, tree):
    watcher = watch()
    first, second = watcher.subscribe(tree / "src"), watcher.subscribe(tree / "src" / "deep")
    (tree / "src" / "deep" / "x").write_text("x")
    paths_until(second, tree / "src" / "deep" / "x")
    assert all_until_quiet(first) == []
    os.unlink(tree / "src" / "deep" / "x")
