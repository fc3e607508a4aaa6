"""The 15 tests of the runtime we replace, under their names, through ``StateRuntime``."""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import uuid

import pytest

from holdfast.adapters.state_runtime import (
    BackfillStatus,
    Claimed,
    SkippedRunning,
    SkippedTerminalFailure,
    SkippedUpToDate,
    StateRuntime,
    ThreadMetadata,
    state_db_filename,
    state_db_path,
)
from holdfast.errors import Refused
from rows import findings, statement

SIDECARS = ("", "-wal", "-shm", "-journal")
NOON = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)


@pytest.fixture
def where(where):
    """What names the engine to ``StateRuntime.init``."""
    return {"database": where["state"]} if "state" in where else {}


def running(test):
    """Run the coroutine with a runtime of its own; afterwards its probes must find nothing."""

    @functools.wraps(test)
    def run(tmp_path, where):
        async def main():
            async with await StateRuntime.init(tmp_path / "home", "test-provider", **where) as runtime:
                await test(runtime)
                assert await runtime._read(findings) == []

        asyncio.run(main())

    # pytest looks at the signature: it is that of the wrapper.
    del run.__wrapped__
    return run


def metadata(runtime, thread_id, cwd, **more):
    return ThreadMetadata(
        id=thread_id,
        rollout_path=f"{runtime.codex_home()}/rollout-{thread_id}.jsonl",
        created_at=NOON,
        updated_at=NOON,
        source="cli",
        model_provider="test-provider",
        cwd=str(cwd),
        cli_version="0.0.0",
        first_user_message="hello",
        **more,
    )


async def thread(runtime, cwd="workspace", **more):
    """Put a thread that works in this directory of the home; return its id."""
    thread_id = str(uuid.uuid4())
    await runtime.upsert_thread(metadata(runtime, thread_id, f"{runtime.codex_home()}/{cwd}", **more))
    return thread_id


def test_init_removes_legacy_state_db_files(tmp_path, where):
    home = tmp_path / "home"
    home.mkdir()
    old = [f"{name}{sidecar}" for name in ("state.sqlite", "state_3.sqlite") for sidecar in SIDECARS]
    others = ["state.sqlite_backup", "123", "state_.sqlite", "state_4x.sqlite"]
    newer = ["state_4.sqlite", "state_5.sqlite", "state_5.sqlite-wal", "state_99.sqlite"]
    for name in (*old, *others, *newer):
        (home / name).write_bytes(name.encode())
    (home / "state_2.sqlite").mkdir()
    (home / "state_1.sqlite").symlink_to(home / "123")

    asyncio.run(open_and_close(home, where))

    assert not any((home / name).exists() for name in old)
    assert [(home / name).read_bytes() for name in (*others, *newer)] == [name.encode() for name in (*others, *newer)]
    # Kinder than there: moved, not deleted; and what is no regular file stays.
    assert sorted(path.name for path in (home / "backups").glob("*/*")) == sorted(old)
    assert (home / "state_2.sqlite").is_dir()
    assert (home / "state_1.sqlite").is_symlink()
    if "database" not in where:
        assert (home / state_db_filename()).exists()
        assert state_db_path(home) == str(home / state_db_filename())


async def open_and_close(home, where, otel=None):
    await (await StateRuntime.init(home, "test-provider", otel, **where)).close()


@running
async def test_backfill_state_persists_progress_and_completion(runtime):
    first = await runtime.get_backfill_state()
    assert (first.status, first.last_watermark, first.last_success_at) == (BackfillStatus.PENDING, None, None)

    await runtime.mark_backfill_running()
    await runtime.checkpoint_backfill("sessions/2026/01/27/rollout-a.jsonl")
    going = await runtime.get_backfill_state()
    assert going.status == BackfillStatus.RUNNING
    assert (going.last_watermark, going.last_success_at) == ("sessions/2026/01/27/rollout-a.jsonl", None)

    await runtime.mark_backfill_complete("sessions/2026/01/28/rollout-b.jsonl")
    done = await runtime.get_backfill_state()
    assert (done.status, done.last_watermark) == (BackfillStatus.COMPLETE, "sessions/2026/01/28/rollout-b.jsonl")
    assert done.last_success_at is not None
    await runtime.mark_backfill_complete()
    assert (await runtime.get_backfill_state()).last_watermark == "sessions/2026/01/28/rollout-b.jsonl"


@running
async def test_upsert_and_get_thread_memory(runtime):
    id = await thread(runtime)
    assert await runtime.get_thread_memory(id) is None

    first = await runtime.upsert_thread_memory(id, "raw one", "summary one")
    second = await runtime.upsert_thread_memory(id, "raw two", "summary two")

    found = await runtime.get_thread_memory(id)
    assert (found.raw_memory, found.memory_summary) == ("raw two", "summary two")
    assert found == second
    assert second.updated_at > first.updated_at


@running
async def test_get_last_n_thread_memories_for_cwd_matches_exactly(runtime):
    a, b, other = [await thread(runtime, cwd) for cwd in ("workspace-a", "workspace-a", "workspace-b")]
    await runtime.upsert_thread_memory(a, "raw a", "summary a")
    await runtime.upsert_thread_memory(other, "raw other", "summary other")
    await runtime.upsert_thread_memory(b, "raw b", "summary b")
    await runtime.upsert_thread_memory(a, "raw a again", "summary a again")  # in the same second

    home = runtime.codex_home()
    found = await runtime.get_last_n_thread_memories_for_cwd(f"{home}/workspace-a", 2)
    assert [memory.thread_id for memory in found] == [a, b]
    one = await runtime.get_last_n_thread_memories_for_cwd(f"{home}/workspace-b", 5)
    assert [memory.thread_id for memory in one] == [other]
    assert await runtime.get_last_n_thread_memories_for_cwd(f"{home}/nowhere", 5) == []


@running
async def test_upsert_thread_memory_errors_for_unknown_thread(runtime):
    with pytest.raises(Refused, match="thread not found"):
        await runtime.upsert_thread_memory(str(uuid.uuid4()), "raw", "summary")


@running
async def test_get_last_n_thread_memories_for_cwd_zero_returns_empty(runtime):
    id = await thread(runtime)
    await runtime.upsert_thread_memory(id, "raw", "summary")
    assert await runtime.get_last_n_thread_memories_for_cwd(f"{runtime.codex_home()}/workspace", 0) == []


@running
async def test_get_last_n_thread_memories_for_cwd_does_not_prefix_match(runtime):
    exact, child = await thread(runtime, "workspace"), await thread(runtime, "workspace-child")
    await runtime.upsert_thread_memory(exact, "raw", "summary")
    await runtime.upsert_thread_memory(child, "raw", "summary")

    found = await runtime.get_last_n_thread_memories_for_cwd(f"{runtime.codex_home()}/workspace", 10)
    assert [memory.thread_id for memory in found] == [exact]


@running
async def test_memory_consolidation_lock_enforces_owner_and_release(runtime):
    a, b, cwd = uuid.uuid4(), uuid.uuid4(), "/src/space"
    assert await runtime.try_acquire_memory_consolidation_lock(cwd, a, 600)
    assert not await runtime.try_acquire_memory_consolidation_lock(cwd, b, 600)
    assert await runtime.try_acquire_memory_consolidation_lock(cwd, a, 600)
    assert not await runtime.release_memory_consolidation_lock(cwd, b)
    assert await runtime.release_memory_consolidation_lock(cwd, a)
    assert not await runtime.release_memory_consolidation_lock(cwd, a)
    assert await runtime.try_acquire_memory_consolidation_lock(cwd, b, 600)


@running
async def test_memory_consolidation_lock_can_be_stolen_when_lease_expired(runtime):
    a, b, cwd = uuid.uuid4(), uuid.uuid4(), "/src/space"
    assert await runtime.try_acquire_memory_consolidation_lock(cwd, a, 600)
    assert await runtime.try_acquire_memory_consolidation_lock(cwd, b, 0)
    assert not await runtime.release_memory_consolidation_lock(cwd, a)


async def claim(runtime, id, *, source=100, lease=3600, scope=("cwd", "/w")):
    return await runtime.try_claim_phase1_job(id, *scope, uuid.uuid4(), source, lease)


@running
async def test_phase1_job_claim_and_success_require_current_owner_token(runtime):
    id = await thread(runtime)
    token = (await claim(runtime, id)).ownership_token

    assert not await runtime.mark_phase1_job_succeeded(id, "cwd", "/w", "wrong-token", "raw.md", "hash")
    assert await runtime.mark_phase1_job_succeeded(id, "cwd", "/w", token, "raw.md", "hash")
    assert not await runtime.mark_phase1_job_succeeded(id, "cwd", "/w", token, "raw.md", "hash")
    assert await claim(runtime, id, source=100) == SkippedUpToDate()
    assert await claim(runtime, id, source=99) == SkippedUpToDate()
    assert isinstance(await claim(runtime, id, source=101), Claimed)
    assert isinstance(await claim(runtime, id, scope=("user", "user")), Claimed)


@running
async def test_phase1_job_running_stale_can_be_stolen_but_fresh_running_is_skipped(runtime):
    id = await thread(runtime)
    assert isinstance(await claim(runtime, id), Claimed)
    assert await claim(runtime, id) == SkippedRunning()
    assert isinstance(await claim(runtime, id, lease=0), Claimed)


@running
async def test_phase1_job_lease_renewal_requires_current_owner_token(runtime):
    id = await thread(runtime)
    old = (await claim(runtime, id)).ownership_token
    new = (await claim(runtime, id, lease=0)).ownership_token
    assert old != new
    assert not await runtime.renew_phase1_job_lease(id, "cwd", "/w", old)
    assert await runtime.renew_phase1_job_lease(id, "cwd", "/w", new)


@running
async def test_phase1_owner_guarded_upsert_rejects_stale_owner(runtime):
    id = await thread(runtime)
    old = (await claim(runtime, id)).ownership_token
    new = (await claim(runtime, id, lease=0)).ownership_token
    put = functools.partial(runtime.upsert_thread_memory_for_scope_if_phase1_owner, id, "cwd", "/w")

    assert await put(old, "late", "late") is None
    assert await runtime.get_thread_memory(id) is None
    assert (await put(new, "raw", "summary")).raw_memory == "raw"
    with pytest.raises(Refused, match="thread not found"):
        await runtime.upsert_thread_memory_for_scope_if_phase1_owner(uuid.uuid4(), "cwd", "/w", new, "raw", "summary")


@running
async def test_phase1_job_failed_is_terminal(runtime):
    id = await thread(runtime)
    token = (await claim(runtime, id, source=100)).ownership_token
    assert await runtime.mark_phase1_job_failed(id, "cwd", "/w", token, "it broke")
    assert await claim(runtime, id, source=101) == SkippedTerminalFailure()


@running
async def test_deleting_thread_cascades_thread_memory(runtime):
    id = await thread(runtime)
    await runtime.upsert_thread_memory(id, "raw", "summary")

    def delete(tx):
        for text in (DELETE, DELETE_FILE):
            tx.run(statement(text), id=uuid.UUID(id).bytes)

    await runtime._write(delete)
    assert await runtime.get_thread_memory(id) is None


DELETE = "DELETE FROM threads WHERE thread_id = :id"
DELETE_FILE = "DELETE FROM files WHERE thread_id = :id"


def test_opening_is_counted(tmp_path, where):
    counted = []

    def otel(name, inc, tags):
        counted.append((name, inc, *tags.values()))
        raise RuntimeError("telemetry is down")

    for _ in range(2):
        asyncio.run(open_and_close(tmp_path / "home", where, otel))
    (tmp_path / "file").write_text("")
    with pytest.raises(Exception, match="cannot be made"):
        asyncio.run(open_and_close(tmp_path / "file" / "home", {}, otel))
    assert [status for _, _, status in counted] == ["created", "opened", "open_error"]
    assert {(name, inc) for name, inc, _ in counted} == {("codex.db.init", 1)}
