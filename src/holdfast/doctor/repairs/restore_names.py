"""``restore-names``: names that stand in ``session_index.jsonl`` and no more in Codex's rows are put back there.

Where Codex keeps it: a paginated thread's in ``name``, any other's as its title. A
row that has another name keeps it: the file may be the older of the two.
"""

from __future__ import annotations

from holdfast import ids
from holdfast.changes import Row, Rows
from holdfast.doctor.model import Finding, Target
from holdfast.doctor.repairs import codex_home, thread_columns
from holdfast.doctor.repairs.codex_home import Record
from holdfast.doctor.repairs.repair import Action, Outcome, Work
from holdfast.rollouts import read_names


class RestoreNames:
    """For a finding about a Codex home or its state database."""

    name = "restore-names"

    def propose(self, finding: Finding, target: Target) -> Action | None:
        """See ``Repair``."""
        if not codex_home.is_about(finding, target):
            return None
        database = codex_home.state_of(target)
        return Action(
            repair=self.name,
            path=database.path,
            what=f"Put the names of {target.path}/session_index.jsonl back into the rows of {database.path} that have"
            " none; of each thread the last line counts.",
            keeps="A row that has a name keeps it. The file of names is only read.",
            live=True,
            can_undo=True,
            finding=finding.id,
            arguments={"home": target.path},
        )

    def carry_out(self, action: Action, work: Work) -> Outcome:
        """See ``Repair``."""
        home = codex_home.target_of(action).path
        rows, others = _lost(action.path, home)
        receipt = None
        if rows:
            plan = codex_home.plan(
                f"restore {codex_home.counted(len(rows), 'name')} in {home}", home, [Rows(action.path, tuple(rows))]
            )
            receipt = work.change(plan)
        notes = (
            ()
            if not others
            else (f"With another name than in the file, which they keep: {codex_home.counted(others, 'row')}.",)
        )
        left, _ = _lost(action.path, home)
        return Outcome(
            said=f"put back: {codex_home.counted(len(rows), 'name')}",
            gone=not left,
            before={"lost": len(rows)},
            after={"lost": len(left)},
            receipt=receipt,
            notes=notes,
        )


def _lost(path: str, home: str) -> tuple[list[Row], int]:
    """Return what puts the lost names back, and how many rows have another name."""
    names = read_names(home)
    found: list[Row] = []
    others = 0
    with codex_home.looking_at_threads(path) as look:
        columns = look.columns("threads")
        for id16, name in names.items():
            for row in look.rows("threads", {"id": ids.text(id16)}):  # one or none
                column = thread_columns.name_column(row, columns)
                if is_nameless(row, column):
                    found.append(codex_home.updated(row, {column: name}))
                else:
                    others += row[column] != name
    return [row for row in found if row.before != row.after], others


def is_nameless(row: Record, column: str) -> bool:
    """Whether a row has no name that a person gave: none at all, or as its title the words it begins with."""
    if row[column] in (None, ""):
        return True
    return column == "title" and row[column] in (row.get("first_user_message"), row.get("preview"))


REPAIR = RestoreNames()
