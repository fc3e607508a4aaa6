from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import Refused
from holdfast.holds.model import Denied, Hold, Owner
from holdfast.holds.rules import COUNTER_BITS, decide, over

EPOCH = 1
FIRST = (EPOCH << COUNTER_BITS) + 1
ANN, BOB = (Owner("host", "boot", 1, pid, 5, label) for pid, label in ((10, "ann"), (11, "bob")))

# Taken by Ann at 1,000 for 500 ms.
HELD = Hold("r", ANN, FIRST, taken_ms=1_000, renewed_ms=1_000, expires_ms=1_500, note="half way")
RELEASED = replace(HELD, renewed_ms=1_200, expires_ms=1_200)


def ask(seen, owner, now_ms, *, lease_ms=500, epoch=EPOCH, **how):
    return decide(seen, "r", owner, now_ms=now_ms, lease_ms=lease_ms, epoch=epoch, **how)


def test_what_nobody_ever_held_is_given_with_the_first_fence_of_the_epoch():
    assert ask(None, BOB, 1_000) == Hold("r", BOB, FIRST, 1_000, 1_000, 1_500)
    assert ask(None, BOB, 1_000, epoch=7).fence == (7 << COUNTER_BITS) + 1


GIVEN = [
    ("expired this very moment", HELD, BOB, 1_500, {}),
    ("expired long ago", HELD, BOB, 99_000, {}),
    ("its holder is dead", HELD, BOB, 1_100, {"holder_is_dead": True}),
    ("released", RELEASED, BOB, 1_200, {}),
    ("released, and the clock fell back since", RELEASED, BOB, 1_100, {}),
    ("released by the taker itself, the clock fell back", RELEASED, ANN, 1_100, {}),
    ("the taker's own, but expired", HELD, ANN, 1_500, {}),
    ("silent too long for the taker", HELD, BOB, 1_200, {"stale_after_ms": 200}),
    ("renewed far in the future, by the taker's rule", HELD, BOB, 800, {"stale_after_ms": 200}),
]


@pytest.mark.parametrize(("seen", "owner", "now_ms", "how"), [case[1:] for case in GIVEN], ids=[c[0] for c in GIVEN])
def test_what_no_longer_binds_changes_hands_and_the_fence_grows(seen, owner, now_ms, how):
    assert ask(seen, owner, now_ms, **how) == Hold("r", owner, FIRST + 1, now_ms, now_ms, now_ms + 500)


DENIED = [
    ("in force", 1_100, {}, 400),
    ("in its last ms", 1_499, {}, 1),
    ("renewed in the future, by the holder's expiry", 999, {}, 501),
    ("renewed a moment from now, in a transaction that began after ours", 999, {"stale_after_ms": 200}, 201),
    ("not silent long enough", 1_199, {"stale_after_ms": 200}, 1),
    ("expired, but the taker wants longer silence", 1_600, {"stale_after_ms": 60_000}, 59_400),
]


@pytest.mark.parametrize(("now_ms", "how", "retry_in_ms"), [c[1:] for c in DENIED], ids=[c[0] for c in DENIED])
def test_what_binds_is_denied_with_who_has_it_and_for_how_long(now_ms, how, retry_in_ms):
    assert ask(HELD, BOB, now_ms, **how) == Denied("r", ANN, FIRST, 1_000, retry_in_ms, "half way")


def test_its_owner_extends_a_live_hold_with_the_same_fence_and_note():
    assert ask(HELD, ANN, 1_100) == replace(HELD, renewed_ms=1_100, expires_ms=1_600)


def test_extending_never_shortens():
    assert ask(HELD, ANN, 1_100, lease_ms=10).expires_ms == 1_500


def test_a_risen_epoch_lifts_the_fence_also_of_who_holds_it():
    assert ask(HELD, BOB, 1_500, epoch=3).fence == (3 << COUNTER_BITS) + 1
    assert ask(HELD, ANN, 1_100, epoch=3) == Hold("r", ANN, (3 << COUNTER_BITS) + 1, 1_100, 1_100, 1_600)
    assert isinstance(ask(HELD, BOB, 1_100, epoch=3), Denied)


def test_an_epoch_that_was_lost_lowers_no_fence():
    late = replace(HELD, fence=(5 << COUNTER_BITS) + 9)
    assert ask(late, BOB, 1_500, epoch=1).fence == late.fence + 1


@pytest.mark.parametrize("lease_ms", [0, -1])
def test_a_lease_without_length_is_refused(lease_ms):
    with pytest.raises(Refused, match="end before it began"):
        ask(None, ANN, 1_000, lease_ms=lease_ms)


def test_another_label_in_the_same_process_is_another_owner():
    assert isinstance(ask(HELD, replace(ANN, label="ann-2"), 1_100), Denied)


moves = st.tuples(
    st.sampled_from(["take", "take dead", "take stale", "release", "epoch"]),
    st.sampled_from([ANN, BOB, replace(BOB, label="bob-2")]),
    st.integers(-300, 700),  # the clock, which may fall back
)


@given(st.lists(moves, max_size=30))
def test_whatever_happens_the_fence_never_falls_and_each_change_of_hands_raises_it(story):
    now_ms, epoch, seen = 10_000, 1, None
    for what, owner, step_ms in story:
        now_ms += step_ms
        if what == "epoch":
            epoch += 1
        elif what == "release":
            if seen is not None and seen.owner == owner and not over(seen, now_ms=now_ms):
                seen = replace(seen, renewed_ms=now_ms, expires_ms=now_ms)
        else:
            how = {"holder_is_dead": what == "take dead", "stale_after_ms": 250 if what == "take stale" else None}
            got = ask(seen, owner, now_ms, epoch=epoch, **how)
            if isinstance(got, Denied):
                assert seen is not None and got.by == seen.owner and got.retry_in_ms >= 0
                continue
            assert not over(got, now_ms=now_ms)
            assert got.fence > epoch << COUNTER_BITS
            if seen is not None:
                assert got.fence >= seen.fence
                is_extension = got.fence == seen.fence
                assert not is_extension or (seen.owner == owner and not over(seen, now_ms=now_ms))
                assert not is_extension or got.taken_ms == seen.taken_ms
            seen = got


@given(st.lists(moves, max_size=30))
def test_while_a_hold_is_in_force_and_its_owner_lives_nobody_else_gets_it(story):
    now_ms, seen = 10_000, None
    for what, owner, step_ms in story:
        now_ms += abs(step_ms)
        if what != "take":
            continue
        got = ask(seen, owner, now_ms)
        in_force = seen is not None and seen.expires_ms > now_ms
        assert isinstance(got, Denied) == (in_force and seen.owner != owner)
        if isinstance(got, Hold):
            seen = got


@given(st.integers(0, 3_000), st.integers(0, 3_000), st.integers(1, 3_000), st.integers(1, 3_000))
def test_what_is_over_is_exactly_what_somebody_else_gets(renewed_ms, now_ms, lease_ms, stale_after_ms):
    seen = Hold("r", ANN, FIRST, renewed_ms, renewed_ms, renewed_ms + lease_ms)
    for how in ({}, {"stale_after_ms": stale_after_ms}):
        assert isinstance(ask(seen, BOB, now_ms, **how), Hold) == over(seen, now_ms=now_ms, **how)
