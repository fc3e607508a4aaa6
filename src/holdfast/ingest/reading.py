"""Read the files of a home that are new or changed, batch by batch, on all cores. Writes nothing but its progress."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing

from holdfast import holds
from holdfast.engine import Engine
from holdfast.errors import Busy
from holdfast.ingest import ledger, rules
from holdfast.ingest.model import LedgerRow, OnProgress, Progress
from holdfast.rollouts import Entry, Scan, ScanRequest, scan_many

_FIRST_BATCH = 64  # files: the first page people look at, within a fraction of a second
_BATCH = 2_000  # files per commit: 24 commits for 50,000, and at most a second of work lost to a kill


class Reading:
    """All that one run over one home reads. ``full``: long files do not go on where they were, either."""

    def __init__(
        self,
        engine: Engine,
        home: str,
        *,
        keeper: holds.Keeper,
        full: bool = False,
        on_progress: OnProgress | None = None,
        workers: int | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._engine = engine
        self._home = home
        self._keeper = keeper
        self._full = full
        self._on_progress = on_progress
        self._workers = workers
        self._stop = stop
        self.bytes_read = 0

    def batches(self, todo: Sequence[tuple[Entry, LedgerRow | None]]) -> Generator[list[Scan], None, None]:
        """Yield one scan for each file, in any order; progress is told when a batch was dealt with.

        A list is the caller's until the next one: two batches would take twice the memory.
        Raises ``Stale`` when the hold was lost, ``Busy`` when ``stop`` was set. Closing it ends the workers.
        """
        total_bytes = sum(entry.size for entry, _ in todo)
        batch: list[Scan] = []
        done = 0
        size = _FIRST_BATCH
        with closing(scan_many(self._requests(todo), workers=self._workers)) as scans:
            for scan in scans:
                self._check()
                batch.append(scan)
                done += 1
                self.bytes_read += scan.size
                if len(batch) >= size:
                    yield batch
                    batch.clear()
                    size = _BATCH
                    self._tell(done, len(todo), total_bytes)
        if batch:
            yield batch
        self._tell(done, len(todo), total_bytes)

    def _check(self) -> None:
        self._keeper.check()
        if self._stop is not None and self._stop.is_set():
            raise Busy(f"the index of {self._home} was stopped", remedy="What was done stays; the next index goes on.")

    def _requests(self, todo: Iterable[tuple[Entry, LedgerRow | None]]) -> Iterator[ScanRequest]:
        for entry, row in todo:
            facts = None
            if row is not None and not self._full and rules.may_resume(entry, row):
                with self._engine.read() as tx:
                    facts = ledger.facts(tx, row.file_id)
            yield ScanRequest(
                home=self._home,
                path=entry.path,
                zst=entry.zst,
                size=entry.size,
                offset=row.offset if row is not None and facts is not None else 0,
                facts=facts,
            )

    def _tell(self, done: int, files: int, total_bytes: int) -> None:
        progress = Progress(self._home, done, files, min(self.bytes_read, total_bytes), total_bytes)
        self._keeper.note = progress.note
        if self._on_progress is not None:
            self._on_progress(progress)
