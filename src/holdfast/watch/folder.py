"""What a watcher knows of what it watches: roots, the directories below them, and what happened there. Values only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from holdfast.watch.rules import PATHS_MAX, PENDING_BYTES_MAX, Breaker
from holdfast.watch.subscription import Feed
from holdfast.watch.walls import Key, Place

Sight = tuple[bool, int, int, int]
"""Of what lies in a polled directory: whether it is one, mtime in ns, size, inode. Of directories only the inode."""


@dataclass(eq=False, slots=True)
class Watch:
    """One root of one subscriber."""

    root: str
    recursive: bool
    ignore: frozenset[str]
    follow_links: bool
    feed: Feed
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
    is_remote: bool = False
    """Whether it lies where the kernel cannot tell: what is mounted below a root may."""
    wd: int | None = None
    children: dict[str, Folder] = field(default_factory=dict)
    seen: dict[str, Sight] = field(default_factory=dict)

    def below(self) -> Iterator[Folder]:
        """Yield it and every folder below it."""
        waiting = [self]
        while waiting:
            each = waiting.pop()
            yield each
            waiting += each.children.values()


@dataclass(slots=True)
class Happened:
    """What happened below one root since it was last told. Bounded: beyond, it will be a ``Rescan`` anyway."""

    count: int = 0
    paths: set[str] = field(default_factory=set)
    bytes: int = 0

    def add(self, path: str) -> None:
        """Count one event more, at this path."""
        self.count += 1
        if path not in self.paths and len(self.paths) <= PATHS_MAX and self.bytes <= PENDING_BYTES_MAX:
            self.paths.add(path)
            self.bytes += len(path)


Batch = dict[Watch, Happened]


def happened(batch: Batch, watch: Watch, path: str) -> None:
    """Note that something happened at ``path``."""
    if watch not in batch:
        batch[watch] = Happened()
    batch[watch].add(path)
