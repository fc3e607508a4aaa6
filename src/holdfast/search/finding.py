"""A search, from what a person wrote to hits with snippets.

Should the words themselves be nowhere, one plain piece is tried as the
beginning of a word (``need`` finds ``needle``) and then as a part of words
(``eedle-zeb`` finds ``needle-zebra``).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import msgspec

from holdfast.engine import Engine, Read
from holdfast.errors import Damaged, Refused
from holdfast.rollouts.said import message_at
from holdfast.search import query, rules, snippets, store
from holdfast.search.index import Index
from holdfast.search.model import Filters, Hit, Hits
from holdfast.search.query import Row, Threads
from holdfast.search.rules import Piece
from holdfast.threads.model import Home, Thread
from holdfast.threads.rules import check_limit

_PART_CHARS_MIN = 3
_WORDS_MAX = 64  # words that a part may stand in
_VERIFIED_MAX = 200  # messages read to see whether a part that spans words is in them

AS_WRITTEN, AS_BEGINNING, AS_PART = range(3)
"""How words were understood. A cursor goes on in the same way."""


class _Found(msgspec.Struct):
    """What was looked for, and the rows found. ``unsure``: the words must still be found in the texts."""

    stage: int
    pieces: tuple[Piece, ...]
    match: str
    unsure: bool = False
    rows: list[Row] = []


def find(
    engine: Engine,
    index: Index,
    homes: Sequence[Home],
    asked: str,
    *,
    limit: int = 20,
    cursor: str | None = None,
    filters: Filters | None = None,
) -> Hits:
    """Return up to ``limit`` threads of ``homes`` that hold all of ``asked``, after ``cursor``.

    Raises ``Refused`` for words with no letter or digit in them, a bad limit
    or cursor. A damaged index gives no hits and says that it is not complete.
    """
    check_limit(limit)
    home_ids = [home.home_id for home in homes]
    searching = _Searching(asked, home_ids, filters or Filters(), limit, cursor)
    used = index.store
    try:
        return searching.run(engine, index)
    except store.StateDamaged:
        raise
    except Damaged:
        if index.store is used:
            index.suspect()
    except Refused:
        if index.store is used and not index.damaged:
            raise  # closed by whoever opened it; else it is being made again while we look
    return Hits(hits=(), complete=False)


class _Searching:
    def __init__(self, asked: str, homes: list[int], filters: Filters, limit: int, cursor: str | None) -> None:
        self._pieces = rules.parse(asked)
        self._homes = homes
        self._filters = filters
        self._limit = limit
        self._question = rules.question(asked, homes, filters)
        self._after = rules.decode_cursor(self._question, cursor) if cursor else None

    def run(self, engine: Engine, index: Index) -> Hits:
        with store.reading(engine) as state, index.read() as tx:
            if store.fed_identity(tx) != store.identity(state):
                return Hits(hits=(), complete=False)
            places = store.places(tx, self._homes).items()
            complete = not any(store.is_behind(state, home_id, place) for home_id, place in places)
            threads = Threads(state, self._homes, self._filters)
            found = self._look(tx, threads)
            rows = found.rows[: self._limit]
            counts = {} if found.unsure else query.count(tx, found.match, [row["n"] for row in rows])
            shown = threads.get([row["n"] for row in found.rows])
        # Files are read outside of the transactions: those must be short.
        if found.unsure:
            hits = self._verified(found, shown)
        else:
            hits = [_hit(shown[row["n"]], row, found.pieces, counts.get(row["n"], 0)) for row in rows]
        last = rows[-1]["row"] if len(found.rows) > len(rows) and not found.unsure else None
        next_cursor = None if last is None else rules.encode_cursor(self._question, last, found.stage)
        return Hits(hits=tuple(hits), next_cursor=next_cursor, complete=complete)

    def _look(self, tx: Read, threads: Threads) -> _Found:
        """Return the first understanding of the words under which there is something."""
        few = threads.few()
        stages = [self._after.stage] if self._after else [AS_WRITTEN, AS_BEGINNING, AS_PART]
        for stage in stages if few != [] else ():
            found = self._understood(tx, stage)
            if found is None:
                continue
            if few:
                found.match = rules.narrowed(found.match, few)
            found.rows = query.newest(
                tx,
                threads,
                found.match,
                limit=_VERIFIED_MAX if found.unsure else self._limit + 1,
                before=self._after.row if self._after else None,
            )
            if found.rows:
                return found
        return _Found(AS_WRITTEN, self._pieces, "")

    def _understood(self, tx: Read, stage: int) -> _Found | None:
        """Return what to look for at ``stage``; None when these words cannot be understood that way."""
        if stage == AS_WRITTEN:
            return _Found(stage, self._pieces, rules.match(self._pieces))
        piece = self._pieces[0]
        if len(self._pieces) > 1 or piece.quoted or piece.prefix or len(piece.text) < _PART_CHARS_MIN:
            return None
        if stage == AS_BEGINNING:
            pieces = (msgspec.structs.replace(piece, prefix=True),)
            return _Found(stage, pieces, rules.match(pieces))
        pieces = (msgspec.structs.replace(piece, prefix=True, part=True),)
        if len(piece.tokens) > 1:
            # Of words in a row only the first can lack its beginning: look for the others, then in the texts.
            rest = msgspec.structs.replace(pieces[0], tokens=piece.tokens[1:])
            return _Found(stage, pieces, rules.match([rest]), unsure=True)
        terms = query.words_with(tx, piece.tokens[0], _WORDS_MAX)
        return _Found(stage, pieces, rules.match_any(terms)) if terms else None

    def _verified(self, found: _Found, shown: Mapping[int, Thread]) -> list[Hit]:
        hits = (_hit(shown[row["n"]], row, found.pieces, 1) for row in found.rows)
        return list(itertools.islice((hit for hit in hits if hit.matches), self._limit))


def _hit(thread: Thread, row: Row, pieces: Sequence[Piece], messages: int) -> Hit:
    """Return the hit that ``row`` is, with the words in their place; reads one line of the rollout."""
    role = rules.ROLES[row["role"]]
    at_ms: int | None = (row["row"] >> rules.SLOT_BITS) * 1000
    text = rules.title_text(thread.name, thread.title)
    if role != "title":
        said = message_at(thread.rollout_path, row["offset"], row["length"])
        if said is not None and said.role == role:
            text, at_ms = said.text, said.timestamp_ms
        else:
            text = text or thread.preview  # the file is gone, or another one by now
    snippet, matches = snippets.cut(text, snippets.found_in(text, pieces))
    return Hit(
        thread=thread,
        role=role,
        timestamp_ms=at_ms,
        snippet=snippet,
        matches=matches,
        offset=None if role == "title" else row["offset"],
        messages=messages,
    )
