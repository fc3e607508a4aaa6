"""Named SQL statements, read from ``.sql`` files that lie beside the code that uses them.

A statement is written once, in the dialect SQLite and PostgreSQL share, with
``:name`` parameters. Where PostgreSQL truly needs other words,
``queries.postgres.sql`` redefines that one name and says *Differs: …*.

A statement may leave slots, ``{where}``, that ``Statement.fill`` closes with
other named statements of the same file: a list with optional filters stays SQL
in a ``.sql`` file, and each combination is made once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module

_HEADER = re.compile(r"^-- name: (\w+)[ \t]*$", re.MULTILINE)
_ALMOST_HEADER = re.compile(r"^\s*--\s*name\s*:.*$", re.MULTILINE | re.IGNORECASE)
_TEXT_OR_COMMENT = re.compile(r"('(?:[^']|'')*')|[ \t]*--[^\n]*")
_EMPTY_LINES = re.compile(r"\n\s*\n")
_PARAM = re.compile(r"(?<![:\w]):([a-z]\w*)")
_SLOT = re.compile(r"\{([a-z]\w*)\}")


def quoted(name: str) -> str:
    """Return the name of somebody's table or column as SQL reads it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, ready for either engine.

    ``postgres`` has ``%(name)s`` in place of ``:name``. ``slots`` are still to
    be filled; a statement with open slots cannot be run.
    """

    name: str
    sqlite: str
    postgres: str
    params: frozenset[str]
    slots: frozenset[str]

    def fill(self, **parts: str | Statement) -> Statement:
        """Return this statement with its slots closed.

        A part is another statement, or a fragment of SQL that the caller
        wrote (never user input: values go in as parameters). Raises
        ``ValueError`` when the parts are not exactly the slots.
        """
        if parts.keys() != self.slots:
            raise ValueError(f"{self.name}: slots are {sorted(self.slots)}, got {sorted(parts)}")
        sqlite = {key: part.sqlite if isinstance(part, Statement) else part for key, part in parts.items()}
        postgres = {
            key: part.postgres if isinstance(part, Statement) else _psycopg(part) for key, part in parts.items()
        }
        return _statement(
            self.name,
            _SLOT.sub(lambda slot: sqlite[slot[1]], self.sqlite),
            _SLOT.sub(lambda slot: postgres[slot[1]], self.postgres),
        )


@cache
def load(package: str) -> Mapping[str, Statement]:
    """Return the statements of ``package`` by name. Reads two small files, once per process.

    Raises ``ValueError`` when an override has no original, or takes other
    parameters or slots than the original: an override changes the words, never
    the meaning.
    """
    shared = parse(_read(package, "queries.sql"))
    overrides = parse(_read(package, "queries.postgres.sql"))
    if unknown := overrides.keys() - shared.keys():
        raise ValueError(f"{package}: overrides without an original: {sorted(unknown)}")
    statements = {}
    for name, text in shared.items():
        other = overrides.get(name, text)
        if set(_PARAM.findall(text)) != set(_PARAM.findall(other)):
            raise ValueError(f"{package}: the PostgreSQL words of {name} take other parameters")
        if set(_SLOT.findall(text)) != set(_SLOT.findall(other)):
            raise ValueError(f"{package}: the PostgreSQL words of {name} leave other slots")
        statements[name] = _statement(name, text, _psycopg(other))
    return statements


def statement(text: str, name: str = "statement") -> Statement:
    """Return one statement written where it is used: ``statement("SELECT text FROM notes WHERE id = :id")``.

    ``name`` is what errors call it. Make it once, at the top of a module.
    """
    bare = without_comments(text)
    return _statement(name, bare, _psycopg(bare))


def joined(between: str, parts: Iterable[Statement | str]) -> Statement:
    """Return ``parts`` as one fragment, ``between`` between each two: for a list of filters, or of branches."""
    made = [statement(part) if isinstance(part, str) else part for part in parts]
    return _statement("joined", between.join(part.sqlite for part in made), between.join(p.postgres for p in made))


def parse(text: str) -> dict[str, str]:
    """Return the statements in ``text`` by name, without comments.

    Raises ``ValueError`` on a name used twice, a header that is not quite one
    (its statement would join the one before), and a name without a statement.
    """
    before, *parts = _HEADER.split(text)
    if stray := without_comments(before):
        raise ValueError(f"a statement without a name: {stray[:60]!r}")
    statements: dict[str, str] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        if odd := _ALMOST_HEADER.search(body):
            raise ValueError(f"{odd[0].strip()!r}: a header is `-- name: ` and one word, from the first column")
        if name in statements:
            raise ValueError(f"two statements are named {name}")
        statements[name] = without_comments(body)
        if not statements[name]:
            raise ValueError(f"{name} has no statement")
    return statements


def without_comments(text: str) -> str:
    """Return ``text`` without ``--`` comments and empty lines; what looks like one inside quotes stays."""
    bare = _TEXT_OR_COMMENT.sub(lambda found: found[1] or "", text)
    return _EMPTY_LINES.sub("\n", bare).strip()


def _statement(name: str, sqlite: str, postgres: str) -> Statement:
    return Statement(name, sqlite, postgres, frozenset(_PARAM.findall(sqlite)), frozenset(_SLOT.findall(sqlite)))


def _psycopg(text: str) -> str:
    return _PARAM.sub(r"%(\1)s", text.replace("%", "%%"))


def _read(package: str, filename: str) -> str:
    try:
        return load_script(package, filename)
    except FileNotFoundError:
        return ""


def load_script(package: str, filename: str) -> str:
    """Return the text of an ``.sql`` file that is run whole. Raises ``FileNotFoundError`` when there is none."""
    with open(os.path.join(folder(package), filename), encoding="utf-8") as file:
        return file.read()


def folder(package: str) -> str:
    """Return where the files of ``package`` lie. A path, not ``importlib.resources``: that import takes 8 ms."""
    return import_module(package).__path__[0]
