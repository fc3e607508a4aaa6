"""To hear that something changed: what others wrote is looked at soon, whoever wrote it, whatever came between."""

import asyncio
import os
import threading

import pytest
from job_steps import enqueue, get

from engines import open_engine
from holdfast import waking
from holdfast.errors import HoldfastError
from holdfast.jobs import Kind, Report, Worker

HOUR_MS = 3_600_000
LONG_S = 60

ENQUEUES = """
from holdfast import jobs
engine = open_engine(ARGS[0])
for key in ARGS[1:]:
    hear()
    with engine.write() as tx: jobs.enqueue(tx, "k", key)
    say(key)
hear()
"""


def hear_of(engine, waiter, key):
    """Look whenever something is heard, until the job is there. Without a word in time it is an error."""
    while get(engine, key) is None:
        assert waiter.wait(LONG_S)


def watchers():
    return [each for each in threading.enumerate() if each.name == "holdfast-changes"]


def test_a_worker_that_looks_once_an_hour_begins_what_another_process_asked_for(real, database, child):
    asking = child(ENQUEUES, database, "1", "2")
    done = []

    def fn(work):
        done.append(work.job.key)
        asking.tell()

    worker = Worker(real, ["k"], fn, poll_ms=HOUR_MS)
    crew = threading.Thread(target=worker.run, kwargs={"threads": 3, "jobs_max": 2})
    crew.start()
    asking.tell()
    crew.join(LONG_S)
    assert not crew.is_alive()
    assert (done, worker.report) == (["1", "2"], Report(done=2))


def test_so_does_one_of_coroutines(real, database, child):
    asking = child(ENQUEUES, database, "1", "2")

    async def fn(_work):
        asking.tell()

    async def main():
        worker = Worker(real, ["k"], fn, poll_ms=HOUR_MS)
        working = asyncio.ensure_future(worker.run_async(tasks=20, jobs_max=2))
        asking.tell()
        return await asyncio.wait_for(working, LONG_S)

    assert asyncio.run(main()) == Report(done=2)


def test_it_begins_a_job_again_when_its_rest_is_over(real):
    def fn(work):
        if work.claim.attempt == 1:
            raise ValueError

    enqueue(real)
    worker = Worker(real, [Kind("k", backoff_ms=100)], fn, poll_ms=HOUR_MS)
    crew = threading.Thread(target=worker.run, kwargs={"jobs_max": 2}, daemon=True)
    crew.start()
    crew.join(LONG_S)
    assert worker.report == Report(done=1, failed=1)


def test_a_worker_that_waits_for_an_hour_stops_when_told_to(real):
    worker = Worker(real, ["k"], lambda work: None, poll_ms=HOUR_MS)
    crew = threading.Thread(target=worker.run, kwargs={"threads": 3})
    crew.start()
    while not watchers():  # it waits, or is about to
        crew.join(0.01)
    worker.stop()
    crew.join(LONG_S)
    assert not crew.is_alive()


def test_each_waiter_hears_of_every_process_and_one_thread_serves_them_all(real, database, child):
    asking = child(ENQUEUES, database, "theirs")
    with real.changes() as one, real.changes() as other:
        enqueue(real, "ours")
        for waiter in (one, other):
            hear_of(real, waiter, "ours")
        asking.tell()
        for waiter in (one, other):
            hear_of(real, waiter, "theirs")
        assert len(watchers()) == 1


def test_what_is_changed_before_the_wait_ends_it_at_once(real):
    with real.changes() as waiter:
        while not waiter.hears:
            waiter.wait(LONG_S)
        enqueue(real, "before")
        assert waiter.wait(LONG_S)


def test_with_the_last_waiter_the_thread_ends_and_the_next_one_starts_another(real):
    for key in "12":
        with real.changes() as waiter:
            (thread,) = watchers()
            enqueue(real, key)
            hear_of(real, waiter, key)
        thread.join(LONG_S)
        assert not thread.is_alive()


def test_a_store_that_is_closed_wakes_who_waits_and_leaves_no_thread(database, real):
    with open_engine(database) as other:
        waiter = other.changes()
        other_thread = watchers()
        woken = []
        waiting = threading.Thread(target=lambda: woken.append(forever(waiter)))
        waiting.start()
    waiting.join(LONG_S)
    assert woken == ["ended"]
    assert other_thread
    assert watchers() == []
    with pytest.raises(HoldfastError):
        other.changes()


def forever(waiter):
    while waiter.wait(LONG_S):
        if not waiter.hears and not watchers():
            return "ended"
    return "not woken"


def test_a_fork_takes_no_waiter_along_and_both_processes_hear(real, database, child):
    asking = child(ENQUEUES, database, "theirs")
    with real.changes() as waiter:
        enqueue(real, "before")
        hear_of(real, waiter, "before")
        if (pid := os.fork()) == 0:
            code = 1
            try:
                hear_of(real, waiter, "theirs")
                enqueue(real, "the child's")
                real.close()  # what it still has to say is said
                code = 0
            finally:
                os._exit(code)
        asking.tell()
        hear_of(real, waiter, "theirs")
        hear_of(real, waiter, "the child's")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_thread_that_failed_goes_on_and_whoever_waits_hears(real, database, child, monkeypatch):
    monkeypatch.setattr(waking, "_RETRY_S", 0)
    asking = child(ENQUEUES, database, "theirs")
    failures, is_over = [ZeroDivisionError(), UnicodeError()], waking.Waiting.is_over

    def fails(self):
        if failures:
            raise failures.pop()
        return is_over(self)

    with real.changes() as waiter:
        while not waiter.hears:
            assert waiter.wait(LONG_S)
        monkeypatch.setattr(waking.Waiting, "is_over", fails)
        enqueue(real, "ours")  # it looks at the least now
        hear_of(real, waiter, "ours")
        asking.tell()
        hear_of(real, waiter, "theirs")
        assert failures == []


def test_a_worker_hears_of_what_came_between_its_look_and_its_first_wait(real, monkeypatch):
    """Where another waits already, the thread has told of it before the worker came to listen."""
    changes = type(real).changes
    with real.changes() as other:
        while not other.hears:
            assert other.wait(LONG_S)

        def late(self):
            enqueue(real)
            hear_of(real, other, "1")
            while other.wait(0.1):
                pass
            return changes(self)

        monkeypatch.setattr(type(real), "changes", late)
        worker = Worker(real, ["k"], lambda work: None, poll_ms=HOUR_MS)
        crew = threading.Thread(target=worker.run, kwargs={"jobs_max": 1}, daemon=True)
        crew.start()
        crew.join(LONG_S)
        assert worker.report == Report(done=1)


def test_a_thread_begins_when_the_one_before_it_has_put_everything_away():
    said, let_go = [], threading.Event()

    class Slow(waking.Waiting):
        def watch(self, bell):
            said.append("begins")
            while not self.is_over():
                bell.wait(None)
            let_go.wait(LONG_S)
            said.append("ends")

    waiting = Slow()
    waiting.changes().close()
    while waiting._thread is not None:
        pass
    again = waiting.changes()
    let_go.set()
    again.close()
    waiting.end()
    assert said == ["begins", "ends", "begins", "ends"]
    assert watchers() == []


def test_a_coroutine_waits_as_a_thread_does(real, database, child):
    asking = child(ENQUEUES, database, "theirs")

    async def main():
        with real.changes() as waiter:
            asking.tell()
            while get(real, "theirs") is None:
                assert await waiter.wait_async(LONG_S)
            assert not await waiter.wait_async(0) or not await waiter.wait_async(0)

    asyncio.run(main())
