"""What goes into the index next, of one home: parts of rollouts, titles, and how far that brings us. Pure."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Mapping
from hashlib import blake2b

from holdfast.errors import Stale
from holdfast.rollouts.paths import ZST
from holdfast.search import rules, words
from holdfast.search.parts import Line, Part, ReadRequest
from holdfast.search.rows import Behind, Fed, NewRow, Place
from holdfast.threads.model import Home

_CHARS = 4 * 1024 * 1024  # becomes one segment of the index: 60 to 100 ms to put in
_CHARS_FIRST = 256 * 1024  # a program that runs for half a second shall bring the index forward, too
_THREADS = 2_000
_TITLE = rules.ROLES.index("title")


class Batch:
    """Collects until ``is_full``; then ``settle`` says which rows to write, and ``clear`` begins the next batch.

    ``gone`` are threads to take out, ``outdated`` rows of old titles, ``fed``
    the new rows of ``fed``, ``titles`` what a list looks in, by thread, and
    ``place`` how far every thread is in.
    """

    def __init__(self, home: Home, place: Place) -> None:
        self.home = home
        self.place = place
        self.gone: list[int] = []
        self.outdated: list[int] = []
        self.new: list[NewRow] = []
        self.titles: list[tuple[int, str]] = []
        self.fed: dict[int, Fed] = {}
        self.removed = 0
        self.unread: list[tuple[str, str]] = []
        self._titles: list[tuple[int, Fed]] = []
        self._order: deque[tuple[int, Place]] = deque()
        self._open: dict[int, Behind] = {}
        self._done: set[int] = set()
        self._parts: list[Part] = []
        self._missing: list[Behind] = []
        self._chars = 0
        self._chars_max = min(_CHARS_FIRST, _CHARS)

    @property
    def is_full(self) -> bool:
        """True when it is time to write."""
        return self._chars >= self._chars_max or len(self._parts) + len(self._missing) >= _THREADS

    @property
    def ns(self) -> list[int]:
        """The threads of this batch."""
        return [*(thread.n for thread in self._missing), *{part.n: None for part in self._parts}]

    @property
    def threads(self) -> int:
        """How many threads end in this batch."""
        return len(self._missing) + sum(part.last for part in self._parts)

    @property
    def bytes(self) -> int:
        """How much of their rollouts was read."""
        return sum(part.end - part.begin for part in self._parts)

    def expect(self, thread: Behind, fed: Fed | None) -> ReadRequest | None:
        """Take up ``thread``. Return what to read of it; nothing when its rollout is as it was, or gone."""
        self._order.append((thread.n, (thread.revision, thread.n)))
        if thread.missing_since_ms is not None:
            self._missing.append(thread)
            return None
        self._open[thread.n] = thread
        if fed is not None and fed.thread_id != thread.thread_id:  # a row id that was given away again
            fed = None
        path = f"{self.home.path}/{thread.path}{ZST if thread.zst else ''}"
        request = ReadRequest(thread.n, path, thread.size)
        if fed is not None:
            request.offset, request.inode, request.zst, request.mark = fed.offset, fed.inode, bool(fed.zst), fed.mark
            if fed.stamp == _stamp(thread):
                self.add(Part(thread.n, False, fed.offset, fed.offset, [], True, fed.inode, bool(fed.zst), fed.mark))
                return None
        return request

    def add(self, part: Part) -> None:
        """Take what was read."""
        self._parts.append(part)
        self._chars += part.chars + (len(self._open[part.n].haystack) if part.last else 0)
        if part.problem:
            self.unread.append((self._open[part.n].path, part.problem))

    def settle(self, known: Mapping[int, Fed]) -> None:
        """Decide what to write, when ``known`` is in. Raises ``Stale`` when somebody else fed a thread of ours."""
        self.gone = [thread.n for thread in self._missing if thread.n in known]
        self.removed = len(self.gone)
        self._done.update(thread.n for thread in self._missing)
        self.titles = [(thread.n, thread.haystack) for thread in self._missing]  # a list may show them, too
        for part in self._parts:
            thread = self._open[part.n]
            self._settle(part, thread, self.fed.get(part.n) or known.get(part.n))
        while self._order and self._order[0][0] in self._done:
            n, self.place = self._order.popleft()
            self._done.discard(n)

    def _settle(self, part: Part, thread: Behind, fed: Fed | None) -> None:
        if fed is not None and (part.anew or fed.thread_id != thread.thread_id):
            self.gone.append(part.n)
            fed = None
        if fed is None:
            fed = Fed(part.n, self.home.home_id, thread.thread_id)
        if not part.problem or part.lines:
            if part.begin != fed.offset:
                raise Stale(f"another process fed the thread of {thread.path} meanwhile")
            fed.offset, fed.inode, fed.zst, fed.mark = part.end, part.inode, int(part.zst), part.mark
        fed.stamp = _stamp(thread) if part.last else 0
        fed.messages += len(part.lines)
        self.fed[part.n] = fed
        self._title(thread, fed)
        self.new += [
            NewRow(part.n, thread.created_ms if line.timestamp_ms is None else line.timestamp_ms, line)
            for line in part.lines
        ]
        if part.last:
            self._done.add(part.n)
            del self._open[part.n]

    def _title(self, thread: Behind, fed: Fed) -> None:
        # Long enough that no two texts share it: a change must not go unseen.
        digest = blake2b(thread.haystack.encode(errors="replace"), digest_size=8).digest()
        title_hash = int.from_bytes(digest, "big", signed=True)
        if title_hash == fed.title_hash:
            return
        self.titles.append((fed.n, thread.haystack))
        if fed.title_row is not None:
            self.outdated.append(fed.title_row)
            fed.title_row = None
        fed.title_hash = title_hash
        if text := rules.title_text(thread.name, thread.title):
            self._titles.append((len(self.new), fed))
            self.new.append(NewRow(fed.n, thread.created_ms, Line(0, 0, _TITLE, None, words.prepare(text))))

    def placed(self, rows: list[int]) -> None:
        """Take the row ids that ``new`` got."""
        for at, fed in self._titles:
            fed.title_row = rows[at]

    def clear(self) -> None:
        """Forget what is written now."""
        for each in (self.gone, self.outdated, self.new, self.titles, self._titles, self._parts, self._missing):
            each.clear()
        self.fed.clear()
        self._chars = self.removed = 0
        self._chars_max = min(2 * self._chars_max, _CHARS)


def _stamp(thread: Behind) -> int:
    """Return what changes whenever the ledger saw the file change. Never 0, which says that there is more to read."""
    return zlib.crc32(f"{thread.inode} {thread.size} {thread.mtime_ns} {thread.zst}".encode()) + 1
