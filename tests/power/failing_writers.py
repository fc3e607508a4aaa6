"""Writers that meet one failing input or output: a rollout's, and threads that share commits. See ``failing.py``."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from contents import check_integrity
from failing import check_kind
from faults import Fault
from recorder import recorded
from workloads import check_probes, open_state_db

from holdfast import Busy, HoldfastError, holds
from holdfast.clock import wall_ms
from holdfast.holds import Hold
from holdfast.rollouts import RolloutWriter, compress, compress_cold
from holdfast.sqlite import OutcomeUnknown, Store
from written import META, check_numbers, messages, says

T = TypeVar("T")


# --- a rollout ------------------------------------------------------------------


class RolloutUnderFault:
    """A thread begun, grown, closed, compressed, gone on with from its ``.zst``; every item is in it once."""

    def __init__(self, folder: Path) -> None:
        self._root = folder / "root"

    def meets(self, fault: Fault, nth: int) -> bool:
        shutil.rmtree(self._root, ignore_errors=True)
        self._root.mkdir()
        home = os.fspath(self._root)
        self._fault = fault
        with recorded(self._root) as log:
            log.recording = False
            self._log = log
            log.faults.arm(fault, nth)
            writer = self._until_it_works(lambda: RolloutWriter.create(home, META))
            for n in range(6):
                self._append(writer, f"{n} " + "x" * 600 * n)
            self._until_it_works(writer.close)
            path = os.path.relpath(writer.path, home)
            if compress(home, path, cold_ms=0).outcome == "failed":
                log.faults.lift()
                # Its answer may come too late to say that it was done.
                assert compress(home, path, cold_ms=0).outcome == "compressed" or not os.path.exists(writer.path)
            writer = self._until_it_works(lambda: RolloutWriter.resume(home, path))
            for n in range(6, 9):
                self._append(writer, f"{n}")
            self._until_it_works(writer.close)
        assert [words.split()[0] for words in messages(writer.path)] == [str(n) for n in range(9)]
        check_numbers(writer.path)
        compress_cold(home, cold_ms=1 << 40)  # the next run takes away what was left half made
        assert not [name for name in os.listdir(os.path.dirname(writer.path)) if name.endswith(".tmp")]
        return log.faults.hits > 0

    def _append(self, writer: RolloutWriter, words: str) -> None:
        try:
            answer = writer.append([says(words)])
        except HoldfastError as error:
            check_kind(error, self._fault)
            self._log.faults.lift()
            answer = writer.append([says(words)])
        if not answer.durable:
            assert answer.because
            # It waits in its place. While the disk still fails, more may come.
            assert writer.append([]).queued in (0, writer.queued)

    def _until_it_works(self, do: Callable[[], T]) -> T:
        try:
            return do()
        except HoldfastError as error:
            check_kind(error, self._fault)
        self._log.faults.lift()
        return do()


# --- a group --------------------------------------------------------------------


class HoldsUnderFault:
    """Threads that take holds at once and share commits; then each resource is taken once more by somebody else."""

    THREADS = 4

    def __init__(self, folder: Path) -> None:
        self._root = folder / "root"
        self._template = folder / "template"
        self._template.mkdir()
        open_state_db(os.fspath(self._template)).close()

    def meets(self, fault: Fault, nth: int) -> bool:
        shutil.rmtree(self._root, ignore_errors=True)
        shutil.copytree(self._template, self._root)
        told: list[tuple[str, int]] = []
        with recorded(self._root) as log:
            log.recording = False
            with Store.open(self._root / "state.db", clock=wall_ms) as store:
                log.faults.arm(fault, nth)
                errors = self._all_at_once(store, told)
                log.faults.lift()
                for error in errors:
                    # Who shared a commit with one that failed may be told to try again.
                    if type(error) is not Busy:
                        check_kind(error, fault)
                with store.read() as tx:
                    kept = {hold.resource: hold for hold in holds.listing(tx)}
                for resource, fence in told:
                    assert kept[resource].fence >= fence
                maybe = sum(isinstance(error, OutcomeUnknown) for error in errors)
                assert sum(hold.fence & 0xFF for hold in kept.values()) <= len(told) + maybe
                for resource in kept:
                    with store.write() as tx:
                        answer = holds.take(tx, resource, holds.me("next"), lease_ms=1_000, is_dead=lambda _: True)
                    assert isinstance(answer, Hold)
                    told.append((resource, answer.fence))
                assert len(set(told)) == len(told), "one fence was given out twice"
        with open_state_db(os.fspath(self._root)) as store, store.read() as tx:
            check_integrity(tx)
            check_probes(tx)
            assert {(hold.resource, hold.fence) for hold in holds.listing(tx)} <= set(told)
        return log.faults.hits > 0

    def _all_at_once(self, store: Store, told: list[tuple[str, int]]) -> list[HoldfastError]:
        errors: list[HoldfastError] = []
        strange: list[BaseException] = []

        def work(number: int) -> None:
            for turn in range(2):
                try:
                    with store.write(wait_ms=60_000) as tx:
                        owner = holds.me(f"thread {number}, turn {turn}")
                        answer = holds.take(tx, f"task:{number}", owner, lease_ms=60_000, is_dead=lambda _: True)
                    assert isinstance(answer, Hold)
                    told.append((answer.resource, answer.fence))
                except HoldfastError as error:
                    errors.append(error)
                except BaseException as error:
                    strange.append(error)

        crowd = [threading.Thread(target=work, args=(number,)) for number in range(self.THREADS)]
        try:
            with store.write():  # so that they queue up, and the first group is large
                for thread in crowd:
                    thread.start()
        except HoldfastError as error:
            errors.append(error)
        for thread in crowd:
            if thread.ident is None:
                thread.start()
            thread.join()
        assert not strange, strange
        return errors
