"""Rows of search.db in and out, and what state.db says of its threads. Each function joins the caller's transaction."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import msgspec

from holdfast import sql
from holdfast.engine import Engine, Read, Row, Write
from holdfast.errors import Damaged
from holdfast.search import rules, trigrams
from holdfast.search.rows import NOWHERE, Behind, Fed, Identity, MadeOf, NewRow, Place
from holdfast.sql import Statement

SQL = sql.load("holdfast.search")
BEHIND = SQL["behind"].fill(haystack=sql.load("holdfast.threads")["haystack"])
_SLICE = 500  # texts put in between two looks at whether to stop: 10 ms

# --- state.db


class StateDamaged(Damaged):
    """It is state.db that is damaged, not the index: nothing that we could make again."""


class OfState:
    """A read of state.db that tells its damage apart from that of the index."""

    def __init__(self, tx: Read) -> None:
        self._tx = tx
        self.now_ms = tx.now_ms

    def row(self, statement: Statement, /, **params: object) -> Row | None:
        """See ``Read.row``."""
        try:
            return self._tx.row(statement, **params)
        except Damaged as error:
            raise StateDamaged(str(error)) from error

    def rows(self, statement: Statement, /, **params: object) -> list[Row]:
        """See ``Read.rows``."""
        try:
            return self._tx.rows(statement, **params)
        except Damaged as error:
            raise StateDamaged(str(error)) from error

    def tuples(self, statement: Statement, /, **params: object) -> list[tuple[Any, ...]]:
        """See ``Read.tuples``."""
        try:
            return self._tx.tuples(statement, **params)
        except Damaged as error:
            raise StateDamaged(str(error)) from error


@contextmanager
def reading(engine: Engine) -> Iterator[Read]:
    """Begin a read of state.db."""
    with ExitStack() as stack:
        try:
            tx = stack.enter_context(engine.read())
        except Damaged as error:
            raise StateDamaged(str(error)) from error
        yield OfState(tx)


def identity(tx: Read) -> Identity:
    """Return which state.db this is; its ``state_id`` is 0 when it was never fed from."""
    row = tx.row(SQL["get_identity"])
    assert row is not None  # an aggregate always has one row
    return row["state_id"], row["epoch"]


def name_state(tx: Write, state_id: int) -> Identity:
    """Give the database ``state_id`` (random) unless it has one, and return its identity."""
    tx.run(SQL["put_state_id"], state_id=state_id)
    return identity(tx)


def behind(tx: Read, home_id: int, place: Place, upto: int, limit: int) -> list[Behind]:
    """Return the next threads of a home that changed after ``place``, not later than revision ``upto``."""
    rows = tx.rows(BEHIND, home_id=home_id, revision=place[0], n=place[1], upto=upto, limit=limit)
    return [Behind(**row) for row in rows]


def count_behind(tx: Read, home_id: int, place: Place) -> int:
    """Return how many threads of a home changed after ``place``."""
    row = tx.row(SQL["count_behind"], home_id=home_id, revision=place[0], n=place[1])
    return int(row["threads"]) if row else 0


def changed(tx: Read, place: Place, limit: int) -> list[int]:
    """Return up to ``limit`` threads, of any home, that changed after ``place``."""
    row = tx.row(SQL["changed"], revision=place[0], n=place[1], limit=limit)
    assert row is not None  # an aggregate always has one row
    return msgspec.json.decode(row["ns"], type=list[int])


def is_behind(tx: Read, home_id: int, place: Place) -> bool:
    """Return True when a home has threads that changed after ``place``, or was not indexed to its end."""
    row = tx.row(SQL["is_behind"], home_id=home_id, revision=place[0], n=place[1])
    assert row is not None  # a query without FROM always has one row
    return bool(row["behind"])


# --- search.db


def fed_identity(tx: Read) -> Identity | None:
    """Return which state.db the index was fed from; None when it is empty."""
    row = tx.row(SQL["fed_identity"])
    return None if row is None else (row["state_id"], row["epoch"])


def begin_anew(tx: Write, identity: Identity) -> None:
    """Forget everything, and note that from now on it comes from ``identity``."""
    for name in (
        "forget_words",
        "forget_titles",
        "forget_messages",
        "forget_fed",
        "forget_progress",
        "forget_identity",
    ):
        tx.run(SQL[name])
    tx.run(SQL["put_identity"], state_id=identity[0], epoch=identity[1], unicode=unicodedata.unidata_version)


def made_of(tx: Read) -> MadeOf | None:
    """Return what the titles in the index were made of; None when it is empty."""
    row = tx.row(SQL["made_of"])
    return None if row is None else MadeOf((row["state_id"], row["epoch"]), row["revision"], row["unicode"])


def places(tx: Read, homes: Sequence[int]) -> dict[int, Place]:
    """Return how far each home has been fed."""
    found = {
        row["home_id"]: (row["revision"], row["n"]) for row in tx.rows(SQL["get_progress"], homes=json.dumps(homes))
    }
    return {home_id: found.get(home_id, NOWHERE) for home_id in homes}


def set_place(tx: Write, home_id: int, place: Place) -> None:
    """Note how far a home has been fed."""
    tx.run(SQL["put_progress"], home_id=home_id, revision=place[0], n=place[1])


def fed(tx: Read, ns: Iterable[int]) -> dict[int, Fed]:
    """Return what is in of these threads, by ``n``."""
    return {row["n"]: Fed(**row) for row in tx.rows(SQL["get_fed"], ns=json.dumps(list(ns)))}


def put_fed(tx: Write, rows: Iterable[Fed]) -> None:
    """Insert or renew rows of ``fed``."""
    tx.run_many(SQL["put_fed"], [msgspec.structs.asdict(row) for row in rows])


def forget(tx: Write, ns: Sequence[int]) -> None:
    """Take everything of these threads out."""
    for n in ns:
        rows = tx.rows(SQL["rows_of_thread"], match=rules.thread_word(n))
        delete_rows(tx, [row["row"] for row in rows])
        tx.run(SQL["delete_fed"], n=n)


def delete_rows(tx: Write, rows: Sequence[int]) -> None:
    """Take these texts out."""
    asked = [{"row": row} for row in rows]
    tx.run_many(SQL["delete_words"], asked)
    tx.run_many(SQL["delete_message"], asked)


def rows_for(tx: Read, new: Sequence[NewRow]) -> list[int]:
    """Return a free row id for each of ``new``, in its second, or in the next one that has room."""
    seconds = [rules.second(row.at_ms) for row in new]
    slots = rules.Slots(_taken(tx, set(seconds)))
    found = []
    for at in seconds:
        while (row := slots.next(at)) is None:
            at += 1
            if at not in slots:
                slots.add(_taken(tx, {at}))
        found.append(row)
    return found


def _taken(tx: Read, seconds: set[int]) -> dict[int, int]:
    rows = tx.rows(SQL["taken"], seconds=json.dumps(sorted(seconds)), bits=rules.SLOT_BITS)
    return {row["at"]: -1 if row["row"] is None else row["row"] for row in rows}


def put(tx: Write, rows: Sequence[int], new: Sequence[NewRow], between: Callable[[], None]) -> None:
    """Put texts in under ``rows``. Calls ``between`` now and then; what that raises ends it."""
    order = sorted(range(len(rows)), key=rows.__getitem__)  # a row id below the last one makes FTS5 flush
    for begin in range(0, len(order), _SLICE):
        between()
        some = [(rows[at], new[at]) for at in order[begin : begin + _SLICE]]
        tx.run_many(
            SQL["put_message"],
            [
                {
                    "row": row,
                    "n": each.n,
                    "role": each.line.role,
                    "offset": each.line.offset,
                    "length": each.line.length,
                }
                for row, each in some
            ],
        )
        tx.run_many(
            SQL["put_words"], [{"row": row, "text": rules.indexed(each.line.text, each.n)} for row, each in some]
        )


def put_titles(tx: Write, titles: Sequence[tuple[int, str]], revision: int, between: Callable[[], None]) -> None:
    """Put in, or renew, what a title search looks in, by ``n``, none of it later than ``revision``. See ``put``."""
    tx.run(SQL["note_made_of"], revision=revision, unicode=unicodedata.unidata_version)
    ordered = sorted(titles)
    for begin in range(0, len(ordered), _SLICE):
        between()
        some = ordered[begin : begin + _SLICE]
        tx.run_many(SQL["put_title"], [{"n": n, "text": trigrams.indexed(text)} for n, text in some])


def titles_with(tx: Read, needle: str, limit: int) -> list[int]:
    """Return up to ``limit`` threads whose title may hold ``needle``."""
    match = trigrams.match(needle)
    if match is not None:
        row = tx.row(SQL["titles_with"], match=match, limit=limit)
    else:
        low, high = trigrams.span(needle)
        row = tx.row(SQL["titles_with_short"], low=low, high=high, limit=limit)
    assert row is not None  # an aggregate always has one row
    return msgspec.json.decode(row["ns"], type=list[int])


def count(tx: Read, homes: Sequence[int]) -> tuple[int, int]:
    """Return how many threads of these homes are in, and how many of their messages. Reads every thread's row."""
    row = tx.row(SQL["count_fed"], homes=json.dumps(homes))
    assert row is not None  # an aggregate always has one row
    return row["threads"], row["messages"]
