"""The index of words of one state directory: opened when first asked for, fed in the background."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from holdfast.clock import wall_ms
from holdfast.engine import Engine, Read
from holdfast.errors import HoldfastError, Refused, Unsupported
from holdfast.state.chores import Background
from holdfast.state.directory import SEARCH_DB
from holdfast.threads import store as threads
from holdfast.threads.model import Home

if TYPE_CHECKING:
    from holdfast.search import FeedReport, Filters, Hits, Index, SearchStatus
    from holdfast.search.model import OnProgress
    from holdfast.state.handle import State


_SCANNED_AT_MOST = 10_000
"""Among so few threads a title is found without the index in 5 ms; opening it takes 15, once."""


class Words:
    """What ``state.threads.search`` asks. ``feeding``: new words are put in by a thread of ours, when told to begin."""

    def __init__(self, state_dir: str, *, read_only: bool, feeding: bool) -> None:
        self._path = os.path.join(state_dir, SEARCH_DB)
        self._read_only = read_only
        self._feeding = feeding
        self._lock = threading.Lock()
        self._opened: Index | None = None
        self._peeked: Index | None = None
        self._background: Background | None = None
        self._closed = False

    def search(self, state: State, words: str, *, limit: int, cursor: str | None, filters: Filters) -> Hits:
        """Return the threads of ``state`` that hold ``words``; see ``Threads.search``."""
        from holdfast import search

        engine, homes = _engine_of(state), _known(state)
        index = self._index(engine)
        if index is None:
            return search.Hits(hits=(), complete=False)
        hits = search.find(engine, index, homes, words, limit=limit, cursor=cursor, filters=filters)
        if len(homes) == len(state.homes):
            return hits
        return msgspec.structs.replace(hits, complete=False)

    def candidates(self, state: State, tx: Read, homes: Sequence[int], needle: str) -> str | None:
        """Return which threads can have ``needle`` in their title, as ``listing.page`` takes them; None: any can.

        Never makes the index, never mends it, never waits for it, raises nothing.
        """
        index = self._opened or self._peeked
        if index is not None and index.damaged:
            return None
        if index is None and threads.last_n(tx) > _SCANNED_AT_MOST:
            index = self._peek(state)
        if index is None:
            return None
        from holdfast.search import titles

        found = titles.candidates(tx, index, homes, needle)
        return None if found is None else msgspec.json.encode(found).decode()

    def feed_in_background(self, state: State) -> None:
        """Begin to put in what is new, unless nothing is, or this handle does not feed."""
        if not self._feeding or self._closed or (self._background is not None and self._background.running):
            return

        def work(stop: threading.Event) -> None:
            from holdfast import search

            engine = _engine_of(state)
            index = self._index(engine)
            if index is not None:
                search.feed(engine, index, _known(state), stop=stop)

        self._background = Background("holdfast-search", work)

    def feed(self, state: State, *, on_progress: OnProgress | None = None, wait_ms: int = 30_000) -> FeedReport:
        """Put in what is new, in this thread; wait for another process that is at it, up to ``wait_ms``."""
        from holdfast import search

        self.stop()  # ours would stand in our way, and tell no progress
        engine = _engine_of(state)
        index = None if self._read_only else self._index(engine)
        if index is None:
            raise Refused(
                "this handle was made by peek: it puts in no words", remedy="Open the state with `holdfast.open()`."
            )
        return search.feed(engine, index, _known(state), on_progress=on_progress, wait_ms=wait_ms)

    def status(self, state: State) -> SearchStatus:
        """Return how much of what was said is in. Scans what is counted: 5 ms for 50,000 threads."""
        from holdfast import search

        if state.engine is None or state.engine.kind == "postgres" or not os.path.exists(self._path):
            return search.SearchStatus()
        index = self._index(state.engine)
        return search.SearchStatus() if index is None else search.status(state.engine, index, _known(state))

    def messages_of(self, state: State, ns: Sequence[int]) -> dict[int, int]:
        """Return how many messages of these threads (row ids of state.db) are in; nothing where there is no index."""
        from holdfast import search

        if state.engine is None or state.engine.kind == "postgres" or not os.path.exists(self._path):
            return {}
        index = self._index(state.engine)
        return {} if index is None else search.messages_of(state.engine, index, ns)

    def stop(self) -> None:
        """End the feeding in the background; what it put in stays."""
        if self._background is not None:
            self._background.close()
            self._background = None

    def close(self) -> None:
        """Give the file up."""
        with self._lock:
            self._closed = True
            for index in (self._opened, self._peeked):
                if index is not None:
                    index.close()
            self._opened = self._peeked = None

    def _index(self, engine: Engine) -> Index | None:
        from holdfast import search

        with self._lock:
            if self._opened is None and not self._closed:
                if self._read_only:
                    self._opened = search.peek_index(self._path, engine.clock or wall_ms)
                else:
                    self._opened = search.open_index(self._path, engine.clock or wall_ms)
            return self._opened

    def _peek(self, state: State) -> Index | None:
        """Open the index as it is, for lists."""
        on_server = state.engine is not None and state.engine.kind == "postgres"
        if on_server or not os.path.exists(self._path) or not self._lock.acquire(blocking=False):
            return None
        try:
            if self._peeked is None and not self._closed:
                from holdfast import search

                with suppress(HoldfastError):
                    self._peeked = search.peek_index(self._path, _engine_of(state).clock or wall_ms)
            return self._peeked
        finally:
            self._lock.release()


def _engine_of(state: State) -> Engine:
    if state.engine is not None and state.engine.kind == "postgres":
        raise Unsupported(
            "words are searched in a state directory; this state is in a PostgreSQL database",
            remedy="List by title instead: `threads.list(search=…)`, `holdfast threads list --search`.",
        )
    if state.engine is None:
        raise Refused(
            f"nothing is kept at {state.path} that could be searched", remedy="Run `holdfast index` once, then search."
        )
    return state.engine


def _known(state: State) -> list[Home]:
    return [home for home in state.homes if home.home_id]
