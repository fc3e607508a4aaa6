"""The one decision about a job, against a model that only knows sentences; and how long a job rests."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import Refused
from holdfast.holds import Owner
from holdfast.holds.rules import COUNTER_BITS
from holdfast.jobs import rules
from holdfast.jobs.model import Capped, Claimed, Job, Kind, Status, Watermark

ANN, BOB = Owner("h", "b", 1, 1, 1), Owner("h", "b", 1, 2, 1)
KIND = Kind("k")
NOW_MS = 10_000
FENCE = (1 << COUNTER_BITS) + 7

watermarks = st.none() | st.builds(Watermark, st.integers(0, 3), st.sampled_from("ab"))


@st.composite
def jobs(draw):
    status = draw(st.sampled_from([each for each in Status if each != Status.FORGOTTEN]))
    running = status == Status.RUNNING
    wanted, done = draw(watermarks), draw(watermarks)
    held = running or draw(st.booleans())
    renewed = draw(st.integers(NOW_MS - 100, NOW_MS)) if held else 0
    retry, asked = draw(st.integers(NOW_MS - 5, NOW_MS + 5)), draw(st.integers(NOW_MS - 5, NOW_MS + 5))
    return Job(
        1, "k", "1", status, 0, asked, retry, max(asked, retry), wanted, done,
        was_done=status == Status.DONE or draw(st.booleans()),
        attempts=draw(st.integers(0, 3)), attempts_max=3, on_failure=draw(st.sampled_from(["retry", "terminal"])),
        payload=None, result=None, failure=None, created_ms=0, changed_ms=0,
        owner=ANN if held else None, fence=FENCE if held else 0,
        taken_ms=renewed, renewed_ms=renewed, expires_ms=renewed + (draw(st.integers(1, 200)) if running else 0),
        note="",
    )  # fmt: skip


def newer(new, old):
    """Whether ``new`` is newer, told by the order of (size) and any change of the hash."""
    if new is None:
        return False
    return old is None or new.size > old.size or (new.size == old.size and new.hash != old.hash)


def expected(job, watermark, dead, stale_after_ms, capped):
    asked = watermark if watermark is not None else job.wanted
    refilled = newer(asked, job.wanted)
    left = 3 if refilled else job.attempts_max - job.attempts
    age_ms = NOW_MS - job.renewed_ms
    silent = age_ms >= stale_after_ms if stale_after_ms is not None else job.expires_ms <= NOW_MS
    sentences = [
        ("Terminal", job.status == Status.CANCELLED),
        ("Terminal", job.status == Status.FAILED and job.on_failure == "terminal"),
        ("Running", job.status == Status.RUNNING and not dead and not silent),
        ("UpToDate", job.was_done and not newer(asked, job.done)),
        ("Exhausted", left <= 0 or (job.status == Status.FAILED and not refilled)),
        ("Resting", job.status != Status.READY and job.due_ms > NOW_MS),
        ("Capped", bool(capped)),
        ("Claimed", True),
    ]
    return next(name for name, holds in sentences if holds)


@given(
    jobs(),
    watermarks,
    st.booleans(),
    st.none() | st.integers(0, 150),
    st.sampled_from([(), (Capped("k", 1, 1),)]),
    st.sampled_from([ANN, BOB]),
    st.integers(1, 3),
)
def test_the_decision_is_the_first_sentence_that_holds(job, watermark, dead, stale_after_ms, capped, owner, epoch):
    outcome = rules.decide(
        job, owner, kind=KIND, watermark=watermark, now_ms=NOW_MS, lease_ms=50, epoch=epoch,
        holder_is_dead=dead, stale_after_ms=stale_after_ms, capped=capped,
    )  # fmt: skip
    assert type(outcome).__name__ == expected(job, watermark, dead, stale_after_ms, capped)
    if isinstance(outcome, Claimed):
        assert outcome.fence > job.fence
        assert outcome.fence >> COUNTER_BITS >= epoch
        assert (outcome.hold.owner, outcome.hold.expires_ms, outcome.hold.note) == (owner, NOW_MS + 50, "")
        assert 1 <= outcome.attempt <= job.attempts_max


@given(watermarks, watermarks)
def test_of_two_inputs_of_different_size_exactly_one_is_newer(one, other):
    both = rules.advances(one, other), rules.advances(other, one)
    if one == other:
        assert both == (False, False)
    elif one is None or other is None or one.size != other.size:
        assert sorted(both) == [False, True]
    else:
        assert both == (True, True)  # rewritten in place: nobody can say which was first, so it is done again


@given(st.text(max_size=20), st.integers(1, 10_000), st.integers(0, 10_000), st.integers(0, 10_000_000))
def test_a_rest_is_at_least_half_of_what_it_may_be_and_never_more(key, failures, base_ms, most_ms):
    kind = replace(KIND, backoff_ms=base_ms, backoff_max_ms=most_ms)
    bound_ms = min(most_ms, base_ms * 2 ** min(failures - 1, 40))
    rest_ms = rules.backoff_ms(kind, key, failures)
    assert bound_ms - bound_ms // 2 <= rest_ms <= bound_ms
    assert rest_ms == rules.backoff_ms(kind, key, failures)


def test_jobs_that_failed_together_come_back_apart():
    assert len({rules.backoff_ms(KIND, str(key), 5) for key in range(1_000)}) > 900


def test_a_lease_that_would_be_over_is_refused():
    job = Job(1, "k", "1", Status.READY, 0, 0, 0, 0, None, None, False, 0, 3, "retry",
              None, None, None, 0, 0, None, 0, 0, 0, 0, "")  # fmt: skip
    with pytest.raises(Refused):
        rules.decide(job, ANN, kind=KIND, watermark=None, now_ms=0, lease_ms=0, epoch=1)
