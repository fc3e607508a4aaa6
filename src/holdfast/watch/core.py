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
from holdfast.watch.folder import Batch, Watch
from holdfast.watch.inotify import IN_IGNORED, IN_Q_OVERFLOW, OF_ITSELF, Inotify
from holdfast.watch.manifest import Manifest
from holdfast.watch.model import WatchStatus
from holdfast.watch.roots import Roots
from holdfast.watch.subscription import Feed, forked
from holdfast.watch.tree import Tree
from holdfast.watch.wakeup import Wakeup
from holdfast.watch.walls import Place, Walls, place_of

_ASK_S = 0.4  # how often each root is asked whether it is where it was: one stat
_GATHER_S = 0.01  # after events, the next are left to gather: at most 100 wakes in a second
_OVERFLOW_S = 0.5  # a queue that overflows is read empty first, for no longer than this
_BACKOFF_S_MAX = 60.0
_TOO_BUSY = "more happens than can be told one by one"
_POLL_AT_ONCE_S = 0.02  # of many directories some at a time: nobody waits for all of them
_POLL_SHARE = 125  # one part of the time is spent on polling: with all else, below 1 % of a core


class Core:
    """All of a watcher but its face. Every method may be called from any thread."""

    def __init__(self, walls: Walls, *, watches_max: int, poll: bool | None, poll_s: float, manifest: Manifest) -> None:
        self.tree = Tree(walls, watches_max=watches_max, asks_all=poll is False)
        self._roots = Roots(self.tree, walls, poll=poll, poll_s=poll_s)
        self.lock = threading.RLock()
        self._walls = walls
        self._poll = poll
        self._poll_s = poll_s
        self._manifest = manifest
        self._watches: dict[tuple[Feed, str], Watch] = {}
        self._dropped: deque[Feed] = deque()
        self._events = self._overflows = 0
        self._overflowed_s: float | None = None
        self._ask_at_s = 0.0
        self._poll_at_s = time.monotonic() + poll_s
        self._closed = self._foreign = False
        self._wakeup = Wakeup()
        self.feeds: weakref.WeakSet[Feed] = weakref.WeakSet()
        """Of all its subscribers, those without a root included."""
        self._poller = select.poll()
        self._poller.register(self._wakeup.fd, select.POLLIN)
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
            self._roots.settle(watch, is_new=True)
            self._roots.tell_shortfall(watch)
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
            self._wakeup.wake()

    def begin_in_child(self) -> None:
        """In a forked child: nothing here is ours. The parent's descriptions stay open there."""
        self._foreign = True
        self.lock = threading.RLock()
        self._wakeup.begin_in_child()
        self._walls.close()
        if self.tree.inotify is not None:
            self.tree.inotify.close()
        for feed in self.feeds:
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
        self._wakeup.settle()
        with self.lock:
            batch: Batch = {}
            came = self._drain(batch)
            while self._dropped:
                self.drop(self._dropped.popleft())
            now_s = time.monotonic()
            self._after_overflow(now_s, was_empty=not came)
            if now_s >= self._poll_at_s and self.tree.polled:
                before_s = time.thread_time()
                is_all = self.tree.poll(batch, _POLL_AT_ONCE_S)
                took_s = time.thread_time() - before_s
                self._poll_at_s = now_s + max(self._poll_s if is_all else 0.0, took_s * _POLL_SHARE)
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
            wake.register(self._wakeup.fd, select.POLLIN)
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
            self._roots.look_again(watch)
            self._roots.rescan(watch, "the kernel's queue was full, and events were lost")

    # --- where the roots are -----------------------------------------------------------------

    def _ask(self, now_s: float, batch: Batch) -> None:
        if self._walls.refresh():
            self.tree.prune(self._walls.prunes)
            for watch in self._watches.values():
                self._roots.mind_the_walls(watch)
        for watch in [*self._watches.values()]:
            self._roots.settle(watch)
            if watch.is_owed and watch.breaker.may_rescan(now_s):
                watch.is_owed = False
                self._roots.rescan(watch, _TOO_BUSY)
            if watch.shortfall and now_s >= watch.retry_s and watch.retry_s:
                if self.tree.inotify is None and self._poll is not True and sys.platform == "linux":
                    self._get_inotify()
                self.tree.ask_again(watch, batch)
                watch.backoff_s = min(watch.backoff_s * 2, _BACKOFF_S_MAX)
                watch.retry_s = now_s + watch.backoff_s if watch.shortfall else 0.0
            self._roots.tell_shortfall(watch)

    def _get_inotify(self) -> None:
        with suppress(OSError):  # no descriptor, or no instance left: polled meanwhile, and asked again
            self.tree.inotify = Inotify()
            self._poller.register(self.tree.inotify.fd, select.POLLIN)

    # --- telling ----------------------------------------------------------------------------------

    def _deliver(self, batch: Batch) -> None:
        now_s = time.monotonic()
        for watch, what in batch.items():
            if (watch.feed, watch.root) not in self._watches:
                continue
            if watch.is_unsure or not self._roots.is_where_it_was(watch):
                self._roots.settle(watch)
            if watch in self._roots.settled:  # what there is to tell was told, and these paths may lead elsewhere
                continue
            if watch.breaker.is_open(now_s, what.count):
                watch.is_owed = True
                if watch.breaker.may_warn(now_s):
                    self._roots.degraded(watch, f"{_TOO_BUSY}: it is rescanned once a second")
                continue
            root, told = watch.root, what.paths
            watch.feed.put(lambda pending, root=root, told=told: pending.change(root, told))  # type: ignore[misc]
        for watch in [*self._watches.values()]:
            if watch.is_unsure:
                self._roots.settle(watch)
        self._roots.settled.clear()

    def _tell_all(self, why: str) -> None:
        for watch in self._watches.values():
            self._roots.degraded(watch, why)

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
            self.tree.forget_all()
            self._walls.close()
            self._wakeup.close()
            self._manifest.remove()


_cores: weakref.WeakSet[Core] = weakref.WeakSet()


def _in_child() -> None:
    for core in list(_cores):
        core.begin_in_child()


os.register_at_fork(after_in_child=_in_child)
