"""Thread memories, phase-1 jobs and consolidation locks, as the old runtime's API has them."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable

from holdfast import holds, ids, jobs
from holdfast.adapters.runtime_base import Path, RuntimeBase, ThreadId, id_of, text_of
from holdfast.adapters.runtime_types import (
    Claimed,
    Phase1JobClaimOutcome,
    SkippedRunning,
    SkippedTerminalFailure,
    SkippedUpToDate,
    ThreadMemory,
)
from holdfast.engine import Read, Write
from holdfast.holds import Hold, Owner
from holdfast.jobs import Kind, Watermark
from holdfast.memory import store
from holdfast.memory.model import CWD, Extracted, Memory
from holdfast.threads.rules import normal_cwd

PHASE1 = Kind("memory:phase1", on_failure="terminal", attempts_max=1 << 30)
_FOR_EVER_MS = 1 << 42
"""A lease that only others end: here the taker judges by the time since the last renewal, as it did there."""


_End = Callable[[Write, jobs.Claimed], None]


class RuntimeMemories(RuntimeBase):
    """The part of ``StateRuntime`` that knows memories."""

    # --- memories ----------------------------------------------------------------

    async def get_thread_memory(self, id: ThreadId) -> ThreadMemory | None:
        """Return what was written last of a thread, in whichever scope, valid or not; None when nothing was."""
        found = await self._read(lambda tx: store.of_thread(tx, self._home_id, id_of(id)))
        return _memory(found[0]) if found else None

    async def upsert_thread_memory(self, id: ThreadId, raw_memory: str, memory_summary: str) -> ThreadMemory:
        """Remember this of a thread, in the scope of its directory. Raises ``Refused``: thread not found."""

        def upsert(tx: Write) -> Memory:
            store.check_thread(tx, self._home_id, id_of(id))
            cwd = store.cwd_of(tx, self._home_id, id_of(id)) or ""
            return store.put(tx, self._home_id, id_of(id), (CWD, cwd), Extracted(raw_memory, memory_summary))

        return _memory(await self._write(upsert))

    async def upsert_thread_memory_for_scope(
        self, id: ThreadId, scope_kind: str, scope_key: str, raw_memory: str, memory_summary: str
    ) -> ThreadMemory:
        """Remember this of a thread in a scope; ``updated_at`` advances. Raises ``Refused``: thread not found."""
        found = Extracted(raw_memory, memory_summary)

        def upsert(tx: Write) -> Memory:
            return store.put(tx, self._home_id, id_of(id), (scope_kind, scope_key), found)

        return _memory(await self._write(upsert))

    async def upsert_thread_memory_for_scope_if_phase1_owner(
        self, id: ThreadId, scope_kind: str, scope_key: str, token: str, raw_memory: str, memory_summary: str
    ) -> ThreadMemory | None:
        """Remember this only when ``token`` has the phase-1 job of this thread and scope; else None.

        Renews the claim: the row of the job is what keeps a thief out until this is committed.
        """
        found = Extracted(raw_memory, memory_summary)

        def upsert(tx: Write) -> Memory | None:
            store.check_thread(tx, self._home_id, id_of(id))
            claim = self._claim(tx, id, scope_kind, scope_key, token)
            if claim is None:
                return None
            jobs.renew(tx, claim, lease_ms=_FOR_EVER_MS)
            return store.put(tx, self._home_id, id_of(id), (scope_kind, scope_key), found)

        memory = await self._write(upsert)
        return None if memory is None else _memory(memory)

    async def get_last_n_thread_memories_for_cwd(self, cwd: Path, n: int) -> list[ThreadMemory]:
        """Return the memories of exactly this directory that were written last."""
        return await self.get_last_n_thread_memories_for_scope(CWD, normal_cwd(text_of(cwd)), n)

    async def get_last_n_thread_memories_for_scope(self, scope_kind: str, scope_key: str, n: int) -> list[ThreadMemory]:
        """Return the ``n`` valid memories of exactly this scope that were written last. 0: none, and no database."""
        if n <= 0:
            return []
        found = await self._read(lambda tx: store.last(tx, [self._home_id], (scope_kind, scope_key), n))
        return [_memory(memory) for memory in found]

    async def mark_memory_scope_dirty(self, scope_kind: str, scope_key: str, dirty: bool) -> None:
        """Note that a scope has something new, or has not."""

        def mark(tx: Write) -> None:
            store.set_dirty(tx, (scope_kind, scope_key), dirty)

        await self._write(mark)

    # --- phase-1 jobs --------------------------------------------------------------

    async def try_claim_phase1_job(
        self,
        id: ThreadId,
        scope_kind: str,
        scope_key: str,
        owner_session: ThreadId,
        source_updated_at: int,
        lease_seconds: int,
    ) -> Phase1JobClaimOutcome:
        """Claim the job of this thread and scope. ``lease_seconds`` is how old another's claim may be: 0 always steals.

        Raises ``Refused`` (thread not found). A claim whose process is dead is taken at once.
        """
        owner = holds.me(f"phase1-{owner_session}")

        def claim(tx: Write) -> jobs.Outcome:
            store.check_thread(tx, self._home_id, id_of(id))
            return jobs.claim(
                tx,
                PHASE1,
                self._key(id, scope_kind, scope_key),
                owner,
                watermark=Watermark(max(source_updated_at, 0)),
                lease_ms=_FOR_EVER_MS,
                stale_after_ms=max(lease_seconds, 0) * 1000,
            )

        match await self._write(claim):
            case jobs.Claimed(hold=hold):
                return Claimed(f"{hold.fence:x}")
            case jobs.Terminal() | jobs.Exhausted():
                return SkippedTerminalFailure()
            case jobs.UpToDate():
                return SkippedUpToDate()
            case _:
                return SkippedRunning()

    async def mark_phase1_job_succeeded(
        self, id: ThreadId, scope_kind: str, scope_key: str, token: str, raw_memory_path: str, summary_hash: str
    ) -> bool:
        """End the job well. False unless ``token`` has it."""
        result = {"raw_memory_path": raw_memory_path, "summary_hash": summary_hash}

        def finish(tx: Write, claim: jobs.Claimed) -> None:
            jobs.finish(tx, claim, result)

        return await self._ended(id, scope_kind, scope_key, token, finish)

    async def mark_phase1_job_failed(
        self, id: ThreadId, scope_kind: str, scope_key: str, token: str, failure_reason: str
    ) -> bool:
        """End the job badly, for ever. False unless ``token`` has it."""

        def fail(tx: Write, claim: jobs.Claimed) -> None:
            jobs.fail(tx, claim, failure_reason)

        return await self._ended(id, scope_kind, scope_key, token, fail)

    async def renew_phase1_job_lease(self, id: ThreadId, scope_kind: str, scope_key: str, token: str) -> bool:
        """Say that the job is still being done. False unless ``token`` has it."""

        def renew(tx: Write, claim: jobs.Claimed) -> None:
            jobs.renew(tx, claim, lease_ms=_FOR_EVER_MS)

        return await self._ended(id, scope_kind, scope_key, token, renew)

    async def _ended(self, id: ThreadId, scope_kind: str, scope_key: str, token: str, end: _End) -> bool:
        def change(tx: Write) -> bool:
            claim = self._claim(tx, id, scope_kind, scope_key, token)
            if claim is None:
                return False
            end(tx, claim)
            return True

        return await self._write(change)

    def _claim(self, tx: Read, id: ThreadId, scope_kind: str, scope_key: str, token: str) -> jobs.Claimed | None:
        """Return the claim that ``token`` stands for, when it is in force."""
        job = jobs.get(tx, PHASE1.name, self._key(id, scope_kind, scope_key))
        if job is None or job.hold is None or job.status != jobs.Status.RUNNING or f"{job.fence:x}" != token:
            return None
        return jobs.Claimed(job, job.hold, PHASE1, job.wanted, job.attempts)

    def _key(self, id: ThreadId, scope_kind: str, scope_key: str) -> str:
        # A directory may be longer than the key of a job; nobody reads it back from there.
        scope = hashlib.blake2b(f"{scope_kind}\0{scope_key}".encode(errors="surrogatepass"), digest_size=12)
        return f"{self._home_id}:{ids.text(id_of(id))}:{scope_kind[:20]}:{scope.hexdigest()}"

    # --- consolidation locks ---------------------------------------------------------

    async def try_acquire_memory_consolidation_lock(
        self, cwd: Path, working_thread_id: ThreadId, lease_seconds: int
    ) -> bool:
        """Take the lock on a directory, or renew it. ``lease_seconds`` is how old another's may be: 0 always steals."""
        stale_ms = max(lease_seconds, 0) * 1000

        def take(tx: Write) -> bool:
            taken = holds.take(
                tx, _lock(cwd), _thread(working_thread_id), lease_ms=_FOR_EVER_MS, stale_after_ms=stale_ms
            )
            return isinstance(taken, Hold)

        return await self._write(take)

    async def release_memory_consolidation_lock(self, cwd: Path, working_thread_id: ThreadId) -> bool:
        """Give the lock back. False unless this thread has it."""

        def release(tx: Write) -> bool:
            held = holds.get(tx, _lock(cwd))
            return held is not None and held.owner == _thread(working_thread_id) and holds.release(tx, held)

        return await self._write(release)


def _lock(cwd: Path) -> str:
    return f"memory-lock:{text_of(cwd)}"


def _thread(thread_id: ThreadId) -> Owner:
    # A thread has the lock, not a process: it may go on in another one, and is never judged dead.
    return Owner("", "", 0, 0, 0, str(thread_id))


def _memory(memory: Memory) -> ThreadMemory:
    return ThreadMemory(
        thread_id=memory.thread_id,
        scope_kind=memory.scope_kind,
        scope_key=memory.scope_key,
        raw_memory=memory.raw_memory,
        memory_summary=memory.memory_summary,
        updated_at=_when(memory.updated_at_ms),
        last_used_at=None if memory.last_used_at_ms is None else _when(memory.last_used_at_ms),
        used_count=memory.used_count,
        invalidated_at=None if memory.invalidated_at_ms is None else _when(memory.invalidated_at_ms),
        invalid_reason=memory.invalid_reason,
    )


def _when(ms: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(ms // 1000, dt.UTC) + dt.timedelta(milliseconds=ms % 1000)
