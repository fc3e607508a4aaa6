"""``lost_and_found``: rows that no table takes, with the page they come from and the reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from itertools import chain, count

from holdfast.doctor.salvage.pages import Value
from holdfast.sqlite.filling import Filling

NAME = "lost_and_found"
_BATCH = 500
_BATCH_BYTES = 8 << 20
_COLUMNS_MAX = 1_000  # SQLite has no more than 2,000


class LostAndFound:
    """Makes its table with the first row, and widens it as needed."""

    def __init__(self, filling: Filling, taken: Container[str]) -> None:
        """``taken``: names of tables, in lower case. One of the source may be what an earlier salvage left."""
        self._filling = filling
        self.name = next(name for name in chain((NAME,), (f"{NAME}_{n}" for n in count(2))) if name not in taken)
        self._bytes = 0
        self._width = -1
        self._waiting: list[tuple[Value, ...]] = []
        self.rows = 0
        self.refused: Counter[str] = Counter()
        """By table, the rows it did not take."""

    def put(self, page: int, table: str | None, why: str, rowid: int, values: Sequence[Value]) -> None:
        """Keep a row of ``page``. ``table`` refused it; None: it fits no one table."""
        if table is not None:
            self.refused[table] += 1
        self.rows += 1
        self._waiting.append((page, table, why, rowid, len(values), *values[:_COLUMNS_MAX]))
        self._bytes += sum(len(value) for value in values if isinstance(value, str | bytes))
        if len(self._waiting) >= _BATCH or self._bytes >= _BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if not self._waiting:
            return
        width = max(len(row) - 5 for row in self._waiting)
        if self._width < 0:
            self._filling.create(
                f"CREATE TABLE {self.name} (page INTEGER, of_table TEXT, why TEXT, rowid_was INTEGER, fields INTEGER)"
            )
            self._width = 0
        for place in range(self._width, width):
            self._filling.create(f"ALTER TABLE {self.name} ADD COLUMN c{place}")
        self._width = max(self._width, width)
        marks = ", ".join("?" * (5 + self._width))
        padded = [row + (None,) * (5 + self._width - len(row)) for row in self._waiting]
        self._filling.insert(f"INSERT INTO {self.name} VALUES ({marks})", padded)
        self._waiting.clear()
        self._bytes = 0
