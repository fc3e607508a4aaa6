"""The directories that are watched: each by the kernel, or looked at every so often where that cannot be.

A directory is entered before it is listed, so nothing that is made in it in
between is lost. What is protected or ignored is not entered at all.
"""

from __future__ import annotations

import os
import stat
import time
from collections import deque
from collections.abc import Callable

from holdfast.watch import budget
from holdfast.watch.folder import Batch, Folder, Sight, Watch, happened
from holdfast.watch.inotify import CAME, IN_ISDIR, WENT, Inotify
from holdfast.watch.listing import Eyes
from holdfast.watch.reach import cannot_tell
from holdfast.watch.walls import Key, Walls

POLLED_ENTRIES_MAX = 100_000
"""Files and folders remembered of what is polled: some 25 MB. Directories beyond are not watched, and that is told."""


class Tree:
    """Every folder of one watcher. ``watches_max`` counts for all watchers of the process together."""

    def __init__(self, walls: Walls, *, watches_max: int, asks_all: bool = False) -> None:
        self.inotify: Inotify | None = None
        self.folders: dict[int, list[Folder]] = {}
        """By the kernel's number of a watch; one inode can be below several roots."""
        self.polled: dict[Folder, None] = {}
        self._round: deque[Folder] = deque()
        """Of what is polled, what is still to be looked at this time."""
        self._walls = walls
        self._watches_max = watches_max
        self._eyes = Eyes(walls)
        self.asks_all = asks_all
        """Whether the kernel is asked of network filesystems, too."""
        self._entries = 0

    # --- entering and leaving ----------------------------------------------------

    def enter(self, watch: Watch, parent: Folder | None, path: str, batch: Batch | None) -> None:
        """Watch the directory told as ``path`` and what is below it; with a ``batch``, tell all that lies there."""
        linked: set[Key] = set()
        waiting: deque[tuple[Folder | None, str]] = deque([(parent, path)])
        while waiting:  # the upper ones first: they get the kernel's watches when there are not enough
            above, path = waiting.popleft()
            folder = self._observe(watch, above, path, linked)
            if folder is None or watch.place.name is not None:
                continue
            for name, is_dir in self._eyes.entries(folder):
                inner = f"{folder.path}/{name}"
                if batch is not None:
                    happened(batch, watch, inner)
                if is_dir and watch.recursive:
                    waiting.append((folder, inner))

    def leave(self, folder: Folder) -> None:
        """Watch this directory and those below it no more."""
        if folder.parent is not None:
            folder.parent.children.pop(folder.path.rpartition("/")[2], None)
        elif folder.watch.top is folder:
            folder.watch.top = None
        waiting = [folder]
        while waiting:
            each = waiting.pop()
            waiting += each.children.values()
            each.children = {}
            if each.wd is None:
                self.polled.pop(each, None)
                self._entries -= len(each.seen)
            else:
                self._drop(each, each.wd)

    def _drop(self, folder: Folder, wd: int) -> None:
        sharing = self.folders.get(wd, [])
        if folder in sharing:
            sharing.remove(folder)
            if not sharing:
                del self.folders[wd]
                budget.give()
                if self.inotify is not None:
                    self.inotify.remove(wd)

    def _observe(self, watch: Watch, parent: Folder | None, path: str, linked: set[Key]) -> Folder | None:
        real = watch.real(path)
        try:
            info = os.lstat(real)
            is_link = stat.S_ISLNK(info.st_mode)
            if is_link and watch.follow_links:
                info = os.stat(real)
        except OSError:
            return None
        key = (info.st_dev, info.st_ino)
        if not stat.S_ISDIR(info.st_mode) or self._walls.prunes(key):
            return None
        name = path.rpartition("/")[2]
        if is_link or linked:
            # Links can make a circle: by them, each directory is entered once.
            if key in linked or self._is_above(parent, key) or self._is_known(watch, key):
                return None
            linked.add(key)
        if parent is not None and name in parent.children:
            self.leave(parent.children[name])
        folder = Folder(watch, path, parent, key, self._is_remote(parent, key, real))
        asked = self._ask_kernel(folder, real)
        if asked is None:
            return None  # another one is there by now: whoever put it there made an event
        if not asked:
            if self._entries >= POLLED_ENTRIES_MAX:
                watch.shortfall = f"{real} and others are not watched: more than {POLLED_ENTRIES_MAX} files are polled"
                return None
            self.polled[folder] = None
            self._see(folder, self._eyes.look(folder))
        if parent is None:
            watch.top = folder
        else:
            parent.children[name] = folder
        return folder

    @staticmethod
    def _is_above(folder: Folder | None, key: Key) -> bool:
        while folder is not None:
            if folder.key == key:
                return True
            folder = folder.parent
        return False

    def _is_known(self, watch: Watch, key: Key) -> bool:
        return watch.top is not None and any(folder.key == key for folder in watch.top.below())

    @staticmethod
    def _is_remote(parent: Folder | None, key: Key, real: str) -> bool:
        if parent is None or parent.key[0] == key[0]:
            return parent is not None and parent.is_remote
        return cannot_tell(real)  # something else is mounted here

    def _ask_kernel(self, folder: Folder, real: str) -> bool | None:
        """Return whether the kernel watches it; None when another directory is there."""
        watch = folder.watch
        if watch.poll or (folder.is_remote and not self.asks_all):
            return False
        if self.inotify is None:
            watch.shortfall = watch.shortfall or "the kernel gave no inotify instance"
            return False
        if not budget.take(self._watches_max):
            watch.shortfall = watch.shortfall or f"all {self._watches_max} watches are in use"
            return False
        try:
            wd = self.inotify.add(real, folder.key, follow=watch.follow_links)
        except OSError as error:
            budget.give()
            if os.path.isdir(real):
                watch.shortfall = watch.shortfall or f"{real} cannot be watched: {error.strerror}"
            return False
        if wd is None:
            budget.give()
            return None
        if wd in self.folders:  # below another root, too
            budget.give()
        folder.wd = wd
        self.folders.setdefault(wd, []).append(folder)
        return True

    def _see(self, folder: Folder, sights: dict[str, Sight]) -> None:
        self._entries += len(sights) - len(folder.seen)
        folder.seen = sights

    # --- what happens --------------------------------------------------------------------

    def on_event(self, folder: Folder, mask: int, name: str, batch: Batch) -> None:
        """Take one event of the kernel about ``name`` in ``folder``."""
        self._happened(folder, name, bool(mask & IN_ISDIR), bool(mask & CAME), bool(mask & WENT), batch)

    def poll(self, batch: Batch, most_s: float) -> bool:
        """Look at what is polled, for so much of the thread's time, then go on there; True once all was looked at."""
        if not self._round:
            self._round.extend(self.polled)
        end_s = time.thread_time() + most_s
        while self._round:
            folder = self._round.popleft()
            if folder in self.polled:  # it may have been left meanwhile
                self._compare(folder, batch)
            if time.thread_time() >= end_s:
                break
        return not self._round

    def _compare(self, folder: Folder, batch: Batch) -> None:
        before, now = folder.seen, self._eyes.look(folder)
        self._see(folder, now)
        for name in before.keys() | now.keys():
            was, now_is = before.get(name), now.get(name)
            if was == now_is:
                continue
            is_same = was is not None and now_is is not None and (was[0], was[3]) == (now_is[0], now_is[3])
            is_dir = (now_is or was or (False,))[0]
            self._happened(
                folder, name, is_dir, now_is is not None and not is_same, was is not None and not is_same, batch
            )

    def _happened(self, folder: Folder, name: str, is_dir: bool, came: bool, went: bool, batch: Batch) -> None:
        watch = folder.watch
        if watch.place.name is not None:
            if name == watch.place.name:
                watch.is_unsure |= is_dir
                happened(batch, watch, watch.root)
            return
        if self._eyes.is_hidden(folder, name):
            return
        path = f"{folder.path}/{name}"
        if watch.recursive:
            if went and name in folder.children:
                self.leave(folder.children[name])
            if came and (is_dir or watch.follow_links):
                self.enter(watch, folder, path, batch)
        happened(batch, watch, path)

    # --- mending ------------------------------------------------------------------------------

    def ask_again(self, watch: Watch, batch: Batch) -> None:
        """Ask the kernel once more for what it did not watch, and tell what happened there since the last look."""
        watch.shortfall = ""
        for folder in [folder for folder in self.polled if folder.watch is watch]:
            if folder not in self.polled:
                continue
            if self._ask_kernel(folder, watch.real(folder.path)):
                del self.polled[folder]
                self._compare(folder, batch)
                self._see(folder, {})
            elif self.inotify is None or budget.taken() >= self._watches_max:
                return  # nor would it take the others, and they may be many

    def prune(self, is_pruned: Callable[[Key], bool]) -> None:
        """Leave the folders that are protected by now."""
        for folder in [*self.polled, *(each for sharing in self.folders.values() for each in sharing)]:
            if is_pruned(folder.key):
                self.leave(folder)

    def forget_all(self) -> None:
        """Leave everything at once: the kernel ends its watches with the instance."""
        budget.give(len(self.folders))
        self.folders.clear()
        self.polled.clear()
        self._round.clear()
        inotify, self.inotify = self.inotify, None  # first: a fork in between must not close the number again
        if inotify is not None:
            inotify.close()
