"""Programs that meet one failing input or output, and go on: what they were told must be true.

Each runs the same few steps, with the nth operation of one kind failing. At the
first error the fault is lifted, the truth is asked for through the same handle,
and the step is done again. Returns whether the fault was met at all: when it
was not, there is no nth any more.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from contents import check_integrity
from faults import Fault
from recorder import Recorder, recorded
from workloads import check_probes, empty_log

import holdfast
from holdfast import Full, HoldfastError, Unsupported
from holdfast.clock import wall_ms
from holdfast.sqlite import OutcomeUnknown, Store
from holdfast.state import said
from index_helpers import index_of, make_home, thread_id
from rows import statement

_INSERT = statement("INSERT INTO notes (turn, text) VALUES (:turn, :text)")
_TURNS = statement("SELECT turn, count(*) AS notes FROM notes GROUP BY turn ORDER BY turn")


def check_kind(error: HoldfastError, fault: Fault) -> None:
    """Fail when ``error`` sends its reader the wrong way: nothing is damaged, and no call was wrong."""
    allowed: tuple[type[HoldfastError], ...] = (OutcomeUnknown, Unsupported if fault.how == "eio" else Full)
    assert isinstance(error, allowed), f"{fault} was told as {type(error).__name__}: {error}"


# --- a store ------------------------------------------------------------------


class StoreUnderFault:
    """Writes, reads, a log that is emptied, a close and another open. Write ``n`` adds ``n + 1`` rows."""

    def __init__(self, folder: Path) -> None:
        self._template = folder / "template"
        self._root = folder / "root"
        self._template.mkdir()
        with Store.open(self._template / "notes.db", clock=wall_ms) as store, store.write() as tx:
            tx.script("CREATE TABLE notes (id INTEGER PRIMARY KEY, turn INTEGER NOT NULL, text TEXT NOT NULL) STRICT")

    def meets(self, fault: Fault, nth: int, *, new: bool = False) -> bool:
        """Run all; ``new``: on a file that is yet to be made."""
        shutil.rmtree(self._root, ignore_errors=True)
        if new:
            self._root.mkdir()
        else:
            shutil.copytree(self._template, self._root)
        self._fault = fault
        self._store: Store | None = None
        self._done: list[int] = []
        with recorded(self._root) as log:
            log.recording = False
            self._log = log
            log.faults.arm(fault, nth)
            try:
                self._step(self._open)
                if new:
                    self._step(self._make)
                for turn in range(3):
                    self._step(lambda turn=turn: self._write(turn), turn)
                self._step(self._read)
                self._step(self._empty)
                self._step(lambda: self._write(3), 3)
                self._step(self._close)
                self._step(self._open)
                self._step(self._read)
                self._step(lambda: self._write(4), 4)
                self._step(self._close)
            finally:
                log.faults.lift()
                if self._store is not None:
                    self._store.close()
        assert self._done == [0, 1, 2, 3, 4]
        with Store.open(self._root / "notes.db", clock=wall_ms) as store, store.read() as tx:
            check_integrity(tx)
            self._compare(tx.tuples(_TURNS), self._done)
        return log.faults.hits > 0

    def _step(self, do: Callable[[], None], turn: int | None = None) -> None:
        try:
            do()
        except HoldfastError as error:
            check_kind(error, self._fault)
            unknown = isinstance(error, OutcomeUnknown)
            if self._fault.sticky and self._store is not None:
                self._try_once_more()
            self._log.faults.lift()
            if turn is not None:
                if self._is_in(turn):
                    assert unknown, f"{type(error).__name__} for a write that is there: {error}"
                else:
                    do()
            elif do != self._make or not self._has_table():
                do()
        if turn is not None:
            self._done.append(turn)
        if self._store is not None and self._log.faults.hits:
            self._read()

    def _try_once_more(self) -> None:
        # While the disk still fails: told again, and still nothing half.
        assert self._store is not None
        try:
            self._has_table()
        except HoldfastError as error:
            check_kind(error, self._fault)

    def _open(self) -> None:
        self._store = Store.open(self._root / "notes.db", clock=wall_ms)

    def _make(self) -> None:
        assert self._store is not None
        with self._store.write() as tx:
            tx.script("CREATE TABLE notes (id INTEGER PRIMARY KEY, turn INTEGER NOT NULL, text TEXT NOT NULL) STRICT")

    def _write(self, turn: int) -> None:
        assert self._store is not None
        with self._store.write() as tx:
            for _ in range(turn + 1):
                tx.run(_INSERT, turn=turn, text="x" * 3_000)

    def _read(self) -> None:
        assert self._store is not None
        if self._has_table():
            with self._store.read() as tx:
                self._compare(tx.tuples(_TURNS), self._done)

    def _empty(self) -> None:
        assert self._store is not None
        empty_log(self._store)

    def _close(self) -> None:
        assert self._store is not None
        self._store.close()
        self._store = None

    def _is_in(self, turn: int) -> bool:
        assert self._store is not None
        with self._store.read() as tx:
            found = tx.tuples(_TURNS)
        there = [row for row in found if row[0] == turn]
        self._compare(found, [*self._done, turn] if there else self._done)
        return bool(there)

    def _has_table(self) -> bool:
        assert self._store is not None
        with self._store.read() as tx:
            return tx.row(statement("SELECT 1 FROM sqlite_schema WHERE name = 'notes'")) is not None

    @staticmethod
    def _compare(found: list[tuple[int, int]], turns: list[int]) -> None:
        assert found == [(turn, turn + 1) for turn in turns]


# --- a state ------------------------------------------------------------------


class StateUnderFault:
    """A home indexed for the first time, a thread renamed, another archived, the snapshot of that, and a close."""

    def __init__(self, folder: Path) -> None:
        self._root = folder / "root"
        self._home = make_home(folder / "home", 6)
        alone = folder / "alone"
        holdfast.open(self._home, state_dir=alone, search=False).close()
        self._fresh = index_of(alone)

    def meets(self, fault: Fault, nth: int) -> bool:
        shutil.rmtree(self._root, ignore_errors=True)
        self._root.mkdir()
        with recorded(self._root) as log:
            log.recording = False
            log.faults.arm(fault, nth)
            state = self._opened(log, fault)
            try:
                self._say(
                    state, log, fault, lambda: state.threads.rename(thread_id(1), "said"), lambda it: it.name == "said"
                )
                self._say(state, log, fault, lambda: state.threads.archive(thread_id(2)), lambda it: it.archived)
            finally:
                try:
                    state.close()
                except HoldfastError as error:
                    check_kind(error, fault)
                    log.faults.lift()
                    state.close()
            log.faults.lift()
            hits = log.faults.hits
        self._check()
        return hits > 0

    def _opened(self, log: Recorder, fault: Fault) -> holdfast.State:
        try:
            return self._open()
        except HoldfastError as error:
            check_kind(error, fault)
        log.faults.lift()
        return self._open()

    def _open(self) -> holdfast.State:
        return holdfast.open(self._home, state_dir=self._root / "state", search=False, wait_ms=0)

    def _say(self, state, log, fault, say, is_said) -> None:  # type: ignore[no-untyped-def]
        try:
            thread = say()
        except HoldfastError as error:
            check_kind(error, fault)
            log.faults.lift()
            thread = say()  # saying it twice is saying it once
        assert is_said(thread)

    def _check(self) -> None:
        with holdfast.open(self._home, state_dir=self._root / "state", search=False) as state:
            assert state.threads.get(thread_id(1)).name == "said"
            assert state.threads.get(thread_id(2)).archived
            with state.read() as tx:
                check_integrity(tx)
                check_probes(tx)
            state.threads.rename(thread_id(1), "")
            state.threads.unarchive(thread_id(2))
        snapshot = said.newest(os.fspath(self._root / "state"))
        assert snapshot is not None
        threads, files = index_of(self._root / "state")
        fresh_threads, fresh_files = self._fresh
        for row in (*threads.values(), *fresh_threads.values()):
            for column in [column for column in row if "said" in column]:
                row[column] = None
        assert (threads, files) == (fresh_threads, fresh_files)
