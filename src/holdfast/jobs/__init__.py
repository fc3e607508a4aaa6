"""Work that happens once per input: asked for, claimed under a fence, and ended by whoever holds the claim.

with state.write() as tx:
    jobs.enqueue(tx, "summary", thread_id, watermark=Watermark(size, digest))

with state.write() as tx:
    claim = jobs.claim_next(tx, ["summary"], holds.me())
...                                                       # the work, outside of a transaction
with state.write() as tx:
    jobs.finish(tx, claim, {"words": 120})                # Stale, and nothing changed, when the claim was lost
"""

from holdfast.jobs.asking import cancel, cap, enqueue, forget, get, retry
from holdfast.jobs.ending import confirm, end_all, fail, finish, give_up, release, renew
from holdfast.jobs.guard import Staged, point, publish, published, stage
from holdfast.jobs.looking import counts, listing, outcome, why
from holdfast.jobs.model import (
    Capped,
    Claimed,
    Enqueued,
    Exhausted,
    Idle,
    Job,
    Kind,
    Known,
    Outcome,
    Resting,
    Running,
    Status,
    Terminal,
    UpToDate,
    Watermark,
)
from holdfast.jobs.store import claim, claim_next, recover
from holdfast.jobs.worker import Report, Worker
from holdfast.jobs.working import Done, GiveUp, Later, Work

__all__ = [
    "Capped",
    "Claimed",
    "Done",
    "Enqueued",
    "Exhausted",
    "GiveUp",
    "Idle",
    "Job",
    "Kind",
    "Known",
    "Later",
    "Outcome",
    "Report",
    "Resting",
    "Running",
    "Staged",
    "Status",
    "Terminal",
    "UpToDate",
    "Watermark",
    "Work",
    "Worker",
    "cancel",
    "cap",
    "claim",
    "claim_next",
    "confirm",
    "counts",
    "end_all",
    "enqueue",
    "fail",
    "finish",
    "forget",
    "get",
    "give_up",
    "listing",
    "outcome",
    "point",
    "publish",
    "published",
    "recover",
    "release",
    "renew",
    "retry",
    "stage",
    "why",
]
