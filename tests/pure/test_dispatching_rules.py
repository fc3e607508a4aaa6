"""What the end of a worker means, when a lane pauses, and what stays of a long log."""

import pytest

from holdfast.board.dispatching.breaker import FAILURES, PAUSE_MS, PAUSE_MS_MAX, Breaker
from holdfast.board.dispatching.rules import Why, cut, end_of


@pytest.mark.parametrize(
    ("why", "code", "begun", "outcome", "counted"),
    [
        (None, 0, True, "protocol", True),
        (None, 75, True, "rate_limited", False),
        (None, 1, True, "crashed", True),
        (None, -9, True, "crashed", True),
        (None, 127, True, "spawn_failed", True),
        (None, None, True, "crashed", True),  # killed while nobody looked
        (None, None, False, "released", False),  # its command never began
        (Why.TIMED_OUT, -15, True, "timed_out", True),
        (Why.TIMED_OUT, 0, True, "timed_out", True),  # it ended well of the TERM, but said nothing
        (Why.SILENT, -9, True, "silent", True),
        (Why.STOPPING, -15, True, "released", False),
    ],
)
def test_what_an_end_without_a_word_means(why, code, begun, outcome, counted):
    end = end_of(why, code, begun=begun, limit_ms=1_000, rate_limit_ms=300_000)
    assert (end.outcome, end.counted) == (outcome, counted)
    assert end.retry_in_ms == {"rate_limited": 300_000, "released": 0}.get(outcome)


def test_a_lane_pauses_after_some_failures_in_a_row_and_twice_as_long_each_time():
    breaker = Breaker()
    for _ in range(FAILURES - 1):
        breaker = breaker.failed("no", 1_000)
        assert breaker.allows(1_000)
    pauses = []
    for _ in range(8):
        breaker = breaker.failed("no", 1_000)
        pauses.append(breaker.until_ms - 1_000)
        assert not breaker.allows(breaker.until_ms - 1) and breaker.allows(breaker.until_ms)
    assert pauses[:4] == [PAUSE_MS, 2 * PAUSE_MS, 4 * PAUSE_MS, 8 * PAUSE_MS]
    assert pauses[4:] == [PAUSE_MS_MAX] * 4


@pytest.mark.parametrize("size", [1_001, 1_002, 5_000, 10**12])
def test_a_cut_log_is_at_most_half_as_long(size):
    assert cut(1_000, 1_000) is None
    head, tail = cut(size, 1_000)
    assert 0 < head < tail and head + tail <= 500
