"""What one statement claims is what `rules.decide` says about the row that was there, on every engine."""

from __future__ import annotations

import random

from job_steps import ANN, BOB

from holdfast import holds, jobs
from holdfast.holds.rules import COUNTER_BITS
from holdfast.jobs import Kind, Watermark, rules
from holdfast.sql import statement

ROW = statement(
    """UPDATE jobs SET attempts = :attempts, owner = :owner, fence = :fence, taken_ms = :taken_ms,
        renewed_ms = :renewed_ms, expires_ms = :renewed_ms, note = :note, done_size = :done_size,
        done_hash = :done_hash, failure = :failure
    WHERE kind = :kind""",
    "row",
)
WATERMARKS = [None, Watermark(0), Watermark(7, "a"), Watermark(1 << 62, "b")]


def put(tx, chance, kind, epoch):
    """Write a job as it may be while it waits: never claimed, lost, failed, done for older input, of older epochs."""
    held = chance.random() < 0.7
    old = chance.choice([0, 1, epoch - 1, epoch]) << COUNTER_BITS
    wanted = chance.choice(WATERMARKS)
    most = chance.randint(1, 4)
    jobs.enqueue(tx, kind, "1", watermark=wanted, attempts_max=most, payload=chance.choice([None, {"a": "ä"}]))
    done = wanted is not None and wanted.size > 0 and chance.random() < 0.5
    before_ms = tx.now_ms - chance.randrange(10_000)
    tx.run(
        ROW,
        kind=kind.name,
        attempts=chance.randrange(most),
        owner=holds.owner.dump(chance.choice([ANN, BOB])) if held else "",
        fence=old + chance.choice([1, 1 << 20, (1 << COUNTER_BITS) - 2]) if held else 0,
        taken_ms=before_ms if held else 0,
        renewed_ms=before_ms if held else 0,
        note=chance.choice(["", "half way"]),
        done_size=wanted.size - 1 if done else -2,
        done_hash="a" if done else "",
        failure=chance.choice([None, "boom"]),
    )


def test_a_claim_at_once_is_what_the_rule_says(engine, clock):
    chance = random.Random(5)
    for number in range(150):
        clock.advance(chance.randrange(1_000))
        kind = Kind(f"k{number}", lease_ms=chance.choice([1, 60_000]))
        with engine.write() as tx:
            epoch = holds.epoch(tx)
            put(tx, chance, kind, epoch)
            seen = jobs.get(tx, kind.name, "1")
            if number % 40 == 0:
                epoch = holds.raise_epoch(tx, 0)
            lease_ms = chance.choice([None, 1, 5_000])
            said = rules.decide(
                seen, BOB, kind=kind, watermark=None, now_ms=tx.now_ms, lease_ms=lease_ms or kind.lease_ms, epoch=epoch
            )
            got = jobs.store.claim_ready(tx, [kind], BOB, lease_ms=lease_ms)
            assert (got.hold, got.watermark, got.attempt, got.kind) == (
                said.hold, said.watermark, said.attempt, kind,
            )  # fmt: skip
            assert got.job == jobs.get(tx, kind.name, "1")
            assert (got.job.hold, got.job.attempts) == (said.hold, said.attempt)
            jobs.finish(tx, got)


def test_the_way_around_gives_the_same_claim(engine):
    # With a cap, or something to wake first, a claim is decided in Python and written by another statement.
    for number, cap in enumerate([None, 5]):
        kind = Kind(f"k{number}", running_max=cap)
        with engine.write() as tx:
            jobs.enqueue(tx, kind, "1", watermark=Watermark(3, "x"), payload=[1])
            claims = jobs.claim_next(tx, [kind], ANN, lease_ms=500)
            if cap is None:
                at_once = claims
    assert (claims.hold.fence, claims.attempt, claims.watermark) == (at_once.hold.fence, 1, at_once.watermark)
    assert claims.hold.expires_ms == at_once.hold.expires_ms
    same = {"job_id", "kind", "owner", "created_ms"}
    assert {n: getattr(claims.job, n) for n in claims.job.__slots__ if n not in same} == {
        n: getattr(at_once.job, n) for n in at_once.job.__slots__ if n not in same
    }
    assert claims.job == _now(engine, "k1")


def _now(engine, kind):
    with engine.read() as tx:
        return jobs.get(tx, kind, "1")
