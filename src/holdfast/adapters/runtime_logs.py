"""The log, as the old runtime's API has it: onto segments instead of a table."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence

from holdfast import logs
from holdfast.adapters.runtime_base import RuntimeBase
from holdfast.adapters.runtime_types import LogEntry, LogQuery, LogRow
from holdfast.errors import Full
from holdfast.logs.matching import LEVELS
from holdfast.logs.model import Record

_FOLDER = "logs"


class RuntimeLogs(RuntimeBase):
    """The part of ``StateRuntime`` that knows the log. Nothing of it is opened before it is asked for."""

    _writer: logs.SegmentWriter | None = None
    _writer_lock = threading.Lock()

    @property
    def _logs(self) -> str:
        return os.path.join(self._directory, _FOLDER)

    async def insert_log(self, entry: LogEntry) -> None:
        """Keep one record."""
        await self.insert_logs([entry])

    async def insert_logs(self, entries: Sequence[LogEntry]) -> None:
        """Keep these records; they survive the end of this process. Raises ``Full`` when there is no room."""
        if entries:
            await asyncio.to_thread(self._append, [_record(entry) for entry in entries])

    async def delete_logs_before(self, cutoff_ts: int) -> int:
        """Hide every record older than ``cutoff_ts`` (seconds); return how many that are."""
        from holdfast.logs.room import delete_before

        return await asyncio.to_thread(delete_before, self._logs, cutoff_ts * 1_000_000)

    async def query_logs(self, query: LogQuery) -> list[LogRow]:
        """Return the records wanted, in the order they came in."""
        from holdfast.logs.query import query as find

        asked = _asked(query)
        found = [] if asked is None else await asyncio.to_thread(find, self._logs, asked)
        return [_row(record) for record in found]

    async def max_log_id(self, query: LogQuery) -> int:
        """Return the largest id of the records wanted, whatever limit and order; 0 when there is none."""
        from holdfast.logs.query import max_id

        asked = _asked(query)
        return 0 if asked is None else await asyncio.to_thread(max_id, self._logs, asked)

    def _append(self, records: list[Record]) -> None:
        with self._writer_lock:
            if self._writer is None:
                self._writer = logs.SegmentWriter(self._logs)
            kept = self._writer.append(records)
        if kept.written < len(records):
            raise Full(f"{len(records) - kept.written} of {len(records)} log records were not kept: {kept.why}")

    def _close_logs(self) -> None:
        with self._writer_lock:
            if self._writer is not None:
                self._writer.close()
                self._writer = None


def _record(entry: LogEntry) -> Record:
    return Record(
        id=0,
        ts=entry.ts * 1_000_000 + entry.ts_nanos // 1_000,
        level=entry.level,
        target=entry.target,
        message=entry.message or "",
        thread_id=entry.thread_id,
        module=entry.module_path,
        file=entry.file,
        line=entry.line,
    )


def _row(record: Record) -> LogRow:
    seconds, us = divmod(record.ts, 1_000_000)
    return LogRow(
        id=record.id,
        ts=seconds,
        ts_nanos=us * 1_000,
        level=record.level,
        target=record.target,
        message=record.message or None,
        thread_id=record.thread_id,
        file=record.file,
        line=record.line,
    )


def _asked(query: LogQuery) -> logs.LogQuery | None:
    """Return the query in our words; None: nothing can be an answer, as no record has such a level."""
    if query.level_upper is not None and query.level_upper not in LEVELS:
        return None
    return logs.LogQuery(
        levels=() if query.level_upper is None else (query.level_upper,),
        from_us=None if query.from_ts is None else query.from_ts * 1_000_000,
        to_us=None if query.to_ts is None else query.to_ts * 1_000_000 + 999_999,
        modules=tuple(query.module_like),
        files=tuple(query.file_like),
        thread_ids=tuple(query.thread_ids),
        include_threadless=query.include_threadless,
        after_id=query.after_id,
        newest_first=query.descending,
        limit=query.limit,
    )
