"""``return-free-pages``: pages that hold nothing go back to the disk, in steps short enough for others to get in."""

from __future__ import annotations

from holdfast.doctor.model import Finding, Target
from holdfast.doctor.repairs import database
from holdfast.doctor.repairs.checkpoint_truncate import refuse_when_locks_are_lost
from holdfast.doctor.repairs.repair import Action, Outcome, Work
from holdfast.receipts import families
from holdfast.sqlite import mending


class ReturnFreePages:
    """Only where the owner asked for it when it made the file: ``auto_vacuum = INCREMENTAL``."""

    name = "return-free-pages"

    def propose(self, finding: Finding, target: Target) -> Action | None:
        """See ``Repair``."""
        about = database.about(finding, target)
        if about is None:
            return None
        found = database.figures(about.path)
        free = database.free_pages(about, found)
        if free == 0 or not found.can_return_pages:
            return None
        return Action(
            repair=self.name,
            path=about.path,
            what=f"Give {'the' if free is None else free} free pages of {about.path} back to the disk, bit by bit.",
            keeps="Every row. Only pages that hold nothing go, so there is no copy, and nothing to undo.",
            live=True,
            can_undo=False,
            finding=about.id,
            frees_bytes=None if free is None else free * found.page_bytes,
            exclusive=(about.path,),
            seen=families.stamps(about.path),
        )

    def carry_out(self, action: Action, work: Work) -> Outcome:
        """See ``Repair``."""
        path = action.path
        before = database.figures(path)

        def tell(done: int, total: int) -> None:
            work.tell("returning", done, total)

        if work.live:
            refuse_when_locks_are_lost(path)
            with mending.beside(path) as connection:
                left = mending.return_pages(connection, tell, pausing=True)
            mending.checkpoint_beside(path)  # only then the file is shorter; not now is as good
        else:
            with mending.held(path) as connection:
                left = mending.return_pages(connection, tell, pausing=False)
            mending.truncate_log(path)
        said = "its free pages were returned" if not left else f"others were at work, and {left} pages are free still"
        return database.outcome(said, path, before, None, gone=left == 0, free_pages_left=left)


REPAIR = ReturnFreePages()
