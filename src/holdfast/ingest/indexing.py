"""Index one home: what was read of it becomes rows, batch by batch, under a hold.

Everything here can be killed at any point: a batch commits whole or not at
all, the ledger says which files it held, and the next index goes on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing

from holdfast import holds, sql
from holdfast.engine import Engine, Write
from holdfast.holds import Hold
from holdfast.ingest import ledger
from holdfast.ingest.model import IndexReport, LedgerRow, Problem
from holdfast.ingest.reading import Reading
from holdfast.ingest.recording import Known, Recording
from holdfast.ingest.survey import Survey, entry_at, is_gone
from holdfast.rollouts import Entry, Scan
from holdfast.sqlite import Writing
from holdfast.threads import homes, store
from holdfast.threads.model import Home

_INDEXES = sql.load_script("holdfast.threads", "indexes.sql")

AtFirst = Callable[[Write, Home], object]
"""What else is to be done in the transaction that first notes a home as indexed."""


class Indexing:
    """One run over one home, by the process that has the hold on it."""

    def __init__(
        self, engine: Engine, home: Home, hold: Hold, reading: Reading, *, at_first: AtFirst | None = None
    ) -> None:
        self._engine = engine
        self._home = home
        self._hold = hold
        self._reading = reading
        self._at_first = at_first
        self._recording = Recording(home)

    def run(self, survey: Survey) -> IndexReport:
        """Do what ``survey`` found. What was committed stays, whatever is raised.

        Raises ``Stale`` when the hold was lost, ``Full`` when the disk is, ``Busy`` when ``stop`` was set.
        """
        began = time.monotonic()
        plan = survey.plan
        recording = self._recording
        recording.problems += survey.problems
        recording.speakers.vanished = frozenset(row.file_id for row in plan.vanished)
        self._read(plan.read)
        self._let_go(plan.vanished)
        complete = not survey.gone and os.path.isdir(self._home.path)
        if not complete and not survey.gone:
            recording.problems.append(Problem("", "home-gone", "the home vanished while it was being read"))
        threads = self._finish(survey.names_stamp, complete=complete)
        with self._engine.read() as tx:
            recording.problems += ledger.problems(tx, self._home.home_id)
        return IndexReport(
            home=self._home.path,
            scanned=len(survey.entries),
            indexed=recording.indexed,
            unchanged=plan.unchanged,
            failed=recording.failed + len(plan.failed),
            vanished=len(plan.vanished),
            duplicates=recording.speakers.duplicates,
            threads=threads,
            bytes_read=self._reading.bytes_read,
            duration_ms=round((time.monotonic() - began) * 1000),
            complete=complete,
            problems=tuple(recording.problems),
        )

    def refold(self, paths: Sequence[str]) -> None:
        """Fold these files again; a ``reading`` that is not full goes on where each long one was."""
        with self._engine.read() as tx:
            known = ledger.load_some(tx, self._home.home_id, paths)
        entries = [entry for path in paths if (entry := entry_at(self._home.path, path))]
        gone = [row for path, row in known.items() if is_gone(self._home.path, path)]
        self._recording.speakers.vanished = frozenset(row.file_id for row in gone)
        self._read([(entry, known.get(entry.path)) for entry in entries])
        self._let_go(gone)

    def _read(self, todo: Sequence[tuple[Entry, LedgerRow | None]]) -> None:
        known = {entry.path: (entry, row) for entry, row in todo}
        with closing(self._reading.batches(todo)) as batches:
            for batch in batches:
                self._flush(batch, known)

    def _flush(self, batch: list[Scan], known: Known) -> None:
        """Write one batch: ledger rows and threads together, or neither."""
        # Ascending by id is ascending in time: rows are appended, not squeezed in.
        batch.sort(key=lambda scan: (scan.facts.thread_id or b"") if scan.facts else b"")
        with self._engine.write(wait_ms=30_000) as tx:
            holds.confirm(tx, self._hold)
            unheard = self._recording.write(tx, batch, known)
        self._adopt(unheard)

    def _let_go(self, vanished: Sequence[LedgerRow]) -> None:
        """Mark the files that are gone, and missing those of their threads that no other file speaks for."""
        if not vanished:
            return
        with self._engine.write(wait_ms=30_000) as tx:
            holds.confirm(tx, self._hold)
            ids = [row.file_id for row in vanished]
            ledger.set_status(tx, ids, "gone")
            unheard = self._recording.speakers.let_go(tx, ids)
            ledger.forget_gone(tx, self._home.home_id)
        self._adopt(unheard)

    def _adopt(self, unheard: Sequence[bytes]) -> None:
        """Fold again the copies of threads that lost their file, or have a worse one: the best speaks from now on."""
        if not unheard:
            return
        with self._engine.read() as tx:
            known = ledger.load_some(tx, self._home.home_id, ledger.duplicates(tx, self._home.home_id, unheard))
        again = [(entry, known[path]) for path in known if (entry := entry_at(self._home.path, path))]
        if again:
            self._read(again)

    def _finish(self, stamp: str, *, complete: bool) -> int:
        """Make the indexes, apply names and forks, note the home complete; return how many threads it has."""
        renamed = stamp != self._home.names_stamp
        if self._recording.put == 0 and not renamed and self._home.indexed_ms is not None:
            with self._engine.read() as tx:
                return store.count(tx, self._home.home_id)
        with self._engine.write(wait_ms=30_000) as tx:
            holds.confirm(tx, self._hold)
            if isinstance(tx, Writing):  # others write meanwhile on PostgreSQL: there a migration made them
                tx.script(_INDEXES)
            revision = store.next_revision(tx)
            store.inherit(tx, self._home.home_id, revision)
            if renamed:
                store.set_names(tx, self._home.home_id, self._recording.names(), revision)
                stamp = self._recording.names_stamp or ""
            if complete:
                homes.set_indexed(tx, self._home, indexed_ms=tx.now_ms, names_stamp=stamp)
                if self._recording.put:
                    homes.doubt_names(tx, self._home, self._recording.names_stamp or "")
                if self._at_first is not None and self._home.indexed_ms is None:
                    self._at_first(tx, self._home)
            return store.count(tx, self._home.home_id)
