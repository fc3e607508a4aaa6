"""The index of words of one state directory, opened when first asked for and fed in the background."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.threads.model import Query

if TYPE_CHECKING:
    from holdfast.state.handle import State


class WordsStatus(msgspec.Struct, frozen=True):
    """How much of what was said is indexed."""

    messages: int = 0
    threads: int = 0
    behind: int = 0


class Words:
    """See the module."""

    def __init__(self, path: str, *, read_only: bool, feeding: bool) -> None:
        self._path = path
        self._read_only = read_only
        self._feeding = feeding
        self._lock = threading.Lock()

    def search(self, state: State, words: str, *, limit: int, cursor: str | None, query: Query) -> Any:
        raise NotImplementedError

    def feed_in_background(self, state: State) -> None:
        """Begin to feed what is new, unless this handle does not feed."""

    def status(self, state: State) -> WordsStatus:
        """Return how much is indexed."""
        return WordsStatus()

    def stop(self) -> None:
        """Ask the feeding to stop."""

    def close(self) -> None:
        """Give the file up."""
