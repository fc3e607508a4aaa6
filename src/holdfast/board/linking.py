"""Which task waits for which, and what an end means to those linked to it. Costs as much as there are links.

What a task must know of its parents and children is counted in its own row,
by the change of the other end. On PostgreSQL a task that ends is locked with
all it is linked to, in the order of their numbers, and so are both ends of a
link that is made: two such changes never wait for each other in a circle.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec.structs import replace

from holdfast.board import gates
from holdfast.board.gates import GATES, State, gate, is_open
from holdfast.board.model import BlockKind, Gate, Status, Task
from holdfast.board.moves import Verb
from holdfast.board.rows import SQL, task
from holdfast.board.telling import tell
from holdfast.board.transition import at, become, locked, missing
from holdfast.engine import Read, Write
from holdfast.errors import Refused


def hold(tx: Write, task_id: int) -> Task:
    """Return the task, to be ended or brought back: until this transaction ends nobody else links it.

    Nor changes those it is linked to. Raises ``Refused`` when there is none.
    """
    row = tx.row(SQL["hold_links"], task_id=task_id)
    if row is None:
        raise missing(task_id)
    if row["again"]:
        return locked(tx, task_id)
    return task({name: value for name, value in row.items() if name != "again"})


def hold_several(tx: Write, task_ids: Collection[int]) -> None:
    """Lock tasks, and all they are linked to, before several of them end in this one transaction.

    On PostgreSQL two transactions that end linked tasks one by one may each
    wait for a row of the other; one of them is told ``Busy``, and nothing of
    it was kept. With all rows locked first, in one order, none is. Does
    nothing on SQLite.
    """
    tx.row(SQL["hold_links_of_several"], task_ids=",".join(map(str, task_ids)))


def hold_board(tx: Write, board_id: int) -> None:
    """Wait until nobody else links tasks of this board, and keep them out until this transaction ends."""
    tx.row(SQL["hold_links_of_board"], board_id=board_id)


def spread(tx: Write, before: Task, after: Task) -> None:
    """Tell the neighbours of a task what it became: gates of its children, and the count of its parents."""
    if not after.links:
        return
    ended = is_open(after.status) - is_open(before.status)  # 1: it is open again, -1: it is over
    for row in tx.rows(SQL["linked_to"], task_id=after.task_id):
        if row["role"] == "parent":
            if ended:
                other = locked(tx, row["task_id"])
                _count(tx, other, children_open=ended, by=after)
            continue
        was, now = _gate(row["gate"], before), _gate(row["gate"], after)
        if was != now:
            _count(tx, locked(tx, row["task_id"]), was=was, now=now, by=after)


def link(tx: Write, parent_id: int, child_id: int, gate: Gate = "done") -> Task:
    """Have ``child_id`` wait for ``parent_id`` behind a gate, and return the child. A second time changes the gate.

    Raises ``Refused`` when that would close a circle, across boards, and for a gate that is none.
    """
    check_gate(gate)
    if parent_id == child_id:
        raise Refused(f"task {child_id} cannot wait for itself")
    pair = _hold_both(tx, parent_id, child_id)
    parent, child = pair[parent_id], pair[child_id]
    known = tx.row(SQL["get_link"], parent_id=parent_id, child_id=child_id)
    if known is not None and known["gate"] == gate:
        return child
    if is_open(child.status):
        check_waits(parent, gate)
    if known is None:
        if tx.row(SQL["is_ancestor"], task_id=child_id, below=parent_id) is not None:
            raise Refused(
                f"task {parent_id} waits for task {child_id} already, over one link or several",
                remedy=f"`holdfast board show {parent_id}` lists its parents; `unlink` one of them first.",
            )
        tx.run(SQL["insert_link"], parent_id=parent_id, child_id=child_id, gate=gate)
        _count(tx, parent, children_open=int(is_open(child.status)), links=1, by=child)
    else:
        tx.run(SQL["put_gate"], parent_id=parent_id, child_id=child_id, gate=gate)
    tell(tx, child_id, "linked", {"parent": parent_id, "gate": gate})
    child = replace(child, seq_events=child.seq_events + 1, changed_ms=tx.now_ms)
    was = _gate(known["gate"], parent) if known is not None else State.MET
    return _count(tx, child, was=was, now=_gate(gate, parent), links=int(known is None), by=parent)


def unlink(tx: Write, parent_id: int, child_id: int) -> Task:
    """Take the link away, and return the child. Raises ``Refused`` when there is none."""
    pair = _hold_both(tx, parent_id, child_id)
    parent, child = pair[parent_id], pair[child_id]
    known = tx.row(SQL["get_link"], parent_id=parent_id, child_id=child_id)
    if known is None:
        raise Refused(f"task {child_id} is no child of task {parent_id}")
    tx.run(SQL["drop_link"], parent_id=parent_id, child_id=child_id)
    _count(tx, parent, children_open=-int(is_open(child.status)), links=-1, by=child)
    tell(tx, child_id, "unlinked", {"parent": parent_id})
    child = replace(child, seq_events=child.seq_events + 1, changed_ms=tx.now_ms)
    return _count(tx, child, was=_gate(known["gate"], parent), now=State.MET, links=-1, by=parent)


def counts_of(parents: Sequence[tuple[Task, Gate]]) -> tuple[int, int, str]:
    """Return how many gates of a task with these parents are open, how many veto it, and who does."""
    states = [(_gate(kind, parent), parent) for parent, kind in parents]
    vetoed = [parent for state, parent in states if state == State.VETO]
    return sum(state == State.OPEN for state, _ in states), len(vetoed), _reason(vetoed[0]) if vetoed else ""


def add_child(tx: Write, parent: Task, child_id: int, gate: Gate) -> None:
    """Link a task that was made this moment, and has counted the link itself."""
    tx.run(SQL["insert_link"], parent_id=parent.task_id, child_id=child_id, gate=gate)
    _put_counts(tx, replace(parent, links=parent.links + 1, children_open=parent.children_open + 1))


def check_gate(gate: str) -> None:
    """Raise ``Refused`` for a gate that is none."""
    if gate not in GATES:
        raise Refused(f"a gate is one of {', '.join(GATES)}, not {gate!r}")


def check_waits(parent: Task, gate: Gate) -> None:
    """Raise ``Refused`` when ``parent`` waits for its children: one behind this gate would wait for it."""
    if (
        gate != "none"
        and parent.block_kind == BlockKind.CHILDREN
        and Status.BLOCKED in (parent.status, parent.archived_from)
    ):
        raise Refused(
            f"task {parent.task_id} is blocked until its children are over: one that waits for it would wait for ever",
            remedy=f"Link it with the gate `none`, or `unblock` task {parent.task_id} first.",
        )


def check_children(tx: Read, parent_id: int) -> None:
    """Raise ``Refused`` when a child waits for this task, which therefore cannot wait for its children."""
    if (row := tx.row(SQL["child_that_waits"], task_id=parent_id)) is not None:
        raise Refused(
            f"task {parent_id} cannot wait for its children: its child {row['task_id']} waits for it",
            remedy=f"Link {parent_id} and {row['task_id']} with the gate `none`, then block it again.",
        )


def check_parents(tx: Read, child_id: int) -> None:
    """Raise ``Refused`` when a parent waits for its children, and this one would be open again, and wait for it."""
    if (row := tx.row(SQL["parent_that_waits"], task_id=child_id)) is not None:
        raise Refused(
            f"task {child_id} would wait for its parent {row['task_id']}, which is blocked until its children are over",
            remedy=f"`unblock` task {row['task_id']} first, or link the two with the gate `none`.",
        )


def _hold_both(tx: Write, parent_id: int, child_id: int) -> dict[int, Task]:
    board_id = _board_of(tx, parent_id)
    hold_board(tx, board_id)
    pair = {task_id: locked(tx, task_id) for task_id in sorted((parent_id, child_id))}
    if {seen.board_id for seen in pair.values()} != {board_id}:
        raise Refused(f"tasks {parent_id} and {child_id} are not on the same board: links do not cross boards")
    return pair


def _board_of(tx: Write, task_id: int) -> int:
    row = tx.row(SQL["board_of"], task_id=task_id)
    if row is None:
        raise missing(task_id)
    return int(row["board_id"])


def _count(
    tx: Write,
    seen: Task,
    *,
    by: Task,
    was: State = State.MET,
    now: State = State.MET,
    children_open: int = 0,
    links: int = 0,
) -> Task:
    """Count what another end did in the row of ``seen``, and move it where it belongs by then."""
    after = replace(
        seen,
        gates_open=seen.gates_open + (now == State.OPEN) - (was == State.OPEN),
        gates_vetoed=seen.gates_vetoed + (now == State.VETO) - (was == State.VETO),
        children_open=seen.children_open + children_open,
        links=seen.links + links,
    )
    _put_counts(tx, after)
    place = gates.settle(
        after.status, after.block_kind, after.stage, after.gates_open, after.gates_vetoed, after.children_open
    )
    if place == gates.Place(after.status, after.block_kind if after.status == Status.BLOCKED else None):
        return after
    if place.status in (Status.READY, Status.REVIEW):
        tx.hint()
    vetoed = place.block_kind == BlockKind.VETO
    event = "vetoed" if vetoed else "waiting" if place.status == Status.TODO else "promoted"
    payload = {"by": by.task_id, "status": str(place.status)}
    return become(tx, after, Verb.SETTLE, event, payload=payload, **at(place, _reason(by)))


def _put_counts(tx: Write, after: Task) -> None:
    tx.run(
        SQL["put_counts"],
        gates_open=after.gates_open,
        gates_vetoed=after.gates_vetoed,
        children_open=after.children_open,
        links=after.links,
        task_id=after.task_id,
    )


def _gate(kind: Gate, parent: Task) -> State:
    return gate(kind, parent.status, parent.verdict, parent.archived_from)


def _reason(parent: Task) -> str:
    status = parent.archived_from or parent.status
    ended = f"{status}, verdict {parent.verdict}" if status == Status.DONE and parent.verdict else str(status)
    return f"its parent {parent.task_id} ({parent.title[:100]}) is {ended}"


def recount(tx: Write, task_id: int) -> Task:
    """Count the links of a task again, and move it where it belongs then; return it. Mends what others wrote."""
    seen = hold(tx, task_id)
    found = [(row, locked(tx, row["task_id"])) for row in tx.rows(SQL["linked_to"], task_id=task_id)]
    above = [(other, row["gate"]) for row, other in found if row["role"] == "parent"]
    gates_open, gates_vetoed, _ = counts_of(above)
    below = sum(is_open(other.status) for row, other in found if row["role"] == "child")
    right = replace(seen, gates_open=gates_open, gates_vetoed=gates_vetoed, children_open=below, links=len(found))
    return _count(tx, right, by=above[0][0] if above else right)


def recount_boards(tx: Write) -> None:
    """Count the tasks of all boards again, for what ``stats`` says. Mends what others wrote; reads every task."""
    tx.run(SQL["drop_board_counts"])
    tx.run(SQL["count_boards"])
