"""Keep the index of a home current while agents write to it, by being told instead of by looking.

Of a home only ``sessions/`` and ``archived_sessions/`` are watched, and
``session_index.jsonl`` is asked for its stamp. What changed is folded from where
it ended. Whatever cannot be told one by one becomes a look at the whole home,
and so does, now and then, nothing at all: a change of times, or one made
through a link, tells nobody.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from holdfast import ids
from holdfast.engine import Engine
from holdfast.errors import Busy, Refused
from holdfast.ingest import gate, ledger, rules
from holdfast.ingest.indexing import AtFirst
from holdfast.ingest.model import LedgerRow
from holdfast.ingest.survey import entry_at, is_gone
from holdfast.rollouts import Entry, names_stamp
from holdfast.rollouts.paths import ARCHIVED, SESSIONS, archived_path, is_archived, is_rollout, is_text, logical
from holdfast.threads import homes
from holdfast.watch import Changed, Event, Subscription, Watcher

_DEBOUNCE_MS = 50
_THROTTLE_MS = 200  # a thread that is written without end costs five commits in a second, not fifty
_ASK_S = 0.25  # how often the names file is asked, and what could not be done is tried again
_WAIT_MS = 5_000  # for whoever else is indexing; then it is tried again
_LOOK_S_MIN = 60.0
_LOOK_SHARE = 200  # of the time, one part is spent on looks that nobody asked for
_ASKED_LOOK_SHARE = 10
_TOLD_MAX = 4_096


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to a home and is in the index now.

    ``what``: ``new``, ``grown``, ``archived``, ``unarchived``, ``compressed``, ``unpacked``, ``replaced`` or
    ``deleted`` for the file of a thread; ``noted`` when whoever writes it, or another process, had put
    it into the index before us; ``names`` when names were given in the home; ``looked`` when the
    whole home was looked at and ``files`` of it had changed; the first of each home is told with none, too.
    """

    home: str
    what: str
    path: str | None = None
    """Relative to the home, in the plain spelling."""
    thread_id: str | None = None
    files: int = 1
    at_ms: int = 0
    """When it was in the index, on the clock of the state."""


@dataclass
class _Following:
    """One home: what is to be done there."""

    path: str
    files: set[str] = field(default_factory=set)
    stamp: str = ""
    look: bool = True
    looked_s: float = float("-inf")
    look_took_s: float = 0.0
    is_known: bool = False
    """Whether it was looked at since we began."""
    told: dict[str, Entry | None] = field(default_factory=dict)
    """The files told of last, as they were then: one write can be two events."""

    def is_news(self, file: str, entry: Entry | None) -> bool:
        """Return True, once, for a file in this state."""
        if file in self.told and self.told[file] == entry:
            return False
        self.told.pop(file, None)
        self.told[file] = entry
        if len(self.told) > _TOLD_MAX:
            del self.told[next(iter(self.told))]
        return True

    def is_look_due(self, now_s: float) -> bool:
        share = _ASKED_LOOK_SHARE if self.look else _LOOK_SHARE
        return now_s - self.looked_s >= max(0.0 if self.look else _LOOK_S_MIN, self.look_took_s * share)


def follow(
    engine: Engine,
    paths: Sequence[str],
    watcher: Watcher,
    *,
    stop: threading.Event | None = None,
    at_first: AtFirst | None = None,
) -> Iterator[Followed]:
    """Yield what happens to the homes at these real ``paths``, once it is in the index; for ever, or until ``stop``.

    Begins with a whole look, so nothing is missed that happened before, and yields
    that it was done (``looked``) for each home: from then on it follows. A file
    is in the index a quarter of a second after it was written; idle, some stats in
    a second, and a look at each home once a minute or more rarely. Waits for another process that
    indexes the same home. Nothing is done while the caller holds what was yielded: it goes on with the next.
    A disk without room, a lost hold and a home that is not there are waited for, too.
    Raises ``Damaged`` and ``Unsupported`` as an index does, and never for a file.
    """
    stop = stop or threading.Event()
    following = [_Following(path) for path in paths]
    with _subscribed(watcher, paths) as subscription:
        while subscription.next(0) is not None:
            pass  # a folder that is not there yet: the look that comes now sees as much
        while not stop.is_set():
            for home in following:
                try:
                    yield from _catch_up(engine, home, stop, at_first)
                except Busy:
                    continue  # it is tried again, with what comes meanwhile
                except Refused:
                    home.look = True  # the home itself is not there now
            event = subscription.next(_ASK_S)
            if event is not None:
                _note(following, event)
            elif subscription.closed:
                return


def _subscribed(watcher: Watcher, paths: Iterable[str]) -> Subscription:
    roots = [f"{path}/{root}" for path in paths for root in (SESSIONS, ARCHIVED)]
    return watcher.subscribe(*roots, recursive=True, debounce_ms=_DEBOUNCE_MS, throttle_ms=_THROTTLE_MS, ignore=())


def _note(following: Sequence[_Following], event: Event) -> None:
    """Remember what an event is about."""
    for path in event.paths if isinstance(event, Changed) else (event.root,):
        for home in following:
            if not path.startswith(f"{home.path}/"):
                continue
            relative = path[len(home.path) + 1 :]
            if not isinstance(event, Changed):
                home.look = True
            elif is_rollout(os.path.basename(path)) and is_text(relative):
                home.files.add(logical(relative))
            elif os.path.isdir(path) or (not os.path.exists(path) and "." not in os.path.basename(path)):
                # A folder that came is told with its files; one that went is not, and may be made anew already.
                home.look = True


def _catch_up(engine: Engine, home: _Following, stop: threading.Event, at_first: AtFirst | None) -> Iterator[Followed]:
    """Do what is to be done in one home. What was not done is still noted."""
    if home.files and home.is_known:
        files = sorted({*home.files, *_archived(home)})
        changes, todo = _judge(engine, home, files)
        if todo:
            gate.refold(engine, home.path, todo, full=False, wait_ms=_WAIT_MS, stop=stop)
        home.files.difference_update(files)
        yield from _told(engine, home.path, changes)
    if home.is_look_due(time.monotonic()):
        yield from _look(engine, home, stop, at_first)
        return
    stamp = names_stamp(home.path)
    if stamp != home.stamp:
        gate.index(engine, home.path, recent=True, wait_ms=_WAIT_MS, stop=stop, at_first=at_first)
        home.stamp = stamp
        yield Followed(home=home.path, what="names", at_ms=_now_ms(engine))


def _archived(home: _Following) -> Iterator[str]:
    """Yield where those files are now that went into the archive: its own event may come later."""
    for file in home.files:
        archived = archived_path(file)
        if archived != file and entry_at(home.path, file) is None and entry_at(home.path, archived) is not None:
            yield archived


def _look(engine: Engine, home: _Following, stop: threading.Event, at_first: AtFirst | None) -> Iterator[Followed]:
    began_s = time.monotonic()
    stamp = names_stamp(home.path)
    try:
        report = gate.index(engine, home.path, wait_ms=_WAIT_MS, stop=stop, at_first=at_first)
    finally:
        home.looked_s = time.monotonic()
        home.look_took_s = home.looked_s - began_s
    # What is noted by now is looked at once more: it may have come while the home was being read.
    is_first, home.is_known = not home.is_known, True
    home.look, home.stamp = False, stamp
    files = report.indexed + report.vanished
    if files or is_first:
        yield Followed(home=home.path, what="looked", files=files, at_ms=_now_ms(engine))


def _judge(engine: Engine, home: _Following, files: Sequence[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Return ``(what, file)`` of those that changed, and which are to be folded: not what its writer noted itself."""
    with engine.read() as tx:
        known = homes.get(tx, home.path)
        rows = {} if known is None else ledger.load_some(tx, known.home_id, files)
    entries = {file: entry_at(home.path, file) for file in files}
    todo, changes = [], []
    for file in files:
        entry, row = entries[file], rows.get(file)
        if entry is None and (row is None or row.status == "gone" or not is_gone(home.path, file)):
            continue
        is_news = home.is_news(file, entry)
        if entry is not None and row is not None and not rules.changed(entry, row) and row.status != "gone":
            if is_news:
                changes.append(("noted", file))
            continue
        todo.append(file)
        changes.append((_what(entry, row), file))
    return _without_moves(changes), todo


def _what(entry: Entry | None, row: LedgerRow | None) -> str:
    if entry is None:
        return "deleted"
    if row is None or row.status == "gone":
        return "new"
    if entry.zst is not bool(row.zst):
        return "compressed" if entry.zst else "unpacked"
    return "grown" if entry.inode == row.inode and entry.size >= row.size else "replaced"


def _without_moves(changes: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the changes with a file that went to, or came from, the archive told once."""
    went = {os.path.basename(file) for what, file in changes if what == "deleted"}
    came = {os.path.basename(file) for what, file in changes if what == "new"}
    moved = went & came
    found = []
    for what, file in changes:
        if os.path.basename(file) not in moved or what not in ("new", "deleted"):
            found.append((what, file))
        elif what == "new":
            found.append(("archived" if is_archived(file) else "unarchived", file))
    return found


def _told(engine: Engine, home: str, changes: Sequence[tuple[str, str]]) -> Iterator[Followed]:
    with engine.read() as tx:
        known = homes.get(tx, home)
        rows = {} if known is None else ledger.load_some(tx, known.home_id, [file for _, file in changes])
        now_ms = tx.now_ms
    for what, file in changes:
        row = rows.get(file)
        thread_id = None if row is None or row.thread_id is None else ids.text(row.thread_id)
        yield Followed(home=home, what=what, path=file, thread_id=thread_id, at_ms=now_ms)


def _now_ms(engine: Engine) -> int:
    with engine.read() as tx:
        return tx.now_ms
