"""What a program says of its backfill, as the old runtime's API has it. The ledger of files knows better."""

from __future__ import annotations

import asyncio

from holdfast import sql
from holdfast.adapters.runtime_base import RuntimeBase
from holdfast.adapters.runtime_types import BackfillState, BackfillStatus, utc
from holdfast.engine import Read, Write
from holdfast.ingest import gate
from holdfast.ingest.model import IndexReport

_SQL = sql.load("holdfast.adapters")


class RuntimeBackfill(RuntimeBase):
    """The part of ``StateRuntime`` that knows the backfill."""

    async def get_backfill_state(self) -> BackfillState:
        """Return what was said last; pending when nothing was. A read that writes nothing."""

        def get(tx: Read) -> BackfillState:
            row = tx.row(_SQL["get_backfill"], home_id=self._home_id)
            if row is None:
                return BackfillState()
            success_ms = row["last_success_ms"]
            return BackfillState(
                status=BackfillStatus(row["status"]),
                last_watermark=row["last_watermark"],
                last_success_at=None if success_ms is None else utc(success_ms / 1000),
            )

        return await self._read(get)

    async def mark_backfill_running(self) -> None:
        """Say that it runs. The watermark stays."""
        await self._say(BackfillStatus.RUNNING, None)

    async def checkpoint_backfill(self, watermark: str) -> None:
        """Say how far it is."""
        await self._say(BackfillStatus.RUNNING, watermark)

    async def mark_backfill_complete(self, last_watermark: str | None = None) -> None:
        """Say that it is done; None keeps the watermark."""
        await self._say(BackfillStatus.COMPLETE, last_watermark)

    async def index(self, *, wait_ms: int = gate.WAIT_MS) -> IndexReport:
        """Have every rollout of the directory indexed. Raises ``Busy`` when another is at it after ``wait_ms``."""
        return await asyncio.to_thread(gate.index, self._engine, self._home.path, wait_ms=wait_ms)

    async def _say(self, status: BackfillStatus, watermark: str | None) -> None:
        def put(tx: Write) -> None:
            success_ms = tx.now_ms if status == BackfillStatus.COMPLETE else None
            tx.run(
                _SQL["put_backfill"],
                home_id=self._home_id,
                status=status.value,
                watermark=watermark,
                success_ms=success_ms,
                now_ms=tx.now_ms,
            )

        await self._write(put)
