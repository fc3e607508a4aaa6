"""``rebuild-search``: ``search.db``, the index of words, is made anew from the rollouts."""

from __future__ import annotations

from holdfast.clock import wall_ms
from holdfast.doctor.model import Finding, Target
from holdfast.doctor.repairs import own_state
from holdfast.doctor.repairs.repair import Action, Outcome, Work
from holdfast.errors import Busy, Refused
from holdfast.search import feeding
from holdfast.search.index import open_index
from holdfast.search.model import FeedProgress

_WAIT_MS = 30_000


class RebuildSearch:
    """For a finding about ``search.db``, or about the state directory."""

    name = "rebuild-search"

    def propose(self, finding: Finding, target: Target) -> Action | None:
        """See ``Repair``."""
        if not own_state.is_about(finding, target):
            return None
        path = own_state.path_of(target, own_state.SEARCH_DB)
        return Action(
            repair=self.name,
            path=path,
            what=f"Make {path} anew from the rollouts of every indexed home.",
            keeps="Everything else. The index holds nothing that is not in the rollouts and in state.db, so there is"
            " nothing to undo.",
            live=True,
            can_undo=False,
            finding=finding.id,
            arguments={"state": own_state.path_of(target, own_state.STATE_DB)},
        )

    def carry_out(self, action: Action, work: Work) -> Outcome:
        """See ``Repair``."""
        with own_state.opened(_beside(action)) as engine, open_index(action.path, wall_ms) as index:

            def tell(progress: FeedProgress) -> None:
                work.tell("reading", progress.threads_done, progress.threads)

            index.suspect()  # so that it is not only fed
            report = feeding.feed(engine, index, own_state.homes_of(engine), on_progress=tell, wait_ms=_WAIT_MS)
        if report.by:
            raise Busy(f"the index of words is being fed by {report.by}")
        if report.problem:
            raise Refused(f"the index of words was not made to its end: {report.problem}")
        return Outcome(
            said=f"the words of {report.threads} threads were put in: {report.messages} messages",
            gone=report.complete,
            after={"threads": report.threads, "messages": report.messages},
        )


def _beside(action: Action) -> str:
    state = action.path.removesuffix(own_state.SEARCH_DB) + own_state.STATE_DB
    if action.arguments.get("state") != state:
        raise Refused("the plan names another state.db than the one beside this index")
    return state


REPAIR = RebuildSearch()
