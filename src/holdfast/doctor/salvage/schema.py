"""The schema of a damaged file: what tables and indexes it has, and where their trees begin."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from holdfast.doctor.salvage import pages
from holdfast.doctor.salvage.image import Image
from holdfast.doctor.salvage.walk import Tree, Walk

_NAME = re.compile(
    r"CREATE\s+(?:\w+\s+)?(TABLE|INDEX|TRIGGER|VIEW)\s+(?:IF\s+NOT\s+EXISTS\s+)?[\"'`\[]?([^\"'`\]\s(]+)", re.IGNORECASE
)
_PARTIAL = re.compile(r"\)\s*WHERE\s", re.IGNORECASE)


@dataclass(slots=True)
class Schema:
    """``tables``: name, root page (0: not known), CREATE statement. ``indexes``: table, root, whether of every row."""

    tables: list[tuple[str, int, str]] = field(default_factory=list)
    indexes: list[tuple[str, int, bool]] = field(default_factory=list)
    virtual: list[tuple[str, str]] = field(default_factory=list)
    later: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)


def schema(image: Image, walk: Walk, known: Sequence[str]) -> Schema:
    """Read the schema, and add what of ``known`` is missing in it."""
    found = Schema()
    tree = Tree(1)
    leaves = list(walk.leaves(tree))
    if image.guessed:
        found.odd.append(f"the first page is lost; its pages seem to have {image.header.page_bytes} bytes")
    elif tree.gaps:
        found.odd.append(f"{len(tree.gaps)} pages of the schema are lost")
    for leaf in leaves:
        data = image.page(leaf.number)
        page = None if data is None else pages.parse(leaf.number, data, image.header.usable)
        assert data is not None and page is not None  # it was parsed
        for at in page.cells:
            row = pages.row(data, at, image.header.usable, walk.overflow, image.header.encoding)
            if row is None or len(row[1]) != 5:
                found.odd.append(f"an entry of the schema on page {page.number} cannot be read")
                continue
            _take(found, *row[1])
    names = {name for name, _, _ in found.tables} | {name for name, _ in found.virtual}
    for sql in known:
        match = _NAME.match(sql.strip())
        if match is None:
            found.odd.append(f"not a CREATE statement: {sql[:60]!r}")
        elif match[1].upper() != "TABLE":
            if sql not in found.later:
                found.later.append(sql)
        elif match[2] not in names:
            found.tables.append((match[2], 0, sql))
    found.later.sort(key=lambda sql: not sql.upper().startswith(("CREATE INDEX", "CREATE UNIQUE INDEX")))
    return found


def _take(found: Schema, kind: object, name: object, table: object, root: object, sql: object) -> None:
    if not isinstance(name, str) or not isinstance(root, int):
        found.odd.append(f"an entry of the schema makes no sense: {kind!r} {name!r}")
    elif kind == "table" and isinstance(sql, str):
        if sql.upper().startswith("CREATE VIRTUAL"):
            found.virtual.append((name, sql))
        else:
            found.tables.append((name, root, sql))
    elif kind == "index":
        found.indexes.append((str(table), root, not (isinstance(sql, str) and _PARTIAL.search(sql))))
        if isinstance(sql, str):
            found.later.append(sql)
    elif isinstance(sql, str):
        found.later.append(sql)
