"""The rest of the runtime's methods: threads, tools, the log, and how programs come to it."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import uuid

import pytest
from test_state_runtime import NOON, metadata, running, thread, where

from holdfast import holds
from holdfast.adapters import state_db
from holdfast.adapters.state_runtime import (
    Anchor,
    BackfillStatus,
    DynamicToolSpec,
    LogEntry,
    LogQuery,
    SortKey,
    StateRuntime,
    ThreadMetadata,
    ThreadMetadataBuilder,
)
from holdfast.errors import Busy, Refused
from rows import statement

__all__ = ["where"]
SECOND = dt.timedelta(seconds=1)


def number(n):
    return f"00000000-0000-0000-0000-{n:012}"


async def numbered(runtime, n, **more):
    await runtime.upsert_thread(dataclasses.replace(metadata(runtime, number(n), "/w"), **more))


@running
async def test_a_thread_comes_back_as_it_was_put_and_is_replaced_whole(runtime):
    put = metadata(
        runtime, number(1), "/w", title="t", tokens_used=7, git_sha="abc", git_branch="main", git_origin_url="u"
    )
    await runtime.upsert_thread(put)
    assert await runtime.get_thread(number(1)) == put
    assert put.diff_fields(dataclasses.replace(put, title="u", cwd="/x")) == ["cwd", "title"]

    bare = dataclasses.replace(
        put, updated_at=NOON - SECOND, git_sha=None, git_branch=None, git_origin_url=None, source="exec", title="",
        archived_at=NOON, first_user_message=None, model_provider="other",
    )  # fmt: skip
    await runtime.upsert_thread(bare)
    assert await runtime.get_thread(uuid.UUID(number(1))) == bare
    assert await runtime.find_rollout_path_by_id(number(1)) == put.rollout_path
    assert await runtime.find_rollout_path_by_id(number(1), True) == put.rollout_path
    assert await runtime.find_rollout_path_by_id(number(1), False) is None
    assert await runtime.get_thread(number(2)) is None


@running
async def test_every_thread_is_on_one_page_also_when_seconds_are_shared_and_milliseconds_differ(runtime):
    order = []
    for n in range(1, 13):
        await numbered(runtime, n)
        seconds, ms = n * 5 % 3, n * 7 % 10 * 90  # as rollouts have them; of four in a second the ids are not in order
        order.append((seconds, number(n)))
        params = {"ms": seconds * 1000 + ms, "id": uuid.UUID(number(n)).bytes}
        change = statement("UPDATE threads SET updated_ms = :ms WHERE thread_id = :id")
        await runtime._write(lambda tx, params=params, change=change: tx.run(change, **params))
    expected = [id for _, id in sorted(order, reverse=True)]
    for size in (1, 2, 3, 5, 12):
        seen, anchor = [], None
        while True:
            page = await runtime.list_threads(size, anchor)
            seen += [item.id for item in page.items]
            anchor = page.next_anchor
            if anchor is None:
                break
        assert seen == expected


@running
async def test_pages_are_in_whole_seconds_and_ties_go_by_id(runtime):
    for n in range(1, 6):
        await numbered(runtime, n, updated_at=NOON + dt.timedelta(milliseconds=100 * n))
    await numbered(runtime, 6, first_user_message=None)
    await numbered(runtime, 7, archived_at=NOON)
    await numbered(runtime, 8, source="exec", created_at=NOON + SECOND, model_provider="other")

    first = await runtime.list_threads(2, allowed_sources=["cli"])
    assert [item.id for item in first.items] == [number(5), number(4)]
    assert (first.num_scanned_rows, first.next_anchor) == (3, Anchor(NOON, number(4)))
    rest = await runtime.list_threads(5, first.next_anchor, allowed_sources=["cli"])
    assert [item.id for item in rest.items] == [number(3), number(2), number(1)]
    assert rest.next_anchor is None
    assert [item.id for item in (await runtime.list_threads(9, archived_only=True)).items] == [number(7)]
    assert (await runtime.list_thread_ids(9, sort_key=SortKey.CREATED_AT))[:2] == [number(8), number(5)]
    assert await runtime.list_thread_ids(9, model_providers=["other"]) == [number(8)]
    assert len(await runtime.list_thread_ids(9, model_providers=[])) == 6
    assert await runtime.list_thread_ids(0) == []
    empty = await runtime.list_threads(0)
    assert (empty.items, empty.next_anchor) == ([], None)


@running
async def test_items_are_folded_into_the_row(runtime):
    id = number(1)
    builder = ThreadMetadataBuilder(id=id, rollout_path=f"{runtime.codex_home()}/r.jsonl", created_at=NOON)
    tool = {"name": "t", "description": "d", "inputSchema": {"type": "object"}}
    meta = {"id": id, "timestamp": "2026-11-21T12:00:00Z", "cwd": "/w", "originator": "o", "cli_version": "1",
            "source": "cli", "dynamic_tools": [tool]}  # fmt: skip
    await runtime.apply_rollout_items(
        builder,
        [
            {"timestamp": "2026-11-21T12:00:00Z", "type": "session_meta", "payload": meta},
            {"timestamp": "2026-11-21T12:00:05Z", "type": "event_msg",
             "payload": {"type": "user_message", "message": "hello"}},
        ],
    )  # fmt: skip
    found = await runtime.get_thread(id)
    assert (found.cwd, found.source, found.cli_version, found.first_user_message) == ("/w", "cli", "1", "hello")
    assert (found.model_provider, found.title, found.updated_at) == ("test-provider", "hello", NOON + 5 * SECOND)
    assert await runtime.get_dynamic_tools(id) == [
        DynamicToolSpec(name="t", description="d", input_schema={"type": "object"})
    ]
    await runtime.apply_rollout_items(builder, [])
    assert await runtime.get_thread(id) == found


@running
async def test_archiving_moves_the_path_and_an_unknown_thread_is_no_error(runtime):
    id = await thread(runtime)
    new = f"{runtime.codex_home()}/archived_sessions/r.jsonl"
    await runtime.mark_archived(id, new, NOON)
    found = await runtime.get_thread(id)
    assert (found.archived_at, found.rollout_path) == (NOON, new)
    await runtime.mark_unarchived(id, f"{runtime.codex_home()}/sessions/r.jsonl")
    assert (await runtime.get_thread(id)).archived_at is None
    await runtime.mark_archived(uuid.uuid4(), new, NOON)


@running
async def test_the_first_tool_at_each_position_stays(runtime):
    def tools(*names):
        return [DynamicToolSpec(name=name, description="", input_schema={}) for name in names]

    id = await thread(runtime)
    assert await runtime.get_dynamic_tools(id) is None
    await runtime.persist_dynamic_tools(id, None)
    await runtime.persist_dynamic_tools(id, tools("a", "b"))
    await runtime.persist_dynamic_tools(id, tools("x", "y", "z"))
    assert await runtime.get_dynamic_tools(id) == tools("a", "b", "z")
    with pytest.raises(Refused, match="thread not found"):
        await runtime.persist_dynamic_tools(uuid.uuid4(), tools("a"))


@running
async def test_the_log_is_found_by_level_time_thread_and_place(runtime):
    def entry(ts, level="INFO", **more):
        return LogEntry(ts=ts, ts_nanos=5_000, level=level, target="t", message=f"at {ts}", **more)

    await runtime.insert_logs([])
    await runtime.insert_logs([entry(1), entry(2, "WARN", thread_id="a", module_path="codex::core")])
    await runtime.insert_log(entry(3, file="src/Main.rs", line=9))

    async def times(**asked):
        return [row.ts for row in await runtime.query_logs(LogQuery(**asked))]

    assert await times() == [1, 2, 3]
    assert await times(level_upper="WARN") == [2]
    assert await times(level_upper="LOUD") == []
    assert await times(from_ts=2, to_ts=2) == [2]
    assert await times(module_like=["CORE"]) == [2]
    assert await times(file_like=["main", "x"]) == [3]
    assert await times(thread_ids=["a"]) == [2]
    assert await times(include_threadless=True) == [1, 3]
    assert await times(descending=True, limit=2) == [3, 2]
    assert await times(limit=0) == []
    rows = await runtime.query_logs(LogQuery())
    assert await times(after_id=rows[0].id) == [2, 3]
    assert await runtime.max_log_id(LogQuery(limit=1)) == rows[-1].id
    assert await runtime.max_log_id(LogQuery(thread_ids=["b"])) == 0
    assert (rows[0].ts_nanos, rows[2].line, rows[0].message) == (5_000, 9, "at 1")
    assert await runtime.delete_logs_before(3) == 2
    assert await times() == [3]


@running
async def test_a_scope_is_marked_dirty_and_clean(runtime):
    await runtime.mark_memory_scope_dirty("cwd", "/w", True)
    await runtime.mark_memory_scope_dirty("cwd", "/w", False)


def test_what_is_built_has_defaults_and_whole_seconds():
    built = ThreadMetadataBuilder(
        id="x", rollout_path="p", created_at=dt.datetime(2026, 1, 1, 0, 0, 0, 999_999), source={"subagent": "review"}
    ).build("default")
    assert built.model_provider == "default"
    assert built.source == '{"subagent":"review"}'
    assert built.sandbox_policy == '{"type":"read-only"}'
    assert built.created_at == built.updated_at == dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


# --- state_db ----------------------------------------------------------------------


@pytest.fixture
def home(make_home):
    """A home with a thread. The runtime owns it: it may write there."""
    made = make_home()
    made.id = made.thread("hello")
    yield made
    made.change(lambda: None)


def test_the_backfill_is_done_before_anybody_gets_the_runtime(home):
    async def main():
        assert await state_db.get_state_db(home, "p") is None
        assert not (home.path / "state.db").exists()
        async with await state_db.try_init(home, "p") as runtime:
            assert (await runtime.get_backfill_state()).status == BackfillStatus.COMPLETE
            assert (await runtime.get_thread(home.id)).first_user_message == "hello"
        async with await state_db.get_state_db(home, "p") as runtime:
            assert isinstance(runtime, StateRuntime)

    asyncio.run(main())


def test_a_backfill_that_was_never_complete_is_not_opened_by_the_way(home):
    async def main():
        await (await StateRuntime.init(home, "p")).close()
        assert await state_db.get_state_db(home, "p") is None

    asyncio.run(main())


def test_the_wait_for_another_s_backfill_is_bounded(home):
    counted = []

    async def main():
        async with await StateRuntime.init(home, "p") as runtime:
            name = f"index:{runtime._home_id}"
            await runtime._write(lambda tx: holds.take(tx, name, holds.me("other"), lease_ms=60_000))
            with pytest.raises(Busy, match="timed out waiting"):
                await state_db.try_init(home, "p", wait_ms=50)
            otel = lambda name, inc, tags: counted.append((name, *tags.values()))  # noqa: E731
            assert await state_db.init(home, "p", otel, wait_ms=50) is None

    asyncio.run(main())
    assert ("codex.db.error", "backfill") in counted


def test_an_index_corrects_what_was_put_without_a_file(home):
    async def main():
        async with await StateRuntime.init(home, "p") as runtime:
            await runtime.upsert_thread(metadata(runtime, home.id, "/elsewhere"))
            await runtime.upsert_thread(
                ThreadMetadata(id=number(9), rollout_path="sessions/rollout-none.jsonl", created_at=NOON,
                               updated_at=NOON, first_user_message="x")
            )  # fmt: skip
            await runtime.index()
            return await runtime.get_thread(home.id), await runtime.get_thread(number(9))

    indexed, gone = asyncio.run(main())
    assert indexed.cwd == "/home/dev/src/made"
    assert gone.first_user_message == "x"
