"""Finding threads by words: newest first, each thread once, a page at a time.

What matches is asked of search.db; which threads may be shown, and what they
are called, of state.db as it is now. So a rename, an archive or a vanished file
counts at once, whenever the index was last fed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from holdfast import sql
from holdfast.engine import Read
from holdfast.search import rules, store
from holdfast.search.model import Filters
from holdfast.search.store import SQL
from holdfast.threads import listing
from holdfast.threads.model import Thread
from holdfast.threads.rules import normal_cwd

Row = Mapping[str, Any]

_THREADS = sql.load("holdfast.threads")["select_thread"].fill(chosen=SQL["chosen_by_n"], tail="")
_CHUNK_MIN, _CHUNK_MAX = 64, 4_096  # rows looked at in one go
_FEW = 256  # threads that the index itself is asked for, as words; more of them cost more than they save
_BEFORE_ALL = (1 << 63) - 1


class Threads:
    """Which threads may be shown: those of ``homes`` that pass the filters. Asks state.db."""

    def __init__(self, tx: Read, homes: Sequence[int], filters: Filters) -> None:
        self._tx = tx
        archived = (0, 1) if filters.archived is None else (int(filters.archived),)
        wanted = {
            "sources": filters.sources,
            "providers": filters.providers,
            "cwds": tuple(normal_cwd(cwd) for cwd in filters.cwds),
        }
        labels = sorted({label for values in wanted.values() for label in values})
        ids = listing.label_ids(tx, labels) if labels else {}
        self._params: dict[str, object] = {"homes": json.dumps(list(homes)), "archived": json.dumps(archived)}
        self._set = [name for name, values in wanted.items() if values]
        for name, values in wanted.items():
            known = [ids[value] for value in values if value in ids]
            self._params[name] = json.dumps(known) if values else None

    def few(self) -> list[int] | None:
        """Return the threads that pass (or are missing) when they are not many, else None. 0.2 ms."""
        filters = " ".join(SQL[f"only_{name}"].sqlite for name in self._set)
        params = {name: self._params[name] for name in ("homes", "archived", *self._set)}
        rows = self._tx.rows(SQL["few"].fill(filters=filters), limit=_FEW + 1, **params)
        return None if len(rows) > _FEW else [row["n"] for row in rows]

    def admitted(self, ns: Sequence[int]) -> dict[int, bytes]:
        """Return those of ``ns`` that pass, with the id of each."""
        rows = self._tx.rows(SQL["admitted"], ns=json.dumps(ns), **self._params)
        return {row["n"]: row["thread_id"] for row in rows}

    def get(self, ns: Sequence[int]) -> dict[int, Thread]:
        """Return these threads."""
        return {row["n"]: listing.thread(row) for row in self._tx.rows(_THREADS, ns=json.dumps(ns))}


def newest(tx: Read, threads: Threads, match: str, *, limit: int, before: int | None) -> list[Row]:
    """Return up to ``limit`` rows that match, newest first, one for each thread, ``before`` a row if given.

    A thread whose newest match is not before ``before`` was on an earlier page
    and is left out. The work grows with the rows of the threads that are shown
    or refused on the way, not with how many match in all.
    """
    at = _BEFORE_ALL if before is None else before
    seen: set[int] = set()
    found: list[Row] = []
    chunk = max(_CHUNK_MIN, 2 * limit)
    while len(found) < limit:
        rows = tx.rows(SQL["find"], match=match, before=at, limit=chunk)
        first: dict[int, Row] = {}
        for row in rows:
            if row["n"] not in seen:
                first.setdefault(row["n"], row)
        seen.update(first)
        found += _shown(tx, threads, match, list(first.values()), before)
        if len(rows) < chunk:
            break
        at = rows[-1]["row"]
        chunk = min(2 * chunk, _CHUNK_MAX)
    return found[:limit]


def _shown(tx: Read, threads: Threads, match: str, rows: list[Row], before: int | None) -> list[Row]:
    """Return those of ``rows`` (one for each thread) whose thread may be shown here."""
    if not rows:
        return []
    admitted = threads.admitted([row["n"] for row in rows])
    # A row id of state.db that was given away again means another thread there.
    fed = store.fed(tx, admitted)
    shown = [row for row in rows if row["n"] in fed and fed[row["n"]].thread_id == admitted[row["n"]]]
    if before is None or not shown:
        return shown
    earlier: set[int] = set()
    for begin in range(0, len(shown), _FEW):
        some = [row["n"] for row in shown[begin : begin + _FEW]]
        narrowed = rules.narrowed(match, some)
        earlier |= {row["n"] for row in tx.rows(SQL["newer"], match=narrowed, row=before)}
    return [row for row in shown if row["n"] not in earlier]


def count(tx: Read, match: str, ns: Sequence[int]) -> dict[int, int]:
    """Return how many messages of each of these threads match."""
    if not ns:
        return {}
    return {row["n"]: row["messages"] for row in tx.rows(SQL["count_matches"], match=rules.narrowed(match, ns))}


def words_with(tx: Read, piece: str, limit: int) -> list[str]:
    """Return up to ``limit`` words of the index that contain ``piece``. Walks through all of them."""
    return [row["term"] for row in tx.rows(SQL["words_with"], piece=piece, limit=limit)]
