"""The checker of the crowds complains of each thing that must not be, and of nothing else."""

import pytest
from history import Call, Run, Tables, complaints, read


def claim(who, task, fence, began, answered):
    return Call(who, "claim", began, answered, "claimed", task=task, fence=fence)


def end(who, task, fence, began, answered, what="done", error=""):
    return Call(who, what, began, answered, "" if error else "ok", error, task=task, fence=fence)


def tables(*runs, status="done", titles=None, links=()):
    kept = [Run(*run) for run in runs]
    return Tables(titles or {}, {run.task: status for run in kept}, kept, list(links))


ANN = claim("ann", 1, 5, 10, 20)
ANN_DONE = end("ann", 1, 5, 30, 40)
ANNS_RUN = (1, 5, "ann", "completed")


@pytest.mark.parametrize(
    ("calls", "kept", "killed"),
    [
        ([ANN, ANN_DONE], tables(ANNS_RUN), {}),
        # Bob's claim was answered after Ann's release began: it may have come first.
        (
            [ANN, end("ann", 1, 5, 30, 50, "release"), claim("bob", 1, 6, 25, 31), end("bob", 1, 6, 60, 70)],
            tables((1, 5, "ann", "released"), (1, 6, "bob", "completed")),
            {},
        ),
        # Ann was killed before Bob was answered.
        (
            [ANN, claim("bob", 1, 6, 25, 36), end("bob", 1, 6, 60, 70)],
            tables((1, 5, "ann", "crashed"), (1, 6, "bob", "completed")),
            {"ann": 35},
        ),
        # Ann was killed in her claim, or in her completion: both may have happened.
        ([Call("ann", "claim", 10)], tables((1, 5, "ann", None), status="running"), {"ann": 35}),
        ([Call("ann", "claim", 10)], tables(), {"ann": 35}),
        ([ANN, end("ann", 1, 5, 30, None)], tables(ANNS_RUN), {"ann": 35}),
        ([Call("gate", "create", 1, 2, "ok", title="a")], tables(titles={1: "a"}), {}),
        ([ANN, ANN_DONE, claim("bob", 2, 1, 35, 45), end("bob", 2, 1, 50, 60)],
         tables(ANNS_RUN, (2, 1, "bob", "completed"), links=[(1, 2)]), {}),
    ],
)  # fmt: skip
def test_what_some_order_of_the_calls_explains_is_no_cause_for_complaint(calls, kept, killed):
    assert complaints(calls, kept, killed) == []


@pytest.mark.parametrize(
    ("word", "calls", "kept"),
    [
        ("raised Busy", [Call("ann", "claim", 1, 2, error="Busy: x")], tables()),
        ("under fence 5", [ANN, claim("bob", 1, 5, 11, 21), ANN_DONE], tables(ANNS_RUN)),
        ("while ann had it", [ANN, claim("bob", 1, 6, 21, 29), ANN_DONE],
         tables(ANNS_RUN, (1, 6, "bob", "crashed"))),
        ("no run says so", [ANN, ANN_DONE], tables((1, 5, "ann", "crashed"))),
        ("was completed and is ready", [ANN, ANN_DONE], tables(ANNS_RUN, status="ready")),
        ("who was not told", [Call("ann", "claim", 10, 20, error="Busy: x")],
         tables((1, 5, "ann", None), status="running")),
        ("was told that it failed", [ANN, end("ann", 1, 5, 30, 40, error="Busy: x")], tables(ANNS_RUN)),
        ("told that it ended", [ANN, end("ann", 1, 5, 30, 40, "release")],
         tables((1, 5, "ann", None), status="running")),
        ("is there 0 times", [Call("gate", "create", 1, 2, "ok", title="a")], tables()),
        ("told that it is not", [Call("gate", "create", 1, 2, error="Full: x", title="a")], tables(titles={1: "a"})),
        ("before its parent 1", [ANN, ANN_DONE, claim("bob", 2, 1, 25, 29)],
         tables(ANNS_RUN, (2, 1, "bob", "completed"), links=[(1, 2)])),
        ("do not grow", [], tables((1, 5, "x", "crashed"), (1, 5, "x", "completed"))),
        ("beside a later one", [], tables((1, 5, "x", None), (1, 6, "x", "completed"))),
        ("completed twice", [], tables((1, 5, "x", "completed"), (1, 6, "x", "completed"))),
        ("no run of it goes on", [], tables((1, 5, "x", "crashed"), status="running")),
    ],
)  # fmt: skip
def test_what_no_order_explains_is_told(word, calls, kept):
    assert any(word in sentence for sentence in complaints(calls, kept)), complaints(calls, kept)


def test_a_record_cut_short_by_a_death_is_a_call_without_an_answer():
    text = '{"n": 1, "who": "ann", "what": "claim", "began_ns": 5}\n{"n": 1, "answered_ns": 9, "sa'
    assert read(text) == [Call("ann", "claim", 5)]
