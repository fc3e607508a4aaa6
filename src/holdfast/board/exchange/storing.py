"""Cards written as rows: in batches, each card whole in one of them, and each only once per source.

The links of the board are held for as long as a batch is written, so a parent
does not end between the look at it and the child's row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from holdfast import sql
from holdfast.board import attaching, gates, linking
from holdfast.board.attaching import Prepared
from holdfast.board.exchange.model import Card, CardFile, Counts
from holdfast.board.model import BlockKind, Gate, Stage, Status, Task
from holdfast.board.telling import EVENTS_MAX
from holdfast.board.transition import locked
from holdfast.engine import Read, Write
from holdfast.errors import Refused
from holdfast.findings import Finding

SQL = sql.load("holdfast.board.exchange")
OWN = "holdfast"
"""The source of whatever was exported here. A task is known there by its number and when it was made."""

Key = int | str
_Rows = list[dict[str, Any]]


class Tally:
    """Counts that grow."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = defaultdict(int)

    def add(self, **counts: int) -> None:
        """Add to each."""
        for name, count in counts.items():
            self._counts[name] += count

    def take(self, card: Card) -> None:
        """Add a card and what belongs to it, but for its files."""
        self.add(tasks=1, links=len(card.parents), runs=len(card.runs))
        self.add(comments=len(card.comments), events=len(card.events))

    def counts(self) -> Counts:
        """Return them as they are now."""
        return Counts(**self._counts)


class _Seen(msgspec.Struct):
    """A task that is here: since when as far as its source goes."""

    task_id: int
    key: str | None
    """What its row in ``board_imports`` is called; None: it is known by its alias or its own number alone."""
    comments: int = 0
    events: int = 0
    attachments: int = 0


class Landing:
    """One board, as cards come into it from one source."""

    def __init__(self, board_id: int, source: str) -> None:
        self._board_id = board_id
        self._source = source
        self._seen: dict[Key, _Seen | None] = {}
        """By the card's id: a task that is here, None: one that a dry run would have made."""
        self._new: set[Key] = set()
        self.found, self.new, self.known = Tally(), Tally(), Tally()
        self.findings: list[Finding] = []

    def look(self, tx: Read, cards: Sequence[Card]) -> None:
        """Count what ``write`` would do. Writes nothing."""
        self._meet(tx, cards)
        for card in cards:
            self.found.take(card)
            seen = self._seen.get(card.id)
            if seen is None:
                self._seen[card.id] = None
                self._new.add(card.id)
                self.new.take(card)
            else:
                comments = self._later(card, seen)
                self.known.add(tasks=1, links=len(card.parents), comments=len(card.comments) - len(comments))
                self.new.add(comments=len(comments))

    def write(self, tx: Write, cards: Sequence[Card]) -> None:
        """Write those that are not here yet; of those that are, comments that are new. Parents come first."""
        linking.hold_board(tx, self._board_id)
        self._meet(tx, cards)
        fresh = [card for card in cards if self._seen.get(card.id) is None]
        batch = _Batch(tx, self._board_id, self._source, fresh, self._parents(tx, fresh))
        for card in cards:
            self.found.take(card)
            if card.id in batch.ids:
                self._seen[card.id] = _Seen(batch.ids[card.id], key_of(card, self._source))
                self._new.add(card.id)
                self.new.take(card)
        batch.write(self)
        for card in cards:
            if card.id not in batch.ids:
                self._more(tx, card)

    def file(self, tx: Write | None, card: Key, about: CardFile, made: Prepared) -> None:
        """Write a file of a card that came before, unless an earlier import did. ``tx`` None: only count."""
        self.found.add(attachments=1, attachment_bytes=made.size_bytes)
        seen = self._seen.get(card)
        if seen is not None and (seen.key is None or about.id <= seen.attachments):
            self.known.add(attachments=1, attachment_bytes=made.size_bytes)
            return
        self.new.add(attachments=1, attachment_bytes=made.size_bytes)
        if tx is None or seen is None:
            return
        marked = tx.run(SQL["mark_attachments"], attachments=about.id, **self._named(seen))
        if marked:
            attaching.put(
                tx,
                seen.task_id,
                about.name,
                made,
                media_type=about.media_type,
                author=about.added_by,
                created_ms=about.created_ms,
            )
            seen.attachments = about.id

    def _meet(self, tx: Read, cards: Sequence[Card]) -> None:
        """Learn which of the cards, and of their parents, are here already."""
        asked = {card.id: card for card in cards if card.id not in self._seen}
        by_key = {key_of(card, self._source): card.id for card in asked.values()}
        for row in tx.rows(SQL["known"], board_id=self._board_id, source=self._source, ids=_json(by_key)):
            words = dict(row)
            key = words.pop("source_id")
            self._seen[by_key[key]] = _Seen(key=key, **words)
        unknown = [card for card in asked.values() if card.id not in self._seen]
        if self._source == OWN:
            self._meet_own(tx, unknown)
        aliases = {card.alias: card.id for card in unknown if card.alias and card.id not in self._seen}
        for row in tx.rows(SQL["aliases"], board_id=self._board_id, ids=_json(aliases)) if aliases else ():
            self._seen[aliases[row["alias"]]] = _Seen(row["task_id"], None)
            self._say(
                "import-alias-taken",
                row["alias"],
                f"task {row['task_id']} is called so already",
                "one task of a name",
                "It was taken for the same one, and left as it is.",
            )

    def _meet_own(self, tx: Read, cards: Sequence[Card]) -> None:
        """Learn which cards are of this very board, or went out from here, were imported elsewhere and come back."""
        by_number: dict[int, list[Card]] = defaultdict(list)
        for card in cards:
            for origin in (key_of(card, OWN), *(each.id for each in card.origins if each.source == OWN)):
                number = origin.partition("@")[0]
                if number.isdecimal() and len(number) < 19:
                    by_number[int(number)].append(card)
        rows = tx.rows(SQL["own"], board_id=self._board_id, ids=_json(by_number)) if by_number else []
        for row in rows:
            for card in by_number[row["task_id"]]:
                if row["created_ms"] == card.created_ms:
                    self._seen[card.id] = _Seen(row["task_id"], None)

    def _parents(self, tx: Write, cards: Iterable[Card]) -> dict[Key, Task]:
        """Return, locked, the parents of these cards that are here already."""
        fresh = {card.id for card in cards}
        wanted = {parent.id for card in cards for parent in card.parents} - fresh
        numbers = {seen.task_id: key for key in wanted if (seen := self._seen.get(key)) is not None}
        return {numbers[task_id]: locked(tx, task_id) for task_id in sorted(numbers)}

    def _more(self, tx: Write, card: Card) -> None:
        """Of a task that was here before: write comments it got there since, and links to new parents."""
        seen = self._seen[card.id]
        assert seen is not None
        comments = self._later(card, seen)
        self.known.add(tasks=1, comments=len(card.comments) - len(comments))
        if comments:
            tx.run_many(SQL["import_comment"], [_comment(seen.task_id, each) for each in comments])
            seen.comments = comments[-1].id
            tx.run(SQL["mark_comments"], comments=seen.comments, **self._named(seen))
            self.new.add(comments=len(comments))
        for parent in card.parents:
            if parent.id not in self._new:
                self.known.add(links=1)
                continue
            above = self._seen[parent.id]
            assert above is not None
            try:
                linking.link(tx, above.task_id, seen.task_id, _gate(parent.gate))
                self.new.add(links=1)
            except Refused as why:
                self._say("import-link", f"{parent.id} → {card.id}", str(why), "a link", "Left out.")
        later = [each for each in card.events if seen.key is not None and each.id > seen.events]
        if later:
            self._say(
                "import-went-on",
                f"{card.id} (task {seen.task_id} here)",
                f"{len(later)} events there since it was imported; it is {card.status} there",
                "work in one place",
                "Its status, runs and events were left as they are here.",
            )

    def _later(self, card: Card, seen: _Seen) -> list[Any]:
        return [] if seen.key is None else [each for each in card.comments if each.id > seen.comments]

    def _named(self, seen: _Seen) -> dict[str, Any]:
        return {"board_id": self._board_id, "source": self._source, "source_id": seen.key}

    def _say(self, code: str, subject: str, measured: str, expected: str, remedy: str) -> None:
        self.findings.append(Finding(code, subject, measured, expected, remedy))


class _Batch:
    """Cards that are new, as rows."""

    def __init__(
        self, tx: Write, board_id: int, source: str, cards: Sequence[Card], parents: Mapping[Key, Task]
    ) -> None:
        self._tx = tx
        self._board_id = board_id
        self._source = source
        self._cards = cards
        self._parents = parents
        runs = [(card.id, run.id) for card in cards for run in card.runs]
        self.ids: dict[Key, int] = dict(zip((card.id for card in cards), self._reserve("tasks", cards), strict=True))
        self._run_ids = dict(zip(runs, self._reserve("runs", runs), strict=False))
        self._rows: dict[Key, dict[str, Any]] = {}
        self._links: _Rows = []
        self._children: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        """Of a parent that was here before: children that are open, and links."""

    def write(self, landing: Landing) -> None:
        """Write everything, and say what could not be."""
        tx, cards = self._tx, self._cards
        for card in cards:
            self._rows[card.id] = self._row(card)
        tx.run_many(SQL["import_task"], list(self._rows.values()))
        tx.run_many(SQL["import_link"], self._links)
        tx.run_many(SQL["import_run"], [row for card in cards for row in self._runs(card)])
        comments = [_comment(self.ids[card.id], each) for card in cards for each in card.comments]
        tx.run_many(SQL["import_comment"], comments)
        tx.run_many(SQL["import_event"], [row for card in cards for row in self._events(card)])
        tx.run_many(SQL["put_import"], [self._import(card) for card in cards])
        for task_id, (opened, links) in sorted(self._children.items()):
            tx.run(SQL["add_children"], task_id=task_id, children_open=opened, links=links)
        for card in cards:
            for asked in card.requests:
                words = {"board_id": self._board_id, "request": asked.request, "scope": asked.scope}
                if not tx.run(SQL["import_request"], task_id=self.ids[card.id], **words):
                    landing.findings.append(
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
                continue  # told by whoever put the cards in order
            number, *ended = above
            state = gates.gate(_gate(parent.gate), *ended)
            opened += state == gates.State.OPEN
            vetoed += state == gates.State.VETO
            links += 1
            self._links.append({"parent_id": number, "child_id": task_id, "gate": parent.gate})
            self._count(parent.id, number, int(gates.is_open(status)))
        kind = None if card.block_kind is None else BlockKind(card.block_kind)
        place = gates.settle(status, kind, _stage(card.stage), opened, vetoed, 1)
        status, kind = place.status, place.block_kind if place.status == Status.BLOCKED else kind
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
            "result": _text(card.result),
            "metadata": _text(card.metadata),
            "attempts": max(card.attempts, len(card.runs)),
            "run_id": self._run_ids[card.id, card.runs[-1].id] if card.runs else None,
            "seq_events": events,
        }

    def _above(self, key: Key) -> tuple[int, Status, str | None, Status | None] | None:
        if (row := self._rows.get(key)) is not None:
            was = row["archived_from"]
            return row["task_id"], Status(row["status"]), row["verdict"], None if was is None else Status(was)
        if (task := self._parents.get(key)) is not None:
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
        for run in card.runs:
            words = msgspec.structs.asdict(run)
            del words["id"]
            words |= {"run_id": self._run_ids[card.id, run.id], "task_id": self.ids[card.id]}
            if run.outcome is None or run.ended_ms is None:  # it went on where it comes from; here it is over
                words |= {"outcome": run.outcome or "reclaimed", "ended_ms": run.ended_ms or self._tx.now_ms}
            yield words | {"metadata": _text(run.metadata)}

    def _events(self, card: Card) -> Iterable[dict[str, Any]]:
        common = {"board_id": self._board_id, "task_id": self.ids[card.id]}
        told = self._told(card)
        kept = card.events[-EVENTS_MAX:] if told is None else card.events[1 - EVENTS_MAX :]
        for seq, event in enumerate(kept, 1):
            run_id = None if event.run is None else self._run_ids.get((card.id, event.run))
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
    """Return what the source calls a card, for ever. Numbers begin again in every database; the moment tells them apart."""
    return f"{card.id}@{card.created_ms}" if source == OWN else str(card.id)


def _comment(task_id: int, comment: Any) -> dict[str, Any]:
    return {
        "task_id": task_id,
        "author": comment.author,
        "body": comment.body,
        "created_ms": comment.created_ms,
    }


def _text(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _json(keys: Iterable[object]) -> str:
    return msgspec.json.encode(list(keys)).decode()


def _gate(text: str) -> Gate:
    return text  # type: ignore[return-value]  # `check` saw to it


def _stage(text: str) -> Stage:
    return text  # type: ignore[return-value]


_PLAIN = (
    "alias", "title", "body", "archived_from", "stage", "priority", "assignee", "tenant", "created_by", "created_ms",
    "changed_ms", "ready_ms", "due_ms", "started_ms", "ended_ms", "block_reason", "block_recurrences", "failures",
    "failures_max", "failure", "verdict", "summary", "workspace_kind", "workspace", "branch", "time_max_ms",
    "silence_max_ms",
)  # fmt: skip
