"""W05, W06, W11, W14 to W16, W21 to W23, W25, W26: nothing grows, and what is short is said."""

from __future__ import annotations

import dataclasses
import errno
import gc
import os
import resource
import shutil
import stat
import threading

import msgspec
import pytest
from watch_helpers import (
    all_until_quiet,
    eventually,
    kernel_watches,
    open_descriptors,
    paths_until,
    the_next,
    told,
)

from holdfast import holds
from holdfast.sqlite import filesystems
from holdfast.watch import Changed, Degraded, Rescan, RootGone
from holdfast.watch import watcher as watcher_module
from holdfast.watch.inotify import Inotify, watches_allowed
from holdfast.watch.manifest import FOLDER, Watched, listing
from holdfast.watch.rules import PATHS_MAX, PENDING_BYTES_MAX, RATE_MAX, RATE_S, Breaker, Pending


def test_w05_beyond_the_budget_is_polled_and_said_once(watch, tree):
    for number in range(20):
        (tree / "src" / f"d{number}").mkdir()
    watcher, other = watch(watches_max=10, poll_s=0.05), watch(watches_max=10)
    subscription = watcher.subscribe(tree, recursive=True)
    second = other.subscribe(tree / "src")

    assert second.roots == (str(tree / "src"),)
    assert len(kernel_watches()) == 10
    status = watcher.status()
    assert (status.watches, status.polled) == (10, 13)
    assert isinstance(subscription.next(10), Degraded)
    files = [tree / "src" / f"d{number}" / "x" for number in range(20)]
    for file in files:
        file.write_text("x")
    paths_until(subscription, *files)
    assert [event for event in all_until_quiet(subscription, 1.5) if isinstance(event, Degraded)] == []


def test_w05_what_is_polled_for_want_of_watches_is_watched_once_there_are_some(watch, tree):
    watcher = watch(watches_max=3, poll_s=60)
    first = watcher.subscribe(tree / "src", recursive=True)
    second = watcher.subscribe(tree, recursive=True)
    assert isinstance(second.next(10), Degraded)
    first.close()
    (tree / "src" / "deep" / "x").write_text("x")
    paths_until(second, tree / "src" / "deep" / "x")
    assert watcher.status().polled == 0


@pytest.mark.parametrize(("allowed", "watches"), [(50, 5), (0, 11), (10_000_000, 11)])
def test_w05_never_more_than_a_tenth_of_what_the_user_may_have(watch, tree, monkeypatch, allowed, watches):
    with open("/proc/sys/fs/inotify/max_user_watches", encoding="ascii") as file:
        assert watches_allowed() == int(file.read())
    monkeypatch.setattr(watcher_module, "watches_allowed", lambda: allowed)  # 0: the kernel does not say
    for number in range(8):
        (tree / "src" / f"d{number}").mkdir()
    watcher = watch()
    subscription = watcher.subscribe(tree, recursive=True)
    assert len(kernel_watches()) == watcher.status().watches == watches
    assert watcher.status().polled == 11 - watches
    assert isinstance(subscription.next(0), Degraded) == (watches < 11)


def test_w06_what_is_ignored_costs_no_watch_and_no_look(watch, tree):
    for number in range(5):
        inner = tree / "src" / f"p{number}"
        for name in ("node_modules", ".git", "__pycache__", "mine"):
            (inner / name / "a" / "b").mkdir(parents=True)
    watcher = watch()
    subscription = watcher.subscribe(tree / "src", recursive=True, ignore={"node_modules", ".git", "__pycache__"})
    assert watcher.status().watches == 2 + 5 * 4

    (tree / "src" / "p0" / "node_modules" / "a" / "x").write_text("x")
    (tree / "src" / "p0" / "mine" / "a" / "x").write_text("x")
    assert paths_until(subscription, tree / "src/p0/mine/a/x") == {str(tree / "src/p0/mine/a/x")}


def test_w06_what_is_ignored_is_not_even_asked_for(watch, tree):
    watcher, noting = watch(), Stingy(errno.ENOSPC, allowed=1_000)
    use(watcher, noting)
    subscription = watcher.subscribe(tree, recursive=True)
    for place in (tree, tree / "src"):
        (place / "node_modules" / "a" / "b").mkdir(parents=True)
        (place / ".git" / "objects").mkdir(parents=True)
        (place / "mine" / "node_modules" / "c").mkdir(parents=True)
    (tree / "src" / "mine" / "x").write_text("x")
    paths_until(subscription, tree / "mine", tree / "src" / "mine" / "x")
    watcher.subscribe(tree / "src", recursive=True)
    assert set(noting.asked) == {str(tree / path) for path in ("", "src", "src/deep", "mine", "src/mine")}


@pytest.mark.torture
def test_w06_twenty_thousand_directories_cost_1024_watches_and_the_rest_is_polled(watch, tree):
    for number in range(2_000):
        (tree / "src" / f"p{number}" / "mine").mkdir(parents=True)
        for inner in range(8):
            (tree / "src" / f"p{number}" / "node_modules" / f"m{inner}").mkdir(parents=True)
    before = memory_bytes()
    watcher = watch(poll_s=0.1)
    subscription = watcher.subscribe(tree, recursive=True)
    status = watcher.status()
    assert (status.watches, status.polled, len(kernel_watches())) == (1_024, 3 + 4_000 - 1_024, 1_024)
    assert memory_bytes() - before <= 64 << 20
    assert isinstance(subscription.next(10), Degraded)
    (tree / "src" / "p7" / "node_modules" / "m1" / "x").write_text("x")
    files = [tree / "src" / f"p{number}" / "mine" / "x" for number in (0, 1_000, 1_999)]
    for file in files:
        file.write_text("x")
    assert paths_until(subscription, *files) == set(map(str, files))


def memory_bytes():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def test_w11_an_overflow_is_one_rescan_and_then_all_goes_on(watch, tree):
    with open("/proc/sys/fs/inotify/max_queued_events", encoding="ascii") as file:
        queue = int(file.read())
    watcher = watch()
    subscription = watcher.subscribe(tree, recursive=True, debounce_ms=200)
    with watcher.core.lock:  # its thread cannot read meanwhile
        for number in range(queue // 2 + 1_000):
            (tree / "src" / f"x{number % 7}").touch()
            (tree / "src" / f"x{number % 7}").unlink()
        (tree / "src" / "unseen" / "deep").mkdir(parents=True)

    events = all_until_quiet(subscription, 1.5)
    # What was read before the loss was known may be told first.
    (rescan,) = [event for event in events if not isinstance(event, Changed)]
    assert isinstance(rescan, Rescan)
    assert rescan.root == str(tree)
    assert watcher.status().overflows >= 1
    (tree / "src" / "unseen" / "deep" / "x").write_text("x")
    paths_until(subscription, tree / "src" / "unseen" / "deep" / "x")


def test_w14_an_event_that_concerns_nobody_wakes_nobody(watch, tree):
    watcher = watch()
    subscription = watcher.subscribe(tree / "src" / "one", debounce_ms=0)
    delivered = []
    deliver = watcher.core._deliver
    watcher.core._deliver = lambda batch: (delivered.append(dict(batch)), deliver(batch))
    for number in range(1_000):
        (tree / "src" / f"other{number % 10}").write_text(str(number))
    (tree / "src" / "one").write_text("x")
    assert subscription.next(10) == Changed((str(tree / "src" / "one"),))

    assert sum(map(len, delivered)) <= 2  # made, written
    assert watcher.status().events >= 1_000


def test_w15_what_waits_is_bounded_in_number_and_in_bytes():
    pending = Pending()
    pending.change("/r", [f"/r/{number}" for number in range(PATHS_MAX)])
    assert len(pending.paths) == PATHS_MAX
    pending.change("/r", ["/r/more"])
    assert (pending.paths, list(pending.rescans)) == ({}, ["/r"])
    pending.change("/r", ["/r/and", "/r/more"])
    assert pending.paths == {}

    long = Pending()
    long.change("/r", ["/r/" + "x" * (PENDING_BYTES_MAX // 2) + letter for letter in "ab"])
    assert (long.paths, long.bytes, list(long.rescans)) == ({}, 0, ["/r"])


def test_w16_a_root_with_too_many_events_for_too_long_is_rescanned_once_a_second_and_warned_of_rarely():
    breaker = Breaker()
    opened = [second for second in range(20) if breaker.is_open(second, RATE_MAX + 1)]
    assert opened == list(range(RATE_S, 20))
    assert breaker.may_rescan(20.0)
    assert not breaker.may_rescan(20.9)
    assert breaker.may_rescan(21.0)
    assert [breaker.may_warn(at) for at in (20.0, 21.0, 619.0, 620.0)] == [True, False, False, True]
    assert not breaker.is_open(25.0, 1)  # it was calm for a while
    assert Breaker().is_open(1.0, 10**6) is False


class AlwaysOpen(Breaker):
    def is_open(self, now_s, events):
        return True


def test_w16_while_it_is_too_busy_nothing_is_told_but_the_last_is_not_forgotten(watch, tree):
    watcher = watch()
    subscription = watcher.subscribe(tree / "src", debounce_ms=0)
    (one,) = watcher.core._watches.values()
    one.breaker = AlwaysOpen()
    for number in range(50):
        (tree / "src" / f"x{number}").write_text("x")
    events = all_until_quiet(subscription, 1.6)

    assert [type(event) for event in events if isinstance(event, Degraded)] == [Degraded]
    assert told(events) == set()
    assert 1 <= len([event for event in events if isinstance(event, Rescan)]) <= 3


class Stingy(Inotify):
    """An instance that says what the kernel says when ``allowed`` watches were given, or of one directory."""

    def __init__(self, number: int, allowed: int, forbidden: str = "") -> None:
        super().__init__()
        self.number, self.allowed, self.forbidden = number, allowed, forbidden
        self.asked = []

    def add(self, folder, key, *, follow=False):
        self.asked.append(folder)
        if self.allowed <= 0 or folder == self.forbidden:
            raise OSError(self.number, os.strerror(self.number), folder)
        self.allowed -= 1
        return super().add(folder, key, follow=follow)


def use(watcher, inotify):
    """Have ``watcher`` ask this instance instead of its own."""
    core = watcher.core
    with core.lock:
        core._poller.unregister(core.tree.inotify.fd)
        core.tree.inotify.close()
        core.tree.inotify = inotify
        core._poller.register(inotify.fd)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.ENOMEM])
def test_w21_what_cannot_be_watched_is_said_polled_and_tried_again(watch, tree, number):
    watcher = watch(poll_s=60)
    core = watcher.core
    use(watcher, Stingy(number, allowed=1))
    subscription = watcher.subscribe(tree / "src", recursive=True)
    event = subscription.next(10)
    assert isinstance(event, Degraded)
    assert os.strerror(number) in event.why
    assert watcher.status().polled == 1

    (tree / "src" / "deep" / "missed").write_text("x")
    core.tree.inotify.allowed = 100
    paths_until(subscription, tree / "src" / "deep" / "missed")
    eventually(subscription, lambda: watcher.status().polled == 0)
    (tree / "src" / "deep" / "x").write_text("x")
    paths_until(subscription, tree / "src" / "deep" / "x")


def test_w21_the_kernel_is_asked_again_after_1_2_4_to_60_seconds(watch, tree):
    watcher = watch(poll_s=10_000)
    core, stingy = watcher.core, Stingy(errno.ENOSPC, allowed=0)
    use(watcher, stingy)
    asked = []
    with core.lock:  # its thread asks nothing meanwhile
        subscription = watcher.subscribe(tree / "src" / "deep")
        (one,) = core._watches.values()
        begun_s = one.retry_s - 1.0
        for tenth in range(2_500):
            stingy.asked.clear()
            core._ask(begun_s + tenth / 10, {})
            if stingy.asked:
                asked.append(tenth / 10)
        assert asked == pytest.approx([1, 3, 7, 15, 31, 63, 123, 183, 243], abs=0.11 * len(asked))

        stingy.allowed = 1
        core._ask(begun_s + 1_000, {})
        assert (one.shortfall, one.retry_s) == ("", 0.0)
    (tree / "src" / "deep" / "x").write_text("x")
    paths_until(subscription, tree / "src" / "deep" / "x")


def test_w21_without_a_descriptor_for_inotify_it_polls_and_says_so(watch, tree):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    holes = [os.open("/dev/null", os.O_RDONLY)]
    highest = os.dup(holes[0])
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    try:
        fill = []
        for fd in holes:
            os.close(fd)  # room for what wakes the thread, none for inotify
        while True:
            try:
                fill.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                break
        for fd in fill[:1]:
            os.close(fd)
        watcher = watch(poll_s=0.05)
    finally:
        for fd in [*fill[1:], highest]:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert watcher.core.tree.inotify is None
    subscription = watcher.subscribe(tree / "src", recursive=True)
    assert isinstance(subscription.next(10), Degraded)
    (tree / "src" / "x").write_text("x")
    paths_until(subscription, tree / "src" / "x")
    eventually(subscription, lambda: watcher.status().watches == 2)


def test_w21_a_root_that_is_not_there_is_said_at_once(watch, tree):
    assert watch().subscribe(tree / "no" / "such").next(10) == RootGone(str(tree / "no" / "such"))


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "9p", "drvfs", "virtiofs", "fuse.sshfs", "ext4", "tmpfs", "overlay"])
def test_w22_which_filesystems_are_polled(kind):
    assert filesystems.is_refused(kind) == (kind not in ("ext4", "tmpfs", "overlay"))


def test_w22_a_network_filesystem_is_polled_and_every_change_is_seen(watch, tree, monkeypatch):
    monkeypatch.setattr(filesystems, "kind_at", lambda folder: "nfs4" if folder == str(tree) else "ext4")
    watcher = watch(poll_s=0.05)
    subscription = watcher.subscribe(tree, recursive=True)
    assert kernel_watches() == []
    file = tree / "src" / "deep" / "x"
    for change in (
        lambda: file.write_text("one"),
        lambda: file.write_text("three"),
        lambda: os.rename(file, file.with_name("y")) or file.with_name("y").touch() or file.write_text("back"),
        file.unlink,
    ):
        change()
        paths_until(subscription, file)
    shutil.rmtree(tree / "src")
    paths_until(subscription, tree / "src")
    (tree / "state" / "state.db").write_bytes(b"rows")
    assert all_until_quiet(subscription) == []


def test_w23_three_descriptors_whatever_is_watched_and_none_afterwards(watch, tree):
    before = open_descriptors()
    watcher = watch()
    kept = []
    for _ in range(20):
        for number in range(20):
            (tree / "src" / f"d{number}").mkdir(exist_ok=True)
            kept.append(watcher.subscribe(tree / "src" / f"d{number}", recursive=True))
        assert open_descriptors() - before <= 3
        with watch() as other:
            other.subscribe(tree)
    watcher.close()
    assert open_descriptors() == before


def test_w25_what_is_forgotten_is_watched_no_more(watch, tree):
    watcher = watch()
    kept = watcher.subscribe(tree / "src")
    watcher.subscribe(tree / "src" / "deep")
    gc.collect()
    (tree / "src" / "x").write_text("x")
    paths_until(kept, tree / "src" / "x")
    assert watcher.status().roots == (str(tree / "src"),)
    assert len(kernel_watches()) == 1


def test_w25_a_watcher_that_is_forgotten_ends_by_itself(tree):
    from holdfast.watch import Watcher

    before = open_descriptors()
    watcher = Watcher(tree / "state")
    watcher.subscribe(tree / "src")
    thread = watcher.core._thread
    del watcher
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()
    assert (open_descriptors(), kernel_watches()) == (before, [])


def test_w25_closing_with_a_thousand_watches_ends_whoever_waits(watch, tree):
    for number in range(1_000):
        (tree / "src" / f"d{number}").mkdir()
    watcher = watch()
    subscription = watcher.subscribe(tree, recursive=True, debounce_ms=60_000)
    assert watcher.status().watches == 1_003
    for number in range(1_000):
        (tree / "src" / f"d{number}" / "x").touch()
    waiting = threading.Event()
    ended = []

    def wait():
        waiting.set()
        ended.extend(subscription)

    reader = threading.Thread(target=wait)
    reader.start()
    waiting.wait(10)
    watcher.close()
    reader.join(10)
    assert not reader.is_alive()
    assert kernel_watches() == []


def test_w26_who_watches_what_is_written_beside_the_databases_small_and_only_while_it_is_true(watch, tree):
    watcher = watch()
    subscription = watcher.subscribe(tree, recursive=True)
    (found,) = listing(str(tree / "state"))
    info = tree.stat()
    assert found.roots == ((str(tree), (info.st_dev, info.st_ino), "kernel"),)
    assert found.owner == holds.me("watcher")
    (file,) = (tree / "state" / FOLDER).iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for number in range(100):
        subscription.add(tree / ("x" * 100 + str(number)))
    assert file.stat().st_size <= 4096
    assert listing(str(tree / "state"))[0].more > 0
    assert all_until_quiet(subscription) == []  # writing it is no event

    dead = Watched(dataclasses.replace(found.owner, started=found.owner.started - 1), found.roots)
    (tree / "state" / FOLDER / "1-1.json").write_bytes(msgspec.json.encode(dead))
    (tree / "state" / FOLDER / "2-1.json").write_bytes(b"{torn")
    assert len(listing(str(tree / "state"))) == 1
    watcher.close()
    assert list((tree / "state" / FOLDER).iterdir()) == []


def test_w26_without_a_state_directory_none_is_made(watch, tree):
    watch(state_dir=tree / "none").subscribe(tree)
    assert not (tree / "none").exists()


def test_a_change_of_a_breaker_needs_no_rescan_when_nothing_was_owed(watch, tree):
    subscription = watch().subscribe(tree / "src")
    (tree / "src" / "x").write_text("x")
    assert the_next(subscription, Changed).paths == (str(tree / "src" / "x"),)
    assert all_until_quiet(subscription, 1.2) == []
