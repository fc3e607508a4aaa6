"""Whether the indexes have what they are made of: the ledger beside the homes, the words beside the ledger.

That an index is behind is no finding by itself: the next ``open`` brings it up.
Only what it should have seen by now is one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from typing import Final

from holdfast.doctor.homes.look import SqlLook
from holdfast.doctor.model import Confidence, Database, Finding, Json, Status
from holdfast.doctor.probes.own.places import SEARCH_DB, STATE_DB, database
from holdfast.doctor.probes.reading import reading
from holdfast.doctor.probes.wording import sentence, some
from holdfast.ingest import ledger, rules
from holdfast.ingest.model import LedgerRow
from holdfast.quantities import duration
from holdfast.rollouts import Entry, walk
from holdfast.search import store as words
from holdfast.threads import homes
from holdfast.threads.model import Home

_WHILE_INDEXED_MS: Final = 600_000
"""What was written so shortly before an index ended, it may not have seen: its walk came before."""

_FED_MS: Final = 3_600_000
"""Words are put in while a state is open, behind everything else."""

_SHOWN = 5


def index_behind(look: SqlLook) -> Iterator[Finding]:
    """Find rollouts that lay in a home when it was last indexed, and are not in the index. A stat for each rollout."""
    state = database(look, STATE_DB)
    if state is None:
        return
    with reading(look, state) as tx:
        known = [] if tx is None else [home for home in homes.listing(tx) if home.indexed_ms is not None]
    for home in known:
        if not os.path.isdir(home.path):
            yield _home_gone(state, home)
            continue
        with reading(look, state) as tx:
            if tx is None:
                return
            rows = ledger.load(tx, home.home_id)
        missed, is_whole = _missed(home, rows, look.deadline_ns)
        if missed:
            yield _behind(state, home, missed, is_whole=is_whole)


def _missed(home: Home, rows: dict[str, LedgerRow], deadline_ns: int) -> tuple[list[str], bool]:
    """Return the rollouts an index should have seen, and whether all of the home was looked at."""
    before_ns = ((home.indexed_ms or 0) - _WHILE_INDEXED_MS) * 1_000_000
    found, is_whole = walk(home.path), True

    def in_time() -> Iterator[Entry]:
        nonlocal is_whole
        for entry in found:
            yield entry
            if time.monotonic_ns() > deadline_ns:
                is_whole = False
                return

    old = (entry for entry in in_time() if entry.mtime_ns < before_ns)
    plan = rules.plan(old, rows)
    # A file that was moved keeps its time; when it got the name it has, only its inode says.
    return [entry.path for entry, row in plan.read if row is not None or _placed_ns(home, entry) < before_ns], is_whole


def _placed_ns(home: Home, entry: Entry) -> int:
    try:
        return os.lstat(f"{home.path}/{entry.path}{'.zst' if entry.zst else ''}").st_ctime_ns
    except OSError:
        return time.time_ns()  # gone meanwhile


def _behind(state: Database, home: Home, missed: Iterable[str], *, is_whole: bool) -> Finding:
    paths = sorted(missed)
    shown: list[Json] = list(paths[:_SHOWN])
    return Finding(
        id="own-index-behind",
        status=Status.WARN,
        path=state.path,
        measured=sentence(
            f"{len(paths)} rollouts of {home.path} are not in the index as they are, though each was there"
            f" {duration(_WHILE_INDEXED_MS)} before the home was last indexed: {some(paths)}"
            + ("" if is_whole else "; not all of the home was looked at")
        ),
        expected="Every rollout that was there, as it was then.",
        confidence=Confidence.LIKELY,
        cause="They were put there with old times (a copy, a restored backup), or rows of the index were lost.",
        remedy="`holdfast threads reindex` folds every file again; names and archive marks stay.",
        repair="refold",
        details={"home": home.path, "count": len(paths), "paths": shown},
    )


def _home_gone(state: Database, home: Home) -> Finding:
    return Finding(
        id="own-home-gone",
        status=Status.WARN,
        path=state.path,
        measured=sentence(f"the indexed home {home.path} is not there"),
        expected="A directory.",
        confidence=Confidence.CERTAIN,
        cause="It was moved, or the disk it is on is not mounted.",
        remedy="Mount it, or index it where it is now (`holdfast index HOME`): it is known again by its files.",
        details={"home": home.path},
    )


def search_behind(look: SqlLook) -> Iterator[Finding]:
    """Find threads whose words should be in ``search.db`` by now, and an index of words of another ``state.db``."""
    state, index = database(look, STATE_DB), database(look, SEARCH_DB)
    if state is None or index is None:
        return
    with reading(look, index) as tx:
        fed = None if tx is None else words.fed_identity(tx)
    if fed is None:
        return  # it was never fed, or cannot be read
    with reading(look, state) as tx:
        if tx is None:
            return
        is_same = fed == words.identity(tx)
        known = [home.home_id for home in homes.listing(tx) if home.indexed_ms is not None]
    if not is_same:
        yield _finding(
            index, "it was fed from another state.db, or from this one before it was restored", fed=list(fed)
        )
        return
    with reading(look, index) as tx:
        places = {} if tx is None else words.places(tx, known)
    with reading(look, state) as tx:
        behind = 0 if tx is None else sum(words.count_behind(tx, home, place) for home, place in places.items())
    idle_ms = _written_ms(state) - _written_ms(index)
    if behind and idle_ms > _FED_MS:
        yield _finding(
            index,
            f"{behind} threads changed since their words were put in, the last of them {duration(idle_ms)} ago",
            behind=behind,
        )


def _written_ms(of: Database) -> int:
    newest = 0
    for path in (of.path, f"{of.path}-wal"):
        try:
            newest = max(newest, os.stat(path).st_mtime_ns // 1_000_000)
        except OSError:
            continue
    return newest


def _finding(index: Database, measured: str, **details: Json) -> Finding:
    return Finding(
        id="own-search-behind",
        status=Status.WARN,
        path=index.path,
        measured=sentence(measured),
        expected=sentence(f"the words of every thread, within {duration(_FED_MS)}"),
        confidence=Confidence.LIKELY,
        cause="No handle that feeds it was open for long enough, or its feeding fails.",
        remedy="Searches miss what is not in. `holdfast threads search` brings it up; all of it can be made again.",
        repair="rebuild-search",
        details=details,
    )
