"""The server goes away and comes back: callers see ``Busy``, work is done once, nobody has to reconnect by hand."""

from __future__ import annotations

import threading

import pytest

from conftest import DONE, prepare
from engines import open_engine
from holdfast import holds, jobs, postgres
from holdfast.errors import Busy
from holdfast.sql import statement

LABELS = statement("SELECT label FROM done", "labels")


def labels(store):
    with store.read() as tx:
        return sorted(row["label"] for row in tx.rows(LABELS))


@pytest.fixture
def stopping(own_server):
    url = own_server.url("team")
    with open_engine(url) as opened:
        prepare(opened)
        yield own_server, opened


def test_while_it_is_down_a_caller_waits_as_long_as_it_said_and_is_told_how_long_that_was(stopping):
    server, store = stopping
    server.stop("fast")
    with pytest.raises(Busy, match=r"waited \d+ ms: postgresql://.*schema=team") as told, store.write(wait_ms=300):
        pass
    assert "Is the server up" in told.value.remedy
    with pytest.raises(Busy), store.read(wait_ms=50):
        pass
    server.start()
    assert labels(store) == []


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_connection_that_died_while_it_was_idle_is_replaced_without_a_word(stopping, mode):
    server, store = stopping
    assert labels(store) == []
    server.stop(mode)
    server.start()
    assert labels(store) == []
    with store.write() as tx:
        tx.run(DONE, label="after")
    assert labels(store) == ["after"]


def test_a_write_that_was_under_way_is_busy_and_nothing_of_it_is_there(stopping):
    server, store = stopping
    with pytest.raises(Busy), store.write() as tx:
        tx.run(DONE, label="half")
        server.stop()
        server.start()
        tx.run(DONE, label="other half")
    assert labels(store) == []


def test_what_is_submitted_while_it_is_down_is_done_when_it_is_up(stopping):
    server, store = stopping
    server.stop()
    work = store.submit(lambda tx: tx.run(DONE, label="late"), wait_ms=60_000)
    seen = store.submit_read(lambda tx: tx.tuples(LABELS))
    server.start()
    assert work.result(60) == 1
    assert seen.result(60) in ([], [("late",)])
    assert labels(store) == ["late"]


def test_stopped_again_and_again_under_work_nothing_is_lost_and_nothing_is_done_twice(stopping):
    server, store = stopping
    ends = threading.Event()
    done, failed = [], []

    def work(number):
        turn = 0
        while not ends.is_set():
            label = f"{number}-{turn}"
            try:
                store.submit(lambda tx, label=label: tx.run(DONE, label=label), wait_ms=60_000).result(90)
            except Exception as error:
                failed.append((label, error))
            else:
                done.append(label)
            turn += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for mode in ("immediate", "fast", "immediate"):
        before = len(done)
        while len(done) < before + 20:
            ends.wait(0.01)
        server.stop(mode)
        server.start()
    ends.set()
    for thread in threads:
        thread.join(120)
    assert failed == []
    assert labels(store) == sorted(done)


def test_a_hold_outlives_the_server_and_is_still_in_force(stopping):
    server, store = stopping
    with store.write() as tx:
        hold = holds.take(tx, "r", holds.me("ann"), lease_ms=60_000)
    server.stop()
    server.start()
    with store.write() as tx:
        assert isinstance(holds.take(tx, "r", holds.me("bob"), lease_ms=60_000), holds.Denied)
        holds.confirm(tx, hold)


def test_a_copy_that_missed_the_last_transactions_gives_no_fence_again(stopping):
    server, store = stopping
    with store.write() as tx:
        before = holds.take(tx, "r", holds.me("ann"), lease_ms=1)
    server.stop("fast")
    copy = server.copy()
    server.start()
    lost = []
    for name in ("bob", "ann", "bob"):
        with store.write() as tx:
            hold = holds.take(tx, "r", holds.me(name), lease_ms=60_000)
            holds.release(tx, hold)
            lost.append(hold.fence)
    with store.write() as tx:
        holds.raise_epoch(tx, 0)
        lost.append(holds.take(tx, "new", holds.me("bob"), lease_ms=60_000).fence)
    store.close()
    server.stop("fast")

    copy.promote()
    try:
        with postgres.Store.open(copy.url("team")) as promoted:
            with promoted.write() as tx:
                after = holds.take(tx, "r", holds.me("cid"), lease_ms=60_000)
                assert after.fence > max(lost) > before.fence
                assert holds.take(tx, "new", holds.me("cid"), lease_ms=60_000).fence > max(lost)
                assert holds.raise_epoch(tx, 0) == (after.fence >> 40) + 1
            assert holds.know_server(promoted) is False  # the same server, by its own account
    finally:
        copy.remove()


def test_a_dump_that_was_loaded_into_another_server_raises_the_epoch_once(stopping):
    _, store = stopping
    with store.write() as tx:
        tx.run(statement("UPDATE counters SET value = value - 1 WHERE name = 'system'"))
        before = holds.epoch(tx)
        hold = holds.take(tx, "r", holds.me("ann"), lease_ms=60_000)
        jobs.enqueue(tx, "k", "1")
        claim = jobs.claim_next(tx, ["k"], holds.me("ann"))
    assert holds.know_server(store, jobs.end_all) is True
    assert holds.know_server(store, jobs.end_all) is False
    with store.write() as tx:
        assert holds.epoch(tx) > before + 1_024
        assert holds.release(tx, hold) is False
        again = jobs.claim_next(tx, ["k"], holds.me("bob"))
        assert (again.job.key, again.attempt) == ("1", 1)
        assert again.fence > claim.fence
