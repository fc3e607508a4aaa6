"""What a word of Hermes means here. Tables and values; pure."""

from __future__ import annotations

from typing import Final

STATUSES: Final = {
    "triage": "triage",
    "todo": "todo",  # or ready: the gates say
    "scheduled": "scheduled",  # with a time; without one it waits for a person: blocked
    "ready": "ready",
    "running": "ready",  # its claim does not come along
    "blocked": "blocked",
    "review": "review",
    "done": "done",
    "archived": "archived",
}
"""Of a task. Any other is ``triage``: somebody looks at it."""

OUTCOMES: Final = {
    "completed": "completed",
    "done": "completed",
    "blocked": "blocked",
    "crashed": "crashed",
    "failed": "crashed",
    "gave_up": "crashed",
    "stale": "expired",
    "timed_out": "timed_out",
    "spawn_failed": "spawn_failed",
    "reclaimed": "reclaimed",
    "released": "released",
    "scheduled": "released",
    "rate_limited": "rate_limited",
    "review": "review",
}
"""Of a run. One that is still going ends ``reclaimed``; so does any other, whose own word stays in its metadata."""

BLOCK_KINDS: Final = {
    "needs_input": "needs_input",
    "capability": "capability",
    "transient": "transient",
    "dependency": "dependency",
}
"""Of a block. None there: ``needs_input``; after ``gave_up`` it is ``failures``."""

WORKSPACES: Final = {"scratch": "scratch", "dir": "directory", "worktree": "worktree"}

EVENTS: Final = {
    "created": "created",
    "promoted": "ready",
    "promoted_manual": "moved",
    "claimed": "claimed",
    "completed": "done",
    "blocked": "blocked",
    "unblocked": "unblocked",
    "scheduled": "scheduled",
    "assigned": "assigned",
    "edited": "edited",
    "archived": "archived",
    "commented": "commented",
    "attached": "attached",
    "linked": "linked",
    "unlinked": "unlinked",
    "reclaimed": "reclaimed",
    "crashed": "crashed",
    "timed_out": "timed_out",
    "rate_limited": "rate_limited",
    "gave_up": "gave_up",
    "block_loop_detected": "block_loop",
}
"""Of an event. Any other keeps its word, behind ``hermes_``."""

EVENTS_KEPT: Final = 1_000

TASK_COLUMNS: Final = frozenset({
    "id", "title", "body", "assignee", "status", "priority", "created_by", "created_at", "started_at", "completed_at",
    "workspace_kind", "workspace_path", "branch_name", "claim_lock", "claim_expires", "tenant", "result",
    "idempotency_key", "consecutive_failures", "worker_pid", "last_failure_error", "max_runtime_seconds",
    "last_heartbeat_at", "current_run_id", "max_retries", "block_kind", "block_recurrences", "scheduled_at",
})  # fmt: skip
"""Those that have a place of their own. Every other one that holds something is kept in the metadata."""

TABLES: Final = {
    "tasks": "id",
    "task_links": "child_id",
    "task_comments": "task_id",
    "task_runs": "task_id",
    "task_events": "task_id",
    "task_attachments": "task_id",
    "kanban_notify_subs": "task_id",
}
"""Every table of a board, and the column that says whose a row is."""

RUN_COLUMNS: Final = frozenset({
    "id", "task_id", "profile", "status", "started_at", "ended_at", "outcome", "summary", "metadata", "error",
})  # fmt: skip
"""Those that have a place of their own; the others are kept in the run's metadata."""


def event_kind(kind: str) -> str:
    """Return what an event of Hermes is called here."""
    return EVENTS.get(kind) or f"hermes_{kind}"
