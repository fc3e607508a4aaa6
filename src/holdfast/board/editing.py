"""What a task says, and whose it is: changed at any time, by anybody. Each function joins the caller's transaction."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from holdfast.board import catalogue, rules
from holdfast.board.creating import check_words, get, workspace_of
from holdfast.board.model import Status, Task
from holdfast.board.rows import SQL, dumped
from holdfast.board.telling import tell
from holdfast.board.transition import locked
from holdfast.engine import Write
from holdfast.errors import Refused

_TEXTS = frozenset({"title", "body", "assignee", "tenant", "branch"})
_NUMBERS = frozenset({"priority", "failures_max", "time_max_ms", "silence_max_ms"})
_ENDS = frozenset({"summary", "result", "metadata"})
FIELDS = _TEXTS | _NUMBERS | _ENDS | {"workspace"}


def edit(tx: Write, task_id: int, **fields: Any) -> Task:
    """Change what a task says, and return it; an event tells which fields.

    They are title, body, assignee, tenant, branch, workspace (as ``create``
    takes it), priority, failures_max, time_max_ms, silence_max_ms, summary,
    result and metadata. Raises ``Refused`` for others.
    """
    return _edit(tx, task_id, "edited", fields)


def assign(tx: Write, task_id: int, assignee: str) -> Task:
    """Give a task to somebody; '' to nobody. Who is at it goes on."""
    return _edit(tx, task_id, "assigned", {"assignee": assignee})


def move_to(tx: Write, task_id: int, board: str) -> Task:
    """Put a task onto another board, and return it.

    Raises ``Refused`` while it runs, when it is linked (links do not cross
    boards), and when a task there has its alias.
    """
    where = catalogue.in_use(tx, board)
    seen = locked(tx, task_id)
    if seen.status == Status.RUNNING:
        raise Refused(f"task {task_id} is being done", remedy="Wait for it, or `reclaim` it.")
    if seen.board_id == where.board_id:
        return seen
    if seen.links:
        raise Refused(f"task {task_id} has {seen.links} links, and links do not cross boards", remedy="`unlink` it.")
    if seen.alias is not None and get(tx, seen.alias, board=board) is not None:
        raise Refused(f"there is a task called {seen.alias} on board {board} already")
    came_from = catalogue.board_by_id(tx, seen.board_id)
    tx.hint()
    tx.run(SQL["put_board_of"], board_id=where.board_id, task_id=task_id)
    tell(tx, task_id, "moved", {"from": came_from and came_from.slug, "to": where.slug})
    return locked(tx, task_id)


def _edit(tx: Write, task_id: int, event: str, fields: dict[str, Any]) -> Task:
    if unknown := fields.keys() - FIELDS:
        raise Refused(f"of a task may be changed: {', '.join(sorted(FIELDS))}; not {', '.join(sorted(unknown))}")
    check_words({name: value for name, value in fields.items() if name in _TEXTS | _NUMBERS})
    for name in fields.keys() & {"title", "body", "assignee", "tenant", "priority", "failures_max"}:
        if fields[name] is None:
            raise Refused(f"a task always has its {name}")
    if fields.get("summary") is not None:
        rules.check_text("summary", fields["summary"], rules.BODY_BYTES_MAX)
    words = {name: value for name, value in fields.items() if name != "workspace"}
    if "workspace" in fields:
        words["workspace_kind"], words["workspace"] = workspace_of(fields["workspace"])
    for name in ("result", "metadata"):
        dumped(words.get(name), name)
    seen = locked(tx, task_id)
    after = replace(seen, **words)
    changed = sorted(name for name in words if getattr(after, name) != getattr(seen, name))
    if not changed:
        return seen
    names = (*_TEXTS, *_NUMBERS, "summary", "workspace_kind", "workspace")
    tx.run(
        SQL["put_words"],
        **{name: getattr(after, name) for name in names},
        result=dumped(after.result, "result"),
        metadata=dumped(after.metadata, "metadata"),
        task_id=task_id,
    )
    payload: dict[str, Any] = {"fields": changed}
    if "assignee" in changed:
        payload |= {"assignee": after.assignee, "before": seen.assignee}
    seq = tell(tx, task_id, event, payload)
    if {"assignee", "tenant", "priority"} & set(changed):
        tx.hint()
    return replace(after, seq_events=seq, changed_ms=tx.now_ms)
