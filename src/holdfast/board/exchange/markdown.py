"""A task, and a board, as people like to read them. Pure.

What people wrote is quoted, so that a heading in it is none of ours.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from holdfast.board.exchange.model import BoardFacts, Card, CardRun

ORDER = ("running", "review", "ready", "blocked", "scheduled", "todo", "triage", "done", "cancelled", "archived")
_CELL_CHARS = 100
_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~])")


class Brief(NamedTuple):
    """What a list of tasks says of each."""

    id: int | str
    title: str
    status: str
    priority: int
    assignee: str
    changed_ms: int


def head(facts: BoardFacts, briefs: Iterable[Brief], at_ms: int) -> Iterator[str]:
    """Yield the beginning: what the board is, and how many tasks it has of each status."""
    yield f"# {plain(facts.name or facts.slug)}\n\n"
    if facts.description:
        yield f"{quoted(facts.description)}\n"
    counts: dict[str, int] = {}
    for each in briefs:
        counts[each.status] = counts.get(each.status, 0) + 1
    told = ", ".join(f"{counts[status]} {status}" for status in ORDER if status in counts) or "no tasks"
    yield f"Board `{facts.slug}`, {moment(at_ms)}: {told}.\n"


def table(status: str, briefs: Iterable[Brief], link: Mapping[int | str, str]) -> Iterator[str]:
    """Yield the tasks of one status as a table; ``link`` leads to each."""
    yield f"\n## {status.capitalize()}\n\n| Task | Title | Assignee | Priority | Changed |\n"
    yield "| ---: | --- | --- | ---: | --- |\n"
    for each in briefs:
        cells = (cell(each.title), cell(each.assignee), str(each.priority), moment(each.changed_ms))
        yield f"| [{each.id}]({link[each.id]}) | {' | '.join(cells)} |\n"


def task(card: Card, level: int, titles: Mapping[int | str, str], attachments: str | None) -> Iterator[str]:
    """Yield one task under a heading of this level. ``attachments``: the folder its files are in, None: nowhere."""
    sub = "#" * (level + 1)
    yield f"{'#' * level} {card.id} · {plain(card.title)}\n\n"
    for name, value in _facts(card):
        yield f"- {name}: {value}\n"
    for parent in card.parents:
        gate = "" if parent.gate == "done" else f" ({parent.gate})"
        yield f"- after {parent.id}{gate}: {plain(titles.get(parent.id, ''))}\n"
    if card.body.strip():
        yield f"\n{quoted(card.body)}"
    for name, text in (("Summary", card.summary), ("Result", _json(card.result)), ("Last failure", card.failure)):
        if text:
            yield f"\n{sub} {name}\n\n{quoted(text)}"
    if card.comments:
        yield f"\n{sub} Comments\n"
        for said in card.comments:
            yield f"\n**{plain(said.author) or 'somebody'}**, {moment(said.created_ms)}:\n\n{quoted(said.body)}"
    if card.runs:
        yield f"\n{sub} Runs\n\n| Attempt | By | Began | Took | Outcome | Summary |\n"
        yield "| ---: | --- | --- | ---: | --- | --- |\n"
        for run in card.runs:
            yield _run(run)
    if card.attachments:
        yield f"\n{sub} Attachments\n\n"
        for file in card.attachments:
            name = (
                plain(file.name)
                if attachments is None
                else f"[{plain(file.name)}]({attachments}/{file.id}{suffix(file.name)})"
            )
            yield f"- {name}, {file.size_bytes} bytes, SHA-256 `{file.sha256[:16]}`\n"
    if metadata := _json(card.metadata):
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", metadata)), default=0))
        yield f"\n{sub} Metadata\n\n{fence}json\n{metadata}\n{fence}\n"


def plain(text: str) -> str:
    """Return text for a line of its own: nothing in it is markup, and it has no line breaks."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def cell(text: str) -> str:
    """Return text for a cell of a table, cut to what fits."""
    line = " ".join(text.split())
    return plain(line if len(line) <= _CELL_CHARS else f"{line[: _CELL_CHARS - 1]}…")


def quoted(text: str) -> str:
    """Return what somebody wrote, as it is, behind the mark of a quote."""
    return "".join(f"> {line}".rstrip() + "\n" for line in text.splitlines())


def moment(at_ms: int) -> str:
    """Return a time in UTC, to the minute."""
    try:
        at = datetime.datetime.fromtimestamp(at_ms / 1000, datetime.UTC)
    except (ValueError, OverflowError, OSError):
        return f"{at_ms} ms"
    return at.strftime("%Y-%m-%d %H:%M UTC")


def suffix(name: str) -> str:
    """Return the ending of a file's name when it is a plain one, so that a double click opens it."""
    found = re.search(r"\.[A-Za-z0-9]{1,10}$", name)
    return found[0] if found else ""


def _facts(card: Card) -> Iterator[tuple[str, str]]:
    status = f"{card.status} (was {card.archived_from})" if card.archived_from else card.status
    yield "status", status + (f", {card.block_kind}" if card.status == "blocked" and card.block_kind else "")
    if card.status == "blocked" and card.block_reason:
        yield "blocked for", plain(card.block_reason)
    if card.status == "scheduled":
        yield "not before", moment(card.due_ms)
    for name, value in (("assignee", card.assignee), ("tenant", card.tenant), ("verdict", card.verdict or "")):
        if value:
            yield name, plain(value)
    if card.priority:
        yield "priority", str(card.priority)
    yield "created", moment(card.created_ms) + (f" by {plain(card.created_by)}" if card.created_by else "")
    if card.ended_ms is not None:
        yield "ended", moment(card.ended_ms)
    if card.alias:
        yield "also known as", plain(card.alias)
    if card.workspace_kind != "scratch":
        where = plain(card.workspace or "") + (f", branch {plain(card.branch)}" if card.branch else "")
        yield card.workspace_kind, where.strip(", ") or "not made yet"


def _run(run: CardRun) -> str:
    took = "" if run.ended_ms is None else f"{(run.ended_ms - run.started_ms) / 1000:.0f} s"
    cells = (str(run.attempt), cell(run.assignee), moment(run.started_ms), took, run.outcome or "at it")
    return f"| {' | '.join(cells)} | {cell(run.summary or run.failure or '')} |\n"


def _json(value: object) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
