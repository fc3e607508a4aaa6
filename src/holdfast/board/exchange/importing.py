"""Cards from a source into a board: in batches that keep nobody waiting for long.

Each batch is a transaction with whole cards in it. Whatever ends the import in
the middle, what was written stays; run again, it goes on: cards that are here are known.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any

from msgspec.structs import replace

from holdfast.board import catalogue
from holdfast.board.attaching import SIZE_MAX, prepare
from holdfast.board.exchange import jsonl
from holdfast.board.exchange.batch import OWN, SQL, Key
from holdfast.board.exchange.model import (
    FINDINGS_KEPT,
    BoardFacts,
    Card,
    CardFile,
    Counts,
    ExchangeProgress,
    ImportReport,
    OnProgress,
)
from holdfast.board.exchange.reading import BOARD_SQL, count
from holdfast.board.exchange.storing import Landing
from holdfast.board.hermes.asking import ask
from holdfast.board.hermes.model import Began, Cards, Ended, FileRead, Place, ReadRequest
from holdfast.engine import Engine, Write
from holdfast.errors import Damaged, Refused
from holdfast.findings import Finding

HERMES = "hermes"

_WAIT_MS = 30_000
_BATCH_S = 0.05  # how long a batch may keep other writers waiting, on SQLite
_BATCH_MAX = 400
_BATCH_EVENTS_MAX = 20_000


class Import:
    """One board on its way in."""

    def __init__(self, engine: Engine, source: str, kind: str, dry_run: bool, on_progress: OnProgress | None) -> None:
        self._engine = engine
        self._source = source
        self._kind = kind
        self._dry_run = dry_run
        self._say = on_progress or _nobody
        self._began = time.monotonic()
        self._size = 20
        self._made_board = False
        self._findings: dict[str, list[Finding]] = {}
        self._oddities: Counter[str] = Counter()
        self._landing: Landing | None = None
        self.slug = ""

    def board(self, facts: BoardFacts) -> None:
        """Have the board there. One that was made by this, or has no tasks and was never changed, gets its facts."""
        self.slug = facts.slug
        if self._dry_run:
            with self._engine.read() as tx:
                found = catalogue.get_board(tx, facts.slug)
            self._made_board = found is None
            self._landing = Landing(-1 if found is None else found.board_id, self._kind)
            return
        with self._engine.write(wait_ms=_WAIT_MS) as tx:
            found = catalogue.get_board(tx, facts.slug)
            self._made_board = found is None
            found = found or catalogue.create_board(tx, facts.slug)
            if self._made_board or (found.changed_ms == found.created_ms and count(tx, found) == 0):
                _put_facts(tx, found.board_id, facts)
        self._landing = Landing(found.board_id, self._kind)

    def cards(self, cards: Sequence[Card], total: int) -> None:
        """Write cards, each after its parents."""
        landing = self._there()
        at = 0
        while at < len(cards):
            batch = _first(cards[at : at + self._size])
            began = time.monotonic()
            if self._dry_run:
                with self._engine.read() as tx:
                    landing.look(tx, batch)
            else:
                with self._engine.write(wait_ms=_WAIT_MS) as tx:
                    landing.write(tx, batch)
            took = time.monotonic() - began
            self._size = max(1, min(_BATCH_MAX, self._size * 2, int(len(batch) * _BATCH_S / max(took, 1e-4)) + 1))
            at += len(batch)
            self._say(ExchangeProgress("tasks", self.slug, landing.found.counts().tasks, total))
        self.findings(landing.findings)
        landing.findings.clear()

    def end_of_cards(self) -> None:
        """Say that all tasks have come."""
        if not self._dry_run:
            with self._engine.write(wait_ms=_WAIT_MS) as tx:
                self._there().end(tx)

    def file(self, card: Key, about: CardFile, data: bytes, total: int) -> None:
        """Write one file, in a transaction of its own."""
        landing = self._there()
        made = prepare(data, size_max=max(len(data), SIZE_MAX))
        if self._dry_run:
            landing.file(None, card, about, made)
        else:
            with self._engine.write(wait_ms=_WAIT_MS) as tx:
                landing.file(tx, card, about, made)
        self._say(ExchangeProgress("attachments", self.slug, landing.found.counts().attachments, total))

    def findings(self, findings: Iterable[Finding]) -> None:
        """Take findings to tell of."""
        for each in findings:
            self._oddities[each.code] += 1
            kept = self._findings.setdefault(each.code, [])
            if len(kept) < FINDINGS_KEPT:
                kept.append(each)

    def report(self) -> ImportReport:
        """Return what came of it."""
        landing = self._there()
        self._say(ExchangeProgress("done", self.slug, landing.found.counts().tasks, landing.found.counts().tasks))
        return ImportReport(
            source=self._source,
            board=self.slug,
            made_board=self._made_board,
            dry_run=self._dry_run,
            found=landing.found.counts(),
            new=landing.new.counts(),
            known=landing.known.counts(),
            oddities=dict(self._oddities),
            findings=tuple(each for kept in self._findings.values() for each in kept),
            duration_ms=round((time.monotonic() - self._began) * 1000),
        )

    def _there(self) -> Landing:
        assert self._landing is not None  # `board` comes first
        return self._landing


def from_hermes(
    engine: Engine,
    place: Place,
    slug: str | None,
    *,
    dry_run: bool,
    attachments: bool,
    on_progress: OnProgress | None,
) -> ImportReport:
    """Import one board of Hermes."""
    made = Import(engine, place.db, HERMES, dry_run, on_progress)
    if on_progress is not None:
        on_progress(ExchangeProgress("reading", slug or place.slug))
    tasks = files = 0
    request = ReadRequest(place=place, attachments=attachments, file_bytes_max=SIZE_MAX)
    with closing(ask(request)) as answers:
        for answer in answers:
            match answer:
                case Began():
                    made.board(replace(answer.board, slug=slug or answer.board.slug))
                    tasks, files = answer.tasks, answer.files
                case Cards():
                    made.findings(answer.findings)
                    made.cards(answer.cards, tasks)
                case FileRead():
                    made.file(answer.card, answer.file, answer.data, files)
                case Ended():
                    made.findings(answer.findings)
                    made.end_of_cards()
    return made.report()


def one_of_several(engine: Engine, place: Place, **how: Any) -> ImportReport:
    """Import one board of a root. One that cannot be read has a report with a finding, and nothing else."""
    try:
        return from_hermes(engine, place, None, **how)
    except (Damaged, Refused) as error:
        finding = Finding("hermes-unreadable", place.db, str(error), "a board of Hermes", error.remedy)
        return ImportReport(
            source=place.db,
            board=place.slug,
            made_board=False,
            dry_run=bool(how["dry_run"]),
            found=Counts(),
            new=Counts(),
            known=Counts(),
            oddities={finding.code: 1},
            findings=(finding,),
            duration_ms=0,
        )


def from_json(
    engine: Engine, source: jsonl.Source, slug: str | None, *, dry_run: bool, on_progress: OnProgress | None
) -> ImportReport:
    """Import one export: looked through first, then written."""
    with jsonl.opened(source) as file:
        document = jsonl.look_through(file, jsonl.name(source), on_progress)
        made = Import(engine, jsonl.name(source), OWN, dry_run, on_progress)
        made.board(replace(document.board, slug=slug or document.board.slug))
        made.findings(document.findings)
        total = len(document.order)
        for batch in _batches(jsonl.cards(file, document)):
            made.cards(batch, total)
        made.end_of_cards()
        for line in jsonl.files(file, document):
            about = CardFile(**{name: getattr(line, name) for name in CardFile.__struct_fields__})
            made.file(line.task, about, line.data, len(document.files))
    return made.report()


def _batches(cards: Iterable[Card]) -> Iterator[list[Card]]:
    batch: list[Card] = []
    for card in cards:
        batch.append(card)
        if len(batch) == _BATCH_MAX:
            yield batch
            batch = []
    if batch:
        yield batch


def _first(cards: Sequence[Card]) -> Sequence[Card]:
    """Return the first of them that do not have too many events together: one, in any case."""
    events = 0
    for at, card in enumerate(cards):
        events += len(card.events)
        if events > _BATCH_EVENTS_MAX and at:
            return cards[:at]
    return cards


def _put_facts(tx: Write, board_id: int, facts: BoardFacts) -> None:
    tx.run(
        SQL["import_board"],
        board_id=board_id,
        name=facts.name,
        description=facts.description,
        workdir=facts.workdir,
        running_max=facts.running_max,
        created_ms=tx.now_ms if facts.created_ms is None else facts.created_ms,
        archived_ms=facts.archived_ms,
    )
    for assignee, most in facts.caps.items():
        tx.run(BOARD_SQL["put_cap"], board_id=board_id, assignee=assignee, running_max=most)


def _nobody(_progress: Any) -> None: ...
