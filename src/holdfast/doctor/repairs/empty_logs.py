"""``empty-logs``: every row of a log database goes, its tables and everything else in it stay."""

from __future__ import annotations

import os

from holdfast.doctor.model import Finding, Target
from holdfast.doctor.repairs import database, log_table
from holdfast.doctor.repairs.repair import Action, Outcome, Work
from holdfast.sqlite import mending


class EmptyLogs:
    """Only when the user asks for it."""

    name = "empty-logs"

    def propose(self, finding: Finding, target: Target) -> Action | None:
        """See ``Repair``."""
        about = database.about(finding, target)
        if about is None:
            return None
        found = database.figures(about.path)
        what = f"Delete every row of the table {log_table.TABLE} of {about.path}; tables and all else in it stay."
        return database.replacing(self.name, about, what, frees_bytes=found.disk_bytes)

    def carry_out(self, action: Action, work: Work) -> Outcome:
        """See ``Repair``."""
        before = database.figures(action.path)
        rows = 0

        def make(copy: str, new: str) -> None:
            nonlocal rows
            whole = f"{new}.whole"
            rows = log_table.look(copy).rows
            mending.compact(copy, whole)
            mending.change(whole, f"DELETE FROM {log_table.TABLE}")
            mending.compact(whole, new)
            os.unlink(whole)

        receipt = work.replace(action.path, make, f"{self.name} {action.path}")
        return database.outcome(f"{rows} rows were deleted", action.path, before, receipt, rows=0, rows_deleted=rows)


REPAIR = EmptyLogs()
