"""Processes that do anything to a few jobs, are stopped and killed; what they were told must fit together."""

import json
import os
import random
import select
import time
from collections import Counter

import pytest

from engines import open_engine
from histories import broken
from holdfast import holds, jobs, schema
from holdfast.jobs import Claimed, Kind, Status

KINDS = [Kind(name, lease_ms=120, attempts_max=3, backoff_ms=10, backoff_max_ms=40) for name in "ab"]

PLAYER = """
import json, random, time
from holdfast import jobs
from holdfast.errors import Busy, Refused, Stale
from holdfast.jobs import Claimed, Enqueued, Kind, Watermark
engine, told, chance, began = open_engine(ARGS[0]), int(ARGS[1]), random.Random(ARGS[2]), float(ARGS[3])
KINDS = [Kind(name, lease_ms=120, attempts_max=3, backoff_ms=10, backoff_max_ms=40) for name in "ab"]
me, mine, number = holds.me(), [], 0
now = lambda: time.clock_gettime(time.CLOCK_BOOTTIME)
tell = lambda **said: os.write(told, json.dumps({"who": os.getpid(), "number": number, **said}).encode() + b"\\n")
mark = lambda: Watermark(int((now() - began) * 20) + chance.choice([0, 1, 1, 2]), chance.choice("xy"))
name = lambda kind, key: f"{kind}/{key}"

def given(claimed):
    mine.append(claimed)
    del mine[:-6]
    return {"answer": "claimed", "job": name(claimed.job.kind, claimed.job.key), "kind": claimed.job.kind,
            "fence": claimed.fence, "attempt": claimed.attempt, "attempts_max": claimed.job.attempts_max,
            "lease_s": 0.12, "mark": claimed.watermark.size if claimed.watermark else -1}

def play(op, kind, key):
    claimed = (mine[-1] if chance.random() < 0.7 else chance.choice(mine)) if mine else None
    on_claim = {"finish", "fail", "give_up", "release", "renew", "finish and claim"}
    if op in on_claim and claimed is None:
        return
    about = {"op": op, "job": name(kind.name, key), "kind": kind.name}
    if op in on_claim:
        about |= {"job": name(claimed.job.kind, claimed.job.key), "kind": claimed.job.kind, "fence": claimed.fence}
    asked = mark() if chance.random() < 0.5 else None
    if op == "enqueue": about |= {"mark": asked.size if asked else -1}
    if op == "claim" and asked: about["op"] = "claim newer"
    if op == "claim next": about.pop("job")
    if op == "renew": about |= {"lease_s": 0.12}
    if op == "finish and claim": about["op"] = "finish"
    if op == "cap":
        kind_said = chance.choice(["", kind.name])
        most = chance.choice([0, 1, 1, 2, None])
        about = {"op": op, "kind": kind_said, "most": 99 if most is None else most}
    tell(**about, began=now())
    then = None
    answer = {"answer": "ok"}
    try:
        with engine.write(wait_ms=1_000) as tx:
            if op == "enqueue":
                later = tx.now_ms + 30 if chance.random() < 0.2 else 0
                ended = jobs.enqueue(tx, kind, key, watermark=asked, not_before_ms=later)
                if not isinstance(ended, Enqueued): answer = {"answer": "known"}
            elif op == "claim": then = jobs.claim(tx, kind, key, me, watermark=asked)
            elif op == "claim next": then = jobs.claim_next(tx, KINDS, me)
            elif op == "finish and claim":
                jobs.finish(tx, claimed)
                then = jobs.claim_next(tx, [claimed.kind], me)
            elif op == "finish": jobs.finish(tx, claimed, watermark=asked)
            elif op == "fail": jobs.fail(tx, claimed, "failed", retry_in_ms=chance.choice([0, 20]))
            elif op == "give_up": jobs.give_up(tx, claimed, "given up")
            elif op in ("release", "renew"): getattr(jobs, op)(tx, claimed)
            elif op == "cap": jobs.cap(tx, kind_said or None, most)
            else: getattr(jobs, op)(tx, kind.name, key)
    except Stale: answer = {"answer": "stale"}
    except Busy: answer = {"answer": "busy"}
    except Refused: answer = {"answer": "refused"}
    except BaseException as error: answer = {"answer": f"error: {error!r}"}
    else:
        if isinstance(then, Claimed):
            answer = given(then) if op != "finish and claim" else {**answer, "then": given(then)}
        elif then is not None and op != "finish and claim": answer = {"answer": "refused"}
    tell(**answer, ended=now())

OPS = (["enqueue"] * 6 + ["claim"] * 4 + ["claim next"] * 6 + ["renew"] * 3 + ["finish"] * 3 + ["finish and claim"] * 2
    + ["fail", "give_up", "release", "cap"] * 2 + ["retry"])
RARE = ["cancel", "forget"]
while True:
    number += 1
    play(chance.choice(RARE if chance.random() < 0.02 else OPS), chance.choice(KINDS), chance.choice("12"))
"""


def now():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def played(database, child, chance, *, processes, calls_n, stop=0.01, kill=0.004):
    """Return what was called by processes that are stopped and killed at random, and which were killed when."""
    read, write = os.pipe()
    said, killed, running, stopped, began = [], {}, [], {}, now()

    def start():
        seed = chance.randrange(1 << 30)
        running.append(child(PLAYER, database, write, seed, began, pass_fds=(write,)))

    for _ in range(processes):
        start()
    with os.fdopen(read, "rb", buffering=0) as lines:
        text = b""
        while len(said) < 2 * calls_n:
            if not stopped or select.select([lines], [], [], 0.01)[0]:
                *whole, text = (text + lines.read(65_536)).split(b"\n")
                said += map(json.loads, whole)
            for one, until in list(stopped.items()):
                if now() >= until:
                    one.go_on()
                    del stopped[one]
            awake = [one for one in running if one not in stopped]
            if chance.random() < stop and len(awake) > 1:
                one = chance.choice(awake)
                one.stop()
                stopped[one] = now() + chance.choice([0.02, 0.15, 0.3])
            if chance.random() < kill:
                one = chance.choice(running)
                killed[one.pid] = now()
                one.kill()
                running.remove(one)
                stopped.pop(one, None)
                start()
        for one in running:
            one.go_on()
            killed[one.pid] = now()
            one.kill()
        os.close(write)
        said += map(json.loads, (text + lines.readall()).splitlines())
    return in_order(said), killed


def in_order(said):
    """Return the calls, each with its answer; those whose process was killed first have none."""
    calls = {}
    for line in said:
        call = calls.setdefault((line["who"], line["number"]), {"ended": None, "answer": None})
        then = line.pop("then", None)
        call.update(line)
        if then is not None:
            calls[line["who"], -line["number"]] = {**call, **then, "op": "claim next"}
    return list(calls.values())


def drained(engine):
    """Do what there is to do until nothing is left that could be done; return the jobs."""
    ends = now() + 30
    with engine.write() as tx:
        for kind in (None, "a", "b"):
            jobs.cap(tx, kind, None)
    while now() < ends:
        with engine.write() as tx:
            claimed = jobs.claim_next(tx, KINDS, holds.me("the last"))
            if isinstance(claimed, Claimed):
                jobs.finish(tx, claimed)
        with engine.read() as tx:
            left = [job for job in jobs.listing(tx) if job.status in (Status.READY, Status.RESTING, Status.RUNNING)]
            if not left:
                return jobs.listing(tx)
    raise AssertionError(f"not done after 30 s: {left}")


def lost_input(calls, final):
    """Return jobs that ended without the newest input that was taken."""
    for job in final:
        of_job = [call for call in calls if call.get("job") == f"{job.kind}/{job.key}"]
        forgot = [call for call in of_job if call["op"] == "forget" and call["answer"] in ("ok", None)]
        since = max((call["ended"] or now() for call in forgot), default=0)
        taken = [call["mark"] for call in of_job if call["op"] == "enqueue" and call["answer"] == "ok"
                 and call["began"] > since]  # fmt: skip
        wanted = job.wanted.size if job.wanted else -1
        if wanted < max(taken, default=-1):
            yield f"{job.kind}/{job.key} wants {wanted}, and {max(taken)} was asked for"
        if job.status == Status.DONE and (job.done.size if job.done else -1) < wanted:
            yield f"{job.kind}/{job.key} is done for {job.done}, and {wanted} was asked for"
        if job.status == Status.FAILED:
            last = [call for call in of_job if call.get("fence") == job.fence and call["answer"] == "claimed"]
            if last and last[0]["mark"] < wanted:
                yield f"{job.kind}/{job.key} failed for {last[0]['mark']}, and {wanted} was never tried"


def check(database, child, seed, **how):
    chance = random.Random(seed)
    with open_engine(database) as engine:
        schema.migrate(engine)
        calls, killed = played(database, child, chance, **how)
        final = drained(engine)
        with engine.read() as tx:
            from holdfast.jobs.probes import probes

            assert list(probes(tx)) == []
    assert broken(calls, killed) == [], f"seed {seed}"
    assert list(lost_input(calls, final)) == [], f"seed {seed}"
    answers = Counter((call["op"], call["answer"]) for call in calls)
    assert answers["claim next", "claimed"]
    assert answers["finish", "ok"]
    return answers


def test_whatever_processes_do_to_a_few_jobs_what_they_were_told_fits_together(database, child):
    check(database, child, 7, processes=3, calls_n=500)


@pytest.mark.torture
def test_whatever_many_processes_do_for_long_fits_together(database, child):
    seed = random.SystemRandom().randrange(1 << 30)
    print(f"seed {seed}")
    for round_ in range(int(os.environ.get("HOLDFAST_ROUNDS", "20"))):
        answers = check(database, child, seed + round_, processes=5, calls_n=4_000)
        assert min(answers["finish", "stale"], answers["renew", "ok"], answers["retry", "refused"]) > 0, answers
