"""The shape of a database, moved forward one named file at a time: ours, or that of a program with a Store.

A *tree* is a folder of ``0001_name.sql``, ``0002_name.sql``: one of ours by its
name, another program's by its package (``"notes.migrations"``) or its path.

Forward only. Every migration runs once, inside the writer's transaction, after
looking again at what is there; its checksum is kept, over the text without
comments and spaces, so that a comment may be mended and a changed table is
caught. ``user_version`` counts the migrations and ``min_reader`` says from
which count on an older program may still read the file.
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from holdfast import sql
from holdfast.engine import Read, Write
from holdfast.errors import Damaged, Refused, Unsupported
from holdfast.schema.clock_anchor import anchored_clock

if TYPE_CHECKING:  # 3 ms of imports, for an annotation
    from pathlib import Path

__all__ = [
    "MIN_READER",
    "Migration",
    "Tree",
    "anchored_clock",
    "applied",
    "canonical",
    "check",
    "check_readable",
    "migrate",
    "migrations",
]

_SQL = sql.load("holdfast.schema")
_SPACE = re.compile(r"\s+")

Tree: TypeAlias = "str | Path"

MIN_READER = {"sqlite": 1, "postgres": 1, "search": 1, "cache": 1}
"""For each tree of ours: a file of this version may be read by any version that knows this many
migrations. Raise it only when a migration changes what old columns mean."""


class Counted(Read, Protocol):
    """A read that also knows how many migrations the database counts."""

    @property
    def user_version(self) -> int: ...


class Shaping(Write, Protocol):
    """A write that may also change the shape of the database."""

    user_version: int

    def script(self, text: str) -> None: ...

    def alone_to_migrate(self) -> None:
        """Wait until nobody else changes the shape."""
        ...


class Store(Protocol):
    """A database of either engine, as this room sees it."""

    path: str

    @property
    def kind(self) -> Literal["sqlite", "postgres"]: ...

    def read(self) -> AbstractContextManager[Counted]: ...

    def write(self, *, wait_ms: int = ...) -> AbstractContextManager[Shaping]: ...


@dataclass(frozen=True, slots=True)
class Migration:
    """One step: its name (``0003_threads``), its SQL, and the checksum of what the SQL says."""

    name: str
    text: str
    checksum: str


@cache
def migrations(tree: Tree) -> tuple[Migration, ...]:
    """Return the migrations of ``tree`` in order. Reads a few small files, once.

    Raises ``FileNotFoundError`` or ``ModuleNotFoundError`` when there is no such tree.
    """
    folder = _folder(tree)
    made = []
    for name in sorted(name for name in os.listdir(folder) if name.endswith(".sql")):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            made.append(_migration(name.removesuffix(".sql"), file.read()))
    return tuple(made)


def canonical(text: str) -> str:
    """Return ``text`` without comments and with single spaces: what a checksum is taken over."""
    return _SPACE.sub(" ", sql.without_comments(text)).strip()


def migrate(store: Store, tree: Tree | None = None, *, min_reader: int = 1, wait_ms: int = 30_000) -> int:
    """Bring the file to today's shape and return how many migrations ran.

    ``tree`` None: ours for that engine. All that are missing run in one transaction, once, however many processes
    begin at the same time. ``min_reader`` is how many migrations a program must
    know to read what is written from now on; raise it when a migration changes
    what old columns mean.

    Costs the read of ``check`` when there is nothing to do. Raises ``Busy``
    when nobody may write for longer than ``wait_ms``, ``Unsupported`` when a
    newer program made the file (it is never written, moved or deleted),
    ``Damaged`` when what was applied is not what the tree has, ``Refused`` when
    the file holds another program's tables or a migration is no good SQL: then
    nothing of it was kept.
    """
    tree = tree or store.kind
    if check(store, tree):
        return 0
    with store.write(wait_ms=wait_ms) as tx:
        tx.alone_to_migrate()
        # Someone else, even a newer holdfast, may have migrated between our look and our turn.
        done = _look(tx, store.path, tree)
        todo = migrations(tree)[done:]
        if not done:
            tx.script(_TABLES[store.kind])
        for step in todo:
            tx.script(step.text)
            tx.run(_SQL["record_migration"], name=step.name, checksum=step.checksum, applied_ms=tx.now_ms)
        if todo:
            tx.run(_SQL["put_min_reader"], min_reader=MIN_READER.get(str(tree), min_reader))
            tx.user_version = len(migrations(tree))
        return len(todo)


def check(store: Store, tree: Tree | None = None) -> bool:
    """Return True when the file has today's shape, False when it must be migrated.

    One read, no write. Raises ``Unsupported`` for a file of a newer holdfast,
    ``Damaged`` and ``Refused`` as ``migrate`` does.
    """
    tree = tree or store.kind
    with store.read() as tx:
        return _look(tx, store.path, tree) == len(migrations(tree))


def applied(tx: Counted, path: str, tree: Tree = "sqlite") -> int:
    """Return how many of our migrations the file at ``path`` has; 0 when it has no tables. Raises as ``check`` does."""
    return _look(tx, path, tree)


def check_readable(store: Store, tree: Tree | None = None) -> bool:
    """Return True when this version can read the file as it is, False when it must be migrated first.

    That is today's shape, and a newer one whose ``min_reader`` allows us. One
    read, no write. Raises ``Unsupported`` for a newer file that does not,
    ``Damaged`` and ``Refused`` as ``migrate`` does.
    """
    tree = tree or store.kind
    with store.read() as tx:
        if (min_reader := _min_reader_of_newer(tx, tree)) is None:
            return _look(tx, store.path, tree) == len(migrations(tree))
        if min_reader > len(migrations(tree)):
            raise _newer(tx, store.path, tree, min_reader)
        return True


def _look(tx: Counted, path: str, tree: Tree) -> int:
    """Return how many migrations the file has, after comparing them with ours."""
    if (min_reader := _min_reader_of_newer(tx, tree)) is not None:
        raise _newer(tx, path, tree, min_reader)
    if not _has_migrations(tx):
        if tx.user_version or tx.row(_SQL["has_tables"]):
            raise Refused(
                f"{path} holds tables that are not ours; it was left as it is",
                remedy="Name another path (of the state directory: HOLDFAST_STATE or --state).",
            )
        return 0
    applied = [(row["name"], row["checksum"]) for row in tx.rows(_SQL["list_migrations"])]
    for (name, checksum), ours in zip(applied, migrations(tree), strict=False):
        if (name, checksum) != (ours.name, ours.checksum):
            raise Damaged(f"{path}: migration {name} was applied with other words than this version's {ours.name}")
    if len(applied) != tx.user_version:
        raise Damaged(f"{path}: {len(applied)} migrations are recorded, its header counts {tx.user_version}")
    return len(applied)


def _min_reader_of_newer(tx: Counted, tree: Tree) -> int | None:
    # None: the file is not newer than we are, or not ours at all.
    if tx.user_version <= len(migrations(tree)) or not _has_migrations(tx):
        return None
    row = tx.row(_SQL["get_min_reader"])
    return row["min_reader"] if row else tx.user_version


def _has_migrations(tx: Read) -> bool:
    return tx.row(_SQL["has_migrations"]) is not None


def _newer(tx: Counted, path: str, tree: Tree, min_reader: int) -> Unsupported:
    known = len(migrations(tree))
    program = "holdfast" if tree in MIN_READER else "version of this program"
    upgrade = "Upgrade holdfast" if tree in MIN_READER else "Upgrade the program"
    look = "holdfast.peek()" if tree in MIN_READER else "Store.peek"
    return Unsupported(
        f"{path} was made by a newer {program}: it has {tx.user_version} migrations, this version knows {known}",
        remedy=f"{upgrade}." if min_reader > known else f"{upgrade}; until then `{look}` can still read it.",
    )


def _folder(tree: Tree) -> str:
    if not isinstance(tree, str):
        return os.fspath(tree)
    return f"{sql.folder(__name__)}/{tree}" if tree in MIN_READER else sql.folder(tree)


def _migration(name: str, text: str) -> Migration:
    return Migration(name, text, hashlib.sha256(canonical(text).encode()).hexdigest()[:16])


_TABLES = {
    "sqlite": """
CREATE TABLE migrations (
    name       TEXT    NOT NULL PRIMARY KEY,
    checksum   TEXT    NOT NULL,
    applied_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE readers (one INTEGER PRIMARY KEY CHECK (one = 1), min_reader INTEGER NOT NULL) STRICT;
""",
    # `header` is what the header of a file is to SQLite; `commits` is the engine's (postgres/committing.py).
    "postgres": """
CREATE TABLE migrations (
    name       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    checksum   TEXT             NOT NULL,
    applied_ms BIGINT           NOT NULL
);
CREATE TABLE readers (one INTEGER PRIMARY KEY CHECK (one = 1), min_reader BIGINT NOT NULL);
CREATE TABLE header (one INTEGER PRIMARY KEY CHECK (one = 1), user_version BIGINT NOT NULL);
CREATE TABLE commits (token UUID PRIMARY KEY, made_ms BIGINT NOT NULL, kept INTEGER NOT NULL);
""",
}
