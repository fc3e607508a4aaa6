"""What is asked of the index of words, what was found, and how far the index is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from holdfast.threads.model import Thread


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """Which threads count: the same words with the same meaning as in a list of threads."""

    archived: bool | None = False
    sources: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    cwds: tuple[str, ...] = ()


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """A thread that holds the words, shown by its newest message that does.

    ``role`` is user, agent, or title (also the name). ``snippet`` is about
    160 characters of plain text; ``matches`` are the places in it, ``(begin,
    end)`` each, where the words stand. ``offset`` is where the message's line
    begins in the rollout. ``messages`` is how many messages of the thread hold
    the words; 0 when only its title or name does.
    """

    thread: Thread
    role: str
    timestamp_ms: int | None
    snippet: str
    matches: tuple[tuple[int, int], ...] = ()
    offset: int | None = None
    messages: int = 1


class Hits(msgspec.Struct, frozen=True, kw_only=True):
    """Some hits, newest first, and where the next ones begin. ``next_cursor`` None: these are the last.

    ``complete`` is False while words of some threads are not in the index yet.
    """

    hits: tuple[Hit, ...]
    next_cursor: str | None = None
    complete: bool = True

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)


class SearchStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How much is in the index: messages and threads; and how many threads are ``behind``."""

    messages: int = 0
    threads: int = 0
    behind: int = 0


class FeedProgress(msgspec.Struct, frozen=True):
    """How far feeding is: threads looked at, of those that changed since the last time."""

    threads_done: int
    threads: int

    @property
    def percent(self) -> int:
        """0 to 100."""
        return 100 if not self.threads else min(100, self.threads_done * 100 // self.threads)


OnProgress = Callable[[FeedProgress], None]


class FeedReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one feeding did.

    ``threads`` were looked at, of which ``removed`` are gone; ``messages``
    were put in. ``complete``: all that had changed when it began is in. Else ``by`` says who else
    is feeding, or ``problem`` why we stopped. ``unread`` lists rollouts that
    could not be read, with the reason.
    """

    threads: int = 0
    removed: int = 0
    messages: int = 0
    bytes_read: int = 0
    duration_ms: int = 0
    complete: bool = False
    by: str | None = None
    problem: str = ""
    unread: tuple[tuple[str, str], ...] = ()
