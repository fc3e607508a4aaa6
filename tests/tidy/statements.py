"""The .sql files: no clock, nothing unused, nothing missing, migrations that never change."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from modules import PACKAGE, Module, imports, modules

from holdfast import sql
from holdfast.schema import _migration

# SQL never reads a clock (DESIGN §3): not SQLite's, not PostgreSQL's.
_CLOCK = re.compile(
    r"\b(now|strftime|datetime|date|time|julianday|unixepoch|timediff|clock_timestamp|statement_timestamp"
    r"|transaction_timestamp|timeofday|age)\s*\(|\bcurrent_(timestamp|time|date)\b|\blocaltime(stamp)?\b|'now'",
    re.IGNORECASE,
)
_LOOKS_LIKE_SQL = re.compile(r"^\s*(SELECT|INSERT|UPDATE|DELETE|CREATE|WITH|REPLACE|PRAGMA)\b")
_MIGRATION = re.compile(r"(\d{4})_[a-z][a-z0-9_]*\.sql")


def check_clocks(src: Path) -> list[str]:
    """Complain of every clock function, in .sql files and in SQL inside Python."""
    complaints = []
    for path in sorted((src / PACKAGE).rglob("*.sql")):
        text = sql.without_comments(path.read_text(encoding="utf-8"))
        complaints += [f"{path.relative_to(src)} reads a clock: {found[0]!r}" for found in _CLOCK.finditer(text)]
    for module in modules(src).values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and _LOOKS_LIKE_SQL.match(node.value):
                complaints += [
                    f"{module.name}:{node.lineno} reads a clock: {found[0]!r}" for found in _CLOCK.finditer(node.value)
                ]
    return complaints


def check_statements(src: Path) -> list[str]:
    """Complain of statements nobody uses, of names no file has, and of .sql files nobody loads."""
    known = modules(src)
    made = {f"{module.name}.{name}": table for module in known.values() for name, table in _tables(module)}
    complaints, used, loaded = [], set(), set(made.values())
    for module in known.values():
        tables = _in_reach(module, known, made)
        for line, table, key in _lookups(module, tables):
            statements = _statements(src, table)
            names = [key] if key in statements else [name for name in statements if re.fullmatch(key, name)]
            used |= {(table, name) for name in names}
            if not names:
                complaints.append(f"{module.name}:{line} asks for {key}, which {table} has not")
        # Names that are handed on: `_set(tx, "set_name", …)`. A word of ours that is a statement's name.
        words = {
            node.value
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        used |= {(table, name) for table in tables.values() for name in words & _statements(src, table).keys()}
    for path in sorted((src / PACKAGE).rglob("queries.sql")):
        table = ".".join(path.parent.relative_to(src).parts)
        if table not in loaded:
            complaints.append(f"{path.relative_to(src)} is loaded by nobody")
        complaints += [
            f"{path.relative_to(src)}: {name} is used by nobody"
            for name in _statements(src, table)
            if table in loaded and (table, name) not in used
        ]
    return complaints


def check_migrations(src: Path, pinned: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Complain of gaps, odd names, and migrations that are not the ones we shipped."""
    complaints = []
    trees = [path for path in (src / PACKAGE / "schema").iterdir() if path.is_dir() and [*path.glob("*.sql")]]
    for tree in sorted(trees):
        shipped = dict(pinned.get(tree.name, {}))
        for number, path in enumerate(sorted(tree.glob("*.sql")), start=1):
            here = f"{tree.name}/{path.name}"
            match = _MIGRATION.fullmatch(path.name)
            if match is None:
                complaints.append(f"{here}: a migration is named like 0001_base.sql")
                continue
            if int(match[1]) != number:
                complaints.append(f"{here}: number {number:04} is missing or taken twice")
            checksum = _migration(path.stem, path.read_text(encoding="utf-8")).checksum
            expected = shipped.pop(path.stem, None)
            if expected is None:
                complaints.append(f"{here} is not pinned: add {path.stem!r}: {checksum!r} to PINNED")
            elif expected != checksum:
                complaints.append(
                    f"{here} was changed (now {checksum}). Databases out there have the old words and would be called"
                    " damaged: put it back, and add a new migration. Only if it was never released, pin it again."
                )
        complaints += [f"{tree.name}/{name}.sql was shipped and is gone: put it back" for name in shipped]
    return complaints


def _statements(src: Path, table: str) -> dict[str, str]:
    path = src.joinpath(*table.split("."), "queries.sql")
    return sql.parse(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _tables(module: Module) -> Iterator[tuple[str, str]]:
    """Yield the variables that hold statements, with the package they are of: ``_SQL = sql.load("holdfast.x")``."""
    for node in ast.walk(module.tree):
        match node:
            case ast.Assign(
                targets=[ast.Name(id=name)],
                value=ast.Call(func=ast.Attribute(attr="load"), args=[ast.Constant(value=str(table))]),
            ) if table.startswith(PACKAGE):
                yield name, table


def _in_reach(module: Module, known: dict[str, Module], made: Mapping[str, str]) -> dict[str, str]:
    """Return what ``module`` may write before ``["name"]``, and the package that is of: ``_SQL``, ``store.SQL``."""
    here = dict(_tables(module))
    for found in imports(module, known):
        for variable, table in made.items():
            owner, _, name = variable.rpartition(".")
            if owner == found.module and found.word in ("", name):
                here[name if found.word else f"{owner.rpartition('.')[2]}.{name}"] = table
    return here


def _lookups(module: Module, tables: Mapping[str, str]) -> Iterator[tuple[int, str, str]]:
    """Yield ``_SQL["name"]``, and of a name that is put together a pattern."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Subscript) and (holder := ast.unparse(node.value)) in tables:
            for key in _keys(node.slice):
                yield node.lineno, tables[holder], key


def _keys(node: ast.expr) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(name)):
            yield name
        case ast.IfExp(body=one, orelse=other):
            yield from _keys(one)
            yield from _keys(other)
        case ast.JoinedStr(values=parts):
            yield "".join(re.escape(part.value) if isinstance(part, ast.Constant) else r"\w+" for part in parts)
