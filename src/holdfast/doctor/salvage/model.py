"""What a salvage found, per table: the ledger."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TableLedger:
    """One table, before and after.

    ``before``: rows it had, by an index of it that is whole; None: no index
    tells. ``rows``: those that are in the new file. ``unreadable``: cells on
    pages that were reached that hold no row. ``gaps``: parts of its tree that
    were not reached. ``strays``: rows among ``rows`` from pages no tree reached.
    ``refused``: rows that went to ``lost_and_found``, for the new table does
    not take them.
    """

    name: str
    before: int | None
    rows: int
    unreadable: int
    gaps: int
    strays: int
    refused: int

    @property
    def whole(self) -> bool:
        """Whether nothing is known to be missing."""
        return not (self.unreadable or self.gaps or self.refused) and self.before in (None, self.rows)


@dataclass(frozen=True, slots=True)
class Salvaged:
    """A salvage that ended. ``odd``: what else was met, in sentences. ``integrity``: [] when the new file is sound."""

    source: str
    target: str
    pages: int
    page_bytes: int
    log_frames: int
    guessed: bool
    tables: tuple[TableLedger, ...]
    lost_and_found: int
    odd: tuple[str, ...]
    integrity: tuple[str, ...]

    @property
    def rows(self) -> int:
        """Rows in the tables of the new file."""
        return sum(table.rows for table in self.tables)
