"""The same state from asyncio: nothing blocks the loop, a hundred at once are a hundred answers."""

from __future__ import annotations

import asyncio
import threading

import pytest

import holdfast


@pytest.fixture
def a_home(make_home):
    home = make_home()
    home.ids = [home.thread(f"thread {number}") for number in range(5)]
    return home


def test_open_wait_rename_and_close_inside_an_event_loop(a_home, state_dir):
    async def work():
        async with holdfast.open(a_home, state_dir=state_dir, search=False, wait=False) as state:
            assert await state.ready() is state
            assert state.reports[0].threads == 5
            named = await state.submit(lambda tx: state.threads.within(tx).rename(a_home.ids[0], "from asyncio"))
            assert named.name == "from asyncio"
            page = await state.submit_read(lambda tx: state.threads.within(tx).list(limit=2))
            assert len(page) == 2
            return state

    state = asyncio.run(work())

    with pytest.raises(holdfast.Refused, match="closed"):
        state.threads.list()


def test_a_hundred_at_once_are_all_done_and_all_seen(a_home, state_dir):
    async def work():
        async with holdfast.open(a_home, state_dir=state_dir, search=False) as state:
            ids = a_home.ids

            def rename(number):
                return state.submit(lambda tx: state.threads.within(tx).rename(ids[number % 5], f"name {number}"))

            async def read(number):
                return await state.submit_read(lambda tx: state.threads.within(tx).get(ids[number % 5]))

            named = await asyncio.gather(*(_awaited(rename(number)) for number in range(100)))
            assert [thread.name for thread in named] == [f"name {number}" for number in range(100)]
            assert [thread.id for thread in named] == [ids[number % 5] for number in range(100)]
            seen = await asyncio.gather(*(read(number) for number in range(100)))
            assert {thread.name for thread in seen} == {state.threads.get(id).name for id in ids}

    asyncio.run(work())


def test_who_stops_waiting_leaves_the_state_as_usable_as_before(a_home, state_dir):
    async def work():
        async with holdfast.open(a_home, state_dir=state_dir, search=False) as state:
            entered, go_on = threading.Event(), threading.Event()

            def slow(tx):
                renamed = state.threads.within(tx).rename(a_home.ids[0], "slowly")
                entered.set()
                assert go_on.wait(60)
                return renamed

            waiting = asyncio.create_task(_awaited(state.submit(slow)))
            await asyncio.to_thread(entered.wait, 60)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            go_on.set()
            # What was begun is done: only the wait was cancelled. And the next in line has its turn.
            named = await state.submit(lambda tx: state.threads.within(tx).get(a_home.ids[0]))
            assert named.name == "slowly"
            again = await state.submit(lambda tx: state.threads.within(tx).rename(a_home.ids[0], "after"))
            assert again.name == "after"

    asyncio.run(work())


def test_what_a_transaction_raises_arrives_where_it_was_awaited(a_home, state_dir):
    async def work():
        async with holdfast.open(a_home, state_dir=state_dir, search=False) as state:

            def fail(tx):
                state.threads.within(tx).rename(a_home.ids[0], "never")
                raise LookupError("mine")

            with pytest.raises(LookupError, match="mine"):
                await state.submit(fail)
            assert state.threads.get(a_home.ids[0]).name is None

    asyncio.run(work())


def test_an_exception_inside_the_block_still_closes_the_state(a_home, state_dir):
    async def work():
        async with holdfast.open(a_home, state_dir=state_dir, search=False, wait=False) as state:
            seen.append(state)
            raise LookupError("mine")

    seen = []
    with pytest.raises(LookupError, match="mine"):
        asyncio.run(work())
    with pytest.raises(holdfast.Refused, match="closed"):
        seen[0].threads.list()
    assert not (state_dir / "state.db-wal").exists()


async def _awaited(submitted):
    return await submitted
