"""The mark of a move: in the database it fills, until it is full, and in the one it left, for good.

The one that was left takes no writes any more, also from programs that had it
open all the while: each of its tables has a trigger that refuses them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Literal

import msgspec

from holdfast import schema, sql
from holdfast.engine import Read
from holdfast.errors import Refused

SQL = sql.load("holdfast.state")
_TABLE = "CREATE TABLE IF NOT EXISTS moves (one INTEGER PRIMARY KEY CHECK (one = 1), mark TEXT NOT NULL)"
_EVENTS = ("INSERT", "UPDATE", "DELETE")


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """Which move this database takes part in, and on which side. ``source`` and ``target`` without a password."""

    id: str
    role: Literal["moving", "moved"]
    source: str
    host: str
    """The machine of a source that is a directory; else empty."""
    target: str
    at_ms: int
    epoch: int = 0
    """Of the target, when it was complete; 0: it is not yet."""

    def sentence(self) -> str:
        """Return what is to be said to whoever opens this database."""
        day = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(self.at_ms / 1000))
        if self.role == "moved":
            return f"{self.source} was moved to {self.target} on {day}"
        return f"{self.target} is being filled from {self.source} since {day}, and is not complete"

    def remedy(self) -> str:
        """Return what to do then."""
        if self.role == "moved":
            return "Open that, or take this one up again as it was left: `holdfast move --undo --from` it."
        return "Run the same `holdfast move` again: it begins anew. Until it has ended, what counts is the source."


def read(tx: Read) -> Mark | None:
    """Return the mark of a database; None: no move concerns it. One statement, where there is none."""
    if tx.row(SQL["has_moves"]) is None:
        return None
    row = tx.row(SQL["get_move"])
    return None if row is None else msgspec.json.decode(row["mark"], type=Mark)


def refuse(engine: schema.Store) -> None:
    """Raise ``Refused`` for a database that was moved away, or is only half here."""
    with engine.read() as tx:
        mark = read(tx)
    if mark is not None:
        raise Refused(mark.sentence(), remedy=mark.remedy())


def put(tx: schema.Shaping, mark: Mark) -> None:
    """Mark the database."""
    tx.script(_TABLE)
    tx.run(SQL["put_move"], mark=msgspec.json.encode(mark).decode())


def lift(tx: schema.Shaping) -> None:
    """Take the mark away."""
    tx.script("DROP TABLE moves")


def lock(tx: schema.Shaping, kind: str, tables: Iterable[str]) -> None:
    """Keep every other writer out until this transaction ends; readers go on. SQLite's writer has no other beside it.

    Raises ``Busy`` when somebody writes for longer than the transaction waits.
    """
    if kind == "postgres":
        tx.script(f"LOCK TABLE {', '.join(tables)} IN SHARE ROW EXCLUSIVE MODE")


def freeze(tx: schema.Shaping, kind: str, tables: Iterable[str], mark: Mark) -> None:
    """Have the database refuse every write from now on, whoever has it open. Commits with the mark."""
    said = f"{mark.sentence()}. {mark.remedy()}".replace("'", "''")
    if kind == "sqlite":
        script = "".join(
            f"CREATE TRIGGER moved_{event.lower()}_{table} BEFORE {event} ON {table}"
            f" BEGIN SELECT RAISE(ABORT, '{said}'); END;\n"
            for table in tables
            for event in _EVENTS
        )
    else:
        body = f"BEGIN RAISE EXCEPTION '%', '{said}' USING ERRCODE = 'restrict_violation'; END".replace("'", "''")
        script = f"CREATE FUNCTION moved_away() RETURNS trigger LANGUAGE plpgsql AS '{body}';\n" + "".join(
            f"CREATE TRIGGER moved_away BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION moved_away();\n"
            for table in tables
        )
    tx.script(script)


def thaw(tx: schema.Shaping, kind: str, tables: Iterable[str]) -> None:
    """Let the database be written again."""
    if kind == "sqlite":
        tx.script("".join(f"DROP TRIGGER moved_{event.lower()}_{table};\n" for table in tables for event in _EVENTS))
    else:
        tx.script("DROP FUNCTION moved_away() CASCADE")
