"""A row that knows the names of its columns, as ``sqlite3.Row`` does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, overload


class Described(Protocol):
    """What made a row: a cursor."""

    @property
    def description(self) -> tuple[tuple[Any, ...], ...] | None:
        """The columns, name first."""
        ...


class Row:
    """Values by position, by slice, and by name whatever its case. Compares, hashes and unpacks like a tuple.

    ``connection.row_factory = Row``, or ``Row(cursor, values)``.
    """

    __slots__ = ("_names", "_values")

    def __init__(self, cursor: Described, values: tuple[Any, ...]) -> None:
        self._names = tuple(column[0] for column in cursor.description or ())
        self._values = values

    def keys(self) -> list[str]:
        """Return the names of the columns, in order."""
        return list(self._names)

    @overload
    def __getitem__(self, key: int | str) -> Any: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Any, ...]: ...
    def __getitem__(self, key: int | str | slice) -> Any:
        if not isinstance(key, str):
            return self._values[key]
        folded = key.lower()
        for name, value in zip(self._names, self._values, strict=True):
            if name.lower() == folded:
                return value
        raise IndexError("No item with that key")

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(self._names) ^ hash(self._values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Row):
            return NotImplemented
        return self._names == other._names and self._values == other._values

    def __repr__(self) -> str:
        return f"Row({', '.join(f'{name}={value!r}' for name, value in zip(self._names, self._values, strict=True))})"
