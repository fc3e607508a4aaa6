"""Workers: what they do with a function, how they learn that a claim was lost, and what they publish."""

import asyncio
import functools
import os
import signal
import threading

import pytest
from job_steps import BOB, do, enqueue, get

from holdfast import jobs
from holdfast.errors import Damaged, Refused, Stale
from holdfast.jobs import Done, GiveUp, Kind, Later, Report, Status, Watermark, Worker, seeking
from holdfast.sql import statement

SHORT = Kind("k", lease_ms=150)


def files(path):
    return {name: (path / name).read_text() for name in sorted(os.listdir(path))}


def writes(path, text):
    def fn(work):
        with work.guard(path) as folder:
            for name in ("a", "b"):
                with open(os.path.join(folder, name), "w") as file:
                    file.write(text)

    return fn


# --- what a function answers -------------------------------------------------


def test_what_the_function_answers_is_how_the_job_ends(real):
    answers = {
        "result": {"pages": 2},
        "nothing": None,
        "raises": ValueError("no text"),
        "no json": object(),
        "gives up": GiveUp("binary"),
        "later": Later(60_000),
        "more": Done("all", Watermark(9)),
    }
    for key in answers:
        enqueue(real, key, watermark=Watermark(5))

    def fn(work):
        answer = answers[work.job.key]
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert Worker(real, ["k"], fn).run(until_idle=True) == Report(done=3, failed=2, given_up=1, released=1)
    assert {key: get(real, key).status for key in answers} == {
        "result": Status.DONE,
        "nothing": Status.DONE,
        "raises": Status.RESTING,
        "no json": Status.RESTING,
        "gives up": Status.FAILED,
        "later": Status.RESTING,
        "more": Status.DONE,
    }
    assert (get(real, "result").result, get(real, "raises").failure) == ({"pages": 2}, "ValueError: no text")
    assert (get(real, "more").done, get(real, "later").attempts) == (Watermark(9), 0)


def test_threads_do_each_job_once_and_hear_of_work_asked_for_later(real):
    done = []
    worker = Worker(real, ["k"], lambda work: done.append(work.job.key), poll_ms=5)
    crew = threading.Thread(target=worker.run, kwargs={"threads": 3, "jobs_max": 20})
    crew.start()
    for number in range(20):
        enqueue(real, str(number))
    crew.join(30)
    assert sorted(done, key=int) == [str(number) for number in range(20)]
    assert worker.report == Report(done=20)


def test_sigterm_lets_the_job_at_hand_end_and_claims_no_other(real):
    for key in "12":
        enqueue(real, key)

    def fn(work):
        os.kill(os.getpid(), signal.SIGTERM)
        assert work.stopping.wait(10)
        return "to its end"

    before = signal.getsignal(signal.SIGTERM)
    assert Worker(real, ["k"], fn).run() == Report(done=1)
    assert signal.getsignal(signal.SIGTERM) is before
    assert [get(real, key).status for key in "12"] == [Status.DONE, Status.READY]


def test_coroutines_work_side_by_side(real):
    for number in range(6):
        enqueue(real, str(number))
    together = []

    async def fn(work):
        together.append(work.job.key)
        while len(together) < 3:
            await asyncio.sleep(0)
        return len(together)

    assert asyncio.run(Worker(real, ["k"], fn).run_async(tasks=3, until_idle=True)) == Report(done=6)


def test_more_coroutines_wait_than_the_loop_has_threads_and_jobs_end_nevertheless(real):
    enqueue(real)

    async def main():
        worker = Worker(real, ["k"], fn, poll_ms=5)
        working = asyncio.ensure_future(worker.run_async(tasks=40))
        await begun.wait()
        while get(real).status != Status.DONE:
            await asyncio.sleep(0)
        worker.stop()
        return await working

    begun = asyncio.Event()

    async def fn(_work):
        begun.set()

    assert asyncio.run(main()) == Report(done=1)


def test_a_worker_that_is_cancelled_gives_its_jobs_back(real):
    enqueue(real)
    begun = asyncio.Event()

    async def fn(_work):
        begun.set()
        await asyncio.Event().wait()

    async def main():
        working = asyncio.ensure_future(Worker(real, ["k"], fn).run_async())
        await begun.wait()
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working

    asyncio.run(main())
    assert (get(real).status, get(real).attempts) == (Status.RESTING, 0)


def test_a_job_ends_and_the_next_is_claimed_in_one_commit(real, monkeypatch):
    monkeypatch.setattr(seeking, "_RECOVER_MS", 10**9)  # no look for the dead, however slow this machine
    for number in range(5):
        enqueue(real, str(number))
    before = real.status().transactions
    assert Worker(real, ["k"], lambda work: None).run(jobs_max=5) == Report(done=5)
    assert real.status().transactions - before == 1 + 5  # the first claim, and five ends


def test_a_job_is_done_though_the_next_one_cannot_be_claimed(real):
    for key in "12":
        enqueue(real, key)
    with real.write() as tx:
        tx.run(statement("UPDATE jobs SET payload = '{' WHERE key = '2'"))
    with pytest.raises(Damaged):
        Worker(real, ["k"], lambda work: "kept").run()
    assert get(real, "1").result == "kept"
    with real.read() as tx:
        assert tx.row(statement("SELECT status FROM jobs WHERE key = '2'"))["status"] == "ready"


def test_threads_that_go_on_from_job_to_job_claim_no_more_than_they_may(real):
    for number in range(20):
        enqueue(real, str(number))
    assert Worker(real, ["k"], lambda work: None).run(threads=3, jobs_max=7) == Report(done=7)
    with real.read() as tx:
        assert jobs.counts(tx)["k"] == {Status.DONE: 7, Status.READY: 13}


def test_one_thread_renews_the_claims_of_all_jobs_of_a_worker_each_in_its_turn(real):
    for kind in "ab":
        with real.write() as tx:
            jobs.enqueue(tx, kind, "1")
    together = threading.Barrier(2)
    keepers = []

    def fn(work):
        together.wait(20)
        first_ms = work.claim.hold.expires_ms
        while get(real, "1", work.job.kind).expires_ms <= first_ms:
            work.check()
        keepers.append([each.name for each in threading.enumerate() if "keeper" in each.name])

    kinds = [Kind("a", lease_ms=1_500), Kind("b", lease_ms=400)]
    assert Worker(real, kinds, fn).run(threads=2, jobs_max=2) == Report(done=2)
    assert [len(names) for names in keepers] == [1, 1]


# --- what a worker is not made with ------------------------------------------


async def coroutine(_work):
    pass


class Coroutine:
    async def __call__(self, _work):
        pass


@pytest.mark.parametrize("fn", [coroutine, Coroutine(), functools.partial(coroutine, "x")])
def test_threads_are_given_no_coroutine_function(real, fn):
    enqueue(real)
    with pytest.raises(Refused) as refused:
        Worker(real, ["k"], fn).run(until_idle=True)
    assert "run_async" in refused.value.remedy
    assert get(real).fence == 0


def test_a_plain_function_that_returns_a_coroutine_fails_and_says_so(real):
    enqueue(real)
    assert Worker(real, ["k"], lambda work: coroutine(work)).run(jobs_max=1) == Report(failed=1)
    assert "run_async" in get(real).failure


def test_coroutines_are_given_no_plain_function(real):
    enqueue(real)
    with pytest.raises(Refused) as refused:
        asyncio.run(Worker(real, ["k"], lambda work: None).run_async(until_idle=True))
    assert "async def" in refused.value.remedy
    assert get(real).fence == 0


@pytest.mark.parametrize("answer", [Done(None, (5, "x")), Later(float("nan")), Later("1 s"), Done(object())])
def test_an_answer_that_makes_no_sense_is_a_failure_of_the_job_and_not_of_the_worker(real, answer):
    for key in "12":
        enqueue(real, key)
    report = Worker(real, ["k"], lambda work: answer if work.job.key == "1" else None).run(until_idle=True)
    assert report == Report(done=1, failed=1)
    assert get(real).failure.startswith("Refused: ")


@pytest.mark.parametrize("kinds", ["k", Kind("k"), [], [""], [5]])
def test_a_worker_is_given_a_list_of_kinds(real, kinds):
    with pytest.raises(Refused):
        Worker(real, kinds, lambda work: None)
    with pytest.raises(Refused):
        do(real, "claim_next", kinds, BOB)


@pytest.mark.parametrize("how", [{"threads": 0}, {"jobs_max": -1}, {"threads": "2"}])
def test_a_worker_is_told_numbers_that_make_sense(real, how):
    with pytest.raises(Refused):
        Worker(real, ["k"], lambda work: None).run(**how)
    with pytest.raises(Refused):
        Worker(real, ["k"], lambda work: None, poll_ms=0)
    with pytest.raises(Refused):
        Worker(real, ["k"], None)


# --- a claim that is lost ----------------------------------------------------


def test_a_claim_is_renewed_as_long_as_the_function_runs(real):
    enqueue(real)

    def fn(work):
        work.note("half")
        first_ms = work.claim.hold.expires_ms
        while get(real).expires_ms <= first_ms:  # beyond what it was claimed for
            work.check()
        return get(real).note

    assert Worker(real, [SHORT], fn).run(jobs_max=1) == Report(done=1)
    assert get(real).result == "half"


def test_the_function_hears_that_its_claim_was_lost_and_its_end_changes_nothing(real, tmp_path):
    enqueue(real)

    def fn(work):
        writes(tmp_path / "out", "late")(work)
        do(real, "cancel", "k", "1", "by hand")
        assert work.lost.wait(10)
        with pytest.raises(Stale):
            work.check()
        return "late"

    assert Worker(real, [SHORT], fn).run(jobs_max=1) == Report(lost=1)
    assert (get(real).status, get(real).result) == (Status.CANCELLED, None)
    assert not os.path.lexists(tmp_path / "out")
    assert os.listdir(tmp_path / ".out.generations") == []


def test_a_coroutine_is_cancelled_when_its_claim_was_lost(real):
    enqueue(real)
    ended = []

    async def fn(_work):
        await asyncio.to_thread(do, real, "cancel", "k", "1")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    assert asyncio.run(Worker(real, [SHORT], fn).run_async(jobs_max=1)) == Report(lost=1)
    assert ended == ["cancelled"]


# --- caps ---------------------------------------------------------------------


def test_many_who_claim_at_once_keep_the_cap_and_get_different_jobs(real):
    for number in range(12):
        enqueue(real, str(number))
    do(real, "cap", "k", 3)
    together, got = threading.Barrier(6), []

    def ask():
        together.wait()
        for _ in range(2):
            with real.write(wait_ms=20_000) as tx:
                got.append(jobs.claim_next(tx, ["k"], BOB))

    crew = [threading.Thread(target=ask) for _ in range(6)]
    for each in crew:
        each.start()
    for each in crew:
        each.join()
    claimed = [each.job.key for each in got if isinstance(each, jobs.Claimed)]
    assert len(claimed) == len(set(claimed)) == 3
    assert [each.capped[0].running for each in got if isinstance(each, jobs.Idle)] == [3] * 9
