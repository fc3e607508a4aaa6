"""``lost_and_found``: rows that no table takes, with the page they come from and the reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from holdfast.doctor.salvage.pages import Value
from holdfast.sqlite.filling import Filling

NAME = "lost_and_found"
_BATCH = 500


class LostAndFound:
    """Makes its table with the first row, and widens it as needed."""

    def __init__(self, filling: Filling) -> None:
        self._filling = filling
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
        self._waiting.append((page, table, why, rowid, len(values), *values))
        if len(self._waiting) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if not self._waiting:
            return
        width = max(row[4] for row in self._waiting if isinstance(row[4], int))
        if self._width < 0:
            self._filling.create(
                f"CREATE TABLE {NAME} (page INTEGER, of_table TEXT, why TEXT, rowid_was INTEGER, fields INTEGER)"
            )
            self._width = 0
        for place in range(self._width, width):
            self._filling.create(f"ALTER TABLE {NAME} ADD COLUMN c{place}")
        self._width = max(self._width, width)
        marks = ", ".join("?" * (5 + self._width))
        padded = [row + (None,) * (5 + self._width - len(row)) for row in self._waiting]
        self._filling.insert(f"INSERT INTO {NAME} VALUES ({marks})", padded)
        self._waiting.clear()
