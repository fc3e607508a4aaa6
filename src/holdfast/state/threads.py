"""``state.threads``: one-line doors onto the thread functions, in a transaction of their own or in yours.

Answers come from the index; where there is none, or it is wrong, from the files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, overload

import msgspec

from holdfast import ids
from holdfast.engine import Read, Write
from holdfast.errors import Refused
from holdfast.rollouts.transcript import Turn, read_transcript
from holdfast.state import live, said
from holdfast.threads import listing, rules, store
from holdfast.threads.lookup import find_thread_path, misled
from holdfast.threads.model import Direction, Found, Home, Page, Query, Sort, Thread

if TYPE_CHECKING:
    from holdfast.ingest.live import LiveThread
    from holdfast.rollouts.writing.model import Sync
    from holdfast.search.model import Hits
    from holdfast.state.carrying import InHomeChange
    from holdfast.state.handle import State
    from holdfast.state.in_home import InHome


E = TypeVar("E", bound=StrEnum)


class Conversation(msgspec.Struct, frozen=True):
    """A thread with everything in it. ``problems`` are ``(code, detail)``: what they name is missing from ``turns``."""

    thread: Thread
    turns: list[Turn]
    problems: list[tuple[str, str]]


class Threads:
    """The threads of the homes a ``State`` was opened for.

    Where a method takes ``text``, it means a thread by its id, the unique
    beginning of one (4 hex digits or more), its name, or its title.
    """

    def __init__(self, state: State, tx: Read | None = None) -> None:
        self._state = state
        self._tx = tx

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
        missing: bool = False,
    ) -> Page:
        """Return a page of threads; see ``Query`` for the filters. ``cursor`` is the last page's ``next_cursor``.

        Under 1 ms from the index, at any depth; with ``search``, under 20 ms
        among 100,000 threads once their words are in. ``page.complete`` is False
        while a home is still being indexed. Raises ``Refused`` for a limit
        outside 1 to 1,000, an unknown order, or a cursor of another list.
        """
        query = Query(
            sort=_choice(Sort, sort),
            direction=_choice(Direction, direction),
            archived=archived,
            sources=_all(sources),
            providers=_all(providers),
            cwds=_all(cwds),
            search=search or None,
            parent=None if parent is None else _id(parent),
            missing=missing,
        )
        with self._reading() as tx:
            homes = self._state.look_up_homes(tx)
            complete = tx is not None and all(home.indexed_ms is not None for home in homes)
            if tx is not None and not (cursor and rules.decode_cursor(query, cursor).n < 0):
                known = _row_ids(homes)
                among = self._state.words.candidates(self._state, tx, known, query.search) if query.search else None
                page = listing.page(tx, known, query, limit=limit, cursor=cursor, among=among)
                if complete:
                    return page
                if len(page.threads) == limit:
                    return msgspec.structs.replace(page, complete=False)
        from holdfast.threads import from_files  # only where there is no index yet, or was none when the walk began

        return from_files.page([home.path for home in homes], query, limit=limit, cursor=cursor)

    def get(self, thread_id: str) -> Thread | None:
        """Return the thread with this id, or None. One statement; without an index, a search of the files."""
        id16 = _id(thread_id)
        with self._reading() as tx:
            homes = self._state.look_up_homes(tx)
            thread = store.get(tx, _row_ids(homes), id16) if tx is not None else None
        if thread is not None or all(home.indexed_ms is not None for home in homes):
            return thread
        return self._from_files(lambda files, home: files.get(home, id16))

    def resolve(self, text: str) -> Thread | None:
        """Return the one thread that ``text`` means, or None. Raises ``Refused`` when several begin with it."""
        with self._reading() as tx:
            homes = self._state.look_up_homes(tx)
            thread = None
            if tx is not None:
                known, asked = _row_ids(homes), tx  # names for the closure, which knows no None
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

    @overload
    def rename(self, text: str, name: str, *, in_home: Literal[False] = False) -> Thread | None: ...
    @overload
    def rename(self, text: str, name: str, *, in_home: Literal[True]) -> InHomeChange | None: ...
    def rename(self, text: str, name: str, *, in_home: bool = False) -> Thread | InHomeChange | None:
        """Call the thread ``name``; an empty one takes the name away. None when there is no such thread.

        An overlay in our state: the home is not touched, unless ``in_home`` asks for it (``InHome.rename``).
        """
        if in_home:
            return self._in_home().rename(text, name)
        return self._say(text, lambda tx, homes, id16: store.rename(tx, homes, id16, name))

    @overload
    def archive(self, text: str, *, in_home: Literal[False] = False) -> Thread | None: ...
    @overload
    def archive(self, text: str, *, in_home: Literal[True]) -> InHomeChange | None: ...
    def archive(self, text: str, *, in_home: bool = False) -> Thread | InHomeChange | None:
        """Put the thread among the archived ones. None: no such thread.

        An overlay; ``in_home`` moves its file instead, and those of its sub-agents (``InHome.archive``).
        """
        if in_home:
            return self._in_home().archive(text)
        return self._say(text, lambda tx, homes, id16: store.set_archived(tx, homes, id16, archived=True))

    @overload
    def unarchive(self, text: str, *, in_home: Literal[False] = False) -> Thread | None: ...
    @overload
    def unarchive(self, text: str, *, in_home: Literal[True]) -> InHomeChange | None: ...
    def unarchive(self, text: str, *, in_home: bool = False) -> Thread | InHomeChange | None:
        """Take the thread back from the archived ones: an overlay, or with ``in_home`` its file."""
        if in_home:
            return self._in_home().unarchive(text)
        return self._say(text, lambda tx, homes, id16: store.set_archived(tx, homes, id16, archived=False))

    # --- writing, in the own home ---

    def create(self, *, cwd: str, sync: Sync = "append", **meta: Any) -> LiveThread:
        """Return the writer of a new thread in the own home, working in ``cwd`` (absolute). Nothing is there yet.

        ``meta`` are further keys of its ``session_meta``: ``source``,
        ``model_provider``, ``base_instructions``, ``history_mode``, ``id``, ...
        ``sync``: ``append`` (an item is on the disk when ``append`` returns),
        ``turn`` (when its turn ends) or ``never``. Raises ``Refused`` without an own home.
        """
        return live.create(self._state, sync=sync, meta={"cwd": cwd, **meta})

    def resume(self, text: str, *, sync: Sync = "append", wait_ms: float = 0) -> LiveThread | None:
        """Return a writer that goes on with a thread of the own home; None: no such thread.

        A torn last line is put into ``backups/`` and cut off. Raises ``Busy``
        with the name of who else writes it after ``wait_ms``, ``Refused`` for a thread of another home.
        """
        return live.resume(self._state, text, sync=sync, wait_ms=wait_ms)

    def fork(self, text: str, *, at: int | None = None, sync: Sync = "append", **meta: Any) -> LiveThread | None:
        """Return the writer of a new thread that begins with the lines of another; None: no such thread.

        ``at``: without the lines numbered so and above. In the own home it
        points at them, as Codex does; those of another home, and of a legacy thread, are copied.
        """
        return live.fork(self._state, text, at=at, sync=sync, meta=meta)

    def _in_home(self) -> InHome:
        if self._tx is not None:
            raise Refused(
                "files cannot be changed inside a transaction: it could be rolled back, they could not",
                remedy="Call it on state.threads.",
            )
        return self._state.in_home

    def _say(self, text: str, say: Callable[[Write, Sequence[int], bytes], bool | None]) -> Thread | None:
        thread = self.resolve(text)
        if thread is None:
            return None
        id16 = ids.parse(thread.id)
        assert id16 is not None  # ours
        if not self._known(id16):
            if self._tx is not None:
                raise Refused(
                    f"thread {thread.id} is younger than the index, which cannot be changed inside a transaction",
                    remedy="Call state.index() before, or do it outside of the transaction.",
                )
            self._state.index_thread(thread)
        with self._writing() as tx:
            homes = _row_ids(self._state.look_up_homes(tx))
            say(tx, homes, id16)
            answer = store.get(tx, homes, id16)
            said_at = said.moment(tx)
        self._state.promise_snapshot(said_at)
        return answer

    def _known(self, id16: bytes) -> bool:
        with self._reading() as tx:
            return tx is not None and store.get(tx, _row_ids(self._state.look_up_homes(tx)), id16) is not None

    def _file_of(self, home: str, id16: bytes) -> str | None:
        with self._reading() as tx:
            for each in self._state.look_up_homes(tx):
                if each.path == home:
                    found = find_thread_path(tx if each.home_id else None, each, id16)
                    return None if found is None else found.file
        return None

    def _from_files(self, ask: Callable[[Any, str], Thread | None]) -> Thread | None:
        from holdfast.threads import from_files

        for home in self._state.homes:
            thread = ask(from_files, home.path)
            if thread is not None:
                return thread
        return None

    @contextmanager
    def _reading(self) -> Iterator[Read | None]:
        if self._tx is not None or self._state.engine is None:
            yield self._tx
            return
        with self._state.engine.read() as tx:
            yield tx

    @contextmanager
    def _writing(self) -> Iterator[Write]:
        if self._tx is not None:
            if not hasattr(self._tx, "run"):
                raise Refused("this transaction is for reading: use state.write() or state.submit()")
            yield cast("Write", self._tx)
            return
        with self._state.write() as tx:
            yield tx


def _row_ids(homes: Sequence[Home]) -> list[int]:
    return [home.home_id for home in homes if home.home_id]


def _all(values: Iterable[str]) -> tuple[str, ...]:
    # One text is one value, not its letters.
    return (values,) if isinstance(values, str) else tuple(values)


def _id(text: str) -> bytes:
    id16 = ids.parse(text)
    if id16 is None:
        raise Refused(f"{text!r} is no thread id", remedy="A thread id is a UUID; `resolve` takes names, too.")
    return id16


def _choice(kind: type[E], value: str) -> E:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(each.value for each in kind)
        raise Refused(f"{value!r} is not one of: {known}") from None
