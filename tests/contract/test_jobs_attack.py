"""Histories that once broke a promise: each was found by attack, and is written down step by step."""

import pytest
from job_steps import ANN, LEASE_MS, claim, claim_next, do, enqueue, finish, get

from holdfast import holds, jobs
from holdfast.jobs import Enqueued, Exhausted, Idle, Kind, Known, Resting, Status, UpToDate, Watermark

FIRST, SECOND, THIRD = Watermark(100, "a"), Watermark(200, "b"), Watermark(300, "c")
SLOWLY = 60_000


# --- what is ready can be claimed --------------------------------------------


def test_input_between_what_was_asked_for_and_what_was_done_is_known(engine):
    enqueue(engine, watermark=FIRST)
    finish(engine, claim(engine), watermark=THIRD)  # the file grew while it was read
    assert isinstance(enqueue(engine, watermark=SECOND), Known)
    assert isinstance(claim_next(engine), Idle)
    assert isinstance(claim(engine), UpToDate)
    assert isinstance(enqueue(engine, watermark=Watermark(300, "other")), Enqueued)
    finish(engine, claim_next(engine))


@pytest.mark.parametrize("end", ["finish", "silence", "put back"])
def test_newer_input_for_later_that_came_during_the_work_waits_for_its_time(engine, clock, end):
    claimed = claim(engine, watermark=FIRST)
    enqueue(engine, watermark=SECOND, not_before_ms=clock.ms + SLOWLY)
    if end == "finish":
        finish(engine, claimed)
    elif end == "silence":
        clock.advance(LEASE_MS)
    else:
        do(engine, "end_all")
    assert isinstance(claim_next(engine), Idle)
    assert isinstance(claim(engine), Resting)
    assert get(engine).status == Status.RESTING
    clock.advance(SLOWLY)
    finish(engine, claim_next(engine))
    assert (get(engine).status, get(engine).done) == (Status.DONE, SECOND)


def test_a_ready_job_is_claimed_though_the_clock_was_set_back(engine, clock):
    enqueue(engine)
    clock.advance(-3_600_000)
    finish(engine, claim_next(engine))
    clock.advance(3_600_000)


# --- newer input is not lost -------------------------------------------------


def test_input_that_came_while_an_older_one_was_given_up_is_done(engine):
    claimed = claim(engine, watermark=FIRST)
    enqueue(engine, watermark=SECOND)
    assert isinstance(do(engine, "give_up", claimed, "no text in it"), Resting)
    newer = claim_next(engine)
    assert (newer.watermark, newer.attempt) == (SECOND, 1)
    assert isinstance(do(engine, "give_up", newer, "nor in this"), Exhausted)
    assert isinstance(claim_next(engine), Idle)


def test_giving_up_where_failure_is_for_ever_is_for_ever_whatever_came_meanwhile(engine):
    terminal = Kind("k", on_failure="terminal")
    with engine.write() as tx:
        claimed = jobs.claim(tx, terminal, "1", ANN, watermark=FIRST)
    enqueue(engine, kind=terminal, watermark=SECOND)
    assert isinstance(do(engine, "give_up", claimed, "no"), jobs.Terminal)


# --- a lease that was given is kept -------------------------------------------


def test_a_renewal_that_began_before_another_does_not_shorten_its_lease(engine, clock):
    claimed = claim(engine)
    hold = do_hold(engine, holds.take, "r", ANN, lease_ms=LEASE_MS)
    clock.advance(500)
    later = do(engine, "renew", claimed, lease_ms=LEASE_MS)
    held = do_hold(engine, holds.renew, hold, lease_ms=LEASE_MS)
    clock.advance(-400)
    do(engine, "renew", claimed, lease_ms=LEASE_MS)
    do_hold(engine, holds.renew, hold, lease_ms=LEASE_MS)
    assert get(engine).expires_ms == later.hold.expires_ms
    with engine.read() as tx:
        assert holds.get(tx, "r").expires_ms == held.expires_ms
    clock.advance(400)
    # Said in so many words, a shorter lease is one.
    assert do(engine, "renew", claimed, lease_ms=10).hold.expires_ms == get(engine).expires_ms == clock.ms + 10


def do_hold(engine, verb, *args, **words):
    with engine.write() as tx:
        return verb(tx, *args, **words)
