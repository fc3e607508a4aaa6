"""What is wrong with the tasks of a board of Hermes: claims nobody ends, gates that stay shut, keys given twice."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Sized
from functools import cache

from holdfast.board.exchange.rules import parents_first
from holdfast.board.hermes.rules import STATUSES
from holdfast.clock import boot_ms, wall_ms
from holdfast.doctor.model import Confidence, Finding
from holdfast.doctor.probes.hermes import rules
from holdfast.doctor.probes.hermes.boards import SQL, Board
from holdfast.doctor.probes.wording import some
from holdfast.holds import owner as owners

_TASKS = ("id", "status")
_LINKS = ("parent_id", "child_id")
_LINKS_READ = 200_000


def stuck_claims(board: Board) -> Iterator[Finding]:
    """Find tasks that are called running while nobody works on them, and nobody takes them back."""
    if not board.has("tasks", *_TASKS, "claim_lock", "claim_expires", "worker_pid", "current_run_id"):
        return
    if not board.has("task_runs", "id", "started_at"):
        return
    now_s = wall_ms() / 1000
    found: dict[str, str] = {}
    is_sure = True
    for claim in board.ask(SQL["claims"], limit=1_000):
        pid = claim["worker_pid"]
        process = process_of(rules.host_of(claim["claim_lock"]), pid, claim["run_started_at"])
        if (why := rules.stuck(claim, process, now_s)) is not None:
            found[str(claim["id"])] = why
            is_sure = is_sure and process != "another"
    if found:
        yield board.finding(
            "board-stuck-claims",
            measured=f"{_number(found, 'task')} in `running` that nobody works on: "
            + some([f"{task} ({why})" for task, why in found.items()]),
            expected=f"a claim that is renewed, or released within {rules.LATE_S} s after its end",
            cause="The worker ended without a word, and no dispatcher has looked at this board since.",
            remedy="Start the gateway: its dispatcher releases claims that ended. A single task is put back by"
            " `hermes kanban reclaim`. `holdfast doctor --plan` makes a plan that releases them as Hermes does.",
            repair="release-leases",
            confidence=Confidence.CERTAIN if is_sure else Confidence.LIKELY,
            tasks=board.first(found),
            count=len(found),
        )


def unknown_statuses(board: Board) -> Iterator[Finding]:
    """Find tasks that are in no column any version we know has."""
    if not board.has("tasks", *_TASKS):
        return
    rows = board.ask(SQL["unknown_statuses"], known=json.dumps(list(STATUSES)), limit=board.SHOWN)
    if rows:
        yield board.finding(
            "board-unknown-status",
            measured="tasks with a status that no dispatcher looks for: "
            + some([f"{row['tasks']} in {row['status']!r} (such as {row['id']})" for row in rows]),
            expected=", ".join(STATUSES),
            cause="A newer Hermes wrote them, or somebody changed the rows by hand.",
            remedy="Open the board with the newest Hermes that used it. Where that does not know the status either,"
            " move the task to one it knows.",
            confidence=Confidence.LIKELY,
            statuses={str(row["status"]): row["tasks"] for row in rows},
        )


def duplicate_keys(board: Board) -> Iterator[Finding]:
    """Find idempotency keys that more than one task has."""
    if not board.has("tasks", *_TASKS, "idempotency_key"):
        return
    rows = board.ask(SQL["duplicate_keys"], limit=board.LISTED)
    if rows:
        yield board.finding(
            "board-duplicate-keys",
            measured=f"{_number(rows, 'idempotency key')} of more than one task: "
            + some([f"{row['idempotency_key']!r} of {row['tasks']} ({row['one']}, {row['other']})" for row in rows]),
            expected="one task for each key",
            cause="Hermes looks for the key before its transaction begins: who asks at the same time makes another.",
            remedy="Archive the tasks that are doubles: each of them is, or was, done on its own.",
            keys=[str(row["idempotency_key"]) for row in rows[: board.SHOWN]],
            count=len(rows),
        )


def dangling_links(board: Board) -> Iterator[Finding]:
    """Find links to tasks that are not there. A child of such a parent can never become ready."""
    if not (board.has("tasks", *_TASKS) and board.has("task_links", *_LINKS)):
        return
    rows = board.ask(SQL["dangling_links"], limit=board.LISTED)
    if rows:
        blocking = sum(1 for row in rows if row["no_parent"] and not row["no_child"])
        yield board.finding(
            "board-dangling-links",
            measured=f"{_number(rows, 'link')} to a task that is not there, {blocking} of them hold a task back: "
            + some([f"{row['parent_id']} → {row['child_id']}" for row in rows]),
            expected="both ends on this board",
            cause="A task was deleted and its links were not, or rows were lost when a damaged board was repaired.",
            remedy="Unlink them in Hermes (`hermes kanban unlink`). An import into holdfast leaves them out.",
            links=[f"{row['parent_id']} → {row['child_id']}" for row in rows[: board.SHOWN]],
            count=len(rows),
        )


def circles(board: Board) -> Iterator[Finding]:
    """Find tasks that wait for each other in a circle."""
    if not (board.has("tasks", *_TASKS) and board.has("task_links", *_LINKS)):
        return
    links = [(str(row["parent_id"]), str(row["child_id"])) for row in board.ask(SQL["open_links"], limit=_LINKS_READ)]
    closing = parents_first(sorted({end for link in links for end in link}), links).cyclic
    if closing:
        yield board.finding(
            "board-circle",
            measured=f"{_number(closing, 'link')} that closes a circle of tasks: "
            + some([f"{parent} → {child}" for parent, child in closing]),
            expected="no task that waits, in the end, for itself",
            cause="Links were added from two sides, or by hand; nothing in the circle can ever become ready.",
            remedy="Unlink one of them in Hermes (`hermes kanban unlink`).",
            links=[f"{parent} → {child}" for parent, child in closing[: board.SHOWN]],
            count=len(closing),
        )


def gates(board: Board) -> Iterator[Finding]:
    """Find tasks whose column is not what their parents ask for."""
    if not (board.has("tasks", *_TASKS) and board.has("task_links", *_LINKS)):
        return
    if not board.has("task_events", "task_id", "kind", "created_at"):
        return
    before_s = int(wall_ms() / 1000) - rules.LATE_S
    late = [str(row["id"]) for row in board.ask(SQL["never_promoted"], before_s=before_s, limit=board.LISTED)]
    if late:
        yield board.finding(
            "board-never-promoted",
            measured=f"{_number(late, 'task')} in `todo` though every parent is over: {some(late)}",
            expected="`ready`, within a tick of the last parent's end",
            cause="Whoever ended the last parent was stopped before it came to the children; no dispatcher has since.",
            remedy="Start the gateway: each tick of its dispatcher looks at them. By hand: `hermes kanban promote`.",
            confidence=Confidence.LIKELY,
            tasks=board.first(late),
            count=len(late),
        )
    early = board.ask(SQL["ready_too_early"], limit=board.LISTED)
    if early:
        yield board.finding(
            "board-ready-too-early",
            measured=f"{_number(early, 'task')} in `ready` while a parent is open: "
            + some([f"{row['id']} (waits for {row['parent']})" for row in early]),
            expected="`todo` until every parent is over",
            cause="The link came after the task was ready, or rows were lost and put back.",
            remedy="Look at them before they are claimed: `hermes kanban show`. A parent linked again moves them back.",
            confidence=Confidence.LIKELY,
            tasks=board.first([str(row["id"]) for row in early]),
            count=len(early),
        )


def _number(found: Sized, what: str) -> str:
    count = len(found)
    return f"{'at least ' if count == Board.LISTED else ''}{count} {what}{'' if count == 1 else 's'}"


def process_of(host: str, pid: object, run_started_s: object) -> rules.Process:
    """Return what became of the worker of a claim made on ``host``. ``run_started_s``: when its run began."""
    number = pid if isinstance(pid, int) and 0 < pid < 1 << 22 else None
    began = run_started_s if isinstance(run_started_s, int | float) else None
    here = platform.node()
    started_s = _started_s(number) if number is not None and host == here else None
    return rules.worker(host, here, number, started_s, began)


@cache
def _started_s(pid: int) -> float | None:
    """Return when the process began, in seconds since the epoch: 0 when it is gone, None when nothing tells."""
    process = owners.of(pid)
    if owners.is_dead(process):
        return 0.0
    if not process.started:
        return None
    return (wall_ms() - boot_ms()) / 1000 + process.started / os.sysconf("SC_CLK_TCK")
