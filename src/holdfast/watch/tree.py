"""The directories that are watched: each by the kernel, or looked at every so often where that cannot be.

A directory is entered before it is listed, so nothing that is made in it in
between is lost. What is protected or ignored is not entered at all.
"""

from __future__ import annotations

import os
import stat
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from holdfast.watch.inotify import CAME, IN_ISDIR, WENT, Inotify
from holdfast.watch.rules import Breaker, is_database
from holdfast.watch.walls import Key, Place, Walls

POLLED_ENTRIES_MAX = 100_000
"""Files and folders remembered of what is polled: some 25 MB. Directories beyond are not watched, and that is told."""

Sight = tuple[bool, int, int, int]
"""Of what lies in a polled directory: whether it is one, mtime in ns, size, inode. Of directories only the inode."""


@dataclass(eq=False, slots=True)
class Watch:
    """One root of one subscriber."""

    root: str
    recursive: bool
    ignore: frozenset[str]
    follow_links: bool
    feed: object
    """Whose it is."""
    place: Place
    poll: bool = False
    """Whether the kernel is not to be asked, or cannot tell: a network filesystem."""
    top: Folder | None = None
    is_there: bool = False
    shortfall: str = ""
    """Why some of it is polled, or not watched, that should be watched by the kernel."""
    retry_s: float = 0.0
    backoff_s: float = 1.0
    refused: str = ""
    """Why it is not watched where it is now."""
    is_owed: bool = False
    """Whether a rescan is due as soon as one may be told."""
    is_unsure: bool = False
    """Whether its place must be looked up again before anything is told."""
    breaker: Breaker = field(default_factory=Breaker)

    def real(self, path: str) -> str:
        """Return where the folder really lies that is told as ``path``."""
        if self.place.name is not None:
            return self.place.folder
        return self.place.folder.rstrip("/") + path[len(self.root.rstrip("/")) :] or "/"


@dataclass(eq=False, slots=True)
class Folder:
    """One directory of one root. ``path`` is as it is told, ``wd`` None when it is polled."""

    watch: Watch
    path: str
    parent: Folder | None
    key: Key
    wd: int | None = None
    children: dict[str, Folder] = field(default_factory=dict)
    seen: dict[str, Sight] = field(default_factory=dict)


Batch = dict[Watch, tuple[list[int], set[str]]]
"""What happened below each root: how many events, which paths."""

_trees: weakref.WeakSet[Tree] = weakref.WeakSet()


class Tree:
    """Every folder of one watcher. ``watches_max`` counts for all watchers of the process together."""

    def __init__(self, walls: Walls, *, watches_max: int) -> None:
        self.inotify: Inotify | None = None
        self.folders: dict[int, list[Folder]] = {}
        """By the kernel's number of a watch; one inode can be below several roots."""
        self.polled: dict[Folder, None] = {}
        self._walls = walls
        self._watches_max = watches_max
        self._entries = 0
        _trees.add(self)

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
            for name, is_dir in self._list(folder):
                inner = f"{folder.path}/{name}"
                if batch is not None:
                    _told(batch, watch).add(inner)
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
        folder = Folder(watch, path, parent, key)
        if not self._ask_kernel(folder, real):
            if self._entries >= POLLED_ENTRIES_MAX:
                watch.shortfall = f"{real} and others are not watched: more than {POLLED_ENTRIES_MAX} files are polled"
                return None
            self.polled[folder] = None
            self._see(folder, self.look(folder))
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
        return any(folder.key == key for folder in _below(watch.top))

    def _ask_kernel(self, folder: Folder, real: str) -> bool:
        watch = folder.watch
        if watch.poll:
            return False
        if self.inotify is None:
            watch.shortfall = watch.shortfall or "the kernel gave no inotify instance"
            return False
        if sum(len(tree.folders) for tree in _trees) >= self._watches_max:
            watch.shortfall = watch.shortfall or f"all {self._watches_max} watches are in use"
            return False
        try:
            wd = self.inotify.add(real, follow=watch.follow_links)
        except OSError as error:
            if os.path.isdir(real):
                watch.shortfall = watch.shortfall or f"{real} cannot be watched: {error.strerror}"
            return False
        folder.wd = wd
        self.folders.setdefault(wd, []).append(folder)
        return True

    # --- what lies in a directory ------------------------------------------------------

    def _list(self, folder: Folder) -> Iterator[tuple[str, bool]]:
        """Yield what is to be told of in a directory: name, and whether it is to be entered."""
        if folder.wd is None:
            yield from ((name, sight[0]) for name, sight in folder.seen.items())
            return
        try:
            with os.scandir(folder.watch.real(folder.path)) as children:
                for child in children:
                    if not self._is_hidden(folder, child.name):
                        yield child.name, self._is_entered(folder.watch, child)
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                folder.watch.shortfall = f"{folder.path} cannot be listed: {error.strerror}"

    def look(self, folder: Folder) -> dict[str, Sight]:
        """Return what lies in a polled directory now; nothing when it cannot be listed. A stat for each file."""
        watch, found = folder.watch, {}
        real = watch.real(folder.path)
        try:
            if watch.place.name is not None:  # one file: the others are no business of ours
                info = os.stat(f"{real}/{watch.place.name}")
                found[watch.place.name] = (stat.S_ISDIR(info.st_mode), info.st_mtime_ns, info.st_size, info.st_ino)
                return found
            with os.scandir(real) as children:
                for child in children:
                    if self._is_hidden(folder, child.name):
                        continue
                    try:
                        is_dir = self._is_entered(watch, child)
                        info = child.stat(follow_symlinks=False)
                    except OSError:
                        continue
                    found[child.name] = (
                        (True, 0, 0, info.st_ino) if is_dir else (False, info.st_mtime_ns, info.st_size, info.st_ino)
                    )
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                watch.shortfall = f"{folder.path} cannot be listed: {error.strerror}"
        return found

    def _see(self, folder: Folder, sights: dict[str, Sight]) -> None:
        self._entries += len(sights) - len(folder.seen)
        folder.seen = sights

    def _is_hidden(self, folder: Folder, name: str) -> bool:
        watch = folder.watch
        return name in watch.ignore or self._walls.hides(name, f"{watch.real(folder.path)}/{name}")

    @staticmethod
    def _is_entered(watch: Watch, child: os.DirEntry[str]) -> bool:
        return child.is_dir(follow_symlinks=watch.follow_links)

    # --- what happens --------------------------------------------------------------------

    def on_event(self, folder: Folder, mask: int, name: str, batch: Batch) -> None:
        """Take one event of the kernel about ``name`` in ``folder``."""
        self._happened(folder, name, bool(mask & IN_ISDIR), bool(mask & CAME), bool(mask & WENT), batch)

    def poll(self, batch: Batch) -> None:
        """Look at everything that is polled, once."""
        for folder in [*self.polled]:
            if folder in self.polled:  # it may have been left meanwhile
                self._compare(folder, batch)

    def _compare(self, folder: Folder, batch: Batch) -> None:
        before, now = folder.seen, self.look(folder)
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
                _told(batch, watch).add(watch.root)
            return
        if name in watch.ignore or is_database(name):
            return
        path = f"{folder.path}/{name}"
        if self._walls.hides(name, watch.real(path)):
            return
        if watch.recursive:
            if went and name in folder.children:
                self.leave(folder.children[name])
            if came and (is_dir or watch.follow_links):
                self.enter(watch, folder, path, batch)
        _told(batch, watch).add(path)

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

    def prune(self, is_pruned: Callable[[Key], bool]) -> None:
        """Leave the folders that are protected by now."""
        for folder in [*self.polled, *(each for sharing in self.folders.values() for each in sharing)]:
            if is_pruned(folder.key):
                self.leave(folder)


def _told(batch: Batch, watch: Watch) -> set[str]:
    counted, paths = batch.setdefault(watch, ([0], set()))
    counted[0] += 1
    return paths


def _below(folder: Folder | None) -> Iterator[Folder]:
    waiting = [] if folder is None else [folder]
    while waiting:
        each = waiting.pop()
        yield each
        waiting += each.children.values()
