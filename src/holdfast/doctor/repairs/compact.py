"""``compact``: a database is written anew without its free pages, and the new content put into the old file."""

from __future__ import annotations

from holdfast.doctor.model import Finding, Target
from holdfast.doctor.repairs import database
from holdfast.doctor.repairs.repair import Action, Outcome, Work
from holdfast.quantities import size_text
from holdfast.sqlite import mending


class Compact:
    """``VACUUM INTO`` a new file, checked, then put in place of the old content."""

    name = "compact"

    def propose(self, finding: Finding, target: Target) -> Action | None:
        """See ``Repair``."""
        about = database.about(finding, target)
        if about is None:
            return None
        found = database.figures(about.path)
        free = database.free_pages(about, found)
        if free == 0:
            return None
        size = None if free is None else free * found.page_bytes
        told = "" if size is None else f" {free} of {found.pages} pages hold nothing: {size_text(size)} come back."
        what = f"Write {about.path} anew without its free pages.{told}"
        return database.replacing(self.name, about, what, frees_bytes=None if size is None else size + found.wal_bytes)

    def carry_out(self, action: Action, work: Work) -> Outcome:
        """See ``Repair``."""
        before = database.figures(action.path)
        receipt = work.replace(action.path, mending.compact, f"{self.name} {action.path}")
        after = database.figures(action.path)
        return database.outcome("compacted", action.path, before, receipt, gone=after.free == 0)


REPAIR = Compact()
