"""Make tasks, and find them again. Each function joins the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from holdfast.board import catalogue, gates, linking, moves, rules
from holdfast.board.model import BlockKind, Board, Created, Gate, Known, Scope, Status, Task, WorkspaceKind
from holdfast.board.rows import SQL, dumped, said, task
from holdfast.board.telling import insert_event
from holdfast.board.transition import get as get_by_id
from holdfast.board.transition import locked, missing
from holdfast.engine import Read, Write
from holdfast.errors import Busy, Refused

_BY_ALIAS = SQL["select_task"].fill(which=SQL["which_alias"])
_ASKED = (Status.TRIAGE, Status.BLOCKED, Status.TODO, Status.READY, Status.SCHEDULED)
_WORKSPACES = ("scratch", "worktree")  # and `directory:PATH`

_DONE: Gate = "done"

Parent = int | tuple[int, Gate]


def create(
    tx: Write,
    title: str,
    *,
    board: str = catalogue.DEFAULT,
    body: str = "",
    status: Status | str | None = None,
    parents: Iterable[Parent] = (),
    assignee: str = "",
    tenant: str = "",
    priority: int = 0,
    due_ms: int | None = None,
    request: str | None = None,
    request_scope: Scope = "any",
    failures_max: int = rules.FAILURES_MAX,
    time_max_ms: int | None = None,
    silence_max_ms: int | None = None,
    workspace: str = "scratch",
    branch: str | None = None,
    created_by: str = "",
    metadata: Any = None,
    alias: str | None = None,
    why: str = "",
) -> Created | Known:
    """Make a task. ``Known`` when a ``request`` of this key made one before; then nothing is changed.

    ``parents`` are numbers, or pairs of a number and a gate. Where it lies,
    its gates and ``due_ms`` say, unless ``status`` asks for ``triage`` or
    ``blocked`` (``why`` is the reason then). ``request_scope="open"``: the
    key makes a new task once the one it made is over. ``workspace``:
    ``scratch``, ``worktree``, or ``directory:PATH``. ``metadata`` is a JSON
    value of at most 64 KiB. Raises ``Refused`` for a word that is none.
    """
    words = _words(
        title=title,
        body=body,
        assignee=assignee,
        tenant=tenant,
        created_by=created_by,
        branch=branch,
        alias=alias,
        priority=priority,
        failures_max=failures_max,
        time_max_ms=time_max_ms,
        silence_max_ms=silence_max_ms,
    )
    words["metadata"] = dumped(metadata, "metadata")
    words["workspace_kind"], words["workspace"] = workspace_of(workspace)
    asked = None if status is None else _asked(status)
    linked = _linked(parents)
    rules.check_number("due_ms", due_ms, least=0)
    where = catalogue.in_use(tx, board)
    if asked == Status.SCHEDULED and due_ms is None:
        raise Refused("a task that is to be scheduled needs a time: due_ms")
    if alias is not None and get(tx, alias, board=board) is not None:
        raise Refused(f"there is a task called {alias} on board {board} already")
    for parent_id in linked:  # before anything is written
        _check_parent(parent_id, get_by_id(tx, parent_id), where)
    before: int | None = None
    if request is not None:
        rules.check_text("request", request, rules.REQUEST_MAX, least=1)
        if request_scope not in ("any", "open"):
            raise Refused(f"the scope of a request is 'any' or 'open', not {request_scope!r}")
        known = _asked_before(tx, where, request, request_scope)
        if isinstance(known, Known):
            return known
        before = known
    above = [(locked(tx, parent_id), linked[parent_id]) for parent_id in sorted(linked)]
    for parent, _ in above:
        _check_parent(parent.task_id, parent, where)
        linking.check_waits(parent, linked[parent.task_id])
    gates_open, gates_vetoed, reason = linking.counts_of(above)
    place = gates.place("work", gates_open, gates_vetoed)
    if asked == Status.TRIAGE:
        place = gates.Place(Status.TRIAGE, None)
    elif asked == Status.BLOCKED:
        place, reason = gates.Place(Status.BLOCKED, BlockKind.NEEDS_INPUT), said(why or "asked for")
    elif due_ms is not None and due_ms > tx.now_ms:
        place = gates.Place(Status.SCHEDULED, None)
    assert place.status in moves.CREATED
    row = tx.row(
        SQL["insert_task"],
        **words,
        board_id=where.board_id,
        status=place.status,
        due_ms=due_ms or 0,
        block_kind=place.block_kind,
        block_reason=reason if place.status == Status.BLOCKED else None,
        block_recurrences=int(place.block_kind == BlockKind.NEEDS_INPUT),
        gates_open=gates_open,
        gates_vetoed=gates_vetoed,
        links=len(above),
        now_ms=tx.now_ms,
    )
    assert row is not None  # RETURNING
    task_id = int(row["task_id"])
    for parent, gate in above:
        linking.add_child(tx, parent, task_id, gate)
    if request is not None and before is not None:
        point = {"task_id": task_id, "scope": request_scope, "request": request, "seen_id": before}
        if tx.run(SQL["point_request"], board_id=where.board_id, **point) != 1:
            raise Busy(f"request {request} was made by another at the same moment")
    made = get_by_id(tx, task_id)
    assert made is not None
    insert_event(tx, made, "created", {"status": str(made.status), "by": created_by} if created_by else None)
    if made.status in (Status.READY, Status.SCHEDULED):
        tx.hint()
    return Created(made)


def get(tx: Read, ref: int | str, *, board: str | None = None) -> Task | None:
    """Return the task with this number or, as a text, with this alias; None when there is none.

    Raises ``Refused`` for an alias that tasks of several boards have, unless ``board`` says which.
    """
    if isinstance(ref, int):
        return get_by_id(tx, ref)
    rows = tx.rows(_BY_ALIAS, alias=ref, board=board)
    if len(rows) > 1:
        raise Refused(f"tasks of several boards are called {ref}", remedy="Say the board, or the number.")
    return task(rows[0]) if rows else None


def there(tx: Read, ref: int | str, *, board: str | None = None) -> Task:
    """Do as ``get``. Raises ``Refused`` when there is none."""
    seen = get(tx, ref, board=board)
    if seen is None:
        raise missing(ref)
    return seen


def number(tx: Read, ref: int | str) -> int:
    """Return the number of a task."""
    return ref if isinstance(ref, int) else there(tx, ref).task_id


def workspace_of(text: str) -> tuple[WorkspaceKind, str | None]:
    """Return the kind and the path of a workspace: ``scratch``, ``worktree``, or ``directory:PATH``."""
    kind, _, path = text.partition(":")
    if kind == "directory" and path:
        rules.check_text("workspace", path, rules.WHY_MAX)
        return "directory", path
    if text in _WORKSPACES:
        return cast("WorkspaceKind", text), None
    if kind == "worktree" and path:
        rules.check_text("workspace", path, rules.WHY_MAX)
        return "worktree", path
    raise Refused(f"a workspace is scratch, worktree, worktree:REPOSITORY or directory:PATH, not {text!r}")


def _asked_before(tx: Write, where: Board, request: str, scope: Scope) -> Known | int:
    """Return the task this request made, or the number that stands in its row: 0, or that of a task that is over."""
    if tx.run(SQL["put_request"], board_id=where.board_id, request=request, scope=scope):
        return 0
    row = tx.row(SQL["get_request"], board_id=where.board_id, request=request)
    assert row is not None  # its row was in the way
    seen = get_by_id(tx, row["task_id"])
    if seen is None:  # lost by hand: as if it had not been made; a probe tells of it
        return int(row["task_id"])
    if row["scope"] == "open" and not gates.is_open(seen.status):
        return seen.task_id
    return Known(seen)


def _check_parent(parent_id: int, parent: Task | None, where: Board) -> None:
    if parent is None:
        raise missing(parent_id)
    if parent.board_id != where.board_id:
        raise Refused(f"task {parent_id} is not on board {where.slug}: links do not cross boards")


def _linked(parents: Iterable[Parent]) -> dict[int, Gate]:
    found: dict[int, Gate] = {}
    for parent in parents:
        parent_id, gate = (parent, _DONE) if isinstance(parent, int) else parent
        linking.check_gate(gate)
        found[parent_id] = gate
    return found


def _asked(status: Status | str) -> Status:
    if status not in _ASKED:
        raise Refused(f"a task is made {', '.join(_ASKED)}, not {status!r}")
    return Status(status)


def _words(**words: Any) -> dict[str, Any]:
    check_words(words)
    return words


def check_words(words: Mapping[str, Any]) -> None:
    """Raise ``Refused`` for a word of a task that is none."""
    lengths = {"title": rules.TITLE_MAX, "body": rules.BODY_BYTES_MAX, "branch": rules.WHY_MAX}
    for what, value in words.items():
        if what in ("priority",):
            rules.check_number(what, value)
        elif what in ("failures_max", "time_max_ms", "silence_max_ms"):
            rules.check_number(what, value, least=1)
        elif value is not None:
            least = int(what in ("title", "alias"))
            rules.check_text(what, value, lengths.get(what, rules.NAME_MAX), least=least)
