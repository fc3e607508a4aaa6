"""W02, W03, W08, W19: what holds once holds ten thousand times, and in the moment between two steps."""

from __future__ import annotations

import gc
import os
import random
import threading

import pytest
from watch_helpers import all_until_quiet, events_of, kernel_watches, key, paths_until

from holdfast.watch import inotify
from processes import Child

# --- W02: a database that is written ---------------------------------------------------------

ROWS = """
import sqlite3
db = sqlite3.connect(sys.argv[1] + "/state.db", isolation_level=None)
db.execute("PRAGMA journal_mode=WAL")
db.execute("PRAGMA synchronous=OFF")
db.execute("CREATE TABLE logs (id INTEGER PRIMARY KEY, line TEXT)")
logs = sqlite3.connect(sys.argv[1] + "/logs/logs_2.sqlite", isolation_level=None)  # with a rollback journal
logs.execute("PRAGMA synchronous=OFF")
logs.execute("CREATE TABLE logs (id INTEGER PRIMARY KEY, line TEXT)")
for number in range(int(sys.argv[2])):
    db.execute("INSERT INTO logs (line) VALUES (?)", ("a line " * 20,))
    if number % 10 == 0:
        logs.execute("INSERT INTO logs (line) VALUES (?)", ("a line " * 20,))
    if number % 1_000 == 0:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        os.mkdir(f"{sys.argv[1]}/logs/{number}")
say("written")
hear()
"""


@pytest.mark.parametrize("poll", [False, True])
def test_w02_ten_thousand_rows_written_in_the_state_directory_are_no_event(watch, tree, poll):
    (tree / "state" / "state.db").unlink()
    (tree / "state" / "state.db-wal").unlink()
    watcher = watch(poll=poll, poll_s=0.05)
    subscription = watcher.subscribe(tree, recursive=True)
    child = Child(ROWS, tree / "state", 10_000)
    try:
        assert child.line() == "written"
    finally:
        child.end()
    (tree / "src" / "last").write_text("x")

    assert paths_until(subscription, tree / "src" / "last") == {str(tree / "src" / "last")}
    assert all_until_quiet(subscription) == []
    assert watcher.status().events < 100, "nor is the kernel asked for any"


# --- W03: a directory that is exchanged between the look at it and the watch ------------------


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("how", ["the state directory is renamed", "a link on the way", "a link"])
def test_w03_what_is_exchanged_before_it_is_watched_is_not_watched(watch, tree, monkeypatch, how, follow):
    (tree / "src" / "state").mkdir()
    place = tree / "src" / "state"
    ours, seen = key(tree / "state"), []
    add = inotify.Inotify.add

    def late(self, folder, at, *, follow=False):
        if folder == str(place) and not (tree / "away").exists():
            if how == "a link on the way":
                os.rename(tree / "src", tree / "away")
                (tree / "src").symlink_to(tree)
            else:
                os.rename(place, tree / "away")
                if how == "a link":
                    place.symlink_to(tree / "state")
                else:
                    os.rename(tree / "state", place)
        answer = add(self, folder, at, follow=follow)
        seen.append(ours in kernel_watches())
        return answer

    monkeypatch.setattr(inotify.Inotify, "add", late)
    subscription = watch().subscribe(tree, recursive=True, follow_links=follow)
    assert (tree / "away").exists()
    (tree / "marker").write_text("x")
    paths_until(subscription, tree / "marker")
    assert set(seen) == {False}


# --- W08: a file that is replaced ---------------------------------------------------------------

REPLACE = """
path = sys.argv[1]
def put(at, text):
    with open(at, "w") as file:
        file.write(text)
while True:
    number = hear()
    match int(number) % 4:
        case 0:
            put(path + ".new", number)
            os.rename(path + ".new", path)
        case 1:
            os.unlink(path)
            put(path, number)
        case 2:  # as editors do
            os.rename(path, path + "~")
            put(path, number)
        case 3:
            put(path, number)
"""


def replace(subscription, file, times):
    """Have another process write ``file`` in every way; what is read after an event is the last that it wrote."""
    child = Child(REPLACE, file)
    try:
        for number in range(times):
            child.tell(str(number))
            events_of(subscription, lambda found, number=number: found and read(file) == str(number))
    finally:
        child.end()


def read(file):
    try:
        return file.read_text()
    except FileNotFoundError:
        return None


def test_w08_a_file_that_is_replaced_in_every_way_is_read_each_time_as_it_is_last(either, tree):
    replace(either.subscribe(tree / "src" / "settings.json", debounce_ms=0), tree / "src" / "settings.json", 100)


@pytest.mark.torture
def test_w08_a_thousand_times(watch, tree):
    replace(watch().subscribe(tree / "src" / "settings.json", debounce_ms=0), tree / "src" / "settings.json", 1_000)


# --- W19: many that come and go ----------------------------------------------------------------------


def come_and_go(watcher, folders, seed, steps, kept):
    """Register, unregister, close and forget at random; leave in ``kept`` what is still asked for."""
    rng = random.Random(seed)
    mine = {watcher.subscribe(): {}}
    for _ in range(steps):
        subscription = rng.choice([*mine])
        asked = mine[subscription]
        what = rng.random()
        if what < 0.05:
            subscription.close()
        if what < 0.1:  # or it is only forgotten
            del mine[subscription], subscription
            mine[watcher.subscribe()] = {}
            continue
        folder = rng.choice(folders)
        if folder in asked:
            assert subscription.remove(folder)
            del asked[folder]
        else:
            asked[folder] = rng.random() < 0.5
            subscription.add(folder, recursive=asked[folder])
        if len(mine) < 3:
            mine[watcher.subscribe()] = {}
    kept.append(mine)


def churn(watch, tree, threads, steps):
    folders = [tree / "src" / f"d{number}" for number in range(6)]
    for folder in folders:
        (folder / "in").mkdir(parents=True)
    watcher = watch()
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    kept, errors = [], []

    def run(number):
        try:
            come_and_go(watcher, folders, seed + number, steps, kept)
        except Exception as error:
            errors.append(error)

    running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert errors == []

    gc.collect()
    last = watcher.subscribe(tree / "src" / "deep")
    (tree / "src" / "deep" / "x").write_text("x")
    paths_until(last, tree / "src" / "deep" / "x")  # what was forgotten is left by now
    expected = {key(tree / "src" / "deep")}
    for mine in kept:
        for subscription, asked in mine.items():
            assert set(subscription.roots) == set(map(str, asked))
            expected |= {key(folder) for folder in asked}
            expected |= {key(folder / "in") for folder, is_recursive in asked.items() if is_recursive}
    assert kernel_watches() == sorted(expected)
    assert watcher.status().watches == len(expected)
    for mine in kept:
        for subscription in mine:
            subscription.close()
    last.close()
    assert kernel_watches() == []


def test_w19_after_any_coming_and_going_the_kernel_watches_just_what_is_asked_for(watch, tree):
    churn(watch, tree, 8, 100)


@pytest.mark.torture
def test_w19_after_ten_thousand_comings_and_goings(watch, tree):
    churn(watch, tree, 8, 1_250)


def test_w19_what_another_still_wants_goes_on_without_a_gap(watch, tree):
    watcher = watch()
    keeper, other = watcher.subscribe(tree / "src"), watcher.subscribe()
    files = [tree / "src" / f"x{number}" for number in range(200)]
    for each, file in enumerate(files):
        if each % 2:
            other.remove(tree / "src")
        else:
            other.add(tree / "src", recursive=True)
        file.write_text("x")
    paths_until(keeper, *files)


def test_w19_from_recursive_to_flat_nothing_is_missed(watch, tree):
    watcher = watch()
    stop, files = threading.Event(), []

    def write():
        while not stop.is_set() and len(files) < 1_000:
            files.append(tree / "src" / f"x{len(files)}")
            files[-1].touch()

    whole = watcher.subscribe(tree / "src", recursive=True, debounce_ms=0)
    writer = threading.Thread(target=write)
    writer.start()
    try:
        told = set(events_of(whole, len)[0].paths)
        flat = watcher.subscribe(tree / "src", debounce_ms=0)
        told |= {path for event in all_until_quiet(whole, 0) for path in event.paths}
        whole.close()
        assert kernel_watches() == [key(tree / "src")]
        told |= set(events_of(flat, len)[0].paths)
    finally:
        stop.set()
        writer.join()
    (tree / "src" / "last").touch()
    told |= paths_until(flat, tree / "src" / "last")
    assert told >= set(map(str, files))
