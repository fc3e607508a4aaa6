"""What a table of the new file looks like from a record: which value goes into which column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.doctor.salvage.pages import Value
from holdfast.sqlite.filling import Column

_ROWID_NAMES = ("rowid", "_rowid_", "oid")


@dataclass(frozen=True, slots=True)
class Table:
    """A table that rows are put into. ``held`` are its columns in the order of a record."""

    name: str
    root: int
    held: tuple[Column, ...]
    without_rowid: bool
    alias: int | None
    """Which column of a record is the rowid, and NULL in it; None: no column is."""
    rowid_name: str | None
    """What the rowid is called in SQL; None: every name of it is taken by a column, or there is none."""

    generates: bool

    def fits(self, record: Sequence[Value]) -> bool:
        """Return True when a record can be a row of this table: its length, and the kind of each value."""
        if len(record) > len(self.held) or not record:
            return False
        for place, (value, column) in enumerate(zip(record, self.held, strict=False)):
            if place == self.alias:
                if value is not None:
                    return False
            elif value is None:
                if column.not_null or (column.key and self.without_rowid):
                    return False
            elif not _can_hold(column.declared.upper(), value):
                return False
        return not any(column.not_null and not column.generated for column in self.held[len(record) :])

    def insert(self, width: int) -> str:
        """Return the statement that puts a record of ``width`` values in; the rowid comes first where it is kept."""
        names = [quoted(column.name) for column in self.held[:width] if not column.generated]
        if self.alias is None and self.rowid_name is not None:
            names.insert(0, self.rowid_name)
        return f"INSERT INTO {quoted(self.name)} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"

    def values(self, rowid: int, record: Sequence[Value]) -> tuple[Value, ...]:
        """Return what ``insert`` takes."""
        if self.alias is not None and self.alias < len(record):
            record = (*record[: self.alias], rowid, *record[self.alias + 1 :])
        if self.generates:
            record = [value for value, column in zip(record, self.held, strict=False) if not column.generated]
        return (rowid, *record) if self.alias is None and self.rowid_name is not None else tuple(record)


def table(name: str, root: int, columns: Sequence[Column], without_rowid: bool) -> Table:
    """Return how rows of a table lie in their records: sqlite.org/fileformat2.html, sections 2.3 and 2.4."""
    stored = [column for column in columns if column.stored]
    if without_rowid:  # the primary key first, in its own order
        key = sorted((column for column in stored if column.key), key=lambda column: column.key)
        held = (*key, *(column for column in stored if not column.key))
        return Table(name, root, held, True, None, None, any(column.generated for column in held))
    keys = [place for place, column in enumerate(stored) if column.key]
    alias = keys[0] if len(keys) == 1 and stored[keys[0]].declared.upper() == "INTEGER" else None
    taken = {column.name.lower() for column in columns}
    free = next((each for each in _ROWID_NAMES if each not in taken), None)
    return Table(name, root, tuple(stored), False, alias, free, any(column.generated for column in stored))


def quoted(name: str) -> str:
    """Return a name as SQL reads it."""
    return '"' + name.replace('"', '""') + '"'


def _can_hold(declared: str, value: Value) -> bool:
    """Return False when SQLite would have stored ``value`` as something else: sqlite.org/datatype3.html, section 3."""
    if "INT" in declared:
        return not isinstance(value, str) or not value.strip().lstrip("+-").isdigit()
    if any(word in declared for word in ("CHAR", "CLOB", "TEXT")):
        return isinstance(value, str | bytes)
    return True
