"""Watching files and directories: the face. What it may not watch is in ``walls.py``, how it does in ``core.py``."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable
from types import TracebackType

from holdfast.errors import Refused
from holdfast.watch.core import Core
from holdfast.watch.inotify import watches_allowed
from holdfast.watch.manifest import Manifest
from holdfast.watch.model import WatchStatus
from holdfast.watch.rules import IGNORED
from holdfast.watch.subscription import Feed, Subscription
from holdfast.watch.walls import Walls

WATCHES_MAX = 1_024
"""Directories the kernel watches for this process, all watchers together; and never more than a tenth of what the
user may have. What is beyond is polled."""

POLL_S = 2.0
"""How often that is looked at which the kernel does not watch; less often when a look takes over 1 % of the time."""


class Watcher:
    """One thread and one inotify instance for any number of subscriptions. A context manager that closes it.

    ``state_dir`` (which need not exist) and the paths in ``protect`` are never
    watched: a root that is, aliases or lies inside one of them is refused, a
    wider one is watched without them, and nothing is ever told of a database
    (``*.sqlite*``, ``*.db*``). ``poll`` True: the kernel is not asked; False: it
    is asked even on a network filesystem; None: as the filesystem requires.
    In a forked child it raises ``Unsupported``, and the parent's goes on.
    """

    def __init__(
        self,
        state_dir: str | os.PathLike[str],
        *,
        protect: Iterable[str | os.PathLike[str]] = (),
        watches_max: int = WATCHES_MAX,
        poll: bool | None = None,
        poll_s: float = POLL_S,
    ) -> None:
        allowed = watches_allowed() // 10
        walls = Walls(self.spell(state_dir), map(self.spell, protect))
        self.core = Core(
            walls,
            watches_max=min(watches_max, allowed) if allowed else watches_max,
            poll=poll,
            poll_s=poll_s,
            manifest=Manifest(walls.paths[0]),
        )
        self._forgotten = weakref.finalize(self, self.core.stop_later)
        self._forgotten.atexit = False

    def subscribe(
        self,
        *paths: str | os.PathLike[str],
        recursive: bool = False,
        debounce_ms: int = 50,
        throttle_ms: int = 0,
        ignore: Iterable[str] = IGNORED,
        follow_links: bool = False,
    ) -> Subscription:
        """Watch these files and directories, there or not yet, and return what tells of them.

        Of a directory what lies in it is told; ``recursive``: all below it,
        but for what has a name in ``ignore``. A file is watched through its
        directory, so it may be replaced. ``debounce_ms``: a batch is told this
        long after its first event; ``throttle_ms``: batches are at least this far apart, the first is
        told at once. Costs a listing and a watch for each directory. Raises ``Protected`` (a ``Refused``),
        naming both paths, for what may not be watched; then nothing is. A root
        that cannot be watched is no error: ``Degraded`` or ``RootGone`` tells it.
        """
        feed = Feed(
            debounce_s=debounce_ms / 1000,
            throttle_s=throttle_ms / 1000,
            ignore=frozenset(ignore),
            follow_links=follow_links,
        )
        self.core.feeds.add(feed)
        subscription = Subscription(self, feed)
        try:
            for path in paths:
                subscription.add(path, recursive=recursive)
        except BaseException:
            subscription.close()
            raise
        return subscription

    def add(self, feed: Feed, path: str | os.PathLike[str], *, recursive: bool) -> None:
        """Watch one more root for a subscription: ``Subscription.add``."""
        root = self.spell(path)
        self.core.add(feed, root, recursive=recursive, ignore=feed.ignore, follow_links=feed.follow_links)

    def status(self) -> WatchStatus:
        """Return what is watched and how. Asks nobody but itself."""
        return self.core.status()

    def close(self) -> None:
        """Watch nothing more: what waits is still told to each subscriber, and then the end. Twice is fine."""
        self._forgotten.detach()
        self.core.close()

    def __enter__(self) -> Watcher:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    @staticmethod
    def spell(path: str | os.PathLike[str]) -> str:
        """Return ``path`` as it is told: absolute, ``~`` expanded, without ``..``. Raises ``Refused`` for no path."""
        text = os.path.expanduser(os.fsdecode(path))
        if not text or "\0" in text:
            raise Refused(f"{text!r} is no path")
        if ".." in text.split("/"):
            return os.path.realpath(text)  # what it leaves may be a link, and then it is not simply undone
        return os.path.abspath(text)
