"""W04, W07 to W10, W13, W24: roots that come, go, move and lead elsewhere."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest
from watch_helpers import all_until_quiet, events_of, kernel_watches, key, paths_until, the_next, told

from holdfast.watch import Changed, Rescan, RootGone
from holdfast.watch.reach import must_poll
from holdfast.watch.rules import PATHS_MAX
from holdfast.watch.walls import Place


@pytest.mark.parametrize("recursive", [True, False])
def test_w04_a_root_that_is_not_there_is_watched_through_no_other_directory(watch, tree, recursive):
    subscription = watch().subscribe(tree / "a" / "b" / "c", recursive=recursive)

    assert subscription.next(10) == RootGone(str(tree / "a" / "b" / "c"))
    assert kernel_watches() == []
    (tree / "a" / "b" / "c").mkdir(parents=True)
    (tree / "a" / "b" / "c" / "x").write_text("x")
    assert the_next(subscription, Rescan).root == str(tree / "a" / "b" / "c")
    (tree / "a" / "b" / "c" / "y").write_text("x")
    paths_until(subscription, tree / "a" / "b" / "c" / "y")


def test_a_file_may_be_among_the_roots_of_a_recursive_subscription(watch, tree):
    there, later = tree / "src" / "there", tree / "src" / "later"
    there.write_text("x")
    subscription = watch().subscribe(there, later, tree / "src" / "deep", recursive=True)
    assert subscription.next(10) == RootGone(str(later))
    there.write_text("more")
    assert subscription.next(10) == Changed((str(there),))
    later.write_text("x")
    assert subscription.next(10) == Changed((str(later),))
    later.write_text("more")
    assert subscription.next(10) == Changed((str(later),))
    (tree / "src" / "other").write_text("x")
    assert all_until_quiet(subscription) == []


LARGE = ["/", "/etc", "~", "/tmp", "/var/tmp", "$TMPDIR", "/var", "/usr", "/home", "/root"]


@pytest.mark.parametrize("folder", LARGE)
def test_w04_no_large_directory_is_watched_for_one_file_in_it(watch, tmp_path, monkeypatch, folder):
    (tmp_path / "temporary").mkdir()
    (tmp_path / "to-it").symlink_to(tmp_path / "temporary")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "to-it"))
    real = os.path.realpath(os.path.expandvars(os.path.expanduser(folder)))
    assert must_poll(Place(real, (0, 0), "holdfast-no-such-file"))
    watcher = watch()
    subscription = watcher.subscribe(f"{real}/holdfast-no-such-file")
    assert kernel_watches() == []
    assert len(subscription.roots) == 1
    assert watcher.status().polled == os.path.isdir(real)


def test_w07_links_out_of_the_root_are_not_followed_and_circles_end(watch, tree, tmp_path):
    (tmp_path / "outside").mkdir()
    (tree / "src" / "out").symlink_to(tmp_path / "outside")
    (tree / "src" / "circle").symlink_to(tree)
    watcher = watch()
    subscription = watcher.subscribe(tree, recursive=True)
    assert kernel_watches() == sorted(map(key, [tree, tree / "src", tree / "src" / "deep"]))
    watcher.close()

    following = watch()
    subscription = following.subscribe(tree, recursive=True, follow_links=True)
    assert kernel_watches() == sorted(map(key, [tree, tree / "src", tree / "src" / "deep", tmp_path / "outside"]))
    (tmp_path / "outside" / "x").write_text("x")
    paths_until(subscription, tree / "src" / "out" / "x")


def test_w08_deleted_made_again_and_swapped_as_editors_do(watch, tree):
    file = tree / "src" / "file"
    subscription = watch().subscribe(file)
    changed = Changed((str(file),))
    file.write_text("one")
    assert subscription.next(10) == changed
    file.unlink()
    assert subscription.next(10) == changed
    file.write_text("two")
    assert subscription.next(10) == changed
    os.rename(file, tree / "src" / "file~")
    (tree / "src" / "file").write_text("three")
    assert subscription.next(10) == changed
    assert all_until_quiet(subscription) == []


def test_w08_a_file_behind_a_link_is_seen_and_so_is_a_link_that_leads_elsewhere(watch, tree):
    for name in ("one", "two"):
        (tree / "src" / "deep" / name).write_text("x")
    link = tree / "link"
    link.symlink_to(tree / "src" / "deep" / "one")
    subscription = watch().subscribe(link)
    (tree / "src" / "deep" / "one").write_text("more")
    assert subscription.next(10) == Changed((str(link),))

    (tree / "new").symlink_to(tree / "src" / "deep" / "two")
    os.rename(tree / "new", link)
    assert subscription.next(10) == Changed((str(link),))
    (tree / "src" / "deep" / "two").write_text("more")
    assert subscription.next(10) == Changed((str(link),))


@pytest.mark.parametrize("recursive", [True, False])
def test_w09_a_directory_deleted_and_made_again_is_watched_each_time(watch, tree, recursive):
    root = tree / "src"
    subscription = watch().subscribe(root, recursive=recursive, debounce_ms=0)
    for number in range(100):
        shutil.rmtree(root)
        root.mkdir()
        the_next(subscription, Rescan)
        (root / f"x{number}").write_text("x")
        paths_until(subscription, root / f"x{number}")


def test_w09_a_directory_below_the_root_too(either, tree):
    subscription = either.subscribe(tree, recursive=True, debounce_ms=0)
    for number in range(100):
        shutil.rmtree(tree / "src")
        (tree / "src" / "deep").mkdir(parents=True)
        (tree / "src" / "deep" / f"x{number}").write_text("x")
        paths_until(subscription, tree / "src" / "deep" / f"x{number}")


def test_w10_no_file_is_lost_that_is_made_while_its_directory_is_being_found(watch, tree):
    subscription = watch().subscribe(tree, recursive=True, debounce_ms=5)
    files = []
    for number in range(200):
        file = tree / f"n{number % 20}" / f"b{number}" / "c" / "f"
        file.parent.mkdir(parents=True)
        file.write_text("x")
        files.append(file)
    paths_until(subscription, *files)


def test_w10_a_directory_that_is_moved_in_is_told_with_all_that_is_in_it(either, tree, tmp_path):
    (tmp_path / "out" / "in").mkdir(parents=True)
    (tmp_path / "out" / "in" / "x").write_text("x")
    subscription = either.subscribe(tree, recursive=True)
    os.rename(tmp_path / "out", tree / "src" / "came")
    paths_until(subscription, tree / "src" / "came" / "in" / "x")
    os.rename(tree / "src" / "came", tree / "went")
    paths_until(subscription, tree / "went" / "in" / "x")
    (tree / "went" / "in" / "y").write_text("x")

    assert str(tree / "src" / "came" / "in" / "y") not in paths_until(subscription, tree / "went" / "in" / "y")


def test_w13_paths_are_sorted_each_once_and_as_the_root_was_spelled(either, tree, tmp_path):
    (tmp_path / "spelled").symlink_to(tree / "src")
    subscription = either.subscribe(tmp_path / "spelled", recursive=True, debounce_ms=300)
    for name in ("b", "a", "deep/c", "b"):
        (tree / "src" / name).write_text(str(random.random()) * 3)

    events = events_of(subscription, lambda found: len(told(found)) >= 3)
    for event in events:
        assert list(event.paths) == sorted(set(event.paths))
    assert told(events) == {str(tmp_path / "spelled" / name) for name in ("a", "b", "deep/c")}


def test_w13_more_paths_than_one_event_holds_are_a_rescan(watch, tree):
    subscription = watch().subscribe(tree / "src", debounce_ms=1_000)
    for number in range(PATHS_MAX + 1):
        (tree / "src" / f"x{number}").touch()

    event = subscription.next(20)
    assert isinstance(event, Rescan)
    assert (event.root, "at once" in event.why) == (str(tree / "src"), True)


@pytest.mark.parametrize("whose", ["its own", "its parent's"])
def test_w24_a_root_that_is_renamed_is_gone_and_nothing_is_told_by_its_old_name(watch, tree, whose):
    root = tree / "src" / "deep"
    moved = {"its own": root, "its parent's": tree / "src"}[whose]
    subscription = watch().subscribe(root, recursive=True)
    os.rename(moved, tree / "away")
    new = tree / "away" if moved == root else tree / "away" / "deep"
    (new / "x").write_text("x")

    assert subscription.next(10) == RootGone(str(root))
    (new / "y").write_text("x")
    assert all_until_quiet(subscription) == []
    assert kernel_watches() == []
    os.rename(tree / "away", moved)
    assert the_next(subscription, Rescan).root == str(root)
    (root / "z").write_text("x")
    paths_until(subscription, root / "z")


def test_w24_an_unmounted_root_is_gone(watch, tree):
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    root = tree / "src" / "deep"
    if libc.mount(b"none", os.fsencode(root), b"tmpfs", 0, None) != 0:
        assert os.geteuid() != 0
        return
    try:
        subscription = watch().subscribe(root)
        (root / "x").write_text("x")
        paths_until(subscription, root / "x")
    finally:
        unmounted = libc.umount2(os.fsencode(root), 2)  # MNT_DETACH: whatever happens, none is left behind
    assert unmounted == 0

    # The directory it was mounted on is there again: another one.
    assert isinstance(events_of(subscription, lambda found: found)[0], RootGone | Rescan)
    Path(root / "y").write_text("x")
    paths_until(subscription, root / "y")
