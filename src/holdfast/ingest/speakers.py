"""Which file speaks for a thread when several could. Knows the ledger and the threads; reads no file.

Files with one thread id are a copy and its origin, or an archived file and one
that came back. The best of them speaks. The others wait in the ledger as
duplicates, and are read again when it goes, or says less than it did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from holdfast.engine import Write
from holdfast.ingest import ledger
from holdfast.ingest.model import FileRow
from holdfast.rollouts import Scan
from holdfast.threads import store
from holdfast.threads.rules import better


@dataclass(frozen=True, slots=True)
class Election:
    """What came of a batch of files."""

    speaking: Sequence[Scan]
    """One for each thread that a file of this batch speaks for."""
    contested: Sequence[bytes]
    """Threads whose file says less than it did: a copy may say more."""


class Speakers:
    """Who speaks for the threads of one home, while it is being indexed."""

    def __init__(self, home_id: int) -> None:
        self._home_id = home_id
        self.vanished: frozenset[int] = frozenset()
        """Files that are gone, though the ledger does not say so yet."""
        self.duplicates = 0
        """How many files were found to speak for no thread, as another does."""

    def elect(self, tx: Write, batch: Sequence[Scan], files: dict[str, FileRow]) -> Election:
        """Say which scans of ``batch`` speak for their thread.

        Files that do not become duplicates: in ``files`` (the rows of this batch
        by path) and in the ledger.
        """
        claims = [
            (scan, file.thread_id)
            for scan in batch
            if (file := files.get(scan.path)) is not None and file.thread_id is not None
        ]
        best: dict[bytes, Scan] = {}
        for scan, id16 in claims:
            rival = best.get(id16)
            if rival is None or better(_claim(scan), _claim(rival)):
                best[id16] = scan
        unseated, contested = [], []
        for id16, seat in store.present(tx, self._home_id, list(best)).items():
            claim = (bool(seat["archived_file"]), seat["updated_ms"], seat["path"])
            if seat["path"] in files or seat["file_id"] in self.vanished or not seat["seated"]:
                if better(claim, _claim(best[id16])):
                    contested.append(id16)
            elif better(_claim(best[id16]), claim):
                unseated.append(seat["file_id"])
            else:
                del best[id16]
        ledger.set_status(tx, unseated, "duplicate")
        speaking = [scan for scan, id16 in claims if best.get(id16) is scan]
        silent = [scan for scan, id16 in claims if best.get(id16) is not scan]
        for scan in silent:
            files[scan.path] = msgspec.structs.replace(files[scan.path], status="duplicate")
        self.duplicates += len(unseated) + len(silent)
        return Election(speaking, contested)

    def let_go(self, tx: Write, file_ids: Sequence[int], contested: Sequence[bytes] = ()) -> list[bytes]:
        """Mark missing the threads of these files, which speak no more; return the threads whose copies may speak now.

        The copies of ``contested`` threads are heard, too. All are read again: if
        not by us, then by the next index.
        """
        unheard = [*(store.mark_missing(tx, file_ids) if file_ids else ()), *contested]
        if unheard:
            ledger.ask_again(tx, self._home_id, unheard)
        return unheard


def _claim(scan: Scan) -> tuple[bool, int, str]:
    return scan.archived, scan.facts.updated_ms if scan.facts else 0, scan.path
