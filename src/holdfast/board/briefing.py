"""What a worker is told of its task: all that matters, within bounds, whatever people and workers wrote. Looks only."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec

from holdfast.board import catalogue
from holdfast.board.looking import links
from holdfast.board.model import Board, Link, Run, Task
from holdfast.board.rows import SQL, run
from holdfast.board.transition import get, missing
from holdfast.engine import Read

BODY_MAX = 8 * 1024
FIELD_MAX = 4 * 1024
COMMENT_MAX = 2 * 1024
RUNS_MAX = 10
COMMENTS_MAX = 30
LINKS_MAX = 30
ATTACHMENTS_MAX = 100


class Comment(msgspec.Struct, frozen=True):
    """Something said of the task."""

    author: str
    body: str
    created_ms: int


class Attached(msgspec.Struct, frozen=True):
    """A file that lies with the task."""

    attachment_id: int
    name: str
    media_type: str
    size_bytes: int


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """A task with what is around it: its parents, the last attempts and comments (oldest first), its files."""

    task: Task
    board: Board
    parents: tuple[Link, ...]
    children: tuple[Link, ...]
    runs: tuple[Run, ...]
    comments: tuple[Comment, ...]
    attachments: tuple[Attached, ...]
    now_ms: int

    def markdown(self) -> str:
        """Return it to be read by a worker, at most about 300 KB: each text is cut, and says so."""
        seen = self.task
        lines = [f"# {seen.title}", "", f"Task {seen.task_id} on board {self.board.slug}, attempt {seen.attempts}."]
        for name, value in (("Assignee", seen.assignee), ("Tenant", seen.tenant), ("Branch", seen.branch)):
            if value:
                lines.append(f"{name}: {value}")
        if seen.stage == "review":
            lines.append("It was handed in: review it.")
        if seen.body:
            lines += ["", cut(seen.body, BODY_MAX)]
        lines += self._of_parents() + self._of_runs() + self._of_comments()
        if self.children:
            lines += ["", "## What waits for it", ""]
            lines += [f"- task {link.child_id}: {link.title} ({link.status})" for link in self.children]
        if self.attachments:
            lines += ["", "## Files", ""]
            lines += [
                f"- {file.name} ({file.media_type}, {file.size_bytes:,} bytes), attachment {file.attachment_id}"
                for file in self.attachments
            ]
        return "\n".join(lines) + "\n"

    def _of_parents(self) -> list[str]:
        lines = ["", "## What it builds on"] if self.parents else []
        for link in self.parents:
            verdict = f", verdict {link.verdict}" if link.verdict else ""
            when = f", {_age(self.now_ms - link.ended_ms)} ago" if link.ended_ms else ""
            lines += ["", f"### Task {link.parent_id}: {link.title} ({link.status}{verdict}{when})"]
            lines += _said(link.summary, link.metadata)
        return lines

    def _of_runs(self) -> list[str]:
        before = [each for each in self.runs if each.ended_ms is not None]
        lines = ["", "## Attempts before"] if before else []
        for each in before:
            who = f" by {each.assignee}" if each.assignee else ""
            ago = _age(self.now_ms - (each.ended_ms or 0))
            lines += ["", f"### Attempt {each.attempt}{who}: {each.outcome}, {ago} ago"]
            lines += _said(each.summary, each.metadata)
            if each.failure:
                lines += ["", cut(each.failure, FIELD_MAX)]
        return lines

    def _of_comments(self) -> list[str]:
        lines = ["", "## Comments"] if self.comments else []
        for each in self.comments:
            day = datetime.datetime.fromtimestamp(each.created_ms / 1000, datetime.UTC)
            lines += ["", f"### {each.author or 'somebody'}, {day:%Y-%m-%d %H:%M} UTC", "", cut(each.body, COMMENT_MAX)]
        return lines


def context(tx: Read, task_id: int) -> Context:
    """Return what a worker of this task is to know. Raises ``Refused`` when there is no such task."""
    seen = get(tx, task_id)
    if seen is None:
        raise missing(task_id)
    board = catalogue.board_by_id(tx, seen.board_id)
    assert board is not None  # boards are never deleted
    around = links(tx, task_id) if seen.links else []
    return Context(
        task=seen,
        board=board,
        parents=tuple(link for link in around if link.child_id == task_id)[:LINKS_MAX],
        children=tuple(link for link in around if link.parent_id == task_id)[:LINKS_MAX],
        runs=tuple(run(row) for row in reversed(tx.rows(SQL["last_runs"], task_id=task_id, limit=RUNS_MAX))),
        comments=tuple(
            Comment(**row) for row in reversed(tx.rows(SQL["last_comments"], task_id=task_id, limit=COMMENTS_MAX))
        ),
        attachments=tuple(Attached(**row) for row in tx.rows(SQL["attached"], task_id=task_id))[:ATTACHMENTS_MAX],
        now_ms=tx.now_ms,
    )


def cut(text: str, most: int) -> str:
    """Return ``text``, or its beginning when it has more than ``most`` characters, and how many are missing."""
    return text if len(text) <= most else f"{text[:most]}\n[... {len(text) - most:,} more characters]"


def _said(summary: str | None, metadata: Any) -> list[str]:
    lines = ["", cut(summary, FIELD_MAX)] if summary else []
    if metadata is not None:
        lines += ["", f"```json\n{cut(msgspec.json.encode(metadata).decode(), FIELD_MAX)}\n```"]
    return lines


def _age(ms: int) -> str:
    seconds = max(ms, 0) // 1000
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {name}"
    return f"{seconds} s"
