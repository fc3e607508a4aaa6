"""``refold``: our own index of a home again from its rollouts, every file of it. What people said stays."""

from __future__ import annotations

from holdfast.doctor.model import Finding, Json, Target
from holdfast.doctor.repairs import own_state
from holdfast.doctor.repairs.repair import Action, Outcome, Work
from holdfast.engine import Engine
from holdfast.errors import Refused
from holdfast.ingest import gate
from holdfast.ingest.model import Progress
from holdfast.ingest.probes import probes as of_files
from holdfast.threads.probes import probes as of_threads


class Refold:
    """``details["home"]`` of a finding, if there is one; else every home that was indexed and is there."""

    name = "refold"

    def propose(self, finding: Finding, target: Target) -> Action | None:
        """See ``Repair``."""
        if not own_state.is_about(finding, target):
            return None
        home = finding.details.get("home")
        arguments: dict[str, Json] = {"home": home} if isinstance(home, str) else {}
        path = own_state.path_of(target, own_state.STATE_DB)
        return Action(
            repair=self.name,
            path=path,
            what=f"Read every rollout of {home or 'every indexed home'} again, and put what it says into {path}.",
            keeps="Names, archive marks, jobs, memories and everything else that was said to holdfast. Nothing is taken"
            " away, so there is nothing to undo.",
            live=True,
            can_undo=False,
            finding=finding.id,
            arguments=arguments,
        )

    def carry_out(self, action: Action, work: Work) -> Outcome:
        """See ``Repair``."""
        with own_state.opened(action.path) as engine:
            homes = own_state.homes_of(engine, action.arguments.get("home"))
            if not homes:
                raise Refused("no home that was indexed is there", remedy="Mount it, or index it where it is now.")
            before = _wrong(engine)
            scanned = threads = 0

            def tell(progress: Progress) -> None:
                work.tell("reading", progress.files_done, progress.files)

            for home in homes:
                report = gate.index(engine, home.path, full=True, on_progress=tell)
                scanned += report.scanned
                threads += report.threads
            after = _wrong(engine)
        return Outcome(
            said=f"{scanned} rollouts were read again: {threads} threads",
            gone=not after,
            before={"wrong": before},
            after={"wrong": after, "threads": threads},
        )


def _wrong(engine: Engine) -> int:
    with engine.read() as tx:
        return sum(1 for probes in (of_threads, of_files) for _ in probes(tx))


REPAIR = Refold()
