"""The thread behind a watcher: takes the kernel's events, asks where the roots are, polls, and hands over."""

from __future__ import annotations

import os
import select
import sys
import threading
import time
import weakref
from collections import deque
from contextlib import suppress

from holdfast.errors import Refused
from holdfast.origin import internal
from holdfast.watch.inotify import IN_IGNORED, IN_Q_OVERFLOW, OF_ITSELF, Inotify
from holdfast.watch.manifest import Manifest
from holdfast.watch.model import WatchStatus
from holdfast.watch.reach import must_poll
from holdfast.watch.subscription import Feed, forked
from holdfast.watch.tree import Batch, Tree, Watch
from holdfast.watch.walls import Place, Protected, Walls, key_of, place_of

_ASK_S = 0.4  # how often each root is asked whether it is where it was: one stat
_GATHER_S = 0.01  # after events, the next are left to gather: at most 100 wakes in a second
_OVERFLOW_S = 0.5  # a queue that overflows is read empty first, for no longer than this
_BACKOFF_S_MAX = 60.0
_POLL_SHARE = 100  # of the time, one part is spent on polling


class Core:
    """All of a watcher but its face. Every method may be called from any thread."""

    def __init__(self, walls: Walls, *, watches_max: int, poll: bool | None, poll_s: float, manifest: Manifest) -> None:
        self.tree = Tree(walls, watches_max=watches_max)
        self.lock = threading.RLock()
        self._walls = walls
        self._poll = poll
        self._poll_s = poll_s
        self._manifest = manifest
        self._watches: dict[tuple[Feed, str], Watch] = {}
        self._dropped: deque[Feed] = deque()
        self._events = self._overflows = 0
        self._overflowed_s: float | None = None
        self._settled: set[Watch] = set()
        """Whose root came, went or moved since what happened was last delivered."""
        self._ask_at_s = 0.0
        self._poll_at_s = time.monotonic() + poll_s
        self._closed = self._foreign = False
        self._wake_r, self._wake_w = _wakers()
        self._poller = select.poll()
        self._poller.register(self._wake_r, select.POLLIN)
        if sys.platform == "linux" and poll is not True:
            self._get_inotify()
        self._thread = threading.Thread(target=self._run, name="holdfast-watcher", daemon=True)
        self._thread.start()
        _cores.add(self)

    # --- roots come and go ------------------------------------------------------------

    def add(self, feed: Feed, root: str, *, recursive: bool, ignore: frozenset[str], follow_links: bool) -> None:
        """Watch ``root`` for ``feed``. Raises ``Protected``, ``Refused``, ``Unsupported``."""
        self._check()
        with self.lock, internal("watcher"):
            if self._closed or feed.is_over:
                raise Refused("this watcher is closed", remedy="Make another.")
            if (feed, root) in self._watches:
                raise Refused(f"{root} is watched by this subscription already")
            place = place_of(root)
            self._walls.check(root, place)
            watch = Watch(root, recursive, ignore, follow_links, feed, Place(place.folder, None, ""))
            self._watches[feed, root] = watch
            feed.roots.add(root)
            self._settle(watch, is_new=True)
            self._tell_shortfall(watch)
            self._write_manifest()
        self.wake()

    def remove(self, feed: Feed, root: str) -> bool:
        """Watch ``root`` no more for ``feed``; False when it did not."""
        self._check()
        with self.lock:
            watch = self._watches.pop((feed, root), None)
            if watch is None:
                return False
            if watch.top is not None:
                self.tree.leave(watch.top)
            feed.forget(root)
            self._write_manifest()
            return True

    def drop(self, feed: Feed) -> None:
        """Watch nothing more for ``feed``."""
        if self._foreign:
            return
        with self.lock:
            for root in [root for each, root in self._watches if each is feed]:
                self.remove(feed, root)
            feed.end(flush=False)

    def drop_later(self, feed: Feed) -> None:
        """Do as ``drop``, on the watcher's thread: the garbage collector may ask at any point, with any lock held."""
        self._dropped.append(feed)
        self.wake()

    def status(self) -> WatchStatus:
        """Return how it is doing."""
        self._check()
        with self.lock:
            watches = list(self._watches.values())
            return WatchStatus(
                roots=tuple(sorted({watch.root for watch in watches})),
                watches=len(self.tree.folders),
                polled=len(self.tree.polled),
                missing=tuple(sorted({watch.root for watch in watches if not watch.is_there})),
                events=self._events,
                overflows=self._overflows,
            )

    def close(self) -> None:
        """End the thread and give everything up; each subscriber is told what waits for it, and then the end."""
        if self._foreign:
            return
        self._closed = True
        self.wake()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def stop_later(self) -> None:
        """Do as ``close``, without waiting for it."""
        self._closed = True
        self.wake()

    def wake(self) -> None:
        """Have the thread look again at what there is to do."""
        if not self._foreign:
            with suppress(OSError):
                os.write(self._wake_w, _ONE)

    def begin_in_child(self) -> None:
        """In a forked child: nothing here is ours. The parent's descriptions stay open there."""
        self._foreign = True
        self.lock = threading.RLock()
        for fd in {self._wake_r, self._wake_w, *([self.tree.inotify.fd] if self.tree.inotify is not None else [])}:
            with suppress(OSError):
                os.close(fd)
        for feed, _ in self._watches:
            feed.begin_in_child()

    def _check(self) -> None:
        if self._foreign:
            raise forked()

    # --- the thread ---------------------------------------------------------------------

    def _run(self) -> None:
        with internal("watcher"):
            try:
                while not self._closed:
                    self._turn()
            except Exception as error:
                # The boundary of this thread. Who subscribed must not believe that nothing happens.
                self._tell_all(f"the watcher stopped: {type(error).__name__}: {error}")
            finally:
                self._give_up()

    def _turn(self) -> None:
        self._poller.poll(self._wait_s() * 1000)
        with suppress(BlockingIOError):
            os.read(self._wake_r, 4096)
        with self.lock:
            batch: Batch = {}
            came = self._drain(batch)
            while self._dropped:
                self.drop(self._dropped.popleft())
            now_s = time.monotonic()
            self._after_overflow(now_s, was_empty=not came)
            if now_s >= self._poll_at_s and self.tree.polled:
                self.tree.poll(batch)
                took_s = time.monotonic() - now_s
                self._poll_at_s = now_s + max(self._poll_s, took_s * _POLL_SHARE)
            if now_s >= self._ask_at_s:
                self._ask_at_s = now_s + _ASK_S
                self._ask(now_s, batch)
            self._deliver(batch)
        if came:
            self._pause(_GATHER_S)

    def _wait_s(self) -> float:
        if self._overflowed_s is not None:
            return 0.0
        due_s = min(self._ask_at_s, self._poll_at_s) if self.tree.polled else self._ask_at_s
        return max(due_s - time.monotonic(), 0.0)

    def _pause(self, seconds: float) -> None:
        if not self._closed:
            wake = select.poll()
            wake.register(self._wake_r, select.POLLIN)
            wake.poll(seconds * 1000)

    def _drain(self, batch: Batch) -> bool:
        if self.tree.inotify is None:
            return False
        came = False
        folders, tree = self.tree.folders, self.tree
        for wd, mask, name in tree.inotify.read():  # type: ignore[union-attr]
            came = True
            self._events += 1
            if mask & IN_Q_OVERFLOW:
                self._overflows += 1
                self._overflowed_s = self._overflowed_s or time.monotonic()
            elif self._overflowed_s is not None:
                continue  # all of it is looked at again
            elif mask & OF_ITSELF:
                for folder in [*folders.get(wd, ())]:
                    folder.watch.is_unsure |= folder.parent is None
                    if mask & IN_IGNORED:  # even if a new directory has its inode by now
                        tree.leave(folder)
            elif (sharing := folders.get(wd)) is not None:
                if len(sharing) == 1:
                    tree.on_event(sharing[0], mask, name, batch)
                else:
                    for folder in [*sharing]:
                        tree.on_event(folder, mask, name, batch)
        return came

    def _after_overflow(self, now_s: float, *, was_empty: bool) -> None:
        if self._overflowed_s is None or not (was_empty or now_s - self._overflowed_s > _OVERFLOW_S):
            return
        self._overflowed_s = None
        for watch in self._watches.values():
            if watch.top is not None:
                self.tree.leave(watch.top)
            watch.place = Place(watch.place.folder, None, "")
            self._settle(watch, is_new=True)
            self._rescan(watch, "the kernel's queue was full, and events were lost")

    # --- where the roots are -----------------------------------------------------------------

    def _ask(self, now_s: float, batch: Batch) -> None:
        if self._walls.refresh():
            self.tree.prune(self._walls.prunes)
        for watch in [*self._watches.values()]:
            self._settle(watch)
            if watch.is_owed and watch.breaker.may_rescan(now_s):
                watch.is_owed = False
                self._rescan(watch, "more happens than can be told one by one")
            if watch.shortfall and now_s >= watch.retry_s and watch.retry_s:
                if self.tree.inotify is None and self._poll is not True and sys.platform == "linux":
                    self._get_inotify()
                self.tree.ask_again(watch, batch)
                watch.backoff_s = min(watch.backoff_s * 2, _BACKOFF_S_MAX)
                watch.retry_s = now_s + watch.backoff_s if watch.shortfall else 0.0
            self._tell_shortfall(watch)

    def _settle(self, watch: Watch, *, is_new: bool = False) -> None:
        """Watch the root where it is now. One stat when it is where it was."""
        watch.is_unsure = False
        old = watch.place
        if not is_new and watch.top is not None and watch.top.key == old.key and self._is_where_it_was(watch):
            return
        place = place_of(watch.root)
        if place == old and (watch.top is not None or place.key is None):
            return
        if not is_new:
            self._settled.add(watch)
        if watch.top is not None:
            self.tree.leave(watch.top)
        was_there, watch.place = watch.is_there, place
        # What is to be watched with all below it may become a directory: nothing is watched in its stead.
        waits = place.name is not None and watch.recursive and not os.path.exists(watch.root)
        watch.is_there = place.key is not None and not waits
        if watch.is_there:
            self._enter(watch, place)
        if not watch.is_there:
            if was_there or is_new:
                self._feed(watch).put(lambda pending: pending.gone(watch.root))
        elif not is_new:
            self._say_where(watch, old, place, was_there=was_there)

    def _is_where_it_was(self, watch: Watch) -> bool:
        place = watch.place
        if place.name is None:
            return os.path.realpath(watch.root) == place.folder and key_of(place.folder) == place.key
        path = f"{place.folder}/{place.name}"
        return os.path.realpath(watch.root) == path and not os.path.isdir(path) and key_of(place.folder) == place.key

    def _enter(self, watch: Watch, place: Place) -> None:
        try:
            self._walls.check(watch.root, place)
        except Protected as error:  # a link that led elsewhere when it was subscribed to
            watch.is_there = False
            if str(error) != watch.refused:
                watch.refused = str(error)
                self._degraded(watch, watch.refused)
            return
        watch.refused = ""
        watch.poll = self._poll is True or (self._poll is None and must_poll(place))
        watch.shortfall = ""
        self.tree.enter(watch, None, watch.root.rstrip("/"), None)
        watch.is_there = watch.top is not None

    def _say_where(self, watch: Watch, old: Place, place: Place, *, was_there: bool) -> None:
        feed = self._feed(watch)
        if place.name is None:
            feed.put(lambda pending: pending.rescan(watch.root, "it came, or another directory is there now"))
        elif was_there and old.name is None:
            feed.put(lambda pending: pending.gone(watch.root))
        else:
            feed.put(lambda pending: pending.change(watch.root, [watch.root]))

    def _get_inotify(self) -> None:
        with suppress(OSError):  # no descriptor, or no instance left: polled meanwhile, and asked again
            self.tree.inotify = Inotify()
            self._poller.register(self.tree.inotify.fd, select.POLLIN)

    # --- telling ----------------------------------------------------------------------------------

    def _deliver(self, batch: Batch) -> None:
        now_s = time.monotonic()
        for watch, (counted, paths) in batch.items():
            if (self._feed(watch), watch.root) not in self._watches:
                continue
            if watch.is_unsure or not self._is_where_it_was(watch):
                self._settle(watch)
            if watch in self._settled:  # what there is to tell was told, and these paths may lead elsewhere
                continue
            if watch.breaker.is_open(now_s, counted[0]):
                watch.is_owed = True
                if watch.breaker.may_warn(now_s):
                    self._degraded(watch, "more happens than can be told one by one: it is rescanned once a second")
                continue
            root, told = watch.root, paths
            self._feed(watch).put(lambda pending, root=root, told=told: pending.change(root, told))  # type: ignore[misc]
        for watch in [*self._watches.values()]:
            if watch.is_unsure:
                self._settle(watch)
        self._settled.clear()

    def _rescan(self, watch: Watch, why: str) -> None:
        self._feed(watch).put(lambda pending: pending.rescan(watch.root, why))

    def _degraded(self, watch: Watch, why: str) -> None:
        self._feed(watch).put(lambda pending: pending.degraded(watch.root, why))

    def _tell_shortfall(self, watch: Watch) -> None:
        """Say once that the kernel does not watch all of it, and when to ask it again."""
        if watch.shortfall and not watch.retry_s:
            watch.backoff_s = 1.0
            watch.retry_s = time.monotonic() + watch.backoff_s
            self._degraded(watch, f"{watch.shortfall}; what is not watched is polled every {self._poll_s:g} s or more")

    def _tell_all(self, why: str) -> None:
        for watch in self._watches.values():
            self._degraded(watch, why)

    @staticmethod
    def _feed(watch: Watch) -> Feed:
        assert isinstance(watch.feed, Feed)
        return watch.feed

    def _write_manifest(self) -> None:
        self._manifest.write(
            [(watch.root, watch.place.key, "poll" if watch.poll else "kernel") for watch in self._watches.values()]
        )

    def _give_up(self) -> None:
        with self.lock:
            self._closed = True
            for feed, _ in self._watches:
                feed.end(flush=True)
            self._watches.clear()
            self.tree.folders.clear()
            self.tree.polled.clear()
            if self.tree.inotify is not None:
                self.tree.inotify.close()
                self.tree.inotify = None
            for fd in {self._wake_r, self._wake_w}:
                os.close(fd)
            self._manifest.remove()


_ONE = (1).to_bytes(8, sys.byteorder)


def _wakers() -> tuple[int, int]:
    """Return what wakes the thread when it is written to, and what to write to: on Linux one descriptor for both."""
    if hasattr(os, "eventfd"):
        fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        return fd, fd
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.set_blocking(write_end, False)
    return read_end, write_end


_cores: weakref.WeakSet[Core] = weakref.WeakSet()


def _in_child() -> None:
    for core in list(_cores):
        core.begin_in_child()


os.register_at_fork(after_in_child=_in_child)
