"""``checkpoint-truncate``: a write-ahead log that outgrew its use is copied into its database, and emptied."""

from __future__ import annotations

from holdfast.doctor import holding
from holdfast.doctor.model import Finding, Target
from holdfast.doctor.repairs import database
from holdfast.doctor.repairs.repair import Action, Outcome, Work
from holdfast.errors import Busy
from holdfast.quantities import size_text
from holdfast.receipts import families
from holdfast.sqlite import mending


class CheckpointTruncate:
    """Takes no copy: every row stays, and only what is in the database by then is cut off the log."""

    name = "checkpoint-truncate"

    def propose(self, finding: Finding, target: Target) -> Action | None:
        """See ``Repair``."""
        about = database.about(finding, target)
        if about is None:
            return None
        found = database.figures(about.path)
        if not found.wal_bytes:
            return None
        return Action(
            repair=self.name,
            path=about.path,
            what=f"Copy what is in {about.path}-wal into the database, and cut the log ({size_text(found.wal_bytes)})"
            " down to nothing.",
            keeps="Every row. Nothing is taken away, so there is no copy, and nothing to undo.",
            live=True,
            can_undo=False,
            finding=about.id,
            frees_bytes=found.wal_bytes,
            exclusive=(about.path,),
            seen=families.stamps(about.path),
        )

    def carry_out(self, action: Action, work: Work) -> Outcome:
        """See ``Repair``."""
        path = action.path
        before = database.figures(path)
        if work.live:
            refuse_when_locks_are_lost(path)
            done = mending.checkpoint_beside(path)
        else:
            mending.truncate_log(path)
            done = database.figures(path).wal_bytes == 0
        said = "its log was emptied" if done else "somebody reads or writes it, so its log stays"
        return database.outcome(said, path, before, None, gone=done)


def refuse_when_locks_are_lost(path: str) -> None:
    """Raise ``Busy`` when a process is in ``path`` and has no lock there: SQLite would not see it, and harm it."""
    if lost := holding.lockless(path):
        raise Busy(
            f"{path} is open in {'; '.join(map(str, lost))} without a lock: it would be taken for nobody",
            remedy="End those processes, or do this when none is running.",
        )


REPAIR = CheckpointTruncate()
