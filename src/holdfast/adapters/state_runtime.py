"""Codex's ``StateRuntime`` of February 2026, method for method, onto holdfast's stores. For asyncio.

runtime = await StateRuntime.init(directory, "openai")
await runtime.upsert_thread(metadata)
outcome = await runtime.try_claim_phase1_job(id, "cwd", cwd, session, source, 3600)
await runtime.close()

The same rows as ``holdfast.open`` reads, in ``state.db`` of the directory: there
is no second database. Where an answer differs from the original,
``docs/parity.md`` says so.
"""

from __future__ import annotations

import asyncio
import os

from holdfast.adapters import runtime_files as files
from holdfast.adapters.runtime_backfill import RuntimeBackfill
from holdfast.adapters.runtime_base import Otel, count
from holdfast.adapters.runtime_logs import RuntimeLogs
from holdfast.adapters.runtime_memories import RuntimeMemories
from holdfast.adapters.runtime_threads import RuntimeThreads
from holdfast.adapters.runtime_types import (
    Anchor,
    BackfillState,
    BackfillStatus,
    Claimed,
    DynamicToolSpec,
    LogEntry,
    LogQuery,
    LogRow,
    Phase1JobClaimOutcome,
    SkippedRunning,
    SkippedTerminalFailure,
    SkippedUpToDate,
    SortKey,
    ThreadMemory,
    ThreadMetadata,
    ThreadMetadataBuilder,
    ThreadsPage,
)
from holdfast.clock import Clock
from holdfast.state import directory as directories
from holdfast.state.opening import open_engine
from holdfast.threads import homes

state_db_filename = files.state_db_filename
state_db_path = files.state_db_path

__all__ = [
    "Anchor",
    "BackfillState",
    "BackfillStatus",
    "Claimed",
    "DynamicToolSpec",
    "LogEntry",
    "LogQuery",
    "LogRow",
    "Phase1JobClaimOutcome",
    "SkippedRunning",
    "SkippedTerminalFailure",
    "SkippedUpToDate",
    "SortKey",
    "StateRuntime",
    "ThreadMemory",
    "ThreadMetadata",
    "ThreadMetadataBuilder",
    "ThreadsPage",
    "state_db_filename",
    "state_db_path",
]


class StateRuntime(RuntimeThreads, RuntimeMemories, RuntimeLogs, RuntimeBackfill):
    """One directory: its threads, tools, memories, jobs, locks, log and backfill. Tasks may share it."""

    @classmethod
    async def init(
        cls,
        codex_home: str | os.PathLike[str],
        default_provider: str,
        otel: Otel | None = None,
        *,
        database: str | None = None,
        clock: Clock | None = None,
    ) -> StateRuntime:
        """Make the directory, open and migrate its database, and hand over: nothing is indexed, the backfill pending.

        Then database files of older generations in it go to ``backups/``;
        newer ones are never touched. ``database`` is the URL of a PostgreSQL
        one; then only the log is in the directory. ``otel`` counts ``codex.db.init`` with
        status ``created``, ``opened`` or ``open_error``. Raises ``Damaged``,
        ``Unsupported``, ``Busy``, ``Full``; then nothing was moved.
        """
        return await asyncio.to_thread(cls._init, os.fspath(codex_home), default_provider, otel, database, clock)

    @classmethod
    def _init(
        cls, codex_home: str, provider: str, otel: Otel | None, database: str | None, clock: Clock | None
    ) -> StateRuntime:
        path = os.path.realpath(os.path.expanduser(codex_home))
        try:
            directories.prepare(path)
            engine = open_engine(path, database, clock)
        except BaseException:
            count(otel, "codex.db.init", status="open_error")
            raise
        try:
            with engine.write(wait_ms=30_000) as tx:
                existed = homes.get(tx, path) is not None
                home = homes.ensure(tx, path)
        except BaseException:
            engine.close()
            count(otel, "codex.db.init", status="open_error")
            raise
        files.set_aside(path)
        count(otel, "codex.db.init", status="opened" if existed else "created")
        return cls(path, provider, engine, home, otel)

    async def close(self) -> None:
        """Give the files up. Twice is fine."""
        await asyncio.to_thread(self._close)

    async def __aenter__(self) -> StateRuntime:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    def _close(self) -> None:
        self._close_logs()
        self._engine.close()
