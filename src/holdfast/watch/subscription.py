"""One subscriber's events: what waits for it, and how it takes them, from a thread or from asyncio."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from holdfast.errors import Unsupported
from holdfast.watch.model import Changed, Event
from holdfast.watch.rules import Pending, due_s

if TYPE_CHECKING:
    from holdfast.watch.watcher import Watcher


class Feed:
    """What waits for one subscriber. The watcher's thread puts in, any thread takes out."""

    def __init__(
        self, *, debounce_s: float, throttle_s: float, ignore: frozenset[str] = frozenset(), follow_links: bool = False
    ) -> None:
        self.ignore = ignore
        self.follow_links = follow_links
        self.roots: set[str] = set()
        self.is_over = False
        self.is_foreign = False
        """Whether it was made in the process this one was forked from."""
        self.changed = threading.Condition()
        self._debounce_s = debounce_s
        self._throttle_s = throttle_s
        self._pending = Pending()
        self._ready: deque[Event] = deque()
        self._first_s: float | None = None
        self._told_s = float("-inf")
        self._wakers: dict[object, Callable[[], object]] = {}

    def put(self, put: Callable[[Pending], None]) -> None:
        """Let ``put`` add to what waits, unless it is over."""
        with self.changed:
            if self.is_over:
                return
            put(self._pending)
            if self._first_s is None and not self._pending.only_notices:
                self._first_s = time.monotonic()
            self._wake()

    def forget(self, root: str) -> None:
        """Tell nothing more of ``root``, not even what waits already."""
        with self.changed:
            self.roots.discard(root)
            kept = [event for event in self._ready if isinstance(event, Changed) or event.root != root]
            self._ready = deque(each for event in kept if (each := self._without(event, root)) is not None)
            self._pending.forget(root)

    def _without(self, event: Event, root: str) -> Event | None:
        if not isinstance(event, Changed):
            return event
        paths = tuple(path for path in event.paths if not _is_under(path, root) or self._is_still_watched(path))
        return Changed(paths) if paths else None

    def _is_still_watched(self, path: str) -> bool:
        return any(_is_under(path, root) for root in self.roots)

    def end(self, *, flush: bool) -> None:
        """Take nothing more. With ``flush`` what waits is still told, and then the end."""
        with self.changed:
            self.is_over = True
            if not flush:
                self._pending = Pending()
                self._ready.clear()
            self._wake()

    def take(self) -> tuple[Event | None, float | None]:
        """Return the next event, or None and how long to wait: None until woken, negative when nothing comes any more.

        Call it with ``changed`` held.
        """
        if self.is_foreign:
            raise forked()
        now_s = time.monotonic()
        if not self._ready and self._pending:
            due = self._due_s()
            is_due = self.is_over or (due is not None and now_s >= due)
            self._ready += self._pending.take(only_notices=not is_due)
            if is_due:
                self._first_s, self._told_s = None, now_s
        if self._ready:
            return self._ready.popleft(), None
        if self.is_over:
            return None, -1.0
        due = self._due_s()
        return None, None if due is None else due - now_s

    def _due_s(self) -> float | None:
        if self._first_s is None:
            return None
        return due_s(self._first_s, self._told_s, self._debounce_s, self._throttle_s)

    def begin_in_child(self) -> None:
        """In a forked child: it is the parent's."""
        self.is_foreign = True
        self.changed = threading.Condition()
        self._wakers = {}

    def wake_with(self, key: object, wake: Callable[[], object] | None) -> None:
        """Have ``wake`` called whenever something was put in; None: no more. Call it with ``changed`` held."""
        if wake is None:
            self._wakers.pop(key, None)
        else:
            self._wakers[key] = wake

    def _wake(self) -> None:
        self.changed.notify_all()
        for wake in list(self._wakers.values()):
            with suppress(RuntimeError):  # its loop was closed
                wake()


class Subscription:
    """Events of some roots, for one reader: ``for event in subscription`` or ``async for``. Made by
    ``Watcher.subscribe``; a context manager that closes it. One that is forgotten is closed by itself.
    """

    def __init__(self, watcher: Watcher, feed: Feed) -> None:
        self._watcher = watcher
        self._feed = feed
        self._forgotten = weakref.finalize(self, watcher.core.drop_later, feed)
        self._forgotten.atexit = False

    @property
    def roots(self) -> tuple[str, ...]:
        """What is watched, in order."""
        return tuple(sorted(self._feed.roots))

    def add(self, path: str | os.PathLike[str], *, recursive: bool = False) -> None:
        """Watch one more root; see ``Watcher.subscribe``. Raises ``Refused`` for one that is watched already."""
        self._watcher.add(self._feed, path, recursive=recursive)

    def remove(self, path: str | os.PathLike[str]) -> bool:
        """Watch this root no more; nothing is told of it once this returned. False when it was not watched here."""
        return self._watcher.core.remove(self._feed, self._watcher.spell(path))

    def next(self, timeout_s: float | None = None) -> Event | None:
        """Wait for the next event; None when none came in ``timeout_s`` seconds, or when none comes any more.

        Raises ``Unsupported`` in a forked child.
        """
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        with self._feed.changed:
            while True:
                event, wait_s = self._feed.take()
                if event is not None or (wait_s is not None and wait_s < 0 and self._feed.is_over):
                    return event
                left_s = None if until_s is None else until_s - time.monotonic()
                if left_s is not None and left_s <= 0:
                    return None
                waits = [each for each in (wait_s, left_s) if each is not None]
                self._feed.changed.wait(max(min(waits), 0.0) if waits else None)

    async def anext(self) -> Event | None:
        """Do as ``next()`` does, without holding up the event loop."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        feed = self._feed
        with feed.changed:
            feed.wake_with(woken, lambda: loop.call_soon_threadsafe(woken.set))
        try:
            while True:
                woken.clear()
                with feed.changed:
                    event, wait_s = feed.take()
                if event is not None or (wait_s is not None and wait_s < 0 and feed.is_over):
                    return event
                with suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), wait_s)
        finally:
            with feed.changed:
                feed.wake_with(woken, None)

    @property
    def closed(self) -> bool:
        """Whether nothing is watched for it any more."""
        return self._feed.is_over

    def close(self) -> None:
        """Watch nothing more. Nothing is told once this returned, and whoever waits is told the end. Twice is fine."""
        self._forgotten.detach()
        self._watcher.core.drop(self._feed)

    def __iter__(self) -> Subscription:
        return self

    def __next__(self) -> Event:
        event = self.next()
        if event is None:
            raise StopIteration
        return event

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Event:
        event = await self.anext()
        if event is None:
            raise StopAsyncIteration
        return event

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()


def forked() -> Unsupported:
    """Return the error for a watcher that was made before a fork."""
    return Unsupported(
        "this watcher belongs to the process that made it, and this one was forked from that",
        remedy="Make a new one here.",
    )


def _is_under(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")
