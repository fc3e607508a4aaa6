"""``drop-trigger``: a trigger that somebody put into an agent's database goes, when the user names it."""

from __future__ import annotations

from holdfast.doctor.model import Finding, Target
from holdfast.doctor.repairs import database
from holdfast.doctor.repairs.repair import Action, Outcome, Work
from holdfast.errors import Refused
from holdfast.sql import quoted
from holdfast.sqlite import mending


class DropTrigger:
    """``details["trigger"]`` of a finding names it; the user's wish has to name it, too."""

    name = "drop-trigger"

    def propose(self, finding: Finding, target: Target) -> Action | None:
        """See ``Repair``."""
        about = database.about(finding, target)
        if about is None:
            return None
        name, named = about.details.get("trigger"), about.details.get("drop_triggers")
        if not isinstance(name, str) or not isinstance(named, list) or name not in named:
            raise Refused(f"the trigger {name} goes only when you name it: `--drop-trigger {name}`")
        what = f"Drop the trigger {name} of {about.path}; rows stay as they are."
        return database.replacing(self.name, about, what, frees_bytes=None, arguments={"trigger": name})

    def carry_out(self, action: Action, work: Work) -> Outcome:
        """See ``Repair``."""
        name = action.arguments.get("trigger")
        if not isinstance(name, str):
            raise Refused("the plan names no trigger")
        before = database.figures(action.path)

        def make(copy: str, new: str) -> None:
            found = mending.ask(copy, "SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND name = ?", (name,))
            if not found:
                raise Refused(f"{action.path} has no trigger {name}")
            mending.compact(copy, new)
            mending.change(new, f"DROP TRIGGER {quoted(name)}")

        receipt = work.replace(action.path, make, f"{self.name} {action.path}")
        return database.outcome(f"the trigger {name} was dropped", action.path, before, receipt)


REPAIR = DropTrigger()
