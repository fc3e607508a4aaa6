"""Index one home: walk it, read what changed on all cores, write rows in batches under a hold.

Everything here can be killed at any point: a batch commits whole or not at
all, the ledger says which files it held, and the next index goes on.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing

import msgspec

from holdfast import holds, sql
from holdfast.engine import Engine, Read, Write
from holdfast.errors import Busy
from holdfast.holds import Hold
from holdfast.ingest import ledger, rules
from holdfast.ingest.model import IndexReport, LedgerRow, OnProgress, Problem, Progress
from holdfast.ingest.survey import Survey, entry_at, is_gone
from holdfast.rollouts import Entry, Scan, ScanRequest, read_names, scan_many
from holdfast.sqlite import Writing
from holdfast.threads import homes, store
from holdfast.threads.model import Home
from holdfast.threads.rules import better

_FIRST_BATCH = 64  # files: the first page people look at, within a fraction of a second
_BATCH = 2_000  # files per commit: 24 commits for 50,000, and at most a second of work lost to a kill
_INDEXES = sql.load_script("holdfast.threads", "indexes.sql")

AtFirst = Callable[[Write, Home], object]
"""What else is to be done in the transaction that first notes a home as indexed."""


class Indexing:
    """One run over one home, by the process that has the hold on it."""

    def __init__(
        self,
        engine: Engine,
        home: Home,
        hold: Hold,
        *,
        keeper: holds.Keeper,
        full: bool = False,
        on_progress: OnProgress | None = None,
        workers: int | None = None,
        stop: threading.Event | None = None,
        at_first: AtFirst | None = None,
    ) -> None:
        self._engine = engine
        self._home = home
        self._hold = hold
        self._keeper = keeper
        self._full = full
        self._on_progress = on_progress
        self._workers = workers
        self._stop = stop
        self._at_first = at_first
        self._problems: list[Problem] = []
        self._indexed = self._failed = self._duplicates = self._bytes_read = self._put = 0
        self._vanished: frozenset[int] = frozenset()
        self._names: dict[bytes, str] | None = None
        self._contested: list[bytes] = []  # threads whose file says less than it did: a copy may say more

    def run(self, survey: Survey) -> IndexReport:
        """Do what ``survey`` found. What was committed stays, whatever is raised.

        Raises ``Stale`` when the hold was lost, ``Full`` when the disk is, ``Busy`` when ``stop`` was set.
        """
        began = time.monotonic()
        plan = survey.plan
        self._problems += survey.problems
        self._vanished = frozenset(row.file_id for row in plan.vanished)
        self._read(plan.read)
        self._let_go(plan.vanished)
        complete = not survey.gone and os.path.isdir(self._home.path)
        if not complete and not survey.gone:
            self._problems.append(Problem("", "home-gone", "the home vanished while it was being read"))
        threads = self._finish(survey.names_stamp, complete=complete)
        with self._engine.read() as tx:
            self._problems += ledger.problems(tx, self._home.home_id)
        return IndexReport(
            home=self._home.path,
            scanned=len(survey.entries),
            indexed=self._indexed,
            unchanged=plan.unchanged,
            failed=self._failed + len(plan.failed),
            vanished=len(plan.vanished),
            duplicates=self._duplicates,
            threads=threads,
            bytes_read=self._bytes_read,
            duration_ms=round((time.monotonic() - began) * 1000),
            complete=complete,
            problems=tuple(self._problems),
        )

    def refold(self, paths: Sequence[str]) -> None:
        """Fold these files again, whatever the ledger says of them."""
        with self._engine.read() as tx:
            known = ledger.load_some(tx, self._home.home_id, paths)
        entries = [entry for path in paths if (entry := entry_at(self._home.path, path))]
        gone = [row for path, row in known.items() if is_gone(self._home.path, path)]
        self._vanished = frozenset(row.file_id for row in gone)
        self._full = True
        self._read([(entry, known.get(entry.path)) for entry in entries])
        self._let_go(gone)

    def _read(self, todo: Sequence[tuple[Entry, LedgerRow | None]]) -> None:
        by_path = {entry.path: (entry, row) for entry, row in todo}
        total_bytes = sum(entry.size for entry, _ in todo)
        batch: list[Scan] = []
        done = 0
        size = _FIRST_BATCH
        with closing(scan_many(self._requests(todo), workers=self._workers)) as scans:
            for scan in scans:
                self._check()
                batch.append(scan)
                done += 1
                self._bytes_read += scan.size
                if len(batch) >= size:
                    self._flush(batch, by_path)
                    batch, size = [], _BATCH
                    self._tell(done, len(todo), total_bytes)
        if batch:
            self._flush(batch, by_path)
        self._tell(done, len(todo), total_bytes)

    def _check(self) -> None:
        self._keeper.check()
        if self._stop is not None and self._stop.is_set():
            raise Busy(
                f"the index of {self._home.path} was stopped", remedy="What was done stays; the next index goes on."
            )

    def _requests(self, todo: Iterable[tuple[Entry, LedgerRow | None]]) -> Iterable[ScanRequest]:
        for entry, row in todo:
            facts = None
            if row is not None and not self._full and rules.may_resume(entry, row):
                with self._engine.read() as tx:
                    facts = ledger.facts(tx, row.file_id)
            yield ScanRequest(
                home=self._home.path,
                path=entry.path,
                zst=entry.zst,
                size=entry.size,
                offset=row.offset if row is not None and facts is not None else 0,
                facts=facts,
            )

    def _tell(self, done: int, files: int, total_bytes: int) -> None:
        progress = Progress(self._home.path, done, files, min(self._bytes_read, total_bytes), total_bytes)
        self._keeper.note = f"{progress.percent} %"
        if self._on_progress is not None:
            self._on_progress(progress)

    def _flush(self, batch: list[Scan], by_path: dict[str, tuple[Entry, LedgerRow | None]]) -> None:
        """Write one batch: ledger rows and threads together, or neither."""
        # Ascending by id is ascending in time: rows are appended, not squeezed in.
        batch.sort(key=lambda scan: (scan.facts.thread_id or b"") if scan.facts else b"")
        with self._engine.write(wait_ms=30_000) as tx:
            holds.confirm(tx, self._hold)
            files = self._file_rows(tx, batch, by_path)
            threads = self._elect(tx, batch, files)
            ledger.put(tx, [msgspec.structs.asdict(file) for file in files.values()])
            if threads:
                store.put(tx, self._home.home_id, threads, store.next_revision(tx))
                self._put += len(threads)
            left = [
                file.file_id
                for path, file in files.items()
                if (row := by_path[path][1]) is not None
                if row.thread_id != file.thread_id and file.status != "unreadable"
            ]
            orphans = self._orphan(tx, left) if left else []
            if threads and self._home.indexed_ms is not None:
                # A first index does this once, at its end; until then the home is not called indexed.
                store.inherit(tx, self._home.home_id, store.revision(tx))
            contested, self._contested = self._contested, []
            if contested:
                ledger.ask_again(tx, self._home.home_id, contested)
        self._adopt([*orphans, *contested])

    def _file_rows(
        self, tx: Read, batch: Sequence[Scan], by_path: dict[str, tuple[Entry, LedgerRow | None]]
    ) -> dict[str, _FileRow]:
        file_id = ledger.next_file_id(tx)
        files = {}
        for scan in batch:
            entry, row = by_path[scan.path]
            if scan.status == "gone":
                # Deleted or moved since the walk. The next one sees it gone, or where it is now.
                self._failed += 1
                self._problems.append(Problem(scan.path, "gone", "it vanished while the home was being read"))
                continue
            ok = scan.status == "ok"
            problems = [Problem(scan.path, p.code, p.detail, p.count) for p in scan.problems]
            if ok:
                self._indexed += 1
            else:
                self._failed += 1
                problems = problems or [Problem(scan.path, scan.status, scan.detail)]
            # Of a file that could not be opened only the walk knows which one it is.
            seen = scan if scan.inode else entry
            files[scan.path] = _FileRow(
                file_id=row.file_id if row is not None else file_id,
                home_id=self._home.home_id,
                path=scan.path,
                zst=int(scan.zst),
                inode=seen.inode,
                size=seen.size,
                mtime_ns=seen.mtime_ns,
                offset=scan.offset,
                status=scan.status,
                attempts=0 if ok else (row.attempts if row is not None else 0) + 1,
                problems=msgspec.json.encode(problems).decode() if problems else None,
                facts=msgspec.msgpack.encode(scan.facts) if ok and scan.offset >= rules.RESUME_BYTES_MIN else None,
                thread_id=scan.facts.thread_id if ok and scan.facts else None,
            )
            file_id += row is None
        return files

    def _elect(self, tx: Write, batch: Sequence[Scan], files: dict[str, _FileRow]) -> list[store.Derived]:
        """Return the rows of the threads that files of this batch speak for; other claimants become duplicates."""
        best: dict[bytes, Scan] = {}
        for scan in batch:
            id16 = files[scan.path].thread_id if scan.path in files else None
            if id16 is None:
                continue
            rival = best.get(id16)
            if rival is None or better(_claim(scan), _claim(rival)):
                best[id16] = scan
        unseated = []
        for id16, seat in store.present(tx, self._home.home_id, list(best)).items():
            claim = (bool(seat["archived_file"]), seat["updated_ms"], seat["path"])
            if seat["path"] in files or seat["file_id"] in self._vanished or not seat["seated"]:
                if better(claim, _claim(best[id16])):
                    self._contested.append(id16)
                continue
            if better(_claim(best[id16]), claim):
                unseated.append(seat["file_id"])
            else:
                del best[id16]
        ledger.set_status(tx, unseated, "duplicate")
        self._duplicates += len(unseated)
        names = self._names_by_id()
        threads = []
        for scan in batch:
            file = files.get(scan.path)
            if file is None or file.thread_id is None or scan.facts is None:
                continue
            if best.get(file.thread_id) is not scan:
                file.status = "duplicate"
                self._duplicates += 1
                continue
            archived_ms = scan.mtime_ns // 1_000_000 if scan.archived else None
            row = store.derive(
                scan.facts, archived=scan.archived, archived_ms=archived_ms, name=names.get(file.thread_id)
            )
            row["file_id"] = file.file_id
            threads.append(row)
        return threads

    def _let_go(self, vanished: Sequence[LedgerRow]) -> None:
        """Mark the files that are gone, and missing those of their threads that no other file speaks for."""
        if not vanished:
            return
        with self._engine.write(wait_ms=30_000) as tx:
            holds.confirm(tx, self._hold)
            ids = [row.file_id for row in vanished]
            ledger.set_status(tx, ids, "gone")
            orphans = self._orphan(tx, ids)
            ledger.forget_gone(tx, self._home.home_id)
        self._adopt(orphans)

    def _orphan(self, tx: Write, file_ids: Sequence[int]) -> list[bytes]:
        """Mark missing the threads of these files; have copies of theirs read again, if not by us, then by the next."""
        orphans = store.mark_missing(tx, file_ids)
        if orphans:
            ledger.ask_again(tx, self._home.home_id, orphans)
        return orphans

    def _adopt(self, orphans: Sequence[bytes]) -> None:
        """Fold again the copies of threads that lost their file, or have a worse one: the best speaks from now on."""
        if not orphans:
            return
        with self._engine.read() as tx:
            known = ledger.load_some(tx, self._home.home_id, ledger.duplicates(tx, self._home.home_id, orphans))
        again = [(entry, known[path]) for path in known if (entry := entry_at(self._home.path, path))]
        if again:
            self._read(again)

    def _names_by_id(self) -> dict[bytes, str]:
        if self._names is None:
            self._names = read_names(self._home.path)
        return self._names

    def _finish(self, stamp: str, *, complete: bool) -> int:
        """Make the indexes, apply names and forks, note the home complete; return how many threads it has."""
        renamed = stamp != self._home.names_stamp
        if self._put == 0 and not renamed and self._home.indexed_ms is not None:
            with self._engine.read() as tx:
                return store.counts(tx, self._home.home_id)["threads"]
        with self._engine.write(wait_ms=30_000) as tx:
            assert isinstance(tx, Writing)  # indexes are SQLite's own business until there is a second engine
            holds.confirm(tx, self._hold)
            tx.script(_INDEXES)
            revision = store.next_revision(tx)
            store.inherit(tx, self._home.home_id, revision)
            if renamed:
                store.set_names(tx, self._home.home_id, self._names_by_id(), revision)
            if complete:
                homes.set_indexed(tx, self._home, indexed_ms=tx.now_ms, names_stamp=stamp)
                if self._at_first is not None and self._home.indexed_ms is None:
                    self._at_first(tx, self._home)
            return store.counts(tx, self._home.home_id)["threads"]


class _FileRow(msgspec.Struct):
    """One row of ``files``, column by column."""

    file_id: int
    home_id: int
    path: str
    zst: int
    inode: int
    size: int
    mtime_ns: int
    offset: int
    status: str
    attempts: int
    problems: str | None
    facts: bytes | None
    thread_id: bytes | None


def _claim(scan: Scan) -> tuple[bool, int, str]:
    return scan.archived, scan.facts.updated_ms if scan.facts else 0, scan.path
