"""The checker of histories complains of each thing it is there for."""

import pytest

from histories import broken


def call(op, began, ended, answer="ok", job="a/1", who=1, **more):
    return {"op": op, "began": began, "ended": ended, "answer": answer, "job": job, "kind": job[0], "who": who, **more}


def claim(fence, began, ended, *, lease_s=1.0, attempt=1, **more):
    given = {"fence": fence, "lease_s": lease_s, "attempt": attempt, "attempts_max": 2}
    return call("claim", began, ended, "claimed", **given, **more)


FINE = [claim(1, 0.0, 0.1), call("finish", 0.5, 0.6, fence=1), call("finish", 0.7, 0.8, "stale", fence=1)]
SILENT = [claim(1, 0.0, 0.1), claim(2, 1.0, 1.1, who=2, attempt=2)]


AGAIN = [*FINE, claim(2, 1.0, 1.1)]  # a finish gives a new budget


@pytest.mark.parametrize("calls", [FINE, SILENT, AGAIN])
def test_what_may_be_is_not_complained_of(calls):
    assert broken(calls, {}) == []


@pytest.mark.parametrize(
    ("calls", "what"),
    [
        ([*FINE, claim(1, 2.0, 2.1)], "fence 1 was given twice"),
        ([claim(2, 0.0, 0.1), claim(1, 2.0, 2.1)], "fence 2 was given before the smaller 1"),
        ([claim(1, 0.0, 0.1), claim(2, 0.5, 0.6)], "fence 2 was given 0.398 s before 1 was over"),
        ([*SILENT[:1], call("renew", 0.5, 0.6, fence=1, lease_s=1.0), *SILENT[1:]], "before 1 was over"),
        ([*FINE, call("release", 0.7, 0.8, fence=1)], "ended more than once: ['finish', 'release']"),
        ([*SILENT, call("finish", 1.2, 1.3, fence=1)], "finish of fence 1 was taken after a later one"),
        ([claim(1, 0.0, 0.1, attempt=3)], "attempt 3 of 2"),
        ([claim(n, 2.0 * n, 2.0 * n + 0.1) for n in range(3)], "3 claims, with a budget for 2"),
        ([claim(1, 0.0, 0.1), claim(2, 2.0, 2.1)], "attempt 1 came after 1, and nothing gave a new budget"),
        ([call("claim", 0.0, 0.1, "error: AssertionError")], "claim raised error: AssertionError"),
        (
            [call("cap", 0.0, 0.1, most=1), claim(1, 0.2, 0.3), claim(1, 0.4, 0.5, job="a/2")],
            "2 jobs of kind a at once, of at most 1",
        ),
    ],
)
def test_what_may_not_be_is_complained_of(calls, what):
    assert what in "\n".join(broken(calls, {}))


def test_a_killed_worker_is_replaced_at_once():
    early = [claim(1, 0.0, 0.1), claim(2, 0.5, 0.6, who=2, attempt=2)]
    assert broken(early, {1: 0.3}) == []
    assert broken(early, {1: 0.7}) != []
