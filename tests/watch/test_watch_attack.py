"""What an attacker of a watcher tries: numbers that are closed, locks that are held, names that lead elsewhere."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import shutil
import sys
import threading

import pytest
from watch_helpers import (
    all_until_quiet,
    events_of,
    eventually,
    kernel_watches,
    key,
    open_descriptors,
    paths_until,
    the_next,
    told,
)

from holdfast.sqlite import filesystems
from holdfast.watch import Changed, Degraded, Protected, Rescan, RootGone, budget
from holdfast.watch import tree as tree_module
from holdfast.watch.folder import Happened
from holdfast.watch.rules import PATHS_MAX, PENDING_BYTES_MAX, Pending
from processes import Child

# --- descriptors that are somebody else's by now -----------------------------------------


@pytest.mark.parametrize("late", ["closed twice", "a subscription is forgotten", "a subscription is closed"])
def test_a_watcher_that_is_closed_writes_to_no_descriptor_that_has_its_number_now(watch, tree, late):
    watcher = watch()
    subscription = watcher.subscribe(tree / "src")
    watcher.close()
    files = [os.open(tree / f"x{number}", os.O_CREAT | os.O_RDWR) for number in range(8)]
    try:
        if late == "closed twice":
            watcher.close()
        elif late == "a subscription is closed":
            subscription.close()
        del subscription
        gc.collect()
        assert [os.fstat(fd).st_size for fd in files] == [0] * 8
    finally:
        for fd in files:
            os.close(fd)


REUSED = """
import pathlib, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from holdfast.watch import Watcher
tree = pathlib.Path(sys.argv[1])
watcher = Watcher(tree / "state")
subscription = watcher.subscribe(tree / "src")
empty = watcher.subscribe()
watcher.close()
fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(8)]
pid = os.fork()
if pid == 0:
    for fd in fds:
        os.fstat(fd)
    os._exit(0)
say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_forked_child_closes_no_descriptor_that_has_a_closed_watchers_number(tree):
    child = Child(REUSED, tree)
    try:
        assert child.line() == "0"
    finally:
        child.end()


LOCKED = """
import pathlib, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from holdfast.errors import Unsupported
from holdfast.watch import Watcher
tree = pathlib.Path(sys.argv[1])
with Watcher(tree / "state", watches_max=3) as watcher:
    full, empty = watcher.subscribe(tree, recursive=True, ignore=()), watcher.subscribe()
    held, leave = threading.Event(), threading.Event()
    def hold():
        with watcher.core.lock, empty._feed.changed, watcher.core._wakeup._lock:
            held.set()
            leave.wait()
    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    pid = os.fork()
    if pid == 0:
        refused = 0
        for ask in (lambda: empty.next(0), lambda: full.next(0), watcher.status):
            try:
                ask()
            except Unsupported:
                refused += 1
        with Watcher(tree / "state", watches_max=3) as own:  # the parent's watches are not on our budget
            mine = own.subscribe(tree, recursive=True)
            refused += own.status().watches
        os._exit(refused)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    leave.set()
    thread.join()
    (tree / "src" / "x").write_text("x")
    say(code, type(full.next(10)).__name__)
"""


def test_a_fork_while_every_lock_is_held_leaves_a_child_that_neither_hangs_nor_steals(tree):
    child = Child(LOCKED, tree)
    try:
        assert child.line() == "6 Changed"
    finally:
        child.end()


def test_watchers_that_come_and_go_while_others_register_stop_nobody(watch, tree):
    for number in range(50):
        (tree / "src" / f"d{number}").mkdir()
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    stop, errors = threading.Event(), []

    def churn():
        while not stop.is_set():
            try:
                with watch() as other:
                    other.subscribe(tree / "src" / "deep")
            except Exception as error:
                errors.append(error)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        watcher = watch()
        for _ in range(20):
            with watcher.subscribe(tree, recursive=True) as subscription:
                assert all(not isinstance(event, Degraded) for event in all_until_quiet(subscription, 0))
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(switch)
    assert errors == []
    assert budget.taken() == 0


# --- W01, W03: the state directory moves, or a link to it -----------------------------------


def test_w01_the_state_directory_is_known_when_it_was_moved_and_forgotten_when_it_was_deleted(watch, tree):
    watcher = watch()
    subscription = watcher.subscribe(tree, recursive=True)
    os.rename(tree / "state", tree / "src" / "moved")
    eventually(subscription, lambda: watcher.core._walls.refresh() is False)
    with pytest.raises(Protected):
        watcher.subscribe(tree / "src" / "moved")
    again = watcher.subscribe(tree / "src", recursive=True)
    assert key(tree / "src" / "moved") not in kernel_watches()

    shutil.rmtree(tree / "src" / "moved")
    (tree / "src" / "fresh").mkdir()  # it may have the inode of the one that is gone
    with watcher.subscribe(tree / "src" / "fresh"):
        assert key(tree / "src" / "fresh") in kernel_watches()
    again.close()


def test_w01_a_link_on_the_way_to_the_state_directory_may_be_turned(watch, tree):
    (tree / "new-disk" / "state").mkdir(parents=True)
    (tree / "disk").symlink_to(tree / "src")
    watcher = watch(state_dir=tree / "disk" / "state")
    subscription = watcher.subscribe(tree / "new-disk", recursive=True)
    inner = watcher.subscribe(tree / "new-disk" / "state")
    assert key(tree / "new-disk" / "state") in kernel_watches()
    (tree / "turned").symlink_to(tree / "new-disk")
    os.rename(tree / "turned", tree / "disk")

    assert str(tree / "new-disk" / "state") in the_next(inner, Degraded).why
    eventually(subscription, lambda: key(tree / "new-disk" / "state") not in kernel_watches())


def test_w01_a_root_that_comes_to_lie_in_the_state_directory_is_watched_no_more(watch, tree):
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "way").symlink_to(tree / "a")
    watcher = watch(state_dir=tree / "later")
    subscription = watcher.subscribe(tree / "way" / "b")
    os.rename(tree / "a", tree / "later")
    (tree / "turned").symlink_to(tree / "later")
    os.rename(tree / "turned", tree / "way")

    events = events_of(subscription, lambda found: {type(each) for each in found} >= {RootGone, Degraded})
    assert {type(event) for event in events} == {RootGone, Degraded}
    eventually(subscription, lambda: kernel_watches() == [])


def test_w01_by_the_processs_own_names_and_relative(watch, tree, monkeypatch):
    monkeypatch.chdir(tree / "state")
    watcher = watch()
    fd = os.open(tree / "state", os.O_RDONLY | os.O_DIRECTORY)
    (tree / "one").symlink_to(tree / "two")
    (tree / "two").symlink_to(tree / "src" / "three")
    (tree / "src" / "three").symlink_to("../state/")
    (tree / "dangling").symlink_to(tree / "state" / "not" / "there")
    ways = (
        *(".", "./", "logs", "../state", "../src/../state/", "state.db", "no-such"),
        *("/proc/self/cwd", "/proc/self/cwd/logs", f"/proc/{os.getpid()}/cwd", f"/proc/self/fd/{fd}", f"/dev/fd/{fd}"),
        *(f"/proc/self/root{tree}/state", f"{tree}/one", f"{tree}/one/logs", f"{tree}/dangling"),
        *(f"{tree}/state///", f"{tree}/./state/.", f"//{tree}/state", f"{tree}/src/deep/../../state"),
    )
    try:
        for way in ways:
            for recursive in (False, True):
                with pytest.raises(Protected):
                    watcher.subscribe(way, recursive=recursive)
    finally:
        os.close(fd)
    assert kernel_watches() == []


def forbidden(tree):
    found = {key(tree / "hidden")} if (tree / "hidden").exists() else set()
    for folder, _, _ in os.walk(tree):
        if "/ours" in f"{folder}/" and "ours" in folder[len(str(tree)) :].split("/"):
            found.add(key(folder))
    return found


def walk(watch, tree, steps):
    """Move, link, make and delete at random; after each step no kernel watch lies where none may."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    (tree / "state").rename(tree / "ours")
    watcher = watch(state_dir=tree / "ours")
    roots = [tree, tree / "src", tree / "link", tree / "a", tree / "a" / "b"]
    subscription = watcher.subscribe()
    for root in roots[:2]:
        subscription.add(root, recursive=True)
    for number in range(steps):
        places = [tree, tree / "src", tree / "a", tree / "a" / "b", tree / "src" / "deep"]
        place = rng.choice([place for place in places if place.is_dir()])
        what = rng.randrange(6)
        ours = next(iter(tree.rglob("ours")), None)
        if what == 0 and ours is not None and not f"{place}/".startswith(f"{ours}/") and not (place / "ours").exists():
            ours.rename(place / "ours")
        elif what == 1:
            (place / rng.choice("ab")).mkdir(exist_ok=True)
        elif what == 2:
            link = tree / "link"
            link.unlink(missing_ok=True)
            link.symlink_to(rng.choice([ours or tree, place, tree / "nothing"]))
        elif what == 3 and ours is not None:
            (ours / "logs" / f"n{number}").mkdir(parents=True, exist_ok=True)
            (ours / "state.db-wal").write_bytes(b"x")
        elif what == 4:
            root = rng.choice(roots)
            if not subscription.remove(root):
                try:
                    subscription.add(root, recursive=rng.random() < 0.7)
                except Protected:
                    assert root.name in ("link", "b", "a")
        else:
            moved = tree / rng.choice(["a", "src"])
            if moved.is_dir() and not (tree / "away").exists():
                moved.rename(tree / "away")
                (tree / "away").rename(tree / moved.name)
        (tree / f"marker{number}").write_text("x")
        with watcher.core.lock:
            assert not forbidden(tree) & set(kernel_watches()), (number, what)
    for event in all_until_quiet(subscription):
        for path in getattr(event, "paths", ()):
            assert "/ours/" not in path
            assert "-wal" not in path


def test_w03_in_any_walk_no_kernel_watch_lies_on_the_state_directory(watch, tree):
    walk(watch, tree, 150)


@pytest.mark.torture
@pytest.mark.parametrize("_", range(10))
def test_w03_in_any_long_walk_either(watch, tree, _):
    walk(watch, tree, 1_000)


# --- W05, W15, W22: what is bounded, and what is polled ----------------------------------------


def test_w15_a_tree_that_is_moved_in_is_a_rescan_and_no_list_of_all_its_files(watch, tree, tmp_path):
    (tmp_path / "big").mkdir()
    for number in range(PATHS_MAX + 100):
        (tmp_path / "big" / f"x{number}").touch()
    subscription = watch().subscribe(tree, recursive=True)
    os.rename(tmp_path / "big", tree / "big")
    assert the_next(subscription, Rescan).root == str(tree)


def test_w15_what_happened_is_bounded_before_it_waits():
    happened = Happened()
    for number in range(100_000):
        happened.add(f"/r/{number}")
    assert (happened.count, len(happened.paths)) == (100_000, PATHS_MAX + 1)
    long = Happened()
    for letter in "abcdefgh":
        long.add("/r/" + letter * (PENDING_BYTES_MAX // 4))
    assert len(long.paths) == 4


def test_w15_a_reader_that_never_reads_keeps_nothing_growing(watch, tree):
    watcher = watch()
    subscription = watcher.subscribe(tree, recursive=True, debounce_ms=0)
    other = watcher.subscribe(tree / "src", debounce_ms=0)
    for number in range(PATHS_MAX * 2):
        (tree / "src" / f"x{number}").touch()
        if number % 512 == 0:
            other.next(0)
    (tree / "src" / "last").touch()
    eventually(other, lambda: bool(subscription._feed._pending.rescans))
    assert len(subscription._feed._pending.paths) <= PATHS_MAX
    assert len(subscription._feed._ready) == 0
    assert isinstance(subscription.next(0), Rescan)


def test_w20_a_path_of_two_roots_is_still_told_for_the_one_that_is_left(watch, tree):
    subscription = watch().subscribe(tree, recursive=True, debounce_ms=500)
    subscription.add(tree / "src")
    (tree / "src" / "x").write_text("x")
    eventually(subscription, lambda: len(subscription._feed._pending.paths.get(str(tree / "src" / "x"), ())) == 2)
    subscription.remove(tree)
    assert subscription.next(10) == Changed((str(tree / "src" / "x"),))

    pending = Pending()
    pending.change("/r", ["/r/x", "/r/s/x"])
    pending.change("/r/s", ["/r/s/x"])
    pending.forget("/r/s")
    assert pending.take(only_notices=False) == [Changed(("/r/s/x", "/r/x"))]


def test_w22_what_is_mounted_below_a_root_is_polled_when_the_kernel_cannot_tell_of_it(watch, tree, monkeypatch):
    mounted = tree / "src" / "deep"
    real = tree_module.Tree._is_remote
    monkeypatch.setattr(filesystems, "kind_at", lambda folder: "fuse.sshfs" if folder == str(mounted) else "ext4")

    def as_if_mounted(parent, at, path):
        return real(parent, (at[0] + 1, at[1]) if path == str(mounted) else at, path)

    monkeypatch.setattr(tree_module.Tree, "_is_remote", staticmethod(as_if_mounted))
    (mounted / "in").mkdir()
    watcher = watch(poll_s=0.05)
    subscription = watcher.subscribe(tree, recursive=True)
    assert not {key(mounted), key(mounted / "in")} & set(kernel_watches())
    assert (watcher.status().watches, watcher.status().polled) == (2, 2)
    (mounted / "in" / "x").write_text("x")
    paths_until(subscription, mounted / "in" / "x")


# --- threads and event loops --------------------------------------------------------------------


def test_a_thread_that_closes_while_others_iterate_ends_all_of_them(watch, tree):
    for closes in ("watcher", "subscription"):
        watcher = watch()
        subscription = watcher.subscribe(tree / "src")
        readers = [threading.Thread(target=list, args=(subscription,)) for _ in range(4)]
        for reader in readers:
            reader.start()
        (watcher if closes == "watcher" else subscription).close()
        for reader in readers:
            reader.join(10)
            assert not reader.is_alive()


def test_two_event_loops_read_one_subscription_and_each_event_is_told_once(watch, tree):
    watcher = watch()
    subscription = watcher.subscribe(tree / "src", debounce_ms=0)
    found, lock = [], threading.Lock()

    async def read():
        async for event in subscription:
            with lock:
                found.append(event)

    threads = [threading.Thread(target=lambda: asyncio.run(read())) for _ in range(2)]
    for thread in threads:
        thread.start()
    files = [tree / "src" / f"x{number}" for number in range(50)]
    other = watcher.subscribe(tree / "src")
    for file in files:
        file.touch()
    paths_until(other, *files)
    watcher.close()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert told(found) == set(map(str, files))
    assert sum(len(event.paths) for event in found) == len(files)


def test_waiting_that_is_cancelled_loses_no_event_and_leaves_nothing_behind(watch, tree):
    async def main():
        watcher = watch()
        subscription = watcher.subscribe(tree / "src", debounce_ms=0)
        found = set()
        for number in range(100):
            waiting = asyncio.create_task(subscription.anext())
            await asyncio.sleep(0)
            (tree / "src" / f"x{number}").touch()
            if number % 2:
                await asyncio.to_thread(os.stat, tree)
            if waiting.cancel():
                await asyncio.wait([waiting])
            if not waiting.cancelled():
                found |= set(waiting.result().paths)
        assert subscription._feed._wakers == {}
        while len(found) < 100:
            event = await asyncio.wait_for(subscription.anext(), 10)
            found |= set(event.paths)
        return found

    assert asyncio.run(main()) == {str(tree / "src" / f"x{number}") for number in range(100)}


# --- W19, W20, W25, W26: many at once, and many times ----------------------------------------------


def test_w25_an_event_loop_that_died_waiting_holds_up_nobody(watch, tree):
    subscription = watch().subscribe(tree / "src", debounce_ms=0)
    loop = asyncio.new_event_loop()
    task = loop.create_task(subscription.anext())
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    (tree / "src" / "x").touch()
    assert subscription.next(10) == Changed((str(tree / "src" / "x"),))
    task._log_destroy_pending = False


@pytest.mark.torture
def test_w20_in_ten_thousand_trials_nothing_is_told_once_remove_has_returned(watch, tree):
    subscription = watch().subscribe(tree / "src" / "deep", debounce_ms=0)
    mine = {str(tree / "src" / f"x{each}") for each in range(5)}
    for number in range(10_000):
        subscription.add(tree / "src")
        (tree / "src" / f"x{number % 5}").write_text(str(number))
        if number % 3 == 0:
            subscription.next(0.002)
        assert subscription.remove(tree / "src")
        event = subscription.next(0)
        assert event is None or not told([event]) & mine


@pytest.mark.torture
def test_w10_in_a_thousand_races_no_file_is_lost(watch, tree):
    subscription = watch(watches_max=100_000).subscribe(tree, recursive=True, debounce_ms=5)
    missing = set()
    for number in range(1_000):
        folder = tree / f"n{number % 20}" / f"b{number}" / "c"
        folder.mkdir(parents=True)
        (folder / "f").write_text("x")
        missing.add(str(folder / "f"))
        while (event := subscription.next(0)) is not None:
            missing -= told([event])
    if missing:
        paths_until(subscription, *missing)


def test_w26_what_a_killed_process_left_is_taken_away_by_the_next(watch, tree):
    killed = Child(
        "from holdfast.watch import Watcher\n"
        "w = Watcher(sys.argv[1] + '/state'); s = w.subscribe(sys.argv[1] + '/src'); say('on'); hear()",
        tree,
    )
    assert killed.line() == "on"
    (left,) = (tree / "state" / "watches").iterdir()
    killed.kill()
    killed.end()
    subscription = watch().subscribe(tree / "src")
    assert subscription.roots
    assert left not in list((tree / "state" / "watches").iterdir())
    assert open_descriptors() > 0
