"""All that is known of a task, as a page for a person and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.cli.render import board as documents
from holdfast.cli.render import out, safe, words
from holdfast.cli.render.board_tasks import since_ms

if TYPE_CHECKING:
    from holdfast.board import Link, Run, Task
    from holdfast.board.attaching import Attachment
    from holdfast.board.saying import Comment

_NAMES = 11  # columns
_SHOWN_MAX = 2_000  # characters of a result or a metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A task and what belongs to it. ``runs`` and ``comments``: oldest first."""

    task: Task
    slug: str
    why: str
    links: Sequence[Link]
    runs: Sequence[Run]
    comments: Sequence[Comment]
    files: Sequence[Attachment]
    now_ms: int


def shown_document(seen: Shown) -> dict[str, Any]:
    """Return it as plain values."""
    number = seen.task.task_id
    return {
        "board": seen.slug,
        "task": documents.task_document(seen.task),
        "why": seen.why,
        "parents": [msgspec.to_builtins(link) for link in seen.links if link.child_id == number],
        "children": [msgspec.to_builtins(link) for link in seen.links if link.parent_id == number],
        "runs": [documents.run_document(run) for run in seen.runs],
        "comments": [documents.comment_document(comment) for comment in seen.comments],
        "attachments": [documents.attachment_document(file) for file in seen.files],
    }


def print_shown(seen: Shown, runs_max: int, comments_max: int) -> None:
    """Print it, of the attempts and comments the last so many."""
    bold, dim, plain = out.styles("\x1b[1m", "\x1b[2m", "\x1b[0m")
    out.line(f"{bold}{seen.task.task_id}  {safe.line(seen.task.title)}{plain}")
    for name, text in _facts(seen):
        first, *rest = [piece for line in text.split("\n") for piece in _fitting(line)]
        out.line(f"{dim}{name:<{_NAMES}}{plain}{first}")
        for each in rest:
            out.line(f"{'':<{_NAMES}}{each}")
    if seen.task.body:
        out.line()
        out.line(safe.block(seen.task.body.rstrip()))
    for title, lines in (("Attempts", _runs(seen, runs_max)), ("Comments", _comments(seen, comments_max))):
        if lines:
            out.line()
            out.line(f"{bold}{title}{plain}")
            for line in lines:
                out.line(line)


def _fitting(line: str) -> list[str]:
    """Return ``line`` as lines that fit beside the names; as it is where it goes to a pipe."""
    if not out.is_terminal():
        return [line]
    import shutil
    import textwrap

    return textwrap.wrap(line, max(20, shutil.get_terminal_size().columns - _NAMES)) or [""]


def _facts(seen: Shown) -> Iterator[tuple[str, str]]:
    task = seen.task
    yield "Status", f"{task.status}{_since(task, seen.now_ms)}"
    if seen.why:
        yield "", safe.line(seen.why)
    yield "Board", safe.line(seen.slug)
    for name, text in (("Alias", task.alias), ("Assignee", task.assignee), ("Tenant", task.tenant)):
        if text:
            yield name, safe.line(text)
    if task.priority:
        yield "Priority", str(task.priority)
    by = f" by {safe.line(task.created_by)}" if task.created_by else ""
    yield "Created", words.local(task.created_ms) + by
    yield from _work(seen)
    parents = [link for link in seen.links if link.child_id == task.task_id]
    children = [link for link in seen.links if link.parent_id == task.task_id]
    if parents:
        yield "Waits for", "\n".join(map(_parent, parents))
    if children:
        yield "Before", "\n".join(map(_child, children))
    if task.verdict:
        yield "Verdict", safe.line(task.verdict)
    if task.summary:
        yield "Summary", safe.block(task.summary.rstrip())
    for name, value in (("Result", task.result), ("Metadata", task.metadata)):
        if value is not None:
            yield name, _value(value)
    if task.failures:
        yield "Failures", f"{task.failures} of {task.failures_max}: {safe.line(task.failure or '')}"
    if seen.files:
        yield "Files", "\n".join(map(_file, seen.files))


def _work(seen: Shown) -> Iterator[tuple[str, str]]:
    task = seen.task
    limits = [f"{words.duration(task.time_max_ms)} for an attempt"] if task.time_max_ms else []
    limits += [f"{words.duration(task.silence_max_ms)} of silence"] if task.silence_max_ms else []
    if limits:
        yield "Limits", ", ".join(limits)
    if task.workspace_kind != "scratch" or task.workspace:
        where = safe.line(words.tilde(task.workspace)) if task.workspace else "not made yet"
        branch = f", branch {safe.line(task.branch)}" if task.branch else ""
        yield "Workspace", f"{task.workspace_kind}: {where}{branch}"
    if task.status == "running":
        left = task.expires_ms - seen.now_ms
        lease = f"its lease has {words.duration(left)} to go" if left > 0 else "its lease is over"
        by = safe.line(documents.name_of(task.owner)) if task.owner is not None else "nobody known"
        yield "At work", f"{by}; heard of {words.ago(task.renewed_ms, seen.now_ms)}, {lease}"
        yield "Claim", f"run {task.run_id}, attempt {task.attempts}, fence {task.fence}"
        if task.note:
            yield "Note", safe.line(task.note)


def _since(task: Task, now_ms: int) -> str:
    return f", {words.ago(since_ms(task), now_ms)}"


def _parent(link: Link) -> str:
    verdict = f" ({safe.line(link.verdict)})" if link.verdict else ""
    gate = "" if link.gate == "done" else f", gate {link.gate}"
    state = {"open": "not yet", "met": "met", "veto": "can no longer be"}.get(link.state or "", "")
    return f"{link.parent_id}  {safe.line(link.title)}: {link.status}{verdict}{gate}, {state}"


def _child(link: Link) -> str:
    gate = "" if link.gate == "done" else f", gate {link.gate}"
    return f"{link.child_id}  {safe.line(link.title)}: {link.status}{gate}"


def _file(file: Attachment) -> str:
    return f"{file.attachment_id}  {safe.line(file.name)}, {words.size(file.size_bytes)}"


def _value(value: Any) -> str:
    import json

    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    cut = f"… ({len(text):,} characters in all)" if len(text) > _SHOWN_MAX else ""
    return safe.block(text[:_SHOWN_MAX]) + cut


def _runs(seen: Shown, most: int) -> list[str]:
    from holdfast.cli.render.board_runs import run_row

    lines = []
    if len(seen.runs) > most:
        lines.append(f"  the last {most} of {len(seen.runs):,}; --all shows every one")
    for run in seen.runs[-most:]:
        number, *facts, said = map(safe.line, run_row(run, seen.now_ms))
        told = ", ".join(filter(None, facts))  # ended without a claim, it was nobody's
        lines.append(f"  {number}  {told}{': ' if said else ''}{said}")
    return lines


def _comments(seen: Shown, most: int) -> list[str]:
    lines = []
    if len(seen.comments) > most:
        lines.append(f"  the last {most} of {len(seen.comments):,}; --all shows every one")
    for comment in seen.comments[-most:]:
        body = safe.block(comment.body.strip()).replace("\n", "\n    ")
        lines.append(f"  {words.local(comment.created_ms)}  {safe.line(comment.author)}: {body}")
    return lines
