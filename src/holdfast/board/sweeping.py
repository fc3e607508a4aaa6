"""What happens by itself: a time comes, a worker dies or falls silent. Costs what the indexes show, not the board."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.board import catalogue, gates, rules
from holdfast.board.model import BlockKind, Outcome, Status, Swept, Task
from holdfast.board.moves import Verb
from holdfast.board.rows import SQL, task
from holdfast.board.transition import at, become, end_run, released
from holdfast.engine import Read, Write
from holdfast.holds import Owner
from holdfast.holds import owner as owners

AT_ONCE_MAX = 100
"""Tasks woken or given up for lost per claim: a claim stays short, and the next one goes on."""

IsDead = Callable[[Owner], bool]
_DUE = SQL["select_task"].fill(which=SQL["which_due"])
_EXPIRED = SQL["select_task"].fill(which=SQL["which_expired"])
_FREE = SQL["select_task"].fill(which=SQL["which_id_free"])


def sweep(tx: Write, board: str | None = None, *, is_dead: IsDead = owners.is_dead) -> Swept:
    """Make ready what is due, and end the claims of workers that died or fell silent; on all boards unless one is said.

    One look at /proc for each process that runs something. At most 100 tasks of each kind and board at once.
    """
    found = catalogue.boards(tx, archived=True) if board is None else [catalogue.there(tx, board)]
    due = sum(wake(tx, each.board_id) for each in found)
    expired = sum(expire(tx, each.board_id) for each in found)
    crashed = sum(recover(tx, each.board_id, is_dead=is_dead) for each in found)
    return Swept(due, crashed, expired)


def wake(tx: Write, board_id: int) -> int:
    """Put the tasks whose time has come where their gates let them; return how many."""
    found = tx.rows(_DUE, board_id=board_id, now_ms=tx.now_ms, limit=AT_ONCE_MAX)
    for row in found:
        seen = task(row)
        place = gates.place(seen.stage, seen.gates_open, seen.gates_vetoed)
        become(tx, seen, Verb.SETTLE, "promoted", payload={"status": str(place.status)}, **at(place))
    if found:
        tx.hint()
    return len(found)


def expire(tx: Write, board_id: int) -> int:
    """End the claims whose lease is over; return how many."""
    found = tx.rows(_EXPIRED, board_id=board_id, now_ms=tx.now_ms, limit=AT_ONCE_MAX)
    for row in found:
        lose(tx, task(row), dead=False)
    return len(found)


def recover(tx: Write, board_id: int, *, is_dead: IsDead = owners.is_dead) -> int:
    """End the claims of workers that are certainly dead; return how many."""
    judged: dict[str, bool] = {}
    lost = 0
    for row in tx.rows(SQL["running"], board_id=board_id):
        text = row["owner"]
        if text not in judged:
            judged[text] = is_dead(owners.load(text))
        if not judged[text]:
            continue
        found = tx.row(_FREE, task_id=row["task_id"])
        # Looked at again: it may have been handed over, or ended, since.
        if found is not None and found["status"] == Status.RUNNING and found["owner"] == text:
            lose(tx, task(found), dead=True)
            lost += 1
            if lost == AT_ONCE_MAX:
                break
    return lost


def lose(tx: Write, seen: Task, *, dead: bool) -> Task:
    """End the claim of a worker that died, or was silent for longer than its lease; return the task as it is then."""
    assert seen.owner is not None
    what = "died" if dead else f"was not heard of for {tx.now_ms - seen.renewed_ms} ms"
    failure = f"its worker ({owners.describe(seen.owner)}) {what} in attempt {seen.attempts}"
    return failed(tx, seen, Verb.LOSE, Outcome.CRASHED if dead else Outcome.EXPIRED, failure)


def failed(
    tx: Write,
    seen: Task,
    verb: Verb,
    outcome: Outcome,
    failure: str,
    *,
    exit_code: int | None = None,
    counted: bool = True,
    retry_in_ms: int | None = None,
) -> Task:
    """End the run at hand as a failure; return the task: it rests, or is blocked when it failed too often in a row."""
    failures = seen.failures + int(counted)
    end_run(tx, seen, outcome, failure=failure, exit_code=exit_code)
    tx.hint()  # others may wait until then
    changes = {**released(seen), "failures": failures, "failure": failure}
    payload = {"failures": failures, "failures_max": seen.failures_max, "exit_code": exit_code}
    if counted and failures >= seen.failures_max:
        reason = f"it failed {failures} times in a row; the last time: {failure}"[: rules.WHY_MAX]
        return become(
            tx,
            seen,
            verb,
            "gave_up",
            payload={**payload, "outcome": str(outcome)},
            status=Status.BLOCKED,
            block_kind=BlockKind.FAILURES,
            block_reason=reason,
            block_recurrences=rules.recurrences(seen, BlockKind.FAILURES),
            **changes,
        )
    rest_ms = rules.backoff_ms(seen.task_id, failures) if retry_in_ms is None else max(retry_in_ms, 0)
    due_ms = tx.now_ms + rest_ms
    return become(
        tx,
        seen,
        verb,
        str(outcome),
        payload={**payload, "due_ms": due_ms},
        status=Status.SCHEDULED,
        due_ms=due_ms,
        **changes,
    )


def owners_running(tx: Read, board_id: int) -> list[Owner]:
    """Return whoever runs tasks of this board."""
    return [owners.load(text) for text in sorted({row["owner"] for row in tx.rows(SQL["running"], board_id=board_id)})]
