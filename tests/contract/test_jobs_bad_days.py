"""Workers killed at every step, stopped past their lease, racing each other; poison; nothing is done twice."""

import os
import random
from collections import Counter

import pytest
from contract_helpers import spelled
from job_steps import do, enqueue, get

from engines import open_engine
from holdfast import schema
from holdfast.errors import Stale
from holdfast.jobs import Done, Kind, Later, Report, Status, Watermark, Worker

SHORT = Kind("k", lease_ms=300)

WORKER = """
from holdfast import jobs
from holdfast.jobs import Kind, Worker, ending, guard
engine = open_engine(ARGS[0])
out, stop_at, lease_ms = ARGS[1], ARGS[2], int(ARGS[3])
def pausing(name, module, attribute, before=False):
    if name != stop_at: return
    real = getattr(module, attribute)
    def step(*args, **kwargs):
        if before: pause(name)
        answer = real(*args, **kwargs)
        if not before: pause(name)
        return answer
    setattr(module, attribute, step)
pausing("generation made", guard, "_make")
def fn(work):
    if stop_at == "claimed": pause(stop_at)
    with work.guard(out) as folder:
        with open(folder + "/text", "w") as file:
            file.write(ARGS[4])
            if stop_at == "half written": pause(stop_at)
    if stop_at == "staged": pause(stop_at)
    return ARGS[4]
pausing("files published, job not finished", ending, "finish", before=True)
pausing("about to commit", ending, "finish")
pausing("committed", guard, "settle", before=True)
pausing("link made, not in place", os, "symlink")
pausing("link in place", guard, "_sweep", before=True)
pausing("one file swept", os, "unlink")
say(Worker(engine, [Kind("k", lease_ms=lease_ms)], fn).run(jobs_max=1))
"""
STEPS = ["claimed", "generation made", "half written", "staged"]
STEPS += ["files published, job not finished", "about to commit"]
STEPS_AFTER = ["committed", "link made, not in place", "link in place"]


def published(out):
    return (out / "text").read_text() if out.exists() else None


def writes(out, text):
    def fn(work):
        with work.guard(out) as folder, open(os.path.join(folder, "text"), "w") as file:
            file.write(text)
        return text

    return fn


@pytest.mark.parametrize("step", STEPS + STEPS_AFTER)
def test_a_worker_killed_at_any_step_leaves_the_job_whole_or_undone(real, database, child, tmp_path, step):
    out = tmp_path / "out"
    enqueue(real)
    killed = child(WORKER, database, out, step, 60_000, "first")
    assert killed.line() == step
    killed.kill()

    finished = step in STEPS_AFTER
    if finished:
        assert get(real).result == "first"
    # Its lease would go on for a minute: it is dead, so the next worker has the job at once.
    again = Worker(real, ["k"], writes(out, "second")).run(until_idle=True)
    assert again == Report(done=0 if finished else 1)
    assert get(real).status == Status.DONE
    assert get(real).attempts == 0
    from holdfast.jobs import guard

    assert guard.point(real, out)
    assert published(out) == get(real).result == ("first" if finished else "second")


def test_a_worker_killed_while_it_sweeps_leaves_what_counts(real, database, child, tmp_path):
    out = tmp_path / "out"
    enqueue(real)
    for text in ("first", "second"):
        assert Worker(real, ["k"], writes(out, text)).run(jobs_max=1) == Report(done=1)
        do(real, "retry", "k", "1")
    killed = child(WORKER, database, out, "one file swept", 60_000, "third")
    assert killed.line() == "one file swept"
    killed.kill()
    assert published(out) == get(real).result == "third"
    do(real, "retry", "k", "1")
    assert Worker(real, ["k"], writes(out, "fourth")).run(jobs_max=1) == Report(done=1)
    assert published(out) == "fourth"
    assert len(os.listdir(tmp_path / ".out.generations")) == 3  # what counts, the one before, and the lock


@pytest.mark.parametrize("step", ["claimed", "generation made", "half written", "staged"])
def test_a_worker_stopped_past_its_lease_and_continued_publishes_nothing(real, database, child, tmp_path, step):
    out = tmp_path / "out"
    enqueue(real)
    late = child(WORKER, database, out, step, 300, "late")
    assert late.line() == step
    late.stop()
    # It waits for the lease to end by looking, as any worker does.
    assert Worker(real, [SHORT], writes(out, "in time")).run(jobs_max=1) == Report(done=1)
    late.tell()
    late.go_on()
    assert "lost=1" in late.line()
    assert late.wait() == 0
    assert (published(out), get(real).result, get(real).status) == ("in time", "in time", Status.DONE)
    assert len(os.listdir(tmp_path / ".out.generations")) == 2  # what counts, and the lock


def test_poison_that_kills_its_worker_each_time_is_exhausted_and_left_alone(real, database, child):
    enqueue(real, "poison", priority=1)
    enqueue(real, "food")
    eater = """
from holdfast.jobs import Worker
engine = open_engine(ARGS[0])
def fn(work):
    say(work.job.key, work.claim.attempt)
    if work.job.key == "poison": os._exit(9)
say(Worker(engine, ["k"], fn).run(until_idle=True))
"""
    eaten = []
    for _ in range(4):
        eating = child(eater, database)
        eaten += eating.lines()
        eating.end()
    # Those who died did so before their turn for the food came: after a crash it waits longest.
    assert [line for line in eaten if line.startswith("poison")] == ["poison 1", "poison 2", "poison 3"]
    assert [line for line in eaten if line.startswith("food")] == ["food 1"]
    assert get(real, "poison").status == Status.FAILED
    assert "which is gone" in get(real, "poison").failure


# --- clocks ---------------------------------------------------------------------

BY_ANOTHER_CLOCK = """
import json
import holdfast.clock
real = holdfast.clock.wall_ms
holdfast.clock.wall_ms = lambda: real() + int(ARGS[1])
import holdfast.state.opening
holdfast.state.opening.wall_ms = holdfast.clock.wall_ms
with holdfast.open([], **json.loads(ARGS[0]), search=False) as state:
    while hear() != "end":
        got = state.jobs.claim("k", "1")
        say(type(got).__name__, getattr(got, "fence", 0))
"""
HOUR_MS = 3_600_000


@pytest.mark.parametrize("ahead_ms", [-HOUR_MS, HOUR_MS])
def test_a_process_whose_clock_is_an_hour_off_neither_steals_a_job_nor_waits_for_a_lease_that_ended(
    open_state, where, child, ahead_ms
):
    state = open_state()
    state.jobs.enqueue("k", "1")
    mine = state.jobs.claim("k", "1", lease_ms=60_000)
    other = child(BY_ANOTHER_CLOCK, spelled(where), ahead_ms)
    other.tell()
    assert other.line() == "Running 0"
    mine = state.jobs.renew(mine, lease_ms=1)
    while "is being done" in state.jobs.why("k", "1"):
        pass
    other.tell()
    kind, fence = other.line().split()
    assert (kind, int(fence) > mine.fence) == ("Claimed", True)
    with pytest.raises(Stale):
        state.jobs.finish(mine)
    assert state.jobs.get("k", "1").fence == int(fence)


# --- what gets nowhere ---------------------------------------------------------


@pytest.mark.parametrize("answer", [Later(), Later(0), Later(1)])
def test_a_job_that_is_put_off_again_and_again_rests_each_time(engine, clock, answer):
    enqueue(engine)
    worker = Worker(engine, ["k"], lambda work: answer)
    for times in (1, 2, 3):
        assert worker.run(until_idle=True, jobs_max=5) == Report(released=times)
        clock.advance(1_000)
    assert get(engine).attempts == 0


def test_a_worker_that_is_to_end_puts_its_job_off_for_nobody_else(engine):
    enqueue(engine)

    def fn(work):
        worker.stop()
        return Later()

    worker = Worker(engine, ["k"], fn)
    assert worker.run() == Report(released=1)
    assert Worker(engine, ["k"], lambda work: None).run(until_idle=True) == Report(done=1)


def test_a_job_that_never_does_what_was_asked_for_uses_up_its_attempts(engine, clock):
    enqueue(engine, watermark=Watermark(200, "asked for"))
    worker = Worker(engine, ["k"], lambda work: Done("result", Watermark(200, "found")))
    for failed in (1, 2, 3, 3):
        assert worker.run(until_idle=True, jobs_max=5) == Report(done=1, failed=failed)
        clock.advance(3_600_000)
    assert (get(engine).status, get(engine).result) == (Status.FAILED, "result")
    assert "done for 200 found it gets no further than it was" in get(engine).failure


def test_a_job_that_is_done_piece_by_piece_is_ready_again_at_once_and_comes_to_its_end(engine):
    enqueue(engine, watermark=Watermark(200))

    def fn(work):
        return Done(None, Watermark((work.job.done.size if work.job.done else 0) + 50))

    assert Worker(engine, [Kind("k", attempts_max=1)], fn).run(until_idle=True) == Report(done=4)
    assert get(engine).status == Status.DONE


RACER = """
from holdfast import jobs
from holdfast.jobs import Worker
from holdfast.sql import statement
engine = open_engine(ARGS[0])
did = statement("INSERT INTO effects (key, fence) VALUES (:key, :fence)")
def fn(work):
    if ARGS[1] != "0" and hash(work.fence * 31 + os.getpid()) % int(ARGS[1]) == 0: os.kill(os.getpid(), 9)
    return os.getpid()
class Effects(jobs.Work):
    def _write_end(self, tx, answer):
        ended = super()._write_end(tx, answer)
        if ended == "done": tx.run(did, key=self.job.key, fence=self.fence)
        return ended
from holdfast.jobs import worker
worker.Work = Effects
hear()
say(Worker(engine, ["k"], fn, poll_ms=5).run(until_idle=True).done)
"""


def race(database, child, *, processes, jobs_n, die_one_in=0, again=0):
    """Return how many processes said they did how many jobs; the rows say whether one was done twice."""
    with open_engine(database) as engine:
        schema.migrate(engine)
        with engine.write() as tx:
            from holdfast.sql import statement

            tx.run(statement("CREATE TABLE effects (key TEXT NOT NULL, fence BIGINT NOT NULL)"))
        for first in range(0, jobs_n, 1_000):
            with engine.write() as tx:
                from holdfast import jobs

                for number in range(first, min(first + 1_000, jobs_n)):
                    jobs.enqueue(tx, Kind("k", attempts_max=50), str(number))
        for _ in range(again + 1):
            racers = [child(RACER, database, die_one_in) for _ in range(processes)]
            for racer in racers:
                racer.tell()
            for racer in racers:
                racer.lines()
                racer.end()
        Worker(engine, ["k"], lambda _work: "the last")  # nobody is left: whoever died is seen to below
        last = child(RACER, database, 0)
        last.tell()
        last.lines()
        with engine.read() as tx:
            effects = tx.tuples(statement("SELECT key, fence FROM effects"))
            return effects, jobs.counts(tx)


def test_processes_that_race_do_each_job_once(database, child):
    effects, counts = race(database, child, processes=4, jobs_n=300)
    assert Counter(key for key, _ in effects) == Counter(map(str, range(300)))
    assert counts == {"k": {Status.DONE: 300}}


def test_processes_that_die_at_random_double_nothing(database, child):
    effects, counts = race(database, child, processes=4, jobs_n=60, die_one_in=8, again=1)
    assert Counter(key for key, _ in effects) == Counter(map(str, range(60)))
    assert counts == {"k": {Status.DONE: 60}}


@pytest.mark.torture
def test_sixteen_processes_race_for_ten_thousand_jobs_and_die(database, child):
    die_one_in = random.SystemRandom().randrange(200, 800)
    print(f"one in {die_one_in} jobs kills its worker")
    effects, counts = race(database, child, processes=16, jobs_n=10_000, die_one_in=die_one_in, again=3)
    assert Counter(key for key, _ in effects) == Counter(map(str, range(10_000)))
    assert counts == {"k": {Status.DONE: 10_000}}
