"""``state.memory``: what is remembered of the threads of this handle's homes, and how it comes about."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from holdfast import jobs
from holdfast.engine import Write
from holdfast.memory import artefacts, extracting, merging, rules, store
from holdfast.memory.model import (
    CWD,
    USER,
    Extracted,
    ExtractReport,
    Memory,
    MergeReport,
    Model,
    OnProgress,
    Settings,
)
from holdfast.state.directory import MEMORY
from holdfast.state.doors import row_ids, thread_id_of
from holdfast.threads import homes as home_rows
from holdfast.threads import rules as thread_rules

if TYPE_CHECKING:
    from holdfast.state.handle import State
    from holdfast.threads.model import Thread


Memories = list[Memory]
RowIds = list[int]


class Run(msgspec.Struct, frozen=True):
    """What one run came to: threads read, and the files put together."""

    extract: ExtractReport
    merge: MergeReport | None


class MemoryDoor:
    """What ``state.memory`` is. Reading never writes; a ``peek`` may read."""

    def __init__(self, state: State) -> None:
        self._state = state

    @property
    def root(self) -> str:
        """Where the folders of artefacts are, whether or not there are any: ``current`` leads to those that count."""
        return os.path.join(self._state.path, MEMORY)

    # --- making ------------------------------------------------------------------

    def run(
        self,
        model: Model,
        settings: Settings | None = None,
        *,
        phase: Literal["both", "extract", "merge"] = "both",
        force: bool = False,
        cwds: Sequence[str] = (),
        stop: threading.Event | None = None,
        on_progress: OnProgress | None = None,
    ) -> Run:
        """Have ``model`` read the threads that are due, then put what it says together in files.

        ``cwds``: only threads of these directories are read. ``force``: the
        files are made also within the cooldown, and after a failure. Set
        ``stop`` to end it early. A run that ended early makes no files.
        """
        engine, how = self._state.engine_to_write(), settings or Settings()
        read = ExtractReport()
        if phase != "merge":
            wanted = [thread_rules.normal_cwd(cwd) for cwd in cwds]
            read = extracting.extract(
                engine, self._homes(), model, how, stop=stop, on_progress=on_progress, cwds=wanted
            )
        ended = read.ended_by is not None or (stop is not None and stop.is_set())
        if phase == "extract" or USER not in how.scopes or ended:
            return Run(read, None)
        merged = merging.merge(
            engine, self._every_home(), self.root, model, how, force=force, stop=stop, on_progress=on_progress
        )
        return Run(read, merged)

    def due(self, settings: Settings | None = None, *, cwds: Sequence[str] = ()) -> ExtractReport:
        """Return what a run would begin with: how many threads may be read, and how many are due. Only reads."""
        if self._state.engine is None:
            return ExtractReport()
        wanted = [thread_rules.normal_cwd(cwd) for cwd in cwds]
        return extracting.due(self._state.engine, self._homes(), settings or Settings(), cwds=wanted)

    def put(self, text: str, raw_memory: str, summary: str, *, cwd_only: bool = False) -> Memories | None:
        """Remember this of a thread, as a harness that reads its own threads does. None: no such thread.

        In the scope of its directory and, unless ``cwd_only``, of the person;
        without secrets, and within the caps.
        """
        thread = self._state.threads.resolve(text)
        if thread is None:
            return None
        scopes = store.scopes_for(Settings(scopes=(CWD,) if cwd_only else (CWD, USER)), thread.cwd or "")
        found = Extracted(rules.clean(raw_memory, rules.RAW_BYTES_MAX), rules.clean(summary, rules.SUMMARY_BYTES_MAX))
        with self._state.write() as tx:
            home_id, id16 = self._home_id(thread), thread_id_of(thread.id)
            return [store.put(tx, home_id, id16, scope, found, source_ms=thread.updated_at_ms) for scope in scopes]

    # --- reading -----------------------------------------------------------------

    def last(self, n: int, *, cwd: str | None = None) -> Memories:
        """Return the ``n`` memories written last: of the directory ``cwd`` exactly, else of the person."""
        if self._state.engine is None:
            return []
        scope = (USER, USER) if cwd is None else (CWD, thread_rules.normal_cwd(cwd))
        with self._state.read() as tx:
            return store.last(tx, self._homes(), scope, n)

    def list(self, *, scope: str | None = None, cwd: str | None = None, limit: int = 100) -> Memories:
        """Return memories, those that are invalid too, the newest first."""
        if self._state.engine is None:
            return []
        kind, key = (CWD, thread_rules.normal_cwd(cwd)) if cwd is not None else (scope, None)
        with self._state.read() as tx:
            return store.newest(tx, self._homes(), kind=kind, key=key, limit=limit)

    def get(self, text: str) -> Memories | None:
        """Return what is remembered of a thread, in each scope, the newest first; None: no such thread."""
        thread = self._state.threads.resolve(text)
        if thread is None or self._state.engine is None:
            return None if thread is None else []
        with self._state.read() as tx:
            return store.of_thread(tx, self._home_id(thread), thread_id_of(thread.id))

    def files(self) -> dict[str, str]:
        """Return the artefacts that count, by path; empty when there are none."""
        if self._state.engine is None:
            return {}
        with self._state.read() as tx:
            now = store.generation(tx, merging.place_of(self.root))
        return artefacts.read(self.root, now.folder) if now else {}

    def failure(self) -> jobs.Job | None:
        """Return what the last attempt to make the files failed of, and until when nobody tries. None: it did not."""
        if self._state.engine is None:
            return None
        with self._state.read() as tx:
            return jobs.get(tx, merging.KIND, merging.key_of(merging.place_of(self.root)))

    # --- saying ------------------------------------------------------------------

    def use(self, thread_ids: Iterable[str]) -> int:
        """Count one use of what is remembered of each of these threads (an answer cited it); return how many had some.

        What is used is put together first, and is kept as long as it is used.
        """
        wanted = [thread_id_of(text) for text in thread_ids]
        with self._state.write() as tx:
            return sum(store.use(tx, home_id, wanted) for home_id in self._homes())

    def invalidate(self, text: str, reason: str) -> int | None:
        """Mark what is remembered of a thread as wrong, until it is read again. None: no such thread."""
        return self._change(text, lambda tx, home_id, id16: store.invalidate(tx, home_id, id16, reason))

    def forget(self, text: str) -> int | None:
        """Remove what is remembered of a thread; return of how many scopes. None: no such thread.

        Who reads it just now comes too late. It is read again only for what
        was written since; ``set_memory_mode`` keeps it from ever being. The next run makes the files anew, without
        showing the old ones to the model.
        """

        def forget(tx: Write, home_id: int, id16: bytes) -> int:
            extracting.fence_off(tx, home_id, id16)
            return store.forget(tx, home_id, id16)

        return self._change(text, forget)

    def reset(self) -> tuple[int, int]:
        """Remove every memory of these homes, and all artefacts; return how many of each. Threads are read again.

        Raises ``Refused`` when the folder of artefacts is a link.
        """
        engine = self._state.engine_to_write()
        artefacts.check(self.root)
        homes = self._homes()
        with engine.write() as tx:  # in the order of locks that ``memory.store`` names
            merging.fence_off(tx)
            merging.forget_failure(tx, merging.place_of(self.root))
            read = jobs.listing(tx, kind=extracting.KIND, limit=1 << 40)
            for key in sorted(job.key for job in read if int(job.key.partition(":")[0]) in homes):
                jobs.forget(tx, extracting.KIND, key)
            store.drop_generation(tx, merging.place_of(self.root))
            memories = store.forget_all(tx, homes)
        return memories, artefacts.remove_all(self.root)

    def _change(self, text: str, change: Callable[[Write, int, bytes], int]) -> int | None:
        thread = self._state.threads.resolve(text)
        if thread is None:
            return None
        with self._state.write() as tx:
            return change(tx, self._home_id(thread), thread_id_of(thread.id))

    def _homes(self) -> RowIds:
        with self._state.read() as tx:
            return row_ids(self._state.look_up_homes(tx))

    def _every_home(self) -> RowIds:
        # The files are those of the state, whichever of its homes this handle speaks of.
        with self._state.read() as tx:
            return row_ids(home_rows.listing(tx))

    def _home_id(self, thread: Thread) -> int:
        with self._state.read() as tx:
            return next(home.home_id for home in self._state.look_up_homes(tx) if home.path == thread.home)
