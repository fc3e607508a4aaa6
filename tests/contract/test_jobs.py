"""Work that happens once per input: asked for, claimed, ended, and who comes too late changes nothing."""

import pytest
from job_steps import ANN, BOB, LEASE_MS, claim, claim_next, do, enqueue, fail, finish, get, why

from holdfast import holds, jobs
from holdfast.errors import Refused, Stale
from holdfast.holds.rules import COUNTER_BITS
from holdfast.jobs import (
    Capped,
    Claimed,
    Enqueued,
    Exhausted,
    Idle,
    Kind,
    Known,
    Resting,
    Running,
    Status,
    Terminal,
    UpToDate,
    Watermark,
)

FIRST, SECOND = Watermark(100, "a"), Watermark(200, "b")
FOR_EVER = Kind("k", on_failure="terminal")


# --- asking ------------------------------------------------------------------


def test_a_job_is_asked_for_once_and_then_known(engine):
    made = enqueue(engine, payload={"words": [1, None]}, priority=3)
    assert isinstance(made, Enqueued)
    assert (made.job.status, made.job.priority, made.job.payload) == (Status.READY, 3, {"words": [1, None]})
    assert enqueue(engine, payload="other") == Known(made.job)
    assert get(engine) == made.job


def test_what_is_no_job_is_refused_and_leaves_nothing(engine):
    for words in (
        {"key": ""},
        {"key": "x" * 1_001},
        {"key": "a\0b"},
        {"priority": 1 << 63},
        {"kind": ""},
        {"payload": object(), "idempotency_key": "r"},
        {"payload": "x" * 65_536, "idempotency_key": "r"},
        {"attempts_max": 0},
        {"on_failure": "shrug"},
        {"key": 5},
        {"key": "\ud800"},
        {"kind": 5},
        {"priority": 1.5},
        {"not_before_ms": float("nan")},
        {"not_before_ms": -1},
        {"idempotency_key": ""},
        {"idempotency_key": "a\0b"},
        {"watermark": (1, "a")},
    ):
        with engine.write() as tx, pytest.raises(Refused):  # the transaction itself goes on, and is committed
            jobs.enqueue(tx, words.pop("kind", "k"), words.pop("key", "1"), **words)
    assert get(engine) is None
    assert isinstance(enqueue(engine, idempotency_key="r"), Enqueued)


@pytest.mark.parametrize(
    "words",
    [
        {"owner": "ann"},  # a row that says so could be read by nobody
        {"owner": None},
        {"watermark": 5},
        {"lease_ms": float("nan")},
        {"lease_ms": 0},
        {"running_max": -1},
        {"stale_after_ms": 0.5},
    ],
)
def test_a_claim_that_makes_no_sense_is_refused_and_leaves_nothing(engine, words):
    enqueue(engine)
    with engine.write() as tx, pytest.raises(Refused):
        jobs.claim(tx, "k", "1", **{"owner": ANN, **words})
    assert get(engine).fence == 0


def test_what_a_claim_answers_that_gave_nothing_is_no_claim(engine):
    idle = claim_next(engine)
    for verb in (jobs.renew, jobs.finish, jobs.release, jobs.confirm):
        with pytest.raises(Refused, match="is no claim"), engine.write() as tx:
            verb(tx, idle)
    for verb in (jobs.fail, jobs.give_up):
        with pytest.raises(Refused, match="is no claim"), engine.write() as tx:
            verb(tx, None, "why")


def test_a_request_made_before_returns_the_job_of_then_whatever_it_asks_for_now(engine):
    first = enqueue(engine, "1", idempotency_key="request 7")
    assert enqueue(engine, "another", idempotency_key="request 7") == Known(first.job)
    assert get(engine, "another") is None
    finish(engine, claim(engine))
    again = enqueue(engine, "1", watermark=FIRST, idempotency_key="request 7")
    assert isinstance(again, Known)
    assert again.job.status == Status.DONE


def test_newer_input_is_new_work_and_older_input_is_known(engine):
    enqueue(engine, watermark=SECOND)
    finish(engine, claim(engine))
    for older in (FIRST, SECOND, None):
        assert isinstance(enqueue(engine, watermark=older), Known)
    rewritten = enqueue(engine, watermark=Watermark(200, "c"), payload="again")
    assert (rewritten.job.status, rewritten.job.payload) == (Status.READY, "again")


# --- claiming one ------------------------------------------------------------


def test_a_claim_has_a_fence_a_lease_and_counts_as_an_attempt(engine, clock):
    enqueue(engine, watermark=FIRST, payload=1)
    claimed = claim(engine)
    assert (claimed.fence, claimed.attempt, claimed.watermark, claimed.payload) == (
        (1 << COUNTER_BITS) + 1,
        1,
        FIRST,
        1,
    )
    assert claimed.hold.expires_ms == clock.ms + LEASE_MS
    assert claimed.job == get(engine)


def test_a_job_at_hand_is_running_for_others_and_for_who_does_it(engine, clock):
    first = claim(engine)
    for owner in (ANN, BOB):
        assert claim(engine, owner=owner) == Running(first.job, ANN, clock.ms + LEASE_MS)
        assert claim_next(engine, owner=owner) == Idle(clock.ms + LEASE_MS)


def test_done_is_up_to_date_until_newer_input_is_claimed(engine):
    finish(engine, claim(engine, watermark=FIRST), {"pages": 3})
    assert isinstance(claim(engine, watermark=FIRST), UpToDate)
    assert isinstance(claim(engine, watermark=Watermark(99)), UpToDate)
    assert claim(engine).job.result == {"pages": 3}
    again = claim(engine, watermark=SECOND)
    assert (again.attempt, again.fence) == (1, (1 << COUNTER_BITS) + 2)


def test_input_that_came_while_the_job_was_done_is_work_of_its_own(engine):
    enqueue(engine, watermark=FIRST)
    claimed = claim_next(engine)
    assert isinstance(enqueue(engine, watermark=SECOND), Enqueued)
    assert get(engine).status == Status.RUNNING
    finish(engine, claimed, "of the first")
    assert (get(engine).status, get(engine).done, get(engine).wanted) == (Status.READY, FIRST, SECOND)
    assert claim_next(engine).watermark == SECOND


def test_a_worker_may_say_that_it_did_more_than_it_was_asked(engine):
    finish(engine, claim(engine, watermark=FIRST), watermark=SECOND)
    assert isinstance(claim(engine, watermark=SECOND), UpToDate)


def test_a_claim_that_gives_nothing_leaves_no_job_behind(engine):
    do(engine, "cap", "k", 0)
    assert claim(engine) == Capped("k", 0, 0)
    assert get(engine) is None


# --- ending ------------------------------------------------------------------


def test_a_failed_job_rests_longer_each_time_and_is_then_exhausted(engine, clock):
    enqueue(engine, watermark=FIRST)
    rests = []
    for attempt in (1, 2):
        resting = fail(engine, claim_next(engine), f"boom {attempt}")
        rests.append(resting.until_ms - clock.ms)
        assert resting.failure == f"boom {attempt}"
        assert claim(engine) == Resting(get(engine), resting.until_ms, f"boom {attempt}")
        assert claim_next(engine) == Idle(resting.until_ms)
        clock.ms = resting.until_ms
    assert 500 <= rests[0] <= 1_000 <= rests[1] <= 2_000
    assert fail(engine, claim_next(engine), "the last") == Exhausted(get(engine), 3, "the last")
    assert claim(engine, watermark=FIRST) == Exhausted(get(engine), 3, "the last")
    assert claim_next(engine) == Idle(None)


def test_newer_input_refills_the_budget_and_does_not_cut_a_rest_short(engine, clock):
    enqueue(engine, watermark=FIRST)
    until_ms = fail(engine, claim_next(engine)).until_ms
    assert enqueue(engine, watermark=SECOND).job.attempts == 0
    assert claim_next(engine) == Idle(until_ms)
    clock.ms = until_ms
    assert claim_next(engine).attempt == 1


def test_exhausted_is_over_with_newer_input_whether_it_is_enqueued_or_claimed(engine):
    do(engine, "give_up", claim(engine, watermark=FIRST), "not text")
    assert isinstance(claim(engine, watermark=FIRST), Exhausted)
    assert claim(engine, watermark=SECOND).attempt == 1


def test_a_terminal_failure_is_for_ever_but_for_retry(engine):
    claimed = claim(engine, kind=FOR_EVER, watermark=FIRST)
    assert fail(engine, claimed, "bad reply") == Terminal(get(engine), "bad reply")
    assert isinstance(claim(engine, kind=FOR_EVER, watermark=SECOND), Terminal)
    assert isinstance(enqueue(engine, watermark=SECOND), Known)
    assert do(engine, "retry", "k", "1").status == Status.READY
    assert claim(engine, kind=FOR_EVER, watermark=FIRST).attempt == 1


def test_released_work_is_ready_again_and_keeps_its_attempt(engine, clock):
    do(engine, "release", claim(engine), retry_in_ms=50)
    assert claim_next(engine) == Idle(clock.ms + 50)
    clock.advance(50)
    assert claim_next(engine).attempt == 1


@pytest.mark.parametrize("late", ["finish", "fail", "renew", "release", "give_up", "confirm"])
@pytest.mark.parametrize("after", ["its lease", "a steal", "a steal and a finish", "cancel", "forget and a new claim"])
def test_who_comes_too_late_is_stale_and_changes_nothing(engine, clock, late, after):
    claimed = claim(engine)
    if after == "cancel":
        do(engine, "cancel", "k", "1")
    elif after.startswith("forget"):
        do(engine, "forget", "k", "1")
        assert claim(engine, owner=BOB).fence > claimed.fence
    else:
        clock.advance(LEASE_MS)
        if after != "its lease":
            stolen = claim(engine, owner=BOB)
            assert stolen.fence == claimed.fence + 1
            if after.endswith("finish"):
                finish(engine, stolen)
    before = get(engine)
    args = {"finish": [], "fail": ["x"], "renew": [], "release": [], "give_up": ["x"], "confirm": []}[late]
    with pytest.raises(Stale):
        do(engine, late, claimed, *args)
    assert get(engine) == before


def test_what_else_a_late_worker_wrote_is_undone_with_its_finish(engine, clock):
    claimed = claim(engine)
    clock.advance(LEASE_MS)
    with pytest.raises(Stale), engine.write() as tx:
        jobs.enqueue(tx, "k", "written late")
        jobs.finish(tx, claimed)
    assert get(engine, "written late") is None


def test_renewing_keeps_the_job_and_says_how_far_it_is(engine, clock):
    claimed = claim(engine)
    clock.advance(LEASE_MS - 1)
    renewed = do(engine, "renew", claimed, lease_ms=LEASE_MS, note="2 of 3")
    assert (renewed.hold.expires_ms, get(engine).note) == (clock.ms + LEASE_MS, "2 of 3")
    clock.advance(LEASE_MS - 1)
    finish(engine, claimed)  # the first claim is as good: the fence is what counts


# --- crashes -----------------------------------------------------------------


def test_a_crash_costs_an_attempt_and_poison_is_exhausted(engine, clock):
    enqueue(engine, watermark=FIRST)
    for attempt in (1, 2, 3):
        assert claim_next(engine).attempt == attempt
        clock.advance(LEASE_MS)
    assert claim_next(engine) == Idle(None)
    assert get(engine).status == Status.FAILED
    assert "was not heard of for 1000 ms in attempt 3 of 3" in get(engine).failure
    assert isinstance(claim(engine), Exhausted)
    assert claim(engine, watermark=SECOND).attempt == 1


def test_the_dead_are_replaced_at_once_by_name_and_in_turn(engine):
    for key in "12":
        enqueue(engine, key)
        claim(engine, key)
    assert isinstance(claim(engine, "1", owner=BOB), Running)
    stolen = claim(engine, "1", owner=BOB, is_dead=lambda owner: owner == ANN)
    assert (stolen.attempt, stolen.hold.owner) == (2, BOB)
    assert claim_next(engine, owner=BOB, is_dead=lambda owner: owner == ANN).job.key == "2"


def test_the_taker_may_judge_a_worker_by_its_silence(engine, clock):
    first = claim(engine, lease_ms=100_000)
    clock.advance(500)
    assert claim(engine, owner=BOB, stale_after_ms=501) == Running(first.job, ANN, clock.ms + 1)
    assert claim(engine, owner=ANN, stale_after_ms=500).fence == first.fence + 1


def test_a_clock_set_back_doubles_nothing_and_the_lease_only_lasts_longer(engine, clock):
    claimed = claim(engine)
    clock.advance(-3_600_000)
    assert isinstance(claim(engine, owner=BOB), Running)
    assert claim_next(engine, owner=BOB) == Idle(claimed.hold.expires_ms)
    finish(engine, claimed)
    assert get(engine).status == Status.DONE
    clock.advance(3_600_000)  # or the probes rightly find rows from the future


# --- which one is next -------------------------------------------------------


def test_the_larger_priority_comes_first_then_who_waits_longest(engine, clock):
    for key, priority in (("low", -1), ("first", 0), ("second", 0), ("high", 9)):
        enqueue(engine, key, priority=priority)
        clock.advance(1)
    enqueue(engine, "later", priority=99, not_before_ms=clock.ms + 10)
    order = [claim_next(engine).job.key for _ in range(4)]
    assert order == ["high", "first", "second", "low"]
    clock.advance(10)
    assert claim_next(engine).job.key == "later"


def test_a_job_that_rested_waits_behind_those_that_waited_longer(engine, clock):
    enqueue(engine, "failing")
    clock.advance(1)
    enqueue(engine, "patient")
    until_ms = fail(engine, claim_next(engine)).until_ms
    clock.ms = until_ms
    enqueue(engine, "fresh")
    clock.advance(1)
    assert [claim_next(engine).job.key for _ in range(3)] == ["patient", "failing", "fresh"]


def test_of_several_kinds_the_first_job_is_taken_and_other_kinds_are_left_alone(engine, clock):
    for number, kind in enumerate(("a", "b", "c")):
        enqueue(engine, "1", kind, priority=number)
    assert claim_next(engine, "a", "b").job.kind == "b"
    assert claim_next(engine, "a", "b").job.kind == "a"
    assert isinstance(claim_next(engine, "a", "b"), Idle)


def test_caps_hold_for_a_kind_and_for_all_and_do_not_count_the_dead(engine):
    for key in "123":
        enqueue(engine, key)
        enqueue(engine, key, "other")
    do(engine, "cap", "k", 1)
    do(engine, "cap", None, 3)
    assert claim_next(engine).job.kind == "k"
    assert claim_next(engine).capped == (Capped("k", 1, 1),)
    assert claim(engine, "2") == Capped("k", 1, 1)
    assert [claim_next(engine, "k", "other", owner=BOB).job.kind for _ in range(2)] == ["other", "other"]
    assert Capped(None, 3, 3) in claim_next(engine, "other").capped
    # The dead make room, and their jobs come again.
    assert claim_next(engine, is_dead=lambda owner: owner == ANN).attempt in (1, 2)
    assert why(engine, "3").startswith("3 jobs of all kinds are running, of at most 3")
    do(engine, "cap", None, None)
    assert why(engine, "3").startswith("1 jobs of kind k are running, of at most 1")
    do(engine, "cap", "k", None)
    assert isinstance(claim_next(engine), Claimed)


def test_a_kind_brings_a_cap_of_its_own(engine):
    alone = Kind("k", running_max=1)
    assert isinstance(claim(engine, "1", kind=alone), Claimed)
    assert claim(engine, "2", kind=alone) == Capped("k", 1, 1)
    assert claim(engine, "2", running_max=1) == Capped("k", 1, 1)
    assert isinstance(claim(engine, "2"), Claimed)


def test_taking_over_a_job_keeps_the_cap(engine, clock):
    claim(engine, "1")
    clock.advance(LEASE_MS)
    assert isinstance(claim(engine, "2", running_max=1), Claimed)
    assert claim(engine, "1", owner=BOB, running_max=1) == Capped("k", 1, 1)


# --- by hand -----------------------------------------------------------------


def test_cancelled_work_stays_so_until_it_is_tried_again(engine):
    enqueue(engine)
    assert do(engine, "cancel", "k", "1", "no need").status == Status.CANCELLED
    assert claim(engine) == Terminal(get(engine), "no need")
    assert isinstance(enqueue(engine, watermark=FIRST), Known)
    assert isinstance(claim_next(engine), Idle)
    do(engine, "retry", "k", "1")
    finish(engine, claim_next(engine))
    assert do(engine, "cancel", "k", "1").status == Status.DONE
    assert do(engine, "cancel", "k", "no such") is None
    assert do(engine, "retry", "k", "no such") is None


def test_retry_does_it_again_though_it_was_done_and_is_refused_while_it_runs(engine):
    finish(engine, claim(engine), "first")
    do(engine, "retry", "k", "1")
    claimed = claim_next(engine)
    with pytest.raises(Refused, match="being done right now"):
        do(engine, "retry", "k", "1")
    finish(engine, claimed, "second")
    assert get(engine).result == "second"


def test_what_is_forgotten_may_be_asked_for_as_if_it_were_new(engine):
    first = claim(engine, watermark=SECOND)
    finish(engine, first, "result")
    assert do(engine, "forget", "k", "1") is True
    assert do(engine, "forget", "k", "1") is False
    assert get(engine) is None
    with engine.read() as tx:
        assert (jobs.listing(tx), jobs.counts(tx)) == ([], {})
    again = enqueue(engine, watermark=FIRST)
    assert (again.job.result, again.job.attempts, again.job.done) == (None, 0, None)
    assert claim(engine).fence > first.fence


def test_a_database_that_was_put_back_ends_every_claim_and_the_fence_grows_beyond(engine):
    claimed = claim(engine)
    with engine.write() as tx:
        assert jobs.end_all(tx) == 1
        holds.raise_epoch(tx, 7)
    with pytest.raises(Stale):
        finish(engine, claimed)
    again = claim(engine, owner=BOB)
    assert (again.fence >> COUNTER_BITS >= 7, again.attempt) == (True, 1)


# --- looking -----------------------------------------------------------------


def test_why_says_what_keeps_a_job_waiting_and_what_will_change_it(engine, clock):
    enqueue(engine, "before", priority=1)
    enqueue(engine)
    assert "1 of its kind are to be done before it, 0 are being done" in why(engine)
    claimed = claim(engine)
    assert "others may have it in 1.0 s" in why(engine)
    clock.advance(LEASE_MS)
    assert "gone or was silent" in why(engine)
    claimed = claim(engine)
    fail(engine, claimed, "no network", retry_in_ms=2_500)
    assert "rests after attempt 2 of 3 failed; it is tried again in 2.5 s: no network" in why(engine)
    clock.advance(2_500)
    do(engine, "give_up", claim(engine), "not text")
    assert "attempts for this input were used" in why(engine)
    do(engine, "retry", "k", "1")
    finish(engine, claim(engine))
    assert "done for the newest input" in why(engine)
    enqueue(engine, "later", not_before_ms=clock.ms + 60_000)
    assert "not before a time that is 1 min 0 s from now" in why(engine, "later")
    do(engine, "cancel", "k", "later", "changed my mind")
    assert "cancelled (changed my mind)" in why(engine, "later")
    assert why(engine, "no such") is None


def test_why_tells_what_was_given_up_and_what_was_put_off_from_attempts_used_up(engine, clock):
    enqueue(engine)
    do(engine, "give_up", claim(engine), "not text")
    assert "given up after attempt 1 of 3" in why(engine)
    assert why(engine).endswith(": not text")
    do(engine, "retry", "k", "1")
    do(engine, "release", claim(engine), retry_in_ms=2_500)
    assert "all its attempts left; it is tried again in 2.5 s" in why(engine)


def test_jobs_are_listed_by_kind_and_status_and_counted(engine, clock):
    for key in "123":
        clock.advance(1)
        enqueue(engine, key)
    finish(engine, claim_next(engine))
    enqueue(engine, "1", "other")
    with engine.read() as tx:
        assert [job.key for job in jobs.listing(tx, kind="k", status=Status.READY)] == ["3", "2"]
        assert len(jobs.listing(tx, limit=2)) == 2
        assert jobs.counts(tx) == {"k": {Status.DONE: 1, Status.READY: 2}, "other": {Status.READY: 1}}
