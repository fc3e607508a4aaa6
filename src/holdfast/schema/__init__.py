"""The shape of the database, moved forward one named file at a time.

Forward only. Every migration runs once, inside the writer's transaction, after
looking again at what is there; its checksum is kept, over the text without
comments and spaces, so that a comment may be mended and a changed table is
caught. ``user_version`` counts the migrations and ``min_reader`` says from
which count on an older holdfast may still read the file.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

from holdfast.errors import Damaged, Unsupported
from holdfast.sql import Statement
from holdfast.sqlite import Store, Writing

_COMMENT = re.compile(r"--[^\n]*")
_SPACE = re.compile(r"\s+")

# A file made by this version may be read by any version that knows this many
# migrations. Raise it only when a migration changes what old columns mean.
MIN_READER = 1


@dataclass(frozen=True, slots=True)
class Migration:
    """One step: its name (``0003_threads``), its SQL, and the checksum of what the SQL says."""

    name: str
    text: str
    checksum: str


@cache
def migrations(tree: str) -> tuple[Migration, ...]:
    """Return the migrations of ``tree`` (``sqlite``, ``search``) in order. Reads a few small files, once."""
    folder = resources.files("holdfast.schema") / tree
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return tuple(_migration(file.name.removesuffix(".sql"), file.read_text(encoding="utf-8")) for file in files)


def canonical(text: str) -> str:
    """Return ``text`` without comments and with single spaces: what a checksum is taken over."""
    return _SPACE.sub(" ", _COMMENT.sub("", text)).strip()


def migrate(store: Store, tree: str = "sqlite") -> int:
    """Bring the file to today's shape and return how many migrations ran.

    Costs one read of ``user_version`` when there is nothing to do. Raises
    ``Unsupported`` when a newer holdfast made the file (it is never written,
    moved or deleted), ``Damaged`` when what was applied is not what we shipped.
    """
    if check(store, tree):
        return 0
    with store.write(wait_ms=30_000) as tx:
        # Someone else may have migrated between our look and our turn to write.
        applied = _applied(tx)
        _compare(store.path, tree, applied)
        todo = migrations(tree)[len(applied) :]
        if not applied:
            tx.script(_TABLES)
        for step in todo:
            tx.script(step.text)
            tx.run(_RECORD, name=step.name, checksum=step.checksum, applied_ms=tx.now_ms)
        tx.run(_PUT_MIN_READER, min_reader=MIN_READER)
        tx.user_version = len(migrations(tree))
        return len(todo)


def check(store: Store, tree: str = "sqlite") -> bool:
    """Return True when the file has today's shape, False when it must be migrated.

    Raises ``Unsupported`` for a file of a newer holdfast. Never writes.
    """
    known = len(migrations(tree))
    with store.read() as tx:
        found = tx.user_version
        if found > known:
            row = tx.row(_GET_MIN_READER)
            least = row["min_reader"] if row else found
            raise Unsupported(
                f"{store.path} was made by a newer holdfast: it has {found} migrations, this version knows {known}",
                remedy="Upgrade holdfast."
                if least > known
                else "Upgrade holdfast; until then `holdfast.peek()` can still read it.",
            )
        return found == known


def _applied(tx: Writing) -> list[tuple[str, str]]:
    if tx.row(_HAS_MIGRATIONS) is None:
        return []
    return [(row["name"], row["checksum"]) for row in tx.rows(_LIST_MIGRATIONS)]


def _compare(path: str, tree: str, applied: list[tuple[str, str]]) -> None:
    for (name, checksum), ours in zip(applied, migrations(tree), strict=False):
        if name != ours.name or checksum != ours.checksum:
            raise Damaged(f"{path}: migration {name} was applied with other words than this version's {ours.name}")


def _migration(name: str, text: str) -> Migration:
    return Migration(name, text, hashlib.sha256(canonical(text).encode()).hexdigest()[:16])


def _statement(name: str, text: str, *params: str) -> Statement:
    return Statement(name, text, text, frozenset(params), frozenset())


_TABLES = """
CREATE TABLE migrations (
    name       TEXT    NOT NULL PRIMARY KEY,
    checksum   TEXT    NOT NULL,
    applied_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE readers (one INTEGER PRIMARY KEY CHECK (one = 1), min_reader INTEGER NOT NULL) STRICT;
"""
_HAS_MIGRATIONS = _statement("has_migrations", "SELECT 1 AS yes FROM sqlite_schema WHERE name = 'migrations'")
_LIST_MIGRATIONS = _statement("list_migrations", "SELECT name, checksum FROM migrations ORDER BY name")
_GET_MIN_READER = _statement("get_min_reader", "SELECT min_reader FROM readers")
_PUT_MIN_READER = _statement(
    "put_min_reader",
    "INSERT INTO readers (one, min_reader) VALUES (1, :min_reader)"
    " ON CONFLICT (one) DO UPDATE SET min_reader = excluded.min_reader",
    "min_reader",
)
_RECORD = _statement(
    "record_migration",
    "INSERT INTO migrations (name, checksum, applied_ms) VALUES (:name, :checksum, :applied_ms)",
    "name",
    "checksum",
    "applied_ms",
)
