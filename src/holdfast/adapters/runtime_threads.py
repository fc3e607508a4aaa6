"""Threads and their tools, as the old runtime's API has them."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from holdfast.adapters import runtime_rows as rows
from holdfast.adapters.runtime_base import Otel, Path, RuntimeBase, ThreadId, count, id_of, text_of
from holdfast.adapters.runtime_types import (
    Anchor,
    DynamicToolSpec,
    SortKey,
    ThreadMetadata,
    ThreadMetadataBuilder,
    ThreadsPage,
    utc,
    whole,
)
from holdfast.engine import Read, Write
from holdfast.rollouts.dialects import codex
from holdfast.rollouts.items import Item
from holdfast.tools import store as tool_rows
from holdfast.tools.model import Tool


class RuntimeThreads(RuntimeBase):
    """The part of ``StateRuntime`` that knows threads."""

    async def get_thread(self, id: ThreadId) -> ThreadMetadata | None:
        """Return the thread, archived or not; None when there is none."""
        id16 = id_of(id)
        return await self._read(lambda tx: rows.get(tx, self._home_id, id16))

    async def find_rollout_path_by_id(self, id: ThreadId, archived_only: bool | None = None) -> str | None:
        """Return where the index says the rollout is; ``archived_only`` True, False, or None for either."""
        thread = await self.get_thread(id)
        if thread is None or archived_only not in (None, thread.archived_at is not None):
            return None
        return thread.rollout_path

    async def list_threads(
        self,
        page_size: int,
        anchor: Anchor | None = None,
        sort_key: SortKey = SortKey.UPDATED_AT,
        allowed_sources: Sequence[str] = (),
        model_providers: Sequence[str] | None = None,
        archived_only: bool = False,
    ) -> ThreadsPage:
        """Return a page of threads in which a person said something, the newest first, behind ``anchor``.

        Read off an index, however many threads there are. No sources or
        providers: all of them. ``page_size`` 0: no thread and no anchor.
        """
        size = max(page_size, 0)

        def page(tx: Read) -> list[ThreadMetadata]:
            return rows.page(
                tx, self._home_id, size + 1, anchor, sort_key, allowed_sources, model_providers, archived_only
            )

        found = await self._read(page)
        shown = found[:size]
        after = None
        if len(found) > size and shown:
            last = shown[-1]
            after = Anchor(last.created_at if sort_key == SortKey.CREATED_AT else last.updated_at, last.id)
        return ThreadsPage(items=shown, next_anchor=after, num_scanned_rows=len(found))

    async def list_thread_ids(
        self,
        limit: int,
        anchor: Anchor | None = None,
        sort_key: SortKey = SortKey.UPDATED_AT,
        allowed_sources: Sequence[str] = (),
        model_providers: Sequence[str] | None = None,
        archived_only: bool = False,
    ) -> list[str]:
        """Return the ids alone, of the same list."""

        def page(tx: Read) -> list[ThreadMetadata]:
            return rows.page(
                tx, self._home_id, max(limit, 0), anchor, sort_key, allowed_sources, model_providers, archived_only
            )

        return [thread.id for thread in await self._read(page)]

    async def upsert_thread(self, metadata: ThreadMetadata) -> None:
        """Put a row of a thread, every column. Whether its rollout exists is for the next index to see."""
        await self._write(lambda tx: rows.put(tx, self._home, metadata))

    async def apply_rollout_items(
        self, builder: ThreadMetadataBuilder, items: Sequence[Mapping[str, Any] | Item], otel: Otel | None = None
    ) -> None:
        """Fold ``items`` (lines of a rollout as JSON values, or items) into the row of a thread, in one transaction.

        ``updated_at`` is the time of the file, where there is one. Tools are those of the first ``session_meta``.
        """
        if not items:
            return
        folded = [item if isinstance(item, Item) else codex.parse(json.dumps(item).encode()) for item in items]
        mtime = _mtime(builder.rollout_path)

        def apply(tx: Write) -> None:
            before = rows.get(tx, self._home_id, id_of(builder.id)) or builder.build(self._provider)
            after, tools = rows.folded(before, folded, self._provider)
            after = rows.changed(after, rollout_path=builder.rollout_path, updated_at=mtime or after.updated_at)
            rows.put(tx, self._home, after)
            if tools is not None:
                tool_rows.put(tx, self._home_id, {id_of(builder.id): tools})

        try:
            await self._write(apply)
        except Exception:
            count(otel or self._otel, "codex.db.error", stage="apply_rollout_items")
            raise

    async def mark_archived(self, id: ThreadId, rollout_path: Path, archived_at: dt.datetime) -> None:
        """Note that a thread was archived, and where its rollout is now. An unknown thread is no error."""
        await self._mark(id, rollout_path, whole(archived_at))

    async def mark_unarchived(self, id: ThreadId, rollout_path: Path) -> None:
        """Note that a thread is active again, and where its rollout is now. An unknown thread is no error."""
        await self._mark(id, rollout_path, None)

    async def _mark(self, id: ThreadId, rollout_path: Path, archived_at: dt.datetime | None) -> None:
        path = text_of(rollout_path)
        mtime = _mtime(path)

        def mark(tx: Write) -> None:
            before = rows.get(tx, self._home_id, id_of(id))
            if before is not None:
                after = rows.changed(
                    before, rollout_path=path, archived_at=archived_at, updated_at=mtime or before.updated_at
                )
                rows.put(tx, self._home, after)

        await self._write(mark)

    async def get_dynamic_tools(self, id: ThreadId) -> list[DynamicToolSpec] | None:
        """Return the tools of a thread in their order, or None when it has none."""
        found = await self._read(lambda tx: tool_rows.get(tx, self._home_id, id_of(id)))
        specs = [
            DynamicToolSpec(name=t.name, description=t.description, input_schema=t.input_schema) for t in found or []
        ]
        return specs or None

    async def persist_dynamic_tools(self, id: ThreadId, tools: Sequence[DynamicToolSpec] | None) -> None:
        """Say which tools a thread has, unless it was said before: positions that are there are kept, others added.

        Raises ``Refused`` for an unknown thread.
        """
        if not tools:
            return
        id16 = id_of(id)

        def persist(tx: Write) -> None:
            rows.check(tx, self._home_id, id16)
            known = tool_rows.get(tx, self._home_id, id16) or []
            new = [
                Tool(name=each.name, description=each.description, input_schema=each.input_schema)
                for each in tools[len(known) :]
            ]
            tool_rows.say(tx, self._home_id, id16, [*known, *new])

        await self._write(persist)


def _mtime(path: str) -> dt.datetime | None:
    with suppress(OSError):
        return utc(os.stat(path).st_mtime)
    return None
