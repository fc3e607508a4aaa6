"""Boards of tasks that many workers share: claimed under a fence, gated by each other, told of by events.

with state.write() as tx:
    made = board.create(tx, "Write the parser", parents=[design])

with state.write() as tx:
    claim = board.claim_next(tx, "default", holds.me())
...                                                       # the work, outside of a transaction
with state.write() as tx:
    board.done(tx, claim.task.task_id, fence=claim.fence)  # Stale, and nothing changed, when the claim was lost
"""

from holdfast.board.attaching import (
    Attachment,
    attach,
    attachments,
    detach,
    get_attachment,
    read_attachment,
)
from holdfast.board.briefing import Context, context
from holdfast.board.catalogue import (
    archive_board,
    boards,
    cap,
    caps,
    create_board,
    edit_board,
    get_board,
    restore_board,
)
from holdfast.board.changing import (
    archive,
    block,
    cancel,
    move,
    reclaim,
    reopen,
    restore,
    schedule,
    specify,
    triage,
    unblock,
)
from holdfast.board.claiming import claim, claim_next, until_ms
from holdfast.board.creating import create, get, there
from holdfast.board.editing import assign, edit, move_to
from holdfast.board.ending import (
    confirm,
    done,
    end_all,
    fail,
    hand_over,
    release,
    renew,
    request_changes,
    review,
)
from holdfast.board.finding import find
from holdfast.board.linking import hold_several, link, recount, recount_boards, unlink
from holdfast.board.looking import links, listing, runs, stats
from holdfast.board.model import (
    BlockKind,
    Board,
    Capped,
    Claimed,
    Created,
    Event,
    Idle,
    Known,
    Link,
    Outcome,
    Page,
    Run,
    Stats,
    Status,
    Swept,
    Taken,
    Task,
    Waiting,
)
from holdfast.board.reasons import why
from holdfast.board.saying import Comment, comment, comments
from holdfast.board.sweeping import owners_running, sweep
from holdfast.board.telling import events, history, recent, tell

__all__ = [
    "Attachment",
    "BlockKind",
    "Board",
    "Capped",
    "Claimed",
    "Comment",
    "Context",
    "Created",
    "Event",
    "Idle",
    "Known",
    "Link",
    "Outcome",
    "Page",
    "Run",
    "Stats",
    "Status",
    "Swept",
    "Taken",
    "Task",
    "Waiting",
    "archive",
    "archive_board",
    "assign",
    "attach",
    "attachments",
    "block",
    "boards",
    "cancel",
    "cap",
    "caps",
    "claim",
    "claim_next",
    "comment",
    "comments",
    "confirm",
    "context",
    "create",
    "create_board",
    "detach",
    "done",
    "edit",
    "edit_board",
    "end_all",
    "events",
    "fail",
    "find",
    "get",
    "get_attachment",
    "get_board",
    "hand_over",
    "history",
    "hold_several",
    "link",
    "links",
    "listing",
    "move",
    "move_to",
    "owners_running",
    "read_attachment",
    "recent",
    "reclaim",
    "recount",
    "recount_boards",
    "release",
    "renew",
    "reopen",
    "request_changes",
    "restore",
    "restore_board",
    "review",
    "runs",
    "schedule",
    "specify",
    "stats",
    "sweep",
    "tell",
    "there",
    "triage",
    "unblock",
    "unlink",
    "until_ms",
    "why",
]
