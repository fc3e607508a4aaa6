"""What several processes did to a few jobs, and whether any order of it keeps what is promised.

A history is a list of calls. Each has ``op``, ``began`` and ``ended`` (seconds of one clock that all processes
share; ``ended`` is None when the process was killed before the answer came) and ``answer``; calls on a claim also
have ``job`` and ``fence``, claims that were given ``lease_s``, ``attempt`` and ``attempts_max``.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

Call = Mapping[str, Any]
ENDS = ("finish", "fail", "give_up", "release")
REFILLS = ("enqueue", "finish", "release", "retry", "forget", "claim newer")
_NOTHING_DONE = ("stale", "busy", "refused", "known")
_CLOCK_S = 0.002  # the database counts whole milliseconds


def broken(calls: Sequence[Call], killed: Mapping[int, float]) -> list[str]:
    """Return each promise that was broken, as a sentence. ``killed``: when which process was killed."""
    by_job = defaultdict(list)
    for call in calls:
        if "job" in call:
            by_job[call["job"]].append(call)
    found = [f"{call['op']} raised {call['answer']}" for call in calls if str(call["answer"]).startswith("error")]
    for job, of_job in by_job.items():
        found += [f"{job}: {what}" for what in _of_job(of_job, killed)]
    return found + list(_caps(calls, by_job, killed))


def _given(calls: Sequence[Call]) -> list[Call]:
    return sorted((call for call in calls if call["answer"] == "claimed"), key=lambda call: call["fence"])


def _of_job(calls: Sequence[Call], killed: Mapping[int, float]) -> Iterator[str]:
    claims = _given(calls)
    for one, two in pairwise(claims):
        if one["fence"] == two["fence"]:
            yield f"fence {one['fence']} was given twice"
        if two["ended"] < one["began"]:
            yield f"fence {two['fence']} was given before the smaller {one['fence']}"
        if two["ended"] < (ends := in_force_until(one, calls, killed)):
            yield f"fence {two['fence']} was given {ends - two['ended']:.3f} s before {one['fence']} was over"
        if two["attempt"] != one["attempt"] + 1 and not any(_may_refill(call, one, two) for call in calls):
            yield f"attempt {two['attempt']} came after {one['attempt']}, and nothing gave a new budget"
    for claim in claims:
        on_it = [call for call in calls if call.get("fence") == claim["fence"] and call["answer"] == "ok"]
        if len(ends := [call["op"] for call in on_it if call["op"] in ENDS]) > 1:
            yield f"fence {claim['fence']} ended more than once: {ends}"
        later = min((other["ended"] for other in claims if other["fence"] > claim["fence"]), default=math.inf)
        yield from (
            f"{call['op']} of fence {claim['fence']} was taken after a later one had been given"
            for call in on_it
            if call["began"] > later
        )
        if claim["attempt"] > claim["attempts_max"]:
            yield f"attempt {claim['attempt']} of {claim['attempts_max']}"
    refills = sum(call["op"] in REFILLS and call["answer"] not in _NOTHING_DONE for call in calls)
    if claims and len(claims) > (most := max(claim["attempts_max"] for claim in claims) * (1 + refills)):
        yield f"{len(claims)} claims, with a budget for {most}"


def in_force_until(claim: Call, calls: Sequence[Call], killed: Mapping[int, float]) -> float:
    """Return until when nobody else may have the job: the end of its lease, unless something may have ended it."""
    until = claim["began"] + claim["lease_s"]
    for call in calls:
        if call.get("fence") == claim["fence"] and call["op"] == "renew" and call["answer"] == "ok":
            until = max(until, call["began"] + call["lease_s"])
    for call in calls:
        by_hand = call["op"] in ("cancel", "forget") and call["answer"] != "busy" and _may_follow(call, claim)
        its_end = call.get("fence") == claim["fence"] and call["op"] in ENDS and call["answer"] not in _NOTHING_DONE
        if by_hand or its_end:
            until = min(until, call["began"])
    return min(until - _CLOCK_S, killed.get(claim["who"], math.inf))


def _may_refill(call: Call, one: Call, two: Call) -> bool:
    did = call["op"] in REFILLS and call["answer"] not in _NOTHING_DONE
    return did and _may_follow(call, one) and call["began"] < two["ended"]


def _may_follow(call: Call, claim: Call) -> bool:
    return call["ended"] is None or call["ended"] > claim["began"]


def _caps(calls: Sequence[Call], by_job: Mapping[str, list[Call]], killed: Mapping[int, float]) -> Iterator[str]:
    claims = [
        {**claim, "until": in_force_until(claim, of_job, killed)}
        for of_job in by_job.values()
        for claim in _given(of_job)
    ]
    said = [call for call in calls if call["op"] == "cap" and call["answer"] != "busy"]
    for claim in claims:
        for kind in ("", claim["kind"]):
            most = _most(claim, [call for call in said if call["kind"] == kind])
            beside = [
                other
                for other in claims
                if other["ended"] <= claim["began"] and other["until"] > claim["ended"] and other["job"] != claim["job"]
                if kind in ("", other["kind"])
            ]
            if len(beside) + 1 > most:
                yield f"{len(beside) + 1} jobs of kind {kind or 'any'} at once, of at most {most}: {claim['job']}"


def _most(claim: Call, said: Sequence[Call]) -> float:
    """Return the largest cap that may have been in force at any moment of the claim."""
    before = [call for call in said if call["ended"] is not None and call["ended"] < claim["began"]]
    last = max((call["began"] for call in before), default=-math.inf)
    # Whoever ended after the last one began may have come after it.
    maybe = [
        call for call in said if call["began"] < claim["ended"] and (call["ended"] is None or call["ended"] > last)
    ]
    return max((call["most"] for call in maybe), default=math.inf) if before else math.inf
