"""What was read of some files becomes rows: the ledger and the threads together, in the caller's transaction.

The same for an index and for a thread that is being written, so that they
cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from holdfast.engine import Read, Write
from holdfast.ingest import ledger, rules
from holdfast.ingest.model import FileRow, LedgerRow, Problem
from holdfast.ingest.speakers import Speakers
from holdfast.rollouts import Entry, Scan, names_stamp, read_names
from holdfast.threads import homes, store
from holdfast.threads.model import Home
from holdfast.tools import store as tools

Known = Mapping[str, tuple[Entry, LedgerRow | None]]
"""By relative path: the file as it was found, and what the ledger said of it then."""


class Recording:
    """Scans of one home in, rows out; counts what came of them."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.speakers = Speakers(home.home_id)
        self.indexed = 0
        self.failed = 0
        self.put = 0
        self.problems: list[Problem] = []
        self._names: dict[bytes, str] | None = None
        self.names_stamp: str | None = None
        """Of the names file that ``names`` were read from; None: not read yet."""

    def write(self, tx: Write, batch: Sequence[Scan], known: Known) -> list[bytes]:
        """Write one batch; ``known`` is what was known of its files when they were read.

        Returns the threads that lost their file, or have a worse one: their copies may speak now.
        """
        # Asked again: since the walk, whoever writes a thread may have noted more of its file.
        noted = ledger.load_some(tx, self.home.home_id, [scan.path for scan in batch])
        files = self._file_rows(tx, batch, known, noted)
        election = self.speakers.elect(tx, [scan for scan in batch if scan.path in files], files)
        ledger.put(tx, files.values())
        threads = [self._derived(scan, files[scan.path]) for scan in election.speaking]
        if threads:
            store.put(tx, self.home.home_id, threads, store.next_revision(tx))
            # A names file that is put back as it was has its old stamp again, and these rows have other names.
            homes.doubt_names(tx, self.home, self.names_stamp or "")
            tools.put(tx, self.home.home_id, _tools_of(election.speaking))
            store.say_what_waits(tx, self.home.home_id, store.revision(tx))
            self.put += len(threads)
        left = [
            file.file_id
            for path, file in files.items()
            if (row := noted.get(path)) is not None
            if row.thread_id != file.thread_id and file.status != "unreadable"
        ]
        unheard = self.speakers.let_go(tx, left, election.contested)
        if threads and self.home.indexed_ms is not None:
            # A first index does this once, at its end; until then the home is not called indexed.
            store.inherit(tx, self.home.home_id, store.revision(tx))
        return unheard

    def names(self) -> dict[bytes, str]:
        """Return the names the home's names file gives. Read once."""
        if self._names is None:
            self.names_stamp = names_stamp(self.home.path)
            self._names = read_names(self.home.path)
        return self._names

    def move_to(self, home: Home) -> None:
        """Record for ``home`` from now on: the same, as the database knows it by now."""
        self.home = home
        self.speakers = Speakers(home.home_id)

    def forget_names(self) -> None:
        """Have the names file read again when it is next asked for."""
        self._names = None

    def _file_rows(
        self, tx: Read, batch: Sequence[Scan], known: Known, noted: Mapping[str, LedgerRow]
    ) -> dict[str, FileRow]:
        free_id = ledger.next_file_id(tx)
        files = {}
        for scan in batch:
            entry, before = known[scan.path]
            row = noted.get(scan.path)
            if scan.status == "gone":
                # Deleted or moved since the walk. The next one sees it gone, or where it is now.
                self.failed += 1
                self.problems.append(Problem(scan.path, "gone", "it vanished while the home was being read"))
                continue
            if row is not None and row != before and rules.knows_more(row, scan):
                continue
            files[scan.path] = rules.file_row(scan, entry, row, home_id=self.home.home_id, free_id=free_id)
            free_id += row is None
            if scan.status == "ok":
                self.indexed += 1
            else:
                self.failed += 1
        return files

    def _derived(self, scan: Scan, file: FileRow) -> store.Derived:
        assert scan.facts is not None  # it speaks for a thread
        assert file.thread_id is not None
        row = store.derive(
            scan.facts,
            archived=scan.archived,
            archived_ms=scan.mtime_ns // 1_000_000 if scan.archived else None,
            name=self.names().get(file.thread_id),
        )
        row["file_id"] = file.file_id
        return row


def _tools_of(scans: Sequence[Scan]) -> dict[bytes, str | None]:
    return {
        scan.facts.thread_id: scan.facts.tools
        for scan in scans
        if scan.facts is not None and scan.facts.thread_id is not None
    }
