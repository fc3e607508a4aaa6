"""How Codex's programs come to a ``StateRuntime``: with the backfill done, or only if it is there already."""

from __future__ import annotations

import asyncio
import os

from holdfast.adapters.runtime_base import Otel, count
from holdfast.adapters.runtime_types import BackfillStatus
from holdfast.adapters.state_runtime import StateRuntime, state_db_path
from holdfast.errors import HoldfastError
from holdfast.ingest import gate


async def try_init(
    codex_home: str | os.PathLike[str], default_provider: str, otel: Otel | None = None, *, wait_ms: int = gate.WAIT_MS
) -> StateRuntime:
    """Open the runtime and have every rollout of the directory indexed, by us or by whoever is at it.

    With nothing new that takes one look. Raises ``Busy`` when another process is still at it after ``wait_ms``; what
    ``StateRuntime.init`` raises, too.
    """
    runtime = await StateRuntime.init(codex_home, default_provider, otel)
    try:
        if (await runtime.get_backfill_state()).status != BackfillStatus.COMPLETE:
            await runtime.mark_backfill_running()
        await runtime.index(wait_ms=wait_ms)
        await runtime.mark_backfill_complete()
    except BaseException as error:
        if isinstance(error, Exception):
            count(otel, "codex.db.error", stage="backfill")
        await runtime.close()
        raise
    return runtime


async def init(
    codex_home: str | os.PathLike[str], default_provider: str, otel: Otel | None = None, *, wait_ms: int = gate.WAIT_MS
) -> StateRuntime | None:
    """As ``try_init``; None, counted as ``codex.db.error``, where that raises: a program goes on without."""
    try:
        return await try_init(codex_home, default_provider, otel, wait_ms=wait_ms)
    except HoldfastError:
        count(otel, "codex.db.error", stage="init")
        return None


async def get_state_db(
    codex_home: str | os.PathLike[str], default_provider: str, otel: Otel | None = None
) -> StateRuntime | None:
    """Open the runtime only where there is one, and its backfill was complete once; else None. Creates nothing."""
    there = await asyncio.to_thread(os.path.exists, state_db_path(os.path.realpath(os.path.expanduser(codex_home))))
    if not there:
        return None
    try:
        runtime = await StateRuntime.init(codex_home, default_provider, otel)
    except HoldfastError:
        count(otel, "codex.db.error", stage="open")
        return None
    if (await runtime.get_backfill_state()).status == BackfillStatus.COMPLETE:
        return runtime
    await runtime.close()
    return None
