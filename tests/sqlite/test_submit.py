import asyncio
import threading

import pytest
from sqlite_helpers import INSERT, TEXTS, q, texts

from holdfast.errors import Busy, Refused, Stale


def insert(text):
    return lambda tx: tx.run(INSERT, text=text)


def test_submitted_work_returns_or_raises_what_it_did(store):
    assert store.submit(insert("a")).result(10) == 1
    assert store.submit_read(lambda tx: tx.rows(TEXTS)).result(10) == [{"text": "a"}]
    with pytest.raises(Refused, match="syntax"):
        store.submit(lambda tx: tx.run(q("INSER"))).result(10)


def test_a_thousand_submissions_are_all_kept_and_share_commits(store):
    before = store.status().groups
    for work in [store.submit(insert(str(number))) for number in range(1_000)]:
        assert work.result(30) == 1
    assert len(texts(store)) == 1_000
    assert store.status().groups - before < 1_000


def test_submitted_work_can_be_awaited_in_any_loop(store):
    async def main():
        assert await store.submit(insert("a")) == 1
        await asyncio.gather(*(_awaited(store.submit(insert(str(number)))) for number in range(20)))
        return await store.submit_read(lambda tx: len(tx.rows(TEXTS)))

    assert asyncio.run(main()) == 21
    assert asyncio.run(main()) == 42


async def _awaited(work):
    return await work


def test_cancelling_who_awaits_cuts_no_transaction_in_two(store):
    entered, leave = threading.Event(), threading.Event()

    def body(tx):
        tx.run(INSERT, text="first half")
        entered.set()
        leave.wait(10)
        tx.run(INSERT, text="second half")

    async def main():
        work = store.submit(body)
        awaiting = asyncio.ensure_future(_awaited(work))
        await asyncio.to_thread(entered.wait, 10)
        awaiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await awaiting
        leave.set()
        return work

    asyncio.run(main()).result(10)
    assert texts(store) == ["first half", "second half"]


@pytest.mark.parametrize(("error", "tries"), [(Busy, 3), (Stale, 1), (Refused, 1), (KeyError, 1)])
def test_only_busy_is_tried_again(store, error, tries):
    seen = []

    def body(tx):
        seen.append(tx.run(INSERT, text="x"))
        if len(seen) < 3:
            raise error("no")

    work = store.submit(body)
    if tries == 1:
        with pytest.raises(error):
            work.result(10)
    else:
        work.result(10)
    assert len(seen) == tries
    assert texts(store) == (["x"] if tries == 3 else [])


def test_busy_is_told_once_the_time_is_over(store):
    def body(_tx):
        raise Busy("never")

    with pytest.raises(Busy, match="never"):
        store.submit(body, wait_ms=20).result(10)


def test_close_waits_for_what_was_submitted(make, path, clock):
    from holdfast.sqlite import Store

    store = make()
    for number in range(20):
        store.submit(insert(str(number)))
    store.close()
    with Store.open(path, clock=clock) as again:
        assert len(texts(again)) == 20
