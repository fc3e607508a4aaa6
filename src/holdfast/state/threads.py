"""``state.threads``: one-line doors onto the thread functions, in a transaction of their own or in yours.

Answers come from the index; where there is none, or it is wrong, from the files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast import ids
from holdfast.engine import Read
from holdfast.errors import Refused
from holdfast.rollouts.transcript import Turn, read_transcript
from holdfast.state.changing import Changing
from holdfast.state.doors import choice, row_ids, thread_id_of
from holdfast.state.overlays import Overlays
from holdfast.state.own import Own
from holdfast.state.spawning import Spawning
from holdfast.threads import listing, rules, store
from holdfast.threads.lookup import find_thread_path, misled
from holdfast.threads.model import Direction, Found, Page, Query, Sort, Thread

if TYPE_CHECKING:
    from holdfast.search.model import Hits


class Conversation(msgspec.Struct, frozen=True):
    """A thread with everything in it. ``problems`` are ``(code, detail)``: what they name is missing from ``turns``."""

    thread: Thread
    turns: list[Turn]
    problems: list[tuple[str, str]]


class Threads(Changing, Overlays, Own, Spawning):
    """The threads of the homes a ``State`` was opened for.

    Where a method takes ``text``, it means a thread by its id, the unique
    beginning of one (4 hex digits or more), its name, or its title.
    """

    def within(self, tx: Read) -> Threads:
        """Return the same doors inside ``tx``: ``state.submit(lambda tx: state.threads.within(tx).rename(...))``."""
        return Threads(self._state, tx)

    def list(
        self,
        *,
        limit: int = 25,
        cursor: str | None = None,
        sort: Sort | str = Sort.UPDATED,
        direction: Direction | str = Direction.DESC,
        archived: bool | None = False,
        sources: Iterable[str] = (),
        providers: Iterable[str] = (),
        cwds: Iterable[str] = (),
        search: str | None = None,
        parent: str | None = None,
        ancestor: str | None = None,
        missing: bool = False,
        deleted: bool = False,
    ) -> Page:
        """Return a page of threads; see ``Query`` for the filters. ``cursor`` is the last page's ``next_cursor``.

        Under 1 ms from the index, at any depth; with ``search``, under 20 ms
        among 100,000 threads once their words are in. ``page.complete`` is False
        while a home is still being indexed. Raises ``Refused`` for a limit
        outside 1 to 1,000, an unknown order, a cursor of another list, or
        ``parent`` and ``ancestor`` together.
        """
        query = Query(
            sort=choice(Sort, sort),
            direction=choice(Direction, direction),
            archived=archived,
            sources=_all(sources),
            providers=_all(providers),
            cwds=_all(cwds),
            search=search or None,
            parent=None if parent is None else thread_id_of(parent),
            ancestor=None if ancestor is None else thread_id_of(ancestor),
            missing=missing,
            deleted=deleted,
        )
        with self._reading() as tx:
            homes = self._state.look_up_homes(tx)
            complete = tx is not None and all(home.indexed_ms is not None for home in homes)
            if tx is not None and not (cursor and rules.decode_cursor(query, cursor).n < 0):
                known = row_ids(homes)
                among = self._state.words.candidates(self._state, tx, known, query.search) if query.search else None
                page = listing.page(tx, known, query, limit=limit, cursor=cursor, among=among)
                if complete:
                    return page
                if len(page.threads) == limit or deleted:  # the files do not know what was deleted
                    return msgspec.structs.replace(page, complete=False)
        from holdfast.threads import from_files  # only where there is no index yet, or was none when the walk began

        page = from_files.page([home.path for home in homes], query, limit=limit, cursor=cursor)
        return msgspec.structs.replace(page, threads=tuple(each for each in page if not self._is_deleted(each)))

    def get(self, thread_id: str) -> Thread | None:
        """Return the thread with this id, or None. One statement; without an index, a search of the files."""
        id16 = thread_id_of(thread_id)
        with self._reading() as tx:
            homes = self._state.look_up_homes(tx)
            thread = store.get(tx, row_ids(homes), id16) if tx is not None else None
        if thread is not None or all(home.indexed_ms is not None for home in homes):
            return thread
        return self._from_files(lambda files, home: files.get(home, id16))

    def resolve(self, text: str) -> Thread | None:
        """Return the one thread that ``text`` means, or None. Raises ``Refused`` when several begin with it."""
        if not text.strip():
            return None  # a name that was taken away is kept as an empty one, and nobody means that
        with self._reading() as tx:
            homes = self._state.look_up_homes(tx)
            thread = None
            if tx is not None:
                known, asked = row_ids(homes), tx  # names for the closure, which knows no None
                thread = store.resolve(
                    tx, known, text, titled=lambda title: self._state.words.candidates(self._state, asked, known, title)
                )
        if thread is not None:
            return thread
        id16 = ids.parse(text)
        if id16 is not None:  # younger than the index, perhaps
            return self._from_files(lambda files, home: files.get(home, id16))
        if all(home.indexed_ms is not None for home in homes):
            return None
        return self._from_files(lambda files, home: files.resolve(home, text))

    def find(self, text: str, *, archived: bool | None = None) -> Found | None:
        """Return where the thread's rollout lies, checked against the file itself, or None.

        When the index was wrong, ``found.repair`` says how, and its row is
        mended a moment later (never by a ``peek``); so is the row of a thread
        that lies nowhere any more.
        """
        id16 = ids.parse(text)
        if id16 is None:
            thread = self.resolve(text)
            id16 = None if thread is None else ids.parse(thread.id)
        if id16 is None:
            return None
        with self._reading() as tx:
            for home in self._state.look_up_homes(tx):
                found = find_thread_path(tx if home.home_id else None, home, id16, archived=archived)
                if found is None and (tx is None or misled(tx, home, id16) is None):
                    continue  # rightly unknown there, or rightly called missing
                if found is None or found.repair is not None:
                    self._state.promise_repair(home, id16, found)
                if found is not None:
                    return found
        return None

    def read(self, text: str) -> Conversation | None:
        """Return the thread and all its turns, or None. 1 to 2 ms for a rollout of 50 KB; reads all of it.

        A fork that continues another thread's file is shown with those lines
        in front.
        """
        found = self.find(text)
        if found is None:
            return None
        id16 = ids.parse(found.thread_id)
        assert id16 is not None  # ours
        thread = None
        with self._reading() as tx:
            homes = self._state.look_up_homes(tx)
            if tx is not None:
                thread = store.get(tx, [home.home_id for home in homes if home.path == found.home], id16)
        if thread is None:
            thread = self._from_files(lambda files, home: files.get(home, id16) if home == found.home else None)
        if thread is None:
            return None  # it vanished between two looks
        transcript = read_transcript(found.file, resolve_base=lambda base: self._file_of(found.home, base))
        thread = msgspec.structs.replace(thread, rollout_path=found.path)
        return Conversation(thread, transcript.turns, transcript.problems)

    def search(
        self,
        words: str,
        *,
        limit: int = 20,
        cursor: str | None = None,
        archived: bool | None = False,
        sources: Iterable[str] = (),
        providers: Iterable[str] = (),
        cwds: Iterable[str] = (),
    ) -> Hits:
        """Return the threads in which ``words`` were said, the newest first: messages, titles and names.

        Several words must all be in one message; ``"a phrase"`` in this order;
        ``begin*`` begins a word. ``hits.complete`` is False while the index of
        words is still being built. Raises ``Refused`` for a query without a word.
        """
        from holdfast.search.model import Filters

        filters = Filters(archived=archived, sources=_all(sources), providers=_all(providers), cwds=_all(cwds))
        return self._state.words.search(self._state, words, limit=limit, cursor=cursor, filters=filters)

    def refresh(self, text: str) -> Thread | None:
        """Fold what was written to the thread's rollout since it was folded; return the thread as it is then, or None.

        Of a long rollout only the new lines are read. With nothing new, one
        short read. Raises ``Busy`` when another process indexes the home for
        longer than 30 s, ``Refused`` inside a transaction: folding needs its own.
        """
        if self._tx is not None:
            raise Refused("a refresh needs transactions of its own", remedy="Do it outside of yours.")
        found = self.find(text)
        if found is None:
            return self.resolve(text)  # known, perhaps, but its file is gone
        home = next(each for each in self._state.homes if each.path == found.home)
        files = [os.path.relpath(found.path, found.home)]
        with self._reading() as tx:
            wrong = misled(tx, home, thread_id_of(found.thread_id)) if tx is not None else None
        if wrong is not None and wrong not in files:
            files.append(wrong)  # where it lay before: that file is gone, or has a thread of its own
        if len(files) > 1 or not self._state.is_folded(home, files[0]):
            self._state.fold_again(home, files)
        return self.get(found.thread_id)

    def _is_deleted(self, thread: Thread) -> bool:
        """Ask of a thread that the files told of."""
        with self._reading() as tx:
            return tx is not None and store.is_deleted(tx, thread.home, thread_id_of(thread.id))

    def _file_of(self, home: str, id16: bytes) -> str | None:
        with self._reading() as tx:
            for each in self._state.look_up_homes(tx):
                if each.path == home:
                    found = find_thread_path(tx if each.home_id else None, each, id16, deleted=True)
                    return None if found is None else found.file
        return None

    def _from_files(self, ask: Callable[[Any, str], Thread | None]) -> Thread | None:
        from holdfast.threads import from_files

        for home in self._state.homes:
            thread = ask(from_files, home.path)
            if thread is not None and not self._is_deleted(thread):
                return thread
        return None


def _all(values: Iterable[str]) -> tuple[str, ...]:
    # One text is one value, not its letters.
    return (values,) if isinstance(values, str) else tuple(values)
