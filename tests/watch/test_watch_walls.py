"""W01 to W03, W17, W18: what may never be watched, told or logged, however it is spelled."""

from __future__ import annotations

import ctypes
import logging
import os
import threading

import pytest
from watch_helpers import all_until_quiet, events_of, kernel_watches, key, paths_until, told

import holdfast
from holdfast import origin
from holdfast.errors import Refused
from holdfast.watch import Degraded, Protected, RootGone

STATE_FILES = ("state.db", "state.db-wal", "state.db-shm", "state.db-journal", "state.db.seat", "search.db", "cache.db")
DATABASES = (
    "logs_2.sqlite",
    "state_5.sqlite-wal",
    "goals_1.sqlite-shm",
    "a.SQLite3",
    "b.db",
    "c.DB-wal",
    "d.db-journal",
)
INSIDE = ("", "logs", "logs/not/there", "not-there", "backups/x.json", *STATE_FILES)


@pytest.mark.parametrize("inside", INSIDE)
@pytest.mark.parametrize("way", ["as it is", "by a link", "by a link to above", "by dots", "spelled twice"])
def test_w01_a_root_that_is_or_lies_in_the_state_directory_is_refused_and_both_are_named(watch, tree, inside, way):
    (tree / "link").symlink_to(tree / "state")
    (tree / "src" / "up").symlink_to(tree)
    root = {
        "as it is": f"{tree}/state/{inside}",
        "by a link": f"{tree}/link/{inside}",
        "by a link to above": f"{tree}/src/up/state/{inside}",
        "by dots": f"{tree}/src/../state/{inside}",
        "spelled twice": f"{tree}//state/./{inside}",
    }[way].rstrip("/")

    with pytest.raises(Protected) as refused:
        watch().subscribe(root, recursive=True)

    assert isinstance(refused.value, Refused)
    assert refused.value.root in str(refused.value)
    assert refused.value.protected in str(refused.value)
    assert str(tree / "state") in refused.value.protected
    assert kernel_watches() == []


@pytest.mark.parametrize("name", DATABASES)
def test_w01_a_database_is_refused_wherever_it_lies_and_by_a_link_too(watch, tree, name):
    (tree / "notes.txt").symlink_to(tree / "src" / name)
    for root in (tree / "src" / name, tree / "notes.txt"):
        with pytest.raises(Protected, match="database"):
            watch().subscribe(root)


def test_w01_another_name_of_a_file_of_ours_is_refused(watch, tree):
    os.link(tree / "state" / "state.db", tree / "src" / "innocent")

    with pytest.raises(Protected, match="another name"):
        watch().subscribe(tree / "src" / "innocent")


@pytest.mark.parametrize("what", ["state", "state/logs"])
def test_w01_a_bind_mount_of_what_is_ours_is_refused_and_pruned(watch, tree, what):
    libc = ctypes.CDLL(None, use_errno=True)
    target = tree / "src" / "mounted"
    target.mkdir()
    if libc.mount(os.fsencode(tree / what), os.fsencode(target), None, 4096, None) != 0:  # MS_BIND
        assert os.geteuid() != 0  # then nobody else's mounts can be made, either
        return
    try:
        watcher = watch()
        with pytest.raises(Protected):
            watcher.subscribe(target)
        subscription = watcher.subscribe(tree, recursive=True)
        assert key(tree / what) not in kernel_watches()
        assert len(kernel_watches()) == 3
        subscription.close()
        watcher.close()
    finally:
        assert libc.umount2(os.fsencode(target), 2) == 0  # MNT_DETACH


def test_w01_a_root_in_a_state_directory_that_is_not_there_yet_is_refused(watch, tree):
    watcher = watch(state_dir=tree / "later", protect=[tree / "also"])
    for root in (tree / "later", tree / "later/x", tree / "also"):
        with pytest.raises(Protected):
            watcher.subscribe(root)


def test_w01_a_refused_root_leaves_nothing_of_its_subscription(watch, tree):
    watcher = watch()
    with pytest.raises(Protected):
        watcher.subscribe(tree / "src", tree / "state")
    assert watcher.status().roots == ()
    assert kernel_watches() == []


def test_w02_a_wider_root_is_watched_without_what_is_protected(watch, tree):
    (tree / "secret").mkdir()
    subscription = watch(protect=[tree / "secret", tree / "auth.json"]).subscribe(tree, recursive=True)
    for number in range(1_000):
        for name in STATE_FILES:
            (tree / "state" / name).write_bytes(b"%d" % number)
    for place in (tree, tree / "src", tree / "src" / "deep"):
        for name in DATABASES:
            (place / name).write_bytes(b"rows")
    (tree / "secret" / "x").write_text("x")
    (tree / "auth.json").write_text("x")
    (tree / "state" / "logs" / "new").mkdir()
    (tree / "src" / "last").write_text("x")

    assert paths_until(subscription, tree / "src" / "last") == {str(tree / "src" / "last")}
    assert all_until_quiet(subscription) == []


def test_w03_no_kernel_watch_lies_on_a_protected_directory_whatever_comes_and_moves(watch, tree):
    watcher = watch(protect=[tree / "later"])
    subscription = watcher.subscribe(tree, recursive=True)
    ours = [tree / "state", tree / "state" / "logs"]
    assert kernel_watches() == sorted(map(key, [tree, tree / "src", tree / "src" / "deep"]))

    (tree / "later").mkdir()
    (tree / "seen").mkdir()
    assert str(tree / "later") not in paths_until(subscription, tree / "seen")
    os.rename(tree / "state", tree / "moved")  # the same directory, by another name
    (tree / "moved" / "state.db").write_bytes(b"more")
    (tree / "seen" / "x").write_text("x")
    paths_until(subscription, tree / "seen" / "x")
    os.rename(tree / "moved", tree / "state")
    os.rename(tree / "src", tree / "later" / "src")  # what was watched comes to lie inside
    (tree / "seen" / "y").write_text("x")
    paths_until(subscription, tree / "seen" / "y")

    assert not {key(path) for path in (*ours, tree / "later", tree / "later" / "src")} & set(kernel_watches())
    assert kernel_watches() == sorted(map(key, [tree, tree / "seen"]))


def test_w03_a_link_that_comes_to_lead_into_the_state_directory_is_watched_no_more(watch, tree):
    (tree / "link").symlink_to(tree / "src")
    subscription = watch().subscribe(tree / "link")
    (tree / "new").symlink_to(tree / "state")
    os.rename(tree / "new", tree / "link")

    events = events_of(subscription, lambda found: {type(each) for each in found} >= {RootGone, Degraded})
    assert [str(tree / "state") in each.why for each in events if isinstance(each, Degraded)] == [True]
    assert kernel_watches() == []
    (tree / "state" / "state.db").write_bytes(b"more")
    assert all_until_quiet(subscription, 1.0) == []  # nor is it said again


def test_w17_reading_what_is_watched_a_database_too_is_no_event(watch, tree, tmp_path):
    for name in ("a.txt", "b.txt"):
        (tree / "src" / name).write_text("x")
    os.mkdir(tree / "home")
    with holdfast.open(own=tree / "home", home=[], state_dir=tree / "src" / "other", search=False):
        pass
    subscription = watch().subscribe(tree, recursive=True)
    for _ in range(100):
        (tree / "src" / "a.txt").read_text()
        list(tree.rglob("*"))
    with holdfast.peek([tree / "home"], state_dir=tree / "src" / "other") as state:
        state.status()
    (tree / "src" / "b.txt").chmod(0o600)

    assert all_until_quiet(subscription) == []


def test_w18_no_event_makes_a_log_record_and_the_thread_is_marked_as_ours(watch, tree):
    records, parts = [], set()
    handler = logging.Handler(level=1)
    handler.emit = records.append
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(1)
    watcher = watch()
    told_by = watcher.core._deliver

    def deliver(batch):
        parts.add((threading.current_thread().name, origin.part()))
        told_by(batch)

    watcher.core._deliver = deliver
    try:
        subscription = watcher.subscribe(tree, recursive=True)
        for number in range(500):
            (tree / "src" / "x").write_text(str(number))
        (tree / "src" / "y").write_text("x")
        paths_until(subscription, tree / "src" / "y")
        watcher.close()
    finally:
        root.removeHandler(handler)
        root.setLevel(level)

    assert records == []
    assert parts == {("holdfast-watcher", "watcher")}


def test_no_directory_of_databases_is_told_of_by_a_watch_of_one_file_in_it(watch, tree):
    subscription = watch().subscribe(tree / "auth.json")
    for name in DATABASES:
        (tree / name).write_bytes(b"rows")
    (tree / "auth.json").write_text("x")
    assert told([subscription.next(10)]) == {str(tree / "auth.json")}
