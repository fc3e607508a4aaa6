"""``salvage``: what can be read of a damaged database is written anew, row by row, with a ledger of what could not."""

from __future__ import annotations

from holdfast.doctor.model import Finding, Target
from holdfast.doctor.repairs import database
from holdfast.doctor.repairs.repair import Action, Outcome, Work
from holdfast.doctor.salvage import Salvaged, TableLedger
from holdfast.doctor.salvage import salvage as rescue
from holdfast.errors import Refused
from holdfast.sqlite import mending


class Salvage:
    """Refuses a file that is sound: to write it anew would only take what SQLite keeps and a walk does not."""

    name = "salvage"

    def propose(self, finding: Finding, target: Target) -> Action | None:
        """See ``Repair``."""
        about = database.about(finding, target)
        if about is None:
            return None
        found = database.figures(about.path)
        what = (
            f"Read {about.path} page by page, write every row that can be read into new tables, rows that fit none "
            "into the table lost_and_found, and put that in its place."
        )
        return database.replacing(self.name, about, what, frees_bytes=None, new_bytes=found.db_bytes + found.wal_bytes)

    def carry_out(self, action: Action, work: Work) -> Outcome:
        """See ``Repair``."""
        path = action.path
        before = database.figures(path)
        problems: list[str] = []
        saved: list[Salvaged] = []

        def make(copy: str, new: str) -> None:
            problems.extend(each.replace(copy, path) for each in mending.unsound(copy, whole=True))
            if not problems:
                raise Refused(f"{path} is sound: there is nothing to salvage")
            done = rescue(
                copy, new, on_progress=lambda table, pages, all_: work.tell(f"salvaging {table}", pages, all_)
            )
            saved.append(done)
            if done.integrity:
                raise Refused(f"what was salvaged of {path} is not sound: {done.integrity[0]}; nothing was changed")

        receipt = work.replace(path, make, f"{self.name} {path}")
        (done,) = saved
        found = database.outcome(f"{done.rows} rows were saved", path, before, receipt)
        return Outcome(
            said=found.said,
            gone=found.gone,
            before=found.before | {"problems": [*problems]},
            after=found.after | {"rows": done.rows, "lost_and_found": done.lost_and_found},
            receipt=receipt,
            notes=(*map(_told, done.tables), *done.odd),
        )


def _told(table: TableLedger) -> str:
    had = "" if table.before is None else f" of {table.before}"
    lost = [
        f"{count} {what}"
        for count, what in (
            (table.unreadable, "could not be read"),
            (table.gaps, "parts of its tree are lost"),
            (table.refused, "are in lost_and_found"),
        )
        if count
    ]
    return f"{table.name}: {table.rows}{had} rows" + (f"; {', '.join(lost)}" if lost else "")


REPAIR = Salvage()
