"""What a table of the new file looks like from a record: which value goes into which column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.doctor.salvage.made import TABLE as SHOWN
from holdfast.doctor.salvage.pages import Value
from holdfast.sql import quoted
from holdfast.sqlite.filling import READABLE, Column
from holdfast.sqlite.shown import NAME

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
        missing = self.held[len(record) :]
        return self.begins(record) and not any(
            column.not_null and column.default is None and not column.generated for column in missing
        )

    def begins(self, record: Sequence[Value]) -> bool:
        """Return True when these can be the first values of a record of this table."""
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
        return True

    @property
    def shown(self) -> str:
        """A table that reads the same records, whatever they hold, and what is behind the last column as ``more``."""
        columns = [f"c{place}{_default(column)}" for place, column in enumerate(self.held)]
        key = sum(column.key > 0 for column in self.held) if self.without_rowid else 0
        keys = f", PRIMARY KEY ({', '.join(f'c{place}' for place in range(key))})" if key else ""
        return f"CREATE TABLE {SHOWN} ({', '.join(columns)}, more{keys}){' WITHOUT ROWID' if key else ''}"

    @property
    def copy(self) -> str:
        """The statement that puts in all rows of ``shown`` that fit.

        It tells them as ``fits`` does. Of a text in a column of integers it says no to some that ``fits`` says yes to.
        """
        taken = [f"c{place}" for place, column in enumerate(self.held) if not column.generated]
        if self.alias is not None:
            taken[sum(not column.generated for column in self.held[: self.alias])] = "rowid"
        elif self.rowid_name is not None:
            taken.insert(0, "rowid")
        tests = ["more IS NULL"]
        for place, column in enumerate(self.held):
            tests += self._tests(place, column)
        texts = (f"iif(typeof(c{place}) = 'text', c{place}, NULL)" for place in range(len(self.held)))
        tests.append(f"{READABLE}({', '.join(texts)})")
        into = self.insert(len(self.held)).split(" VALUES ")[0]
        return f"{into} SELECT {', '.join(taken)} FROM {NAME}.{SHOWN} NOT INDEXED WHERE {' AND '.join(tests)}"

    def _tests(self, place: int, column: Column) -> list[str]:
        name, declared = f"c{place}", column.declared.upper()
        if place == self.alias:
            return [f"{name} IS NULL"]
        tests = [f"{name} IS NOT NULL"] if column.not_null or (column.key and self.without_rowid) else []
        if "INT" in declared:
            tests.append(f"(typeof({name}) <> 'text' OR {name} GLOB '*[^-+0-9 ]*')")
        elif _is_text(declared):
            tests.append(f"typeof({name}) NOT IN ('integer', 'real')")
        return tests

    def insert(self, width: int) -> str:
        """Return the statement that puts a record of ``width`` values in; the rowid comes first where it is kept.

        ABORT, whatever the table says: with ON CONFLICT REPLACE or IGNORE in its schema rows would go in silence.
        """
        names = [quoted(column.name) for column in self.held[:width] if not column.generated]
        if self.alias is None and self.rowid_name is not None:
            names.insert(0, self.rowid_name)
        return f"INSERT OR ABORT INTO {quoted(self.name)} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"

    def values(self, rowid: int, record: Sequence[Value]) -> tuple[Value, ...]:
        """Return what ``insert`` takes."""
        if self.alias is not None and self.alias < len(record):
            record = (*record[: self.alias], rowid, *record[self.alias + 1 :])
        if self.generates:
            record = [value for value, column in zip(record, self.held, strict=False) if not column.generated]
        return (rowid, *record) if self.alias is None and self.rowid_name is not None else tuple(record)


def table(name: str, root: int, columns: Sequence[Column], without_rowid: bool, has_key_index: bool) -> Table:
    """Return how rows of a table lie in their records: sqlite.org/fileformat2.html, sections 2.3 and 2.4."""
    stored = [column for column in columns if column.stored]
    if without_rowid:  # the primary key first, in its own order
        key = sorted((column for column in stored if column.key), key=lambda column: column.key)
        held = (*key, *(column for column in stored if not column.key))
        return Table(name, root, held, True, None, None, any(column.generated for column in held))
    keys = [place for place, column in enumerate(stored) if column.key]
    is_alias = len(keys) == 1 and stored[keys[0]].declared.upper() == "INTEGER" and not has_key_index
    alias = keys[0] if is_alias else None
    taken = {column.name.lower() for column in columns}
    free = next((each for each in _ROWID_NAMES if each not in taken), None)
    return Table(name, root, tuple(stored), False, alias, free, any(column.generated for column in stored))


def _can_hold(declared: str, value: Value) -> bool:
    """Return False when SQLite would have stored ``value`` as something else: sqlite.org/datatype3.html, section 3."""
    if "INT" in declared:
        return not isinstance(value, str) or not value.strip().lstrip("+-").isdigit()
    if _is_text(declared):
        return isinstance(value, str | bytes)
    return True


def _is_text(declared: str) -> bool:
    return any(word in declared for word in ("CHAR", "CLOB", "TEXT"))


def _default(column: Column) -> str:
    return "" if column.default is None else f" DEFAULT ({column.default})"
