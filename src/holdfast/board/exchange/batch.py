"""Cards that are new, as rows: made in memory with what they count of each other, and written together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from holdfast import sql
from holdfast.board import gates
from holdfast.board.exchange.model import Card, CardComment
from holdfast.board.model import BlockKind, Gate, Stage, Status, Task
from holdfast.board.telling import EVENTS_MAX
from holdfast.engine import Write
from holdfast.findings import Finding

SQL = sql.load("holdfast.board.exchange")
OWN = "holdfast"
"""The source of whatever was exported here. A task is known there by its number and when it was made."""

Key: TypeAlias = int | str


class Batch:
    """Cards that are new, as rows."""

    def __init__(
        self, tx: Write, board_id: int, source: str, cards: Sequence[Card], parents: Mapping[Key, Task]
    ) -> None:
        self._tx = tx
        self._board_id = board_id
        self._source = source
        self._cards = cards
        self._parents = parents
        runs = [run for card in cards for run in card.runs]
        self.ids: dict[Key, int] = dict(zip((card.id for card in cards), self._reserve("tasks", cards), strict=True))
        numbers = iter(self._reserve("runs", runs))
        self._run_ids = {card.id: [next(numbers) for _ in card.runs] for card in cards}
        self._rows: dict[Key, dict[str, Any]] = {}
        self._odd: list[Finding] = []
        self._links: list[dict[str, Any]] = []
        self._children: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        """Of a parent that was here before: children that are open, and links."""

    def write(self) -> list[Finding]:
        """Write everything, and return what could not be."""
        tx, cards = self._tx, self._cards
        for card in cards:
            self._rows[card.id] = self._row(card)
        tx.run_many(SQL["import_task"], list(self._rows.values()))
        tx.run_many(SQL["import_link"], self._links)
        tx.run_many(SQL["import_run"], [row for card in cards for row in self._runs(card)])
        comments = [comment_row(self.ids[card.id], each) for card in cards for each in card.comments]
        tx.run_many(SQL["import_comment"], comments)
        tx.run_many(SQL["import_event"], [row for card in cards for row in self._events(card)])
        tx.run_many(SQL["put_import"], [self._import(card) for card in cards])
        for task_id, (opened, links) in sorted(self._children.items()):
            tx.run(SQL["add_children"], task_id=task_id, children_open=opened, links=links)
        for card in cards:
            for asked in card.requests:
                words = {"board_id": self._board_id, "request": asked.request, "scope": asked.scope}
                if not tx.run(SQL["import_request"], task_id=self.ids[card.id], **words):
                    self._odd.append(
                        Finding(
                            "import-request-taken",
                            f"{card.id} (task {self.ids[card.id]} here)",
                            f"the idempotency key {asked.request!r} is of another task",
                            "one task a key",
                            "It stays with the other.",
                        )
                    )
        if any(row["status"] in (Status.READY, Status.REVIEW) for row in self._rows.values()):
            tx.hint()
        return self._odd

    def waiting_for_children(self) -> list[int]:
        """Return the tasks that are blocked until their children are over."""
        blocked = [row for row in self._rows.values() if row["status"] == Status.BLOCKED]
        return [row["task_id"] for row in blocked if row["block_kind"] == BlockKind.CHILDREN]

    def _reserve(self, what: str, of: Sequence[object]) -> list[int]:
        return [row["id"] for row in self._tx.rows(SQL[f"reserve_{what}"], count=len(of))] if of else []

    def _row(self, card: Card) -> dict[str, Any]:
        """Return the row of a card, linked to its parents, which count it."""
        task_id = self.ids[card.id]
        opened = vetoed = links = 0
        status = Status.READY if card.status == Status.RUNNING else Status(card.status)
        for parent in card.parents:
            above = self._above(parent.id)
            if above is None:
                self._odd.append(
                    Finding(
                        "import-link",
                        f"{parent.id} → {card.id}",
                        "the parent was moved to another board here",
                        "both ends on one board",
                        "Left out.",
                    )
                )
                continue
            number, *_ = above
            state = gates.gate(gate_of(parent.gate), *above[1:])
            opened += state == gates.State.OPEN
            vetoed += state == gates.State.VETO
            links += 1
            self._links.append({"parent_id": number, "child_id": task_id, "gate": parent.gate})
            self._count(parent.id, number, int(gates.is_open(status)))
        kind = None if card.block_kind is None else BlockKind(card.block_kind)
        place = gates.settle(status, kind, _stage(card.stage), opened, vetoed, 1)
        status, kind = place.status, place.block_kind if place.status == Status.BLOCKED else kind
        reason = card.block_reason
        if kind == BlockKind.VETO and status == Status.BLOCKED:
            reason = reason or "one of its parents did not end as it was to"
        events = len(card.events[-EVENTS_MAX:]) if self._told(card) is None else len(card.events[1 - EVENTS_MAX :]) + 1
        fields = {name: getattr(card, name) for name in _PLAIN}
        return fields | {
            "task_id": task_id,
            "board_id": self._board_id,
            "status": str(status),
            "gates_open": opened,
            "gates_vetoed": vetoed,
            "children_open": 0,
            "links": links,
            "block_kind": None if kind is None else str(kind),
            "block_reason": reason,
            "result": _text(card.result),
            "metadata": _text(card.metadata),
            "attempts": max(card.attempts, len(card.runs)),
            "run_id": self._run_ids[card.id][-1] if card.runs else None,
            "seq_events": events,
        }

    def _above(self, key: Key) -> tuple[int, Status, str | None, Status | None] | None:
        if (row := self._rows.get(key)) is not None:
            was = row["archived_from"]
            return row["task_id"], Status(row["status"]), row["verdict"], None if was is None else Status(was)
        if (task := self._parents.get(key)) is not None and task.board_id == self._board_id:
            return task.task_id, task.status, task.verdict, task.archived_from
        return None

    def _count(self, key: Key, number: int, opened: int) -> None:
        if (row := self._rows.get(key)) is not None:
            row["children_open"] += opened
            row["links"] += 1
        else:
            self._children[number][0] += opened
            self._children[number][1] += 1

    def _runs(self, card: Card) -> Iterable[dict[str, Any]]:
        for run_id, run in zip(self._run_ids[card.id], card.runs, strict=True):
            words = msgspec.structs.asdict(run)
            del words["id"]
            words |= {"run_id": run_id, "task_id": self.ids[card.id]}
            if run.outcome is None or run.ended_ms is None:  # it went on where it comes from; here it is over
                words |= {"outcome": run.outcome or "reclaimed", "ended_ms": run.ended_ms or self._tx.now_ms}
            yield words | {"metadata": _text(run.metadata)}

    def _events(self, card: Card) -> Iterable[dict[str, Any]]:
        common = {"board_id": self._board_id, "task_id": self.ids[card.id]}
        runs = dict(zip((run.id for run in card.runs), self._run_ids[card.id], strict=True))
        told = self._told(card)
        kept = card.events[-EVENTS_MAX:] if told is None else card.events[1 - EVENTS_MAX :]
        for seq, event in enumerate(kept, 1):
            run_id = None if event.run is None else runs.get(event.run)
            words = {"seq": seq, "run_id": run_id, "kind": event.kind, "at_ms": event.at_ms}
            yield common | words | {"payload": _text(event.payload)}
        if told is not None:
            words = {"seq": len(kept) + 1, "run_id": None, "kind": "imported", "at_ms": self._tx.now_ms}
            yield common | words | {"payload": _text(told)}

    def _told(self, card: Card) -> dict[str, Any] | None:
        """Return what an event tells of the import; None: nothing that would not be as it was."""
        if self._source == OWN and card.claim is None:
            return None
        return {"from": self._source, "id": card.id} | ({} if card.claim is None else {"claim": card.claim})

    def _import(self, card: Card) -> dict[str, Any]:
        return {
            "board_id": self._board_id,
            "source": self._source,
            "source_id": key_of(card, self._source),
            "task_id": self.ids[card.id],
            "comments": max((each.id for each in card.comments), default=0),
            "events": max((each.id for each in card.events), default=0),
        }


def key_of(card: Card, source: str) -> str:
    """Return what the source calls a card for ever. Numbers begin anew in each database: the moment tells more."""
    return f"{card.id}@{card.created_ms}" if source == OWN else str(card.id)


def comment_row(task_id: int, comment: CardComment) -> dict[str, Any]:
    """Return the row of a comment."""
    return {
        "task_id": task_id,
        "author": comment.author,
        "body": comment.body,
        "created_ms": comment.created_ms,
    }


def _text(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def listed(keys: Iterable[object]) -> str:
    """Return a list as a statement takes it."""
    return msgspec.json.encode(list(keys)).decode()


def gate_of(text: str) -> Gate:
    """Return the gate that a card names: which it may be was seen to when the card was read."""
    return text  # type: ignore[return-value]


def _stage(text: str) -> Stage:
    return text  # type: ignore[return-value]


_PLAIN = (
    "alias", "title", "body", "archived_from", "stage", "priority", "assignee", "tenant", "created_by", "created_ms",
    "changed_ms", "ready_ms", "due_ms", "started_ms", "ended_ms", "block_recurrences", "failures",
    "failures_max", "failure", "verdict", "summary", "workspace_kind", "workspace", "branch", "time_max_ms",
    "silence_max_ms",
)  # fmt: skip
