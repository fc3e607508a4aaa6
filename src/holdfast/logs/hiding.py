"""Which records were deleted, though their bytes are still there: those go when their segment goes.

``deleted.json`` in the log's directory is a list of marks. A mark hides what is
older than ``before_us`` among the records up to ``up_to_id``: those that were
there when it was made. What is written later with an old time is shown.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from holdfast.logs.format import Summary
from holdfast.logs.model import Record

FILE = "deleted.json"


class Mark(Struct, frozen=True):
    """One deletion."""

    before_us: int
    up_to_id: int


class Shown:
    """The test that what is shown must pass."""

    def __init__(self, marks: Sequence[Mark] = ()) -> None:
        self._marks = tuple(marks)

    def record(self, record: Record) -> bool:
        """Return False for a record that was deleted."""
        return not any(record.ts < mark.before_us and record.id <= mark.up_to_id for mark in self._marks)

    def frame(self, summary: Summary) -> bool:
        """Return False for a frame of which every record was deleted."""
        return not any(summary.last_ts < mark.before_us and summary.last_id <= mark.up_to_id for mark in self._marks)

    def all_of(self, summary: Summary) -> bool:
        """Return True for a frame of which no record was deleted."""
        return all(summary.first_ts >= mark.before_us or summary.first_id > mark.up_to_id for mark in self._marks)


def shows(folder: str) -> Shown:
    """Return that test for this log. A list that is not there, or that cannot be understood, hides nothing."""
    return Shown(marks(folder))


def marks(folder: str) -> list[Mark]:
    """Return what was deleted so far; nothing when the list is not there or cannot be understood."""
    try:
        with open(os.path.join(folder, FILE), "rb") as file:
            return msgspec.json.decode(file.read(), type=list[Mark])
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError, UnicodeDecodeError):
        return []
