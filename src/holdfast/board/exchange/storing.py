"""Cards written as rows: in batches, each card whole in one of them, and each only once per source.

The links of the board are held for as long as a batch is written, so a parent
does not end between the look at it and the child's row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from holdfast.board import attaching, linking
from holdfast.board.attaching import Prepared
from holdfast.board.exchange.batch import OWN, SQL, Batch, Key, comment_row, gate_of, key_of, listed
from holdfast.board.exchange.model import Card, CardComment, CardFile, Counts
from holdfast.board.model import Task
from holdfast.board.transition import locked
from holdfast.engine import Read, Write
from holdfast.errors import Refused
from holdfast.findings import Finding


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
        self._waiting: list[int] = []
        """Tasks that are blocked until their children are over, which come after them."""
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
        batch = Batch(tx, self._board_id, self._source, fresh, self._parents(tx, fresh))
        for card in cards:
            self.found.take(card)
            if card.id in batch.ids:
                self._seen[card.id] = _Seen(batch.ids[card.id], key_of(card, self._source))
                self._new.add(card.id)
                self.new.take(card)
        self.findings += batch.write()
        self._waiting += batch.waiting_for_children()
        for card in cards:
            if card.id not in batch.ids:
                self._more(tx, card)

    def end(self, tx: Write) -> None:
        """See to those that wait for children, once all that come have come."""
        for task_id in self._waiting:
            linking.recount(tx, task_id)

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
        for row in tx.rows(SQL["known"], board_id=self._board_id, source=self._source, ids=listed(by_key)):
            words = dict(row)
            key = words.pop("source_id")
            self._seen[by_key[key]] = _Seen(key=key, **words)
        unknown = [card for card in asked.values() if card.id not in self._seen]
        if self._source == OWN:
            self._meet_own(tx, unknown)
        aliases = {card.alias: card.id for card in unknown if card.alias and card.id not in self._seen}
        for row in tx.rows(SQL["aliases"], board_id=self._board_id, ids=listed(aliases)) if aliases else ():
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
        rows = tx.rows(SQL["own"], board_id=self._board_id, ids=listed(by_number)) if by_number else []
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
            tx.run_many(SQL["import_comment"], [comment_row(seen.task_id, each) for each in comments])
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
                linking.link(tx, above.task_id, seen.task_id, gate_of(parent.gate))
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

    def _later(self, card: Card, seen: _Seen) -> list[CardComment]:
        return [] if seen.key is None else [each for each in card.comments if each.id > seen.comments]

    def _named(self, seen: _Seen) -> dict[str, Any]:
        return {"board_id": self._board_id, "source": self._source, "source_id": seen.key}

    def _say(self, code: str, subject: str, measured: str, expected: str, remedy: str) -> None:
        self.findings.append(Finding(code, subject, measured, expected, remedy))
