"""A board as JSON lines, version 1: what is in a line, and what is wrong with one. Pure.

``docs/board-import.md`` describes it for those who read it with something else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

from holdfast.board.exchange.model import BoardFacts, Card, CardFile, Counts
from holdfast.board.gates import GATES
from holdfast.board.model import BlockKind, Outcome, Status

VERSION = 1
_NUMBER_MAX = 1 << 62
_STAGES = ("work", "review")
_SCOPES = ("any", "open")
_WORKSPACES = ("scratch", "directory", "worktree")


class FileLine(CardFile, kw_only=True, omit_defaults=True):
    """The bytes of an attachment; in JSON as base64."""

    task: int | str
    data: bytes


class Line(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One line: the first, a task, an attachment, or the last."""

    holdfast_board: int | None = None
    exported_ms: int | None = None
    board: BoardFacts | None = None
    tasks: int | None = None
    task: Card | None = None
    attachment: FileLine | None = None
    end: Counts | None = None


Problem: TypeAlias = str

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Line).decode


def problems(card: Card) -> Iterator[Problem]:
    """Yield what no board could hold."""
    words: list[tuple[str, Any, tuple[str, ...]]] = [
        ("status", card.status, tuple(Status)),
        ("stage", card.stage, _STAGES),
        ("workspace_kind", card.workspace_kind, _WORKSPACES),
        *(("gate", parent.gate, GATES) for parent in card.parents),
        *(("stage", run.stage, _STAGES) for run in card.runs),
        *(("scope", asked.scope, _SCOPES) for asked in card.requests),
        *(("outcome", run.outcome, tuple(Outcome)) for run in card.runs if run.outcome is not None),
    ]
    if card.block_kind is not None:
        words.append(("block_kind", card.block_kind, tuple(BlockKind)))
    if card.status == Status.ARCHIVED:
        words.append(("archived_from", card.archived_from, tuple(set(Status) - {Status.ARCHIVED, Status.RUNNING})))
    elif card.archived_from is not None:
        yield f"archived_from is {card.archived_from!r} while its status is {card.status}"
    for name, word, known in words:
        if word not in known:
            yield f"{name} is {word!r}, not one of {', '.join(sorted(known))}"
    if not card.title.strip():
        yield "it has no title"
    for where in (card, *card.runs, *card.comments, *card.events, *card.attachments):
        for name in where.__struct_fields__:
            value = getattr(where, name)
            if isinstance(value, int) and abs(value) > _NUMBER_MAX:
                yield f"{name} is {value}, beyond what a database holds"
    for name in _COUNTS:
        if getattr(card, name) < 0:
            yield f"{name} is below 0"


def mend(card: Card) -> Card:
    """Return the card with what is implied where it was left out by hand."""
    if card.status == Status.BLOCKED and card.block_kind is None:
        card.block_kind = str(BlockKind.NEEDS_INPUT)
    if card.status in (Status.DONE, Status.CANCELLED) and card.ended_ms is None:
        card.ended_ms = card.changed_ms
    if card.status == Status.REVIEW:
        card.stage = "review"
    return card


_COUNTS = ("block_recurrences", "failures", "attempts", "due_ms")
