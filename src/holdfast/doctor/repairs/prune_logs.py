"""``prune-logs``: old rows of a log database go, and the room they took comes back."""

from __future__ import annotations

import os
import time

from holdfast.doctor.model import Finding, Json, Target
from holdfast.doctor.repairs import database, log_table
from holdfast.doctor.repairs.repair import Action, Outcome, Work
from holdfast.errors import Refused
from holdfast.sqlite import mending

_CHUNK = 5_000
_DAY_S = 86_400


class PruneLogs:
    """Keeps the rows of the last ``keep_days`` days, and of those at most the newest ``keep_rows``."""

    name = "prune-logs"

    def propose(self, finding: Finding, target: Target) -> Action | None:
        """See ``Repair``."""
        about = database.about(finding, target)
        if about is None:
            return None
        days = database.number(about.details.get("keep_days"), "keep_days")
        rows = database.number(about.details.get("keep_rows"), "keep_rows")
        if days is None and rows is None:
            raise Refused("neither days nor rows to keep were said")
        # The moment is in the plan: what goes is what the plan says, whenever it is done.
        before_s = None if days is None else int(time.time() - days * _DAY_S)
        arguments: dict[str, Json] = {"before_s": before_s, "keep_rows": None if rows is None else int(rows)}
        kept = ([f"the last {days:g} days"] if days is not None else []) + (
            [f"the newest {int(rows)} rows"] if rows is not None else []
        )
        what = f"Delete the rows of the table {log_table.TABLE} of {about.path} but for {', at most '.join(kept)}, "
        what += "and write it anew without their room."
        return database.replacing(self.name, about, what, frees_bytes=None, arguments=arguments)

    def carry_out(self, action: Action, work: Work) -> Outcome:
        """See ``Repair``."""
        before_s = database.number(action.arguments.get("before_s"), "before_s")
        keep_rows = database.number(action.arguments.get("keep_rows"), "keep_rows")
        before = database.figures(action.path)
        gone = rows = 0

        def make(copy: str, new: str) -> None:
            nonlocal gone, rows
            whole = f"{new}.whole"
            found = log_table.look(copy)
            rows = found.rows
            mending.compact(copy, whole)
            where = "DELETE FROM logs WHERE rowid IN (SELECT rowid FROM logs WHERE {} LIMIT ?)"
            for condition, value in (
                ("ts < ?", None if before_s is None else int(before_s) * found.unit),
                ("rowid <= ?", _last_to_go(whole, keep_rows)),
            ):
                if value is not None:
                    gone += mending.delete_in_chunks(
                        whole,
                        where.format(condition),
                        (value, _CHUNK),
                        lambda done, total: work.tell("pruning", done, total),
                        rows,
                    )
            mending.compact(whole, new)
            os.unlink(whole)

        receipt = work.replace(action.path, make, f"{self.name} {action.path}")
        return database.outcome(
            f"{gone} of {rows} rows were deleted", action.path, before, receipt, rows=rows - gone, rows_deleted=gone
        )


def _last_to_go(path: str, keep_rows: float | None) -> int | None:
    """Return the newest row that is one too many; rows have numbers in the order in which they came."""
    if keep_rows is None:
        return None
    found = mending.ask(path, "SELECT rowid FROM logs ORDER BY rowid DESC LIMIT 1 OFFSET ?", (int(keep_rows),))
    return int(str(found[0][0])) if found else None


REPAIR = PruneLogs()
