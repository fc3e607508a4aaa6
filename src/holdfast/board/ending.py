"""End a claim, or make it last. Each function joins the caller's transaction.

Every end carries the fence in its statement: who comes too late changes
nothing, and is told ``Stale``.
"""

from __future__ import annotations

from typing import Any

from holdfast.board import gates, linking, moves, rules
from holdfast.board.model import Outcome, Status, Task, resource
from holdfast.board.moves import Verb
from holdfast.board.rows import SQL, dumped, said, task
from holdfast.board.sweeping import failed
from holdfast.board.telling import tell
from holdfast.board.transition import at, become, end_run, get, locked, released
from holdfast.engine import Read, Write
from holdfast.errors import Refused, Stale
from holdfast.holds import Owner
from holdfast.holds import owner as owners

VERDICT_MAX = 100
_RUNNING = SQL["select_task"].fill(which=SQL["which_ends"])
_FAILURES = frozenset(
    {
        Outcome.CRASHED,
        Outcome.EXPIRED,
        Outcome.TIMED_OUT,
        Outcome.SILENT,
        Outcome.SPAWN_FAILED,
        Outcome.RATE_LIMITED,
        Outcome.PROTOCOL,
    }
)


def renew(tx: Write, task_id: int, fence: int, *, lease_ms: int = rules.LEASE_MS, note: str = "") -> int:
    """Extend the claim by ``lease_ms`` from now, and say how far the work is; return when it ends then.

    One statement. Raises ``Stale`` when the claim was lost.
    """
    rules.check_lease(task_id, lease_ms)
    rules.check_text("note", note, rules.WHY_MAX)
    expires_ms = tx.now_ms + lease_ms
    words = {"task_id": task_id, "fence": fence, "now_ms": tx.now_ms, "expires_ms": expires_ms, "note": note}
    if tx.run(SQL["renew"], **words) != 1:
        raise lost(tx, task_id, fence)
    return expires_ms


def hand_over(tx: Write, task_id: int, fence: int, owner: Owner, *, log: str | None = None) -> Task:
    """Make ``owner`` the one whose death ends the claim; the fence stays. Raises ``Stale`` when the claim was lost.

    ``log`` is where the run writes what it prints; None: that stays as it is.
    """
    words = {"task_id": task_id, "fence": fence, "now_ms": tx.now_ms, "owner": owners.dump(owner)}
    if tx.run(SQL["hand_over"], **words) != 1:
        raise lost(tx, task_id, fence)
    tx.run(SQL["hand_over_run"], owner=words["owner"], log=log, task_id=task_id)
    tell(tx, task_id, "handed_over", {"pid": owner.pid, "label": owner.label})
    after = get(tx, task_id)
    assert after is not None
    return after


def confirm(tx: Write, task_id: int, fence: int) -> Task:
    """Return the task; nobody else gets it before this transaction ends. Raises ``Stale`` when the claim was lost."""
    return under_fence(tx, locked(tx, task_id), fence)


def done(
    tx: Write,
    task_id: int,
    *,
    fence: int | None = None,
    summary: str = "",
    result: Any = None,
    verdict: str | None = None,
    metadata: Any = None,
) -> Task:
    """Say that the task is done, and return it. Costs as much as it has links.

    While it runs, only its worker can, with the ``fence`` of its claim; else
    anybody, without one, and a run of no length says so. ``verdict`` ``fail``
    is what gates ask for. ``metadata`` replaces that of the task unless it is
    None. Raises ``Stale`` when the claim was lost, ``Refused`` when the move
    is none.
    """
    _check_words(summary, verdict)
    text, more = dumped(result, "result"), dumped(metadata, "metadata")
    seen = linking.hold(tx, task_id)
    changes: dict[str, Any] = {}
    if fence is not None or seen.status == Status.RUNNING:
        under_fence(tx, seen, fence)
        end_run(tx, seen, Outcome.COMPLETED, summary=summary or None, metadata=more)
        changes = released(seen)
    else:
        moves.check(task_id, seen.status, Verb.FINISH)
        changes = {"attempts": seen.attempts + 1, "run_id": _run_of_no_length(tx, seen, summary, more)}
    after = become(
        tx,
        seen,
        Verb.FINISH,
        "completed",
        payload={"verdict": verdict, "summary": summary[:400]} if verdict or summary else None,
        words=True,
        status=Status.DONE,
        ended_ms=tx.now_ms,
        verdict=verdict,
        summary=summary or None,
        result=None if text is None else result,
        metadata=seen.metadata if more is None else metadata,
        failures=0,
        failure=None,
        block_kind=None,
        block_reason=None,
        block_recurrences=0,
        **changes,
    )
    linking.spread(tx, seen, after)
    return after


def review(tx: Write, task_id: int, *, fence: int, summary: str = "") -> Task:
    """Hand the work in to be reviewed, and return the task. Raises ``Stale`` when the claim was lost."""
    _check_words(summary, None)
    seen = under_fence(tx, locked(tx, task_id), fence)
    end_run(tx, seen, Outcome.REVIEW, summary=summary or None)
    tx.hint()
    return become(
        tx,
        seen,
        Verb.HAND_IN,
        "review",
        payload={"summary": summary[:400]} if summary else None,
        status=Status.REVIEW,
        stage="review",
        failures=0,
        failure=None,
        **released(seen),
    )


def request_changes(tx: Write, task_id: int, why: str, *, fence: int | None = None) -> Task:
    """Send what was handed in back to be worked on, and return the task.

    By its reviewer with the fence of that claim, or by anybody while nobody reviews it.
    """
    seen = locked(tx, task_id)
    if fence is not None or seen.status == Status.RUNNING:
        under_fence(tx, seen, fence)
        end_run(tx, seen, Outcome.CHANGES, summary=said(why))
    moves.check(task_id, seen.status, Verb.ASK_CHANGES)
    place = gates.place("work", seen.gates_open, seen.gates_vetoed)
    tx.hint()
    return become(
        tx,
        seen,
        Verb.ASK_CHANGES,
        "changes_requested",
        payload={"why": said(why)},
        stage="work",
        **released(seen),
        **at(place),
    )


def fail(
    tx: Write,
    task_id: int,
    *,
    fence: int,
    error: object,
    outcome: Outcome | str = Outcome.CRASHED,
    exit_code: int | None = None,
    counted: bool = True,
    retry_in_ms: int | None = None,
) -> Task:
    """Say that the attempt failed, and return the task: it is tried again after a rest, or blocked.

    It rests for ``retry_in_ms``, or doubling from one second to an hour.
    ``counted`` failures in a row block it at its ``failures_max``. Raises
    ``Stale`` when the claim was lost.
    """
    if outcome not in _FAILURES:
        raise Refused(f"a run fails as {', '.join(sorted(_FAILURES))}, not as {outcome!r}")
    seen = under_fence(tx, locked(tx, task_id), fence)
    return failed(
        tx,
        seen,
        Verb.FAIL,
        Outcome(outcome),
        said(error),
        exit_code=exit_code,
        counted=counted,
        retry_in_ms=retry_in_ms,
    )


def release(tx: Write, task_id: int, *, fence: int, retry_in_ms: int = 0) -> Task:
    """Give the task back undone, for others; no failure is counted. Raises ``Stale`` when the claim was lost."""
    seen = under_fence(tx, locked(tx, task_id), fence)
    end_run(tx, seen, Outcome.RELEASED)
    tx.hint()
    if retry_in_ms > 0:
        changes: dict[str, Any] = {"status": Status.SCHEDULED, "due_ms": tx.now_ms + retry_in_ms}
    else:
        changes = at(gates.place(seen.stage, seen.gates_open, seen.gates_vetoed))
    return become(tx, seen, Verb.RELEASE, "released", **released(seen), **changes)


def end_all(tx: Write) -> int:
    """Make every claim void, and its task ready; return how many there were. For a database that was put back."""
    ended = 0
    tx.run(SQL["rebase_events"])
    while rows := tx.rows(_RUNNING, limit=1_000):
        for row in rows:
            seen = task(row)
            end_run(tx, seen, Outcome.RELEASED, failure="the database was put back")
            place = gates.place(seen.stage, seen.gates_open, seen.gates_vetoed)
            become(tx, seen, Verb.RELEASE, "released", **released(seen), **at(place))
        ended += len(rows)
    return ended


def under_fence(tx: Read, seen: Task, fence: int | None) -> Task:
    """Return ``seen``. Raises ``Stale`` unless it runs under ``fence``, ``Refused`` when none is said."""
    if fence is None:
        raise Refused(
            f"task {seen.task_id} is being done: only its worker can end it, with the fence of its claim",
            remedy="Wait for it; or `reclaim` or `cancel` it, then what its worker says is void.",
        )
    if seen.status != Status.RUNNING or seen.fence != fence or seen.expires_ms <= tx.now_ms:
        raise _lost(tx, seen, fence)
    return seen


def lost(tx: Read, task_id: int, fence: int) -> Stale | Refused:
    """Return what to raise for a claim that is over: how it ended."""
    seen = get(tx, task_id)
    return Stale(f"there is no task {task_id}") if seen is None else _lost(tx, seen, fence)


def _lost(tx: Read, seen: Task, fence: int) -> Stale:
    name = resource(seen.task_id)
    if seen.fence == fence or seen.owner is None or seen.fence < fence:
        became = f"is {seen.status}"
        if seen.status == Status.RUNNING:
            became = f"had no renewal for {tx.now_ms - seen.renewed_ms} ms"
        return Stale(f"the claim of {name} (fence {fence}) ended before the work did: the task {became}")
    return Stale(
        f"{name} changed hands: fence {fence} is over, {owners.describe(seen.owner)} got fence {seen.fence},"
        f" and it is {seen.status}"
    )


def _run_of_no_length(tx: Write, seen: Task, summary: str, metadata: str | None) -> int:
    row = tx.row(
        SQL["insert_run_of_no_length"],
        task_id=seen.task_id,
        attempt=seen.attempts + 1,
        stage=seen.stage,
        assignee=seen.assignee,
        fence=seen.fence,
        outcome=Outcome.COMPLETED,
        summary=summary or None,
        metadata=metadata,
        now_ms=tx.now_ms,
    )
    assert row is not None  # RETURNING
    return int(row["run_id"])


def _check_words(summary: str, verdict: str | None) -> None:
    rules.check_text("summary", summary, rules.BODY_BYTES_MAX)
    rules.check_text("verdict", verdict or "", VERDICT_MAX)
