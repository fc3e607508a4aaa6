"""What there is on a board as JSON, and the line that says what became of a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.cli.render import out

if TYPE_CHECKING:
    from holdfast.board import Attachment, Comment, Event, Run, Task
    from holdfast.holds import Owner


def task_document(task: Task) -> dict[str, Any]:
    """Return ``task`` as plain values."""
    document: dict[str, Any] = msgspec.to_builtins(task)
    return document | _owner(task.owner)


def run_document(run: Run) -> dict[str, Any]:
    """Return one attempt as plain values."""
    document: dict[str, Any] = msgspec.to_builtins(run)
    return document | _owner(run.owner)


def event_document(event: Event) -> dict[str, Any]:
    """Return what happened as plain values."""
    return dict(msgspec.to_builtins(event))


def comment_document(comment: Comment) -> dict[str, Any]:
    """Return what was said as plain values."""
    return dict(msgspec.to_builtins(comment))


def attachment_document(attachment: Attachment) -> dict[str, Any]:
    """Return a file of a task, without what is in it, as plain values."""
    return dict(msgspec.to_builtins(attachment))


def tell(task: Task, *, as_json: bool) -> None:
    """Say what became of a task: its number, its status, its title."""
    if as_json:
        out.document({"task": task_document(task)})
    else:
        out.fields(str(task.task_id), str(task.status), task.title)


def tell_all(tasks: Sequence[Task], *, as_json: bool) -> None:
    """Say what became of each of several."""
    if as_json:
        out.document({"tasks": [task_document(task) for task in tasks]})
        return
    for task in tasks:
        tell(task, as_json=False)


def name_of(owner: Owner) -> str:
    """Return who that is: what it called itself, and its process."""
    from holdfast.holds import describe

    said = describe(owner)
    return f"{owner.label}, {said}" if owner.label and owner.label != said else said


def _owner(owner: Owner | None) -> dict[str, Any]:
    if owner is None:
        return {"owner": None, "owner_host": None, "owner_pid": None, "owner_label": None}
    from holdfast.holds import describe

    said = describe(owner)
    return {"owner": said, "owner_host": owner.host, "owner_pid": owner.pid, "owner_label": owner.label}
